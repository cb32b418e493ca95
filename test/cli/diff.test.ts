// textpoke diff as a user runs it, over builds of a real compiler.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { runBuilt } from '../e2e/warm.ts';
import { run, scratch, toolTest } from '../tools.ts';

const root = join(import.meta.dirname, '..', '..');
const tools = ['gcc', 'ar'];

const source = `#include <textpoke/static_call.h>
#include <textpoke/static_key.h>
int ten(void);
DEFINE_STATIC_CALL(number, ten);
DEFINE_STATIC_KEY_FALSE(tracing);
DEFINE_STATIC_KEY_FALSE(checking);
static int count;
__attribute__((noinline)) int other(void) { return static_branch_unlikely(&checking) ? 3 : 4; }
__attribute__((noinline)) int last(void) { return static_call(number)() + 1; }
int work(void) {
  int n = last() + other();
  if (static_branch_unlikely(&tracing))
    count++;
  return n;
}
`;

function build(directory: string, name: string, text: string, flags: readonly string[] = []): string {
  const object = `${name}.o`;
  writeFileSync(join(directory, `${name}.c`), text);
  run('gcc', ['-O2', `-I${root}/include`, ...flags, '-c', `${name}.c`, '-o', object], directory);
  assert.equal(runBuilt(['annotate', object], directory).status, 0);
  return object;
}

function diff(directory: string, ...args: string[]): { status: number | null; stdout: string } {
  const { status, stdout, stderr } = runBuilt(['diff', ...args], directory);
  assert.equal(stderr, '');
  return { status, stdout };
}

const cases: readonly [what: string, text: string, status: number, output: RegExp][] = [
  ['nothing but other addresses', `int more(int x) { return x * 77; }\n${source}`, 0, /^$/],
  [
    'a branch that is gone',
    source.replace('if (static_branch_unlikely(&tracing))', 'if (count)'),
    1,
    /^work\n {2}- static branch of tracing \(unlikely\) {2}work\+0x\w+.*\n1 site removed, 0 added, 0 changed; static branches 2 to 1\n$/,
  ],
  [
    'a function that is new',
    `${source}int third(void) { return static_branch_likely(&checking) ? 5 : 6; }\n`,
    0,
    /^third\n {2}\+ static branch of checking \(likely\) {2}third.*\n0 sites removed, 1 added, 0 changed; static branches 2 to 3\n$/,
  ],
  [
    'a call that became a tail call',
    source.replace('static_call(number)() + 1', 'static_call(number)()'),
    0,
    /^last\n {2}~ static call of number \(call\) is now tail call .*\n0 sites removed, 0 added, 1 changed\n$/,
  ],
];

for (const [what, text, status, output] of cases) {
  toolTest(`${what}: status ${status}`, tools, (t: TestContext) => {
    const directory = scratch(t);
    const old = build(directory, 'old', source);
    const found = diff(directory, old, build(directory, 'new', text));
    assert.match(found.stdout, output);
    assert.equal(found.status, status);
  });
}

toolTest('with DWARF a difference has its source line; JSON and Markdown have it too', tools, (t) => {
  const directory = scratch(t);
  const old = build(directory, 'old', source, ['-g']);
  const now = build(directory, 'new', source.replace('if (static_branch_unlikely(&tracing))', 'if (count)'), [
    '-g',
  ]);
  assert.match(diff(directory, old, now).stdout, /work\+0x\w+ .*(old\.c|static_key\.h):\d+$/m);
  const json = JSON.parse(diff(directory, old, now, '--format', 'json').stdout);
  assert.deepEqual([json.schema, json.removed, json.added, json.changed], ['textpoke.diff/1', 1, 0, 0]);
  const [{ differences, sites }] = json.files;
  assert.deepEqual(
    [differences[0].what, differences[0].function, differences[0].kind, differences[0].old.key],
    ['removed', 'work', 'static branch', 'tracing'],
  );
  assert.deepEqual([sites.old['static branch'], sites.new['static branch']], [2, 1]);
  const markdown = diff(directory, old, now, '--format', 'markdown').stdout;
  assert.match(markdown, /^\*\*Patch sites\*\*, `old\.o` to `new\.o`: 1 site removed/);
  assert.match(markdown, /^\| removed \| `work` \| static branch of tracing \(unlikely\) \| `.*:\d+` \|$/m);
});

toolTest('archives are compared member by member', tools, (t) => {
  const directory = scratch(t);
  const [a, b] = [
    build(directory, 'a', source),
    build(directory, 'b', source.replace(/number|tracing|checking|work|other|last/g, '$&_b')),
  ];
  run('ar', ['rc', 'old.a', a, b], directory);
  run('ar', ['rc', 'new.a', b], directory);
  const found = diff(directory, 'old.a', 'new.a');
  assert.match(found.stdout, /^a\.o: other\n {2}- static branch of checking/);
  assert.doesNotMatch(found.stdout, /b\.o/);
  assert.equal(found.status, 1);
});

toolTest('an image has no difference from itself, nor from the object it was linked of', tools, (t) => {
  const directory = scratch(t);
  const main = `${source}int ten(void) { return 10; }\nint main(void) { return work() - 15; }\n`;
  const object = build(directory, 'one', main);
  run('gcc', [object, '-o', 'image'], directory);
  assert.deepEqual(diff(directory, 'image', 'image'), { status: 0, stdout: '' });
  assert.deepEqual(diff(directory, object, 'image'), { status: 0, stdout: '' });
});

toolTest('verify --baseline: a site that was lost is TP027, one that is new TP028', tools, (t) => {
  const directory = scratch(t);
  const rest = 'int ten(void) { return 10; }\nint main(void) { return work() - 15; }\n';
  const image = (name: string, text: string) => {
    const object = build(directory, name, `${text}${rest}`);
    assert.equal(runBuilt(['boot', object, '-o', name], directory).status, 0);
    return name;
  };
  const verify = (file: string, baseline: string) =>
    runBuilt(['verify', file, '--baseline', baseline, '--format', 'json'], directory);
  const old = image('old', source);
  const less = image('less', source.replace('if (static_branch_unlikely(&tracing))', 'if (count)'));
  const findings = (file: string, baseline: string) =>
    JSON.parse(verify(file, baseline).stdout).findings.map(
      (finding: { rule: string; place: string }) => `${finding.rule} ${finding.place.replace(/\+.*/, '')}`,
    );
  assert.deepEqual(findings(old, old), []);
  assert.deepEqual(findings(less, old), ['TP027 work']);
  assert.equal(verify(less, old).status, 1);
  assert.deepEqual(findings(old, less), ['TP028 work']);
});

toolTest('a file that is not there is status 4, one that is no ELF file status 3', tools, (t) => {
  const directory = scratch(t);
  const object = build(directory, 'one', source);
  writeFileSync(join(directory, 'text'), 'no ELF file');
  for (const [file, status, code] of [
    ['nothing', 4, 'read-failed'],
    ['text', 3, 'not-elf'],
  ] as const) {
    const result = runBuilt(['diff', object, file], directory);
    assert.deepEqual([result.status, result.stdout], [status, '']);
    assert.match(result.stderr, new RegExp(`\\[${code}\\]`));
  }
});
