// Writes programs down as C and C++.
import type { Generated, Unit } from './generate.ts';
import type { Function_, Statement, Target } from './model.ts';

const types = { 8: 'uint8_t', 16: 'uint16_t', 32: 'uint32_t', 64: 'uint64_t' } as const;
const hex = (value: number) => `0x${value.toString(16)}u`;

/** Names of one function's labels and variables. */
class Writer {
  private next = 0;
  /** Variables, which stand in front: clang 14 takes no static branches beside one in a scope that initialises any. */
  readonly variables: string[] = [];

  fresh = (prefix: string) => `${prefix}${this.next++}`;

  block = (body: readonly Statement[]): string =>
    body.map((statement) => this.statement(statement)).join(' ');

  statement(statement: Statement): string {
    switch (statement.op) {
      case 'mix':
        return `x = x * ${hex(statement.a)} + (${hex(statement.b)} + instance);`;
      case 'branch': {
        const { key, likely, yes, no } = statement;
        const test = `static_branch_${likely ? 'likely' : 'unlikely'}(${key.spelling})`;
        return `if (${test}) { ${this.block(yes)} }${no.length > 0 ? ` else { ${this.block(no)} }` : ''}`;
      }
      case 'call':
        return `x += static_call(${statement.call.name})(x);`;
      case 'note':
        return `static_call_cond(${statement.call.name})(x);`;
      case 'atomic': {
        const { what, counter, operand, after } = statement;
        const name = after ? `${what}_fetch` : `fetch_${what}`;
        const type = types[counter.bits];
        return `x += (unsigned)__atomic_${name}(&${counter.name}, (${type})${hex(operand)}, __ATOMIC_SEQ_CST);`;
      }
      case 'exchange': {
        const { counter, operand } = statement;
        const value = `(${types[counter.bits]})${hex(operand)}`;
        return `x += (unsigned)__atomic_exchange_n(&${counter.name}, ${value}, __ATOMIC_SEQ_CST);`;
      }
      case 'kept':
        return `x += kept_add(&${statement.counter.name}, ${hex(statement.operand)});`;
      case 'compare': {
        const { counter, expected, operand } = statement;
        const old = this.fresh('old');
        const type = types[counter.bits];
        const call = `__atomic_compare_exchange_n(&${counter.name}, &${old}, (${type})${hex(operand)}, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)`;
        this.variables.push(`${type} ${old};`);
        return `${old} = ${expected}; x = x * 3u + (${call} ? 1u : 0u); x += (unsigned)${old};`;
      }
      case 'fence':
        return '__atomic_thread_fence(__ATOMIC_SEQ_CST);';
      case 'switch': {
        const arms = statement.arms.map((arm, i) => `case ${i}: ${this.block(arm)} break;`);
        return `switch (x % ${statement.arms.length}u) { ${arms.join(' ')} }`;
      }
      case 'goto': {
        const labels = statement.arms.map(() => this.fresh('arm'));
        const end = this.fresh('end');
        const table = this.fresh('table');
        const arms = statement.arms.map((arm, i) => `${labels[i]}: ${this.block(arm)} goto ${end};`);
        const addresses = labels.map((label) => `&&${label}`).join(', ');
        return `{ static void *const ${table}[] = {${addresses}}; goto *${table}[x % ${labels.length}u]; ${arms.join(' ')} ${end}:; }`;
      }
      case 'loop': {
        const i = this.fresh('i');
        this.variables.push(`unsigned ${i};`);
        return `for (${i} = 0; ${i} < ${statement.times}u; ${i}++) { ${this.block(statement.body)} }`;
      }
      case 'query':
        return `x += static_call_query(${statement.call.name}) == (void *)${statement.target.name};`;
      case 'enabled':
        return `x = x * 5u + (static_key_enabled(${statement.key.spelling}) ? 1u : 0u);`;
      case 'helper': {
        const { name, shape, instance } = statement.helper;
        return `x ^= ${name}${shape === 'template' ? `<${instance}>` : ''}(x);`;
      }
      case 'lambda':
        return `x = [&](unsigned y) -> unsigned { unsigned x = y; ${this.block(statement.body)} return x; }(x);`;
      case 'try':
        return (
          `try { ${this.block(statement.before)} if (x % 2u) throw thrown{x}; ${this.block(statement.behind)} } ` +
          'catch (const thrown &t) { x = t.x * 7u + 1u; }'
        );
    }
  }
}

