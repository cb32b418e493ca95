// The table in static_key.h that says which key a branch may name under which flags, what is refused, and what the
// headers promise about shared objects.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAll, longTest, rowsOf, run, scratch, toolTest, tryRun, turnOf } from '../tools.ts';
import { compile, complaint, everyCompiler, type Language, languages, readSymbols } from './compilers.ts';

const includes = `#include "textpoke/lock.h"
#include "textpoke/static_call.h"
#include "textpoke/static_key.h"
`;
const isC = (language: Language) => language.flags.includes('c');
const pic = [
  ['-O0', '-fno-pie'],
  ['-O0', '-fPIE'],
  ['-O0', '-fPIC'],
  ['-O2', '-fPIC'],
];

const device = 'struct device { int id; struct static_key_true key; };';
const key = (declaration: string, expression: string) =>
  `${declaration}\nint f(void); int f(void) { return static_branch_likely(${expression}); }`;

const accepted: readonly { name: string; source: string; only?: 'C' | 'C++'; flags?: string[][] }[] = [
  { name: 'a defined key', source: key('DEFINE_STATIC_KEY_TRUE(k);', '&k') },
  { name: 'a declared key', source: key('DECLARE_STATIC_KEY_FALSE(k);', '&k') },
  { name: 'a file-local key', source: key('static DEFINE_STATIC_KEY_FALSE(k);', '&k') },
  {
    name: 'a declared, then defined key',
    source: key('DECLARE_STATIC_KEY_TRUE(k); DEFINE_STATIC_KEY_TRUE(k);', '&k'),
  },
  { name: 'an element of a defined array', source: key('DEFINE_STATIC_KEY_ARRAY_TRUE(k, 3);', '&k[2]') },
  {
    name: 'an element of a file-local array',
    source: key('static DEFINE_STATIC_KEY_ARRAY_FALSE(k, 3);', '&k[2]'),
  },
  { name: 'an element of a declared array', source: key('DECLARE_STATIC_KEY_ARRAY_TRUE(k, 3);', '&k[2]') },
  {
    name: 'a function-local key',
    source:
      'int f(void); int f(void) { static DEFINE_STATIC_KEY_TRUE(k); return static_branch_unlikely(&k); }',
  },
  {
    name: 'a member of a file-local object',
    source: key(
      `${device} static struct device d TEXTPOKE_KEY_DATA(d) = {1, STATIC_KEY_TRUE_INIT};`,
      '&d.key',
    ),
  },
  {
    name: 'a member of a hidden object of another unit',
    source: key(`${device} extern struct device d TEXTPOKE_HIDDEN;`, '&d.key'),
  },
  {
    name: 'a member of a plain global object',
    source: key(`${device} struct device d = {1, STATIC_KEY_TRUE_INIT};`, '&d.key'),
    flags: [
      ['-O0', '-fno-pie'],
      ['-O0', '-fPIE'],
      ['-O0', '-fPIC', '-fvisibility=hidden'],
    ],
  },
  { name: 'an inline key', source: key('inline DEFINE_STATIC_KEY_FALSE(k);', '&k'), only: 'C++' },
  {
    name: 'a static inline member of a class',
    source: key('struct S { static inline DEFINE_STATIC_KEY_FALSE(k); };', '&S::k'),
    only: 'C++',
  },
  {
    name: 'a key of a namespace, in a template and in a lambda',
    source: `namespace ns { DEFINE_STATIC_KEY_FALSE(k); }
      template <class T> T f(T x) { return static_branch_unlikely(&ns::k) ? x : 0; }
      int g(); int g() { return f(1) + [] { return static_branch_likely(&ns::k); }(); }`,
    only: 'C++',
  },
  {
    name: 'a key inside an inline function',
    source: `inline int f() { static DEFINE_STATIC_KEY_FALSE(k); return static_branch_likely(&k); }
      int g(); int g() { return f(); }`,
    only: 'C++',
    flags: [
      ['-O0', '-fno-pie'],
      ['-O0', '-fPIE'],
      ['-O0', '-fPIC', '-fvisibility=hidden'],
    ],
  },
  {
    name: 'a static call by function and by function type, twice RET0 in one file',
    source: `int f(int); typedef int type(int); typedef void hook(void);
      DEFINE_STATIC_CALL(a, f); DEFINE_STATIC_CALL_RET0(b, type); DEFINE_STATIC_CALL_RET0(c, f);
      DEFINE_STATIC_CALL_NULL(d, hook); DEFINE_STATIC_CALL_RET0_LOCAL(e, type);
      int g(void); int g(void) { static_call_cond(d)(); return static_call(a)(1) + static_call(b)(1) + static_call(c)(1) + static_call(e)(1); }`,
  },
  {
    name: 'static calls of a namespace and of a class',
    source: `namespace ns { int f(int n) noexcept { return n; } }
      struct S { static int g(int n) { return n; } };
      DEFINE_STATIC_CALL(a, ns::f); DEFINE_STATIC_CALL_LOCAL(b, S::g);
      int g(); int g() { return static_call(a)(1) + static_call(b)(1); }`,
    only: 'C++',
  },
];

