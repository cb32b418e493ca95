// What the tests themselves keep to.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { scratch } from './tools.ts';

const root = join(import.meta.dirname, '..');
const files = ['test', 'bench'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => ({ name: `${folder}/${name}`, text: readFileSync(join(root, folder, name), 'utf8') })),
);

function lint(directory: string, paths: readonly string[]) {
  const biome = join(root, 'node_modules', '@biomejs', 'biome', 'bin', 'biome');
  const { stdout, stderr } = spawnSync(process.execPath, [biome, 'lint', ...paths], {
    cwd: directory,
    encoding: 'utf8',
  });
  return { said: stdout + stderr };
}

type Example = readonly [name: string, code: string, errors: number];

/** Holds a plugin of `npm run lint` against examples: in each it has to find so many errors, which say `what`. */
function judge(t: TestContext, plugin: string, what: RegExp, examples: readonly Example[]): void {
  const directory = scratch(t);
  const plugins = [join(root, 'test', plugin)];
  const settings = { plugins, linter: { rules: { recommended: false } } };
  writeFileSync(join(directory, 'biome.json'), JSON.stringify(settings));
  mkdirSync(join(directory, 'src'));
  for (const [name, code] of examples) writeFileSync(join(directory, name), code);
  const { said } = lint(
    directory,
    examples.map(([name]) => name),
  );
  const places = said.match(/^\S+\.ts:\d+(?=:\d+ plugin)/gm) ?? [];
  for (const [name, , errors] of examples)
    assert.equal(places.filter((place) => place.startsWith(`${name}:`)).length, errors, said);
  assert.equal(said.match(what)?.length, places.length, said);
}

// messages.grit says why.
test('an assert.ok without a message is found', (t) => {
  judge(t, 'messages.grit', /assert\.ok needs a message/g, [
    ['wrong.ts', 'assert.ok(found);\nassert(found === 1);\nassert.ok(found(1, 2));\n', 3],
    [
      'right.ts',
      "assert.ok(found(1), 'found');\nassert(found, 'it is found');\nassert.equal(found, 1);\n",
      0,
    ],
  ]);
});

// spreads.grit says why.
test('a list that is spread into the arguments of a call in src/ is found', (t) => {
  judge(t, 'spreads.grit', /may be longer than the stack/g, [
    ['src/wrong.ts', 'a.push(...b);\na.push(1, ...b.map(f));\nf(Math.max(...b));\na.concat(...b);\n', 4],
    ['src/right.ts', 'a.push({ ...b });\na.push([...b].length);\nf(Math.max(1, 2));\nf(...b);\n', 0],
    ['test.ts', 'a.push(...b);\n', 0],
  ]);
});

test('npm run lint has both', () => {
  const { plugins } = JSON.parse(readFileSync(join(root, 'biome.json'), 'utf8'));
  assert.deepEqual(plugins, ['./test/messages.grit', './test/spreads.grit']);
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