/** The function's text. A label needs a name of its own in a function, so each function has a writer. */
function functionText({ name, shape, body, tail, attributes, instance }: Function_): string {
  const writer = new Writer();
  const result = tail ? `return static_call(${tail.name})(x);` : 'return x;';
  const block = writer.block(body);
  const rest = `(void)instance; ${writer.variables.join(' ')} ${block} ${result}`;
  if (shape === 'template')
    return `template <unsigned instance> ${attributes}unsigned ${name}(unsigned x) { ${rest} }\ntemplate unsigned ${name}<${instance}>(unsigned);`;
  const zero = 'enum { instance = 0 };';
  if (shape === 'coroutine') {
    const own = new Writer();
    const steps = body.map((statement) => `${own.statement(statement)} co_yield x;`).join('\n  ');
    return (
      `static values ${name}_values(unsigned x) { ${zero}\n  (void)instance; ${own.variables.join(' ')} ${steps}\n}\n` +
      `unsigned ${name}(unsigned x) { return sum_of(${name}_values(x)); }`
    );
  }
  const storage = { plain: '', static: 'static ', inline: 'inline ' }[shape];
  // A helper that nobody calls is no mistake.
  return `${storage}${attributes}${shape === 'static' ? '__attribute__((unused)) ' : ''}unsigned ${name}(unsigned x) { ${zero} ${rest} }`;
}

function targetText({ name, isVoid, a, b, isStatic }: Target, isCpp: boolean): string {
  const value = `n * ${hex(a)} + ${hex(b)}`;
  const head = isStatic ? 'static ' : isCpp ? 'extern "C" ' : '';
  return isVoid
    ? `${head}void ${name}(unsigned n) { the_log = the_log * 31u + (${value}); }`
    : `${head}unsigned ${name}(unsigned n) { return ${value}; }`;
}

const headerHead = `#ifndef COMMON_H
#define COMMON_H
#include <stdint.h>
#include "textpoke/lock.h"
#include "textpoke/static_call.h"
#include "textpoke/static_key.h"
#ifdef __cplusplus
extern "C" {
#endif
extern unsigned the_log;
void show(const char *name, unsigned result);
static inline unsigned kept_add(uint32_t *counter, unsigned n) {
#ifdef __x86_64__
  __asm__ volatile(TEXTPOKE_KEEP_LOCK "lock; xaddl %0, %1" : "+r"(n), "+m"(*counter) : : "memory");
  return n;
#else
  return __atomic_fetch_add(counter, n, __ATOMIC_SEQ_CST);
#endif
}
`;

const cppHead = `struct thrown { unsigned x; };
`;

const coroutineHead = `#include <coroutine>
namespace {
struct values {
  struct promise_type {
    unsigned value;
    values get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_always initial_suspend() { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    std::suspend_always yield_value(unsigned v) { value = v; return {}; }
    void unhandled_exception() { __builtin_trap(); }
    void return_void() {}
  };
  std::coroutine_handle<promise_type> handle;
};
unsigned sum_of(values v) {
  unsigned sum = 0;
  for (v.handle.resume(); !v.handle.done(); v.handle.resume()) sum = sum * 31u + v.handle.promise().value;
  v.handle.destroy();
  return sum;
}
}
`;

function unitText(
  { isCpp, hasCoroutines, definitions, targets, counters, functions }: Unit,
  u: number,
  generated: Generated,
): string {
  const own = generated.probes.filter(({ of }) => functions.includes(of));
  const calls = own.map(({ of: { name, shape, instance }, argument }) => {
    const called = shape === 'template' ? `${name}<${instance}>` : name;
    return `  show("${name}", ${called}(${hex(argument)}));`;
  });
  return [
    '#include "common.h"',
    ...(hasCoroutines ? [coroutineHead] : []),
    ...counters.map(({ name, bits }) => `static ${types[bits]} ${name};`),
    ...targets.map((target) => targetText(target, isCpp)),
    ...definitions,
    ...functions.map(functionText),
    `${isCpp ? 'extern "C" ' : ''}void u${u}_run(void);`,
    `${isCpp ? 'extern "C" ' : ''}void u${u}_run(void) {`,
    ...calls,
    '}',
    '',
  ].join('\n');
}

/** The files of a program by name: a header, a unit with main, the units. */
export function sourcesOf(generated: Generated): Map<string, string> {
  const { units, declarations, shared } = generated;
  const header = [
    headerHead,
    ...declarations,
    '#ifdef __cplusplus',
    '}',
    cppHead,
    ...shared.map(functionText),
    '#endif',
    '#endif',
    '',
  ].join('\n');
  const runs = units.map((_, u) => `u${u}_run`);
  const main = [
    '#include <stdio.h>',
    '__attribute__((visibility("default"))) unsigned the_log;',
    'void show(const char *name, unsigned result) { printf("%s %u %u\\n", name, result, the_log); }',
    ...runs.map((name) => `void ${name}(void);`),
    'int run_all(void) {',
    ...runs.map((name) => `  ${name}();`),
    '  return 0;',
    '}',
    '#ifndef NO_MAIN',
    'int main(void) { return run_all(); }',
    '#endif',
    '',
  ].join('\n');
  return new Map([
    ['common.h', header],
    ['main.c', main],
    ...units.map((unit, u) => [unit.file, unitText(unit, u, generated)] as const),
  ]);
}