/** The rows that npm test tries with a language: each row with one compiler of C and one of C++, where both have it. */
function shareOf<Row>(language: Language, rows: readonly Row[]): [number, Row][] {
  const compiler = language.compiler.startsWith('clang') ? 1 : 0;
  return [...rows.entries()].filter(([turn]) => isAll || turn % 2 === compiler);
}

for (const language of languages) {
  toolTest(
    `every documented spelling is accepted without a warning: ${language.name}`,
    [language.compiler],
    (t) => {
      const directory = scratch(t);
      for (const [turn, { name, source, only, flags }] of shareOf(language, accepted)) {
        if (only !== undefined && (only === 'C') !== isC(language)) continue;
        const file = join(directory, 'accepted.c');
        writeFileSync(file, `${includes}${source}\n`);
        for (const set of turnOf(flags ?? pic, turn + languages.indexOf(language))) {
          assert.doesNotThrow(() => compile(language, set, [file], directory), `${name} ${set.join(' ')}`);
        }
      }
    },
  );
}

const constant =
  /impossible constraint|invalid operand for inline asm|reference to local variable '\w+' declared in enclosing function/;
const refused: readonly { name: string; source: string; says: RegExp; flags?: string[] }[] = [
  { name: 'an int', source: key('int k;', '&k'), says: /takes the address of a struct/ },
  {
    name: 'a bare struct static_key',
    source: key('struct static_key k;', '&k'),
    says: /takes the address of a struct/,
  },
  {
    name: 'the key itself',
    source: key('DEFINE_STATIC_KEY_TRUE(k);', 'k'),
    says: /static_key_true/,
  },
  {
    name: 'a key known at run time',
    source: key('DECLARE_STATIC_KEY_ARRAY_TRUE(k, 2); extern int i;', '&k[i]'),
    says: constant,
  },
  {
    name: 'a parameter',
    source:
      'int f(struct static_key_true *k); int f(struct static_key_true *k) { return static_branch_likely(k); }',
    says: constant,
  },
  {
    name: 'a global key that may be preempted',
    source: key('struct static_key_false k = STATIC_KEY_FALSE_INIT;', '&k'),
    says: constant,
    flags: ['-fPIC'],
  },
  {
    name: 'a definition that contradicts its declaration',
    source: 'DECLARE_STATIC_KEY_TRUE(k);\nDEFINE_STATIC_KEY_FALSE(k);',
    says: /conflicting|different type/,
  },
  {
    name: 'static_key_enabled of something else',
    source: 'int f(int *k); int f(int *k) { return static_key_enabled(k); }',
    says: /_Generic|generic association|key_of/,
  },
  {
    name: 'an undeclared call',
    source: 'int f(void); int f(void) { return static_call(nothing)(1); }',
    says: /__SCT__nothing/,
  },
  {
    name: 'the result of a conditional call',
    source:
      'int g(int); DEFINE_STATIC_CALL(c, g);\nint f(void); int f(void) { return static_call_cond(c)(1); }',
    says: /void/,
  },
  {
    name: 'a call with the wrong arguments',
    source:
      'int g(int); DEFINE_STATIC_CALL(c, g);\nint f(void); int f(void) { return static_call(c)(1, 2); }',
    says: /too many arguments/,
  },
  {
    name: 'an export without the mode for it',
    source: 'int g(int); DEFINE_STATIC_CALL(c, g); EXPORT_STATIC_CALL(c);',
    says: /define TEXTPOKE_EXPORTED_CALLS/,
  },
];

for (const language of languages) {
  toolTest(`misuse is a compile-time error: ${language.name}`, [language.compiler], (t) => {
    const directory = scratch(t);
    const file = join(directory, 'refused.c');
    for (const [turn, { name, source, says, flags }] of shareOf(language, refused)) {
      writeFileSync(file, `${includes}${source}\n`);
      for (const level of turnOf(['-O0', '-O2'], turn + languages.indexOf(language))) {
        const said = complaint(language, [level, ...(flags ?? [])], file, directory);
        assert.match(said ?? 'accepted', says, `${name} ${level}`);
      }
    }
  });
}

