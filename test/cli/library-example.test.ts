// The library as an installed package: the example of docs/library.md compiles against the published types, and runs.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before } from 'node:test';
import { annotate } from '../../src/index.ts';
import { requireFresh } from '../built.ts';
import { programUnits, samplePath } from '../samples.ts';
import { longTest, scratch, scratchOfFile, tryRun } from '../tools.ts';

const root = join(import.meta.dirname, '..', '..');
before(() => requireFresh(root));

const document = readFileSync(join(root, 'docs', 'library.md'), 'utf8');
const sources = {
  prove: /^```ts .*\n([\s\S]*?)```/m.exec(document)?.[1] ?? '',
  inside: `import * as textpoke from 'textpoke';
    // @ts-expect-error the readers are no export
    void textpoke.readElf;
    // @ts-expect-error an option that does not exist
    void textpoke.verify('x', { nonsense: true });
    // @ts-expect-error a format that does not exist
    void textpoke.diff('x', 'y', { formats: ['sarif'] });`,
};

const directory = scratchOfFile();
let said: string | undefined;

/** What tsc says of a project that has textpoke installed and these files; the types are checked in full, once. */
function complaints(): string {
  if (said !== undefined) return said;
  const project = directory;
  mkdirSync(join(project, 'node_modules', '@types'), { recursive: true });
  symlinkSync(root, join(project, 'node_modules', 'textpoke'));
  symlinkSync(join(root, 'node_modules', '@types', 'node'), join(project, 'node_modules', '@types', 'node'));
  writeFileSync(join(project, 'package.json'), '{ "type": "module" }');
  for (const [name, source] of Object.entries(sources)) writeFileSync(join(project, `${name}.ts`), source);
  const options = ['--strict', '--skipLibCheck', 'false', '--types', 'node', '--target', 'es2022'];
  const modules = ['--module', 'nodenext', '--moduleResolution', 'nodenext'];
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const files = Object.keys(sources).map((name) => `${name}.ts`);
  const { status, stdout } = tryRun(process.execPath, [tsc, ...options, ...modules, ...files], project);
  assert.equal(status === 0, stdout === '', `tsc: status ${status}, ${stdout}`);
  said = stdout;
  return said;
}

/** What tsc says of one of the files. */
const complaintsOf = (name: keyof typeof sources) =>
  complaints()
    .split('\n')
    .filter((line) => !line.startsWith(name === 'prove' ? 'inside.ts' : 'prove.ts') && line !== '');

longTest('the example of docs/library.md compiles, and does what it says', [], async (t) => {
  assert.deepEqual(complaintsOf('prove'), []);
  const { prove } = await import(join(directory, 'prove.js'));
  const objects = scratch(t);
  for (const unit of programUnits) copyFileSync(samplePath('gcc-O2', unit), join(objects, `${unit}.o`));

  const writes = await prove(objects, ['off_key']);
  assert.equal(writes > 10, true, `${writes} writes`);
  assert.equal(annotate(join(objects, 'branch.o')).changed, false, 'the objects are annotated');
  const { runs } = JSON.parse(readFileSync(join(objects, 'textpoke.sarif'), 'utf8'));
  assert.deepEqual(runs[0].results, []);
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  assert.equal(runs[0].tool.driver.semanticVersion, version);
  await assert.rejects(prove(objects, ['no_such_key']), { name: 'TextpokeError', code: 'unknown-key' });
});

longTest('what is inside stays inside', [], () => {
  assert.deepEqual(complaintsOf('inside'), []);
});
