// What explains most findings: proved, and true when the command is run again; and what is no explanation.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, type TestContext } from 'node:test';
import { annotate, boot, link, type VerifyOptions, verify } from '../../src/index.ts';
import { main } from '../../src/main.ts';
import { runMain } from '../in-process.ts';
import { programUnits, samplePath } from '../samples.ts';

const directory = mkdtempSync(join(tmpdir(), 'textpoke-test-'));
after(() => rmSync(directory, { recursive: true, force: true }));

function program(units = programUnits): Uint8Array {
  return link(units.map((name) => ({ name: `${name}.o`, bytes: annotate(samplePath('gcc-O2', name)).bytes })))
    .bytes;
}

function file(name: string, bytes: Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, bytes);
  return path;
}

const linked = file('prog', program());
const booted = async (cpus: number) => file(`prog.${cpus}`, (await boot(linked, { cpus })).bytes);

/** The words of a command line without names that need quotes. */
async function runCommand(t: TestContext, command: string): Promise<number> {
  const [name, ...words] = command.split(' ');
  assert.equal(name, 'textpoke');
  return (await runMain(t, main, words)).status;
}

const rows: readonly [what: string, path: () => Promise<string>, options: VerifyOptions, RegExp, string][] = [
  ['an image that was never booted', async () => linked, {}, /^the image was never booted$/, '--linked'],
  ['another number of CPUs', () => booted(1), { cpus: 4 }, /one CPU/, '--cpus 1'],
  ['several CPUs', () => booted(2), { cpus: 1 }, /several CPUs/, '--cpus 2'],
  ['two reasons', async () => linked, { cpus: 1 }, /never booted, and .*several CPUs/, '--linked --cpus 2'],
];

for (const [what, path, options, words, expected] of rows) {
  test(`${what} is proved, and the command finds nothing`, async (t) => {
    const image = await path();
    const { document, passed } = await verify(image, options);
    assert.equal(passed, false);
    const { explanation = assert.fail('no explanation') } = document;
    assert.match(explanation.what, words);
    assert.equal(explanation.command, `textpoke verify ${image} ${expected}`);
    assert.deepEqual([explanation.explained, explanation.left], [document.findings.length, 0]);
    assert.equal(await runCommand(t, explanation.command), 0);
  });
}

test('an original of another build is told by where its code lies', async (t) => {
  const original = file('other', program(['call', 'key-def', 'main', 'branch', 'lock', 'local', 'local2']));
  const image = await booted(1);
  const { document } = await verify(image, { original, cpus: 1 });
  const { explanation = assert.fail('no explanation') } = document;
  assert.match(explanation.what, /other is of another build/);
  assert.equal(explanation.command, `textpoke verify ${image} --cpus 1`);
  assert.equal(await runCommand(t, explanation.command), 0);
});

test('a booted image with one site as it was linked was not forgotten to be booted', async () => {
  const before = program();
  const after = (await boot({ name: 'prog', bytes: before }, {})).bytes;
  const { document } = await verify({ name: 'prog', bytes: before });
  const wrong = document.findings.find(({ rule, found }) => rule === 'TP007' && found !== undefined);
  assert.ok(wrong, 'a call is as it was linked');
  // The one site goes back to its trampoline.
  const differ = [...after.keys()].filter((i) => after[i] !== before[i]);
  const half = after.slice();
  const [first = 0] = differ;
  for (const i of differ) if (i < first + 5) half[i] = before[i] as number;
  const { document: broken } = await verify({ name: 'prog', bytes: half });
  if (broken.findings.length > 0) assert.equal(broken.explanation, undefined);
  assert.ok(differ.length > 5, 'several sites were patched');
});

test('locks that are half in place explain nothing', async () => {
  const one = await verify(await booted(1), { cpus: 1 });
  assert.equal(one.document.explanation, undefined);
  assert.equal(one.passed, true);
});
