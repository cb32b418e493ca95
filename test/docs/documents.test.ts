// Every code block of the documents is run, and what it prints is what the document shows; a block that cannot be run
// says why, and all such reasons are counted here.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { longTest, toolTest } from '../tools.ts';
import { blocksOf } from './blocks.ts';
import { documents, ofKernels, preparations, tools } from './documents.ts';
import { faultOf, root, runDocument } from './run.ts';
import { scriptsOf } from './workflows.ts';

/** What newcomers read first is run by npm test; the others by npm run test:all. */
const first = ['README.md', 'docs/tutorial.md'];

for (const name of documents) {
  const blocks = blocksOf(join(root, name)).filter(
    ({ runBy, notRun }) => runBy === undefined && notRun === undefined,
  );
  if (blocks.length === 0) continue;
  const runs = first.includes(name) ? toolTest : longTest;
  runs(`${name}: each block does what it says`, ['bash', 'gcc', ...(tools[name] ?? [])], (t) => {
    const faults = runDocument(t, join(root, name), preparations[name]).flatMap((ran) => {
      const fault = faultOf(ran, ofKernels.includes(name));
      return fault === undefined ? [] : [`${name}:${ran.line}: ${ran.script}\n${fault}`];
    });
    assert.equal(faults.join('\n\n'), '');
  });
}

/** Why blocks are not run, and how many there are of each reason. */
const reasons: Readonly<Record<string, number>> = {
  'what the tests themselves begin with': 2,
  "installs textpoke; the documents are run with the checkout's own": 1,
  "needs a kernel's file": 4,
  'needs the memory of a kernel': 13,
  'needs the debug files of a kernel': 1,
  'needs the source of a kernel': 2,
  'needs a process; control.md has one': 2,
  'starts tests that take hours': 1,
  'builds redis; npm run test:redis does': 2,
  'a step that is an action of GitHub': 3,
  'a list of rooms or passes': 3,
};

test('a block that is not run says why, and the reasons are these', () => {
  const counts: Record<string, number> = {};
  for (const name of documents)
    for (const { notRun, language, text } of blocksOf(join(root, name))) {
      const actions =
        language === 'yaml' ? scriptsOf(text).uses.map(() => 'a step that is an action of GitHub') : [];
      for (const reason of notRun === undefined ? actions : [notRun])
        counts[reason] = (counts[reason] ?? 0) + 1;
    }
  assert.deepEqual(counts, reasons);
});

test('a block that other tests run is named by them', () => {
  for (const name of documents)
    for (const { runBy } of blocksOf(join(root, name))) {
      if (runBy === undefined) continue;
      assert.ok(existsSync(join(root, runBy)), runBy);
      assert.ok(
        readFileSync(join(root, runBy), 'utf8').includes(name.replace(/^docs\//, '')),
        `${runBy}: ${name}`,
      );
    }
});

test('the workflows of samples/ci are those of docs/ci.md', () => {
  const blocks = blocksOf(join(root, 'docs', 'ci.md')).filter(({ language }) => language === 'yaml');
  const files = ['github.yml', 'gitlab.yml'].map((name) =>
    readFileSync(join(root, 'samples', 'ci', name), 'utf8'),
  );
  assert.deepEqual(
    blocks.map(({ text }) => text),
    files,
  );
});
