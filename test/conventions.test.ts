// What the tests themselves keep to.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { scratch } from './tools.ts';

const root = join(import.meta.dirname, '..');
const files = ['test', 'bench'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => ({ name: `${folder}/${name}`, text: readFileSync(join(root, folder, name), 'utf8') })),
);

function lint(directory: string, ...paths: readonly string[]) {
  const biome = join(root, 'node_modules', '@biomejs', 'biome', 'bin', 'biome');
  const { status, stdout, stderr } = spawnSync(process.execPath, [biome, 'lint', ...paths], {
    cwd: directory,
    encoding: 'utf8',
  });
  return { status, said: stdout + stderr };
}

// messages.grit says why.
test('every assert.ok has a message', (t) => {
  const { status, said } = lint(root, 'test', 'bench');
  assert.equal(status, 0, said);
  const examples = scratch(t);
  const plugins = [join(root, 'test', 'messages.grit')];
  writeFileSync(
    join(examples, 'biome.json'),
    JSON.stringify({ plugins, linter: { rules: { recommended: false } } }),
  );
  for (const [name, code, errors] of [
    ['wrong.ts', 'assert.ok(found);\nassert(found === 1);\nassert.ok(found(1, 2));\n', 3],
    [
      'right.ts',
      "assert.ok(found(1), 'found');\nassert(found, 'it is found');\nassert.equal(found, 1);\n",
      0,
    ],
  ] as const) {
    writeFileSync(join(examples, name), code);
    const { said } = lint(examples, name);
    assert.equal(said.match(/assert\.ok needs a message/g)?.length ?? 0, errors, said);
  }
});

// spreads.grit says why.
test('no list is spread into the arguments of a call in src/', (t) => {
  const { status, said } = lint(root, 'src');
  assert.equal(status, 0, said);
  const examples = scratch(t);
  mkdirSync(join(examples, 'src'));
  const plugins = [join(root, 'test', 'spreads.grit')];
  writeFileSync(
    join(examples, 'biome.json'),
    JSON.stringify({ plugins, linter: { rules: { recommended: false } } }),
  );
  for (const [name, code, errors] of [
    ['src/wrong.ts', 'a.push(...b);\na.push(1, ...b.map(f));\nf(Math.max(...b));\na.concat(...b);\n', 4],
    ['src/right.ts', 'a.push({ ...b });\na.push([...b].length);\nf(Math.max(1, 2));\nf(...b);\n', 0],
    ['test.ts', 'a.push(...b);\n', 0],
  ] as const) {
    writeFileSync(join(examples, name), code);
    const { said } = lint(examples, name);
    assert.equal(said.match(/may be longer than the stack/g)?.length ?? 0, errors, said);
  }
});

test('the command line is started through built.ts, which knows whether it is an old one', () => {
  const startsItself = /('bin', '|\/bin\/)(textpoke|kbuild)/;
  assert.match(`join(root, 'bin', 'textpoke.js')`, startsItself);
  const wrong = files.filter(
    ({ name, text }) => name !== 'test/conventions.test.ts' && startsItself.test(text),
  );
  assert.deepEqual(
    wrong.map(({ name }) => name),
    [],
  );
});

test('no test asks for the time, but to kill at random moments: costs.test.ts counts', () => {
  const clock = /performance\.|Date\.now|hrtime|new Date\(/;
  const wrong = files.filter(({ name, text }) => name.endsWith('.test.ts') && clock.test(text));
  assert.deepEqual(
    wrong.map(({ name }) => name).filter((name) => name !== 'test/conventions.test.ts'),
    ['test/e2e/kills.test.ts'],
  );
});
