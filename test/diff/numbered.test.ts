// Two builds of each compiler whose numbers are others: keys that are local to functions, those of inlined functions and
// of lambdas. A difference is what the source says, and nothing else.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { annotate } from '../../src/annotate/passes.ts';
import { type ComparedFile, compareFiles } from '../../src/diff/files.ts';
import { stableKey, stableName } from '../../src/diff/function-names.ts';
import { everything } from '../samples.ts';
import { run, scratch, toolTest } from '../tools.ts';

const include = join(import.meta.dirname, '..', '..', 'include');

/** As WARN_ONCE of the kernel has it: a key for each place. */
const source = `#include <textpoke/static_key.h>
extern void say(int);
#define ONCE(n) do { static DEFINE_STATIC_KEY_TRUE(__already_done); \\
  if (static_branch_unlikely(&__already_done)) say(n); } while (0)
static DEFINE_STATIC_KEY_FALSE(tracing);
static inline void checked(int n) { ONCE(n); }
/* front */
int first(int a) {
  /* inside */
  ONCE(1);
  if (a) { ONCE(2); }
  checked(a);
  return a;
}
int second(int a) { checked(a); ONCE(3); if (static_branch_unlikely(&tracing)) say(a); return a + 1; }
int third(int a) { static DEFINE_STATIC_KEY_FALSE(key); static DEFINE_STATIC_KEY_FALSE(other);
  if (static_branch_unlikely(&key)) say(4);
  if (static_branch_unlikely(&other)) say(5);
  if (static_branch_unlikely(&key)) say(6); /* last */
  return a + 2; }
`;

/** The same in C++, with keys in lambdas. */
const lambdas = `${source}
int fourth(int a) {
  auto one = [](int n) __attribute__((noinline)) { ONCE(n); };
  auto two = [](int n) __attribute__((noinline)) { if (static_branch_unlikely(&tracing)) say(n); };
  one(a);
  two(a);
  return a;
}
`;

const [, moved = ''] = /^(int second.*\n)/m.exec(source) ?? [];
const rows: readonly (readonly [
  what: string,
  change: (text: string) => string,
  differences: readonly string[],
])[] = [
  [
    'a local variable with a number of its own',
    (text) => text.replace('/* inside */', 'static int seen; say(seen++);'),
    [],
  ],
  [
    'lines and functions without sites',
    (text) => text.replace('/* front */', '\n\nint zeroth(int a) { static int calls; return calls += a; }'),
    [],
  ],
  ['a function that stands elsewhere', (text) => `${text.replace(moved, '')}${moved}`, []],
  [
    'a function in front that has such keys',
    (text) => text.replace('/* front */', 'int zeroth(int a) { ONCE(0); ONCE(a); return a; }'),
    ['added zeroth __already_done', 'added zeroth __already_done'],
  ],
  [
    'one more in a function',
    (text) => text.replace('/* inside */', 'ONCE(9);'),
    ['added first __already_done'],
  ],
  ['one less in a function', (text) => text.replace('ONCE(3);', ''), ['removed second __already_done']],
  [
    'a site that asks another key',
    (text) => text.replace(/&key(\)\) say\(6\))/, '&other$1'),
    ['removed third key', 'added third other'],
  ],
];

function said({ differences }: ComparedFile): string[] {
  return differences.map((of) => {
    const { key = '' } = of.what === 'added' ? of.after : of.before;
    // clang and C++ put the function in front.
    const [, local = ''] = /(__already_done|key|other|tracing)(?:_\d+)?$/.exec(stableKey(key)) ?? [];
    const [, name = ''] = /(zeroth|first|second|third|fourth)/.exec(stableName(of.function)) ?? [];
    return `${of.what} ${name} ${local}`;
  });
}

const front = 'auto zeroth = [](int a) { return a * 3; };\nint use(int a) { return zeroth(a); }\n';
for (const [compiler, ...flags] of [
  ['gcc', '-O2'],
  ['gcc', '-O2', '-ffunction-sections', '-fPIC'],
  ['clang', '-O2'],
  ['g++', '-O2'],
  ['clang++', '-O2'],
] as const) {
  toolTest(
    `${[compiler, ...flags].join(' ')}: numbers of the compiler are no differences`,
    [compiler],
    async (t) => {
      const directory = scratch(t);
      const isC = !compiler.endsWith('++');
      const build = (name: string, text: string) => {
        const file = `${name}.${isC ? 'c' : 'cpp'}`;
        writeFileSync(join(directory, file), text);
        run(compiler, [...flags, `-I${include}`, '-c', file, '-o', `${name}.o`], directory);
        const bytes = new Uint8Array(readFileSync(join(directory, `${name}.o`)));
        const made = annotate(`${name}.o`, bytes, everything).bytes;
        assert.ok(made, 'there are sites');
        return { name, bytes: made };
      };
      const text = isC ? source : lambdas;
      const old = build('old', text);
      const more = isC
        ? []
        : [['a lambda in front', (all: string) => all.replace('/* front */', front), []] as const];
      for (const [what, change, differences] of [...rows, ...more]) {
        const changed = change(text);
        assert.notEqual(changed, text, what);
        const [found] = await compareFiles(old, build('new', changed));
        assert.deepEqual(said(found as ComparedFile), differences, what);
      }
    },
  );
}
