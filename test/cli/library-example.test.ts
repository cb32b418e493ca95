// The library as an installed package: the example of the README compiles against the published types, and runs.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { before, type TestContext } from 'node:test';
import { annotate } from '../../src/index.ts';
import { requireFresh } from '../built.ts';
import { programUnits, samplePath } from '../samples.ts';
import { scratch } from '../tools.ts';

const root = join(import.meta.dirname, '..', '..');
before(() => requireFresh(root));

/** A project that has textpoke installed and one file in TypeScript; compiles it, with the types checked in full. */
function compile(t: TestContext, name: string, source: string): string {
  const project = scratch(t);
  mkdirSync(join(project, 'node_modules', '@types'), { recursive: true });
  symlinkSync(root, join(project, 'node_modules', 'textpoke'));
  symlinkSync(join(root, 'node_modules', '@types', 'node'), join(project, 'node_modules', '@types', 'node'));
  writeFileSync(join(project, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(project, `${name}.ts`), source);
  const options = ['--strict', '--skipLibCheck', 'false', '--types', 'node', '--target', 'es2022'];
  const modules = ['--module', 'nodenext', '--moduleResolution', 'nodenext'];
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  try {
    execFileSync(process.execPath, [tsc, ...options, ...modules, `${name}.ts`], { cwd: project });
  } catch (error) {
    assert.fail(String((error as { stdout?: Buffer }).stdout));
  }
  return join(project, `${name}.js`);
}

test('the example of the README compiles, and does what it says', async (t) => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const source = /### Library\n[\s\S]*?```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
  const { prove } = await import(compile(t, 'prove', source));
  const directory = scratch(t);
  for (const unit of programUnits) copyFileSync(samplePath('gcc-O2', unit), join(directory, `${unit}.o`));

  const writes = await prove(directory, ['off_key']);
  assert.equal(writes > 10, true, `${writes} writes`);
  assert.equal(annotate(join(directory, 'branch.o')).changed, false, 'the objects are annotated');
  const { runs } = JSON.parse(readFileSync(join(directory, 'textpoke.sarif'), 'utf8'));
  assert.deepEqual(runs[0].results, []);
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  assert.equal(runs[0].tool.driver.semanticVersion, version);
  await assert.rejects(prove(directory, ['no_such_key']), { name: 'TextpokeError', code: 'unknown-key' });
});

test('what is inside stays inside', (t) => {
  const source = `import * as textpoke from 'textpoke';
    // @ts-expect-error the readers are no export
    void textpoke.readElf;
    // @ts-expect-error an option that does not exist
    void textpoke.verify('x', { nonsense: true });
    // @ts-expect-error a format that does not exist
    void textpoke.diff('x', 'y', { formats: ['sarif'] });`;
  compile(t, 'inside', source);
});