/** A shared object that exports a call whole, one by its trampoline, and has its own PC-relative entries. */
const exporter = `#define TEXTPOKE_EXPORTED_CALLS
#include "textpoke/static_call.h"
TEXTPOKE_EXTERN int target(int n);
TEXTPOKE_EXTERN int outside(int n);
TEXTPOKE_EXTERN int inside(int n) TEXTPOKE_HIDDEN;
int target(int n) { return n + 1; }
DEFINE_STATIC_CALL(whole, target);
EXPORT_STATIC_CALL(whole);
DEFINE_STATIC_CALL(part, target);
EXPORT_STATIC_CALL_TRAMP(part);
DEFINE_STATIC_CALL(own, target);
int inside(int n) { return static_call(whole)(n) + static_call(part)(n) + static_call(own)(n); }
int outside(int n) { return inside(n); }
__asm__(".pushsection .static_call_sites, \\"aw\\"\\n\\t"
        ".balign 4\\n\\t"
        ".long inside - ., __SCK__whole - .\\n\\t"
        ".long inside - ., __SCK__part - .\\n\\t"
        ".long inside - ., __SCK__own - .\\n\\t"
        ".popsection");
`;
const importer = `#define TEXTPOKE_EXPORTED_CALLS
#include <stdio.h>
#include "textpoke/static_call.h"
TEXTPOKE_EXTERN int target(int n);
TEXTPOKE_EXTERN int outside(int n);
DECLARE_STATIC_CALL(whole, target);
DECLARE_STATIC_CALL(part, target);
int main(void) {
  printf("%d %d %d %d\\n", static_call(whole)(1), static_call(part)(2), outside(3), static_call_query(whole) != 0);
  return 0;
}
`;

longTest(
  'an exported call works from another shared object, and what is not exported stays hidden',
  [...everyCompiler, 'ld.bfd', 'ld.lld'],
  (t) => {
    for (const language of rowsOf(languages, 3)) {
      const directory = scratch(t);
      for (const [name, source] of Object.entries({ exporter, importer })) {
        writeFileSync(join(directory, `${name}.c`), source);
        compile(language, ['-O2', '-fPIC'], [join(directory, `${name}.c`)], directory);
      }
      for (const linker of turnOf(['bfd', 'lld'], languages.indexOf(language))) {
        const library = join(directory, 'library.so');
        const link = [`-fuse-ld=${linker}`];
        run(language.compiler, [...link, '-shared', join(directory, 'exporter.o'), '-o', library]);
        const exported = readSymbols(library, true)
          .filter((s) => s.name.startsWith('__SC'))
          .map((s) => `${s.name} ${s.visibility}`)
          .sort();
        assert.deepEqual(exported, [
          '__SCK__whole PROTECTED',
          '__SCT__part PROTECTED',
          '__SCT__whole PROTECTED',
        ]);
        const program = join(directory, 'program');
        run(language.compiler, [...link, '-pie', join(directory, 'importer.o'), library, '-o', program]);
        assert.equal(run(program, []), '2 3 12 1\n', `${language.name} ${linker}`);
      }
    }
  },
);

toolTest(
  'two functions that differ only in their keys survive identical code folding',
  ['clang', 'ld.lld'],
  (t) => {
    const directory = scratch(t);
    const source = join(directory, 'fold.c');
    writeFileSync(
      source,
      `${includes}DEFINE_STATIC_KEY_FALSE(a); DEFINE_STATIC_KEY_FALSE(b);
     int first(void) { return static_branch_unlikely(&a); }
     int second(void) { return static_branch_unlikely(&b); }
     int same(void) { return static_branch_unlikely(&a); }
     void _start(void) { first(); second(); same(); }`.replaceAll('int ', '__attribute__((noinline)) int '),
    );
    const language = { name: 'clang', compiler: 'clang', flags: ['-w'] };
    compile(language, ['-O2', '-ffunction-sections', '-Wno-error'], [source], directory);
    const program = join(directory, 'fold');
    const result = tryRun('ld.lld', ['--icf=all', join(directory, 'fold.o'), '-o', program]);
    assert.equal(result.status, 0, result.stderr);
    const at = (name: string) => readSymbols(program).find((s) => s.name === name)!.value;
    assert.notEqual(at('first'), at('second'));
    assert.equal(at('first'), at('same'));
  },
);
