// The examples of docs/dump.md with jq, each run as it stands there, and its answer held against what the library says.
import assert from 'node:assert/strict';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dump, summarize } from '../../src/index.ts';
import { builtProgram } from '../built.ts';
import { annotated } from '../samples.ts';
import { scratch, toolTest, tryRun } from '../tools.ts';

const guide = readFileSync(fileURLToPath(new URL('../../docs/dump.md', import.meta.url)), 'utf8');
const [, block = ''] = /Examples with jq:\n\n```sh\n([\s\S]*?)```/.exec(guide) ?? [];
/** By what they answer. */
const examples = new Map(
  block
    .trim()
    .split('\n\n')
    .map((example) => {
      const [, question = '', command = ''] = /^# (.*)\n(.*)$/.exec(example.trim()) ?? [];
      return [question, command] as const;
    }),
);

toolTest('each example with jq in docs/dump.md gives its answer', ['jq', 'sh'], async (t) => {
  const directory = scratch(t);
  const bytes = annotated('gcc-O2-g', 'branch');
  writeFileSync(join(directory, 'vmlinux'), bytes);
  const program = join(directory, 'textpoke');
  writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${builtProgram()}' "$@"\n`);
  chmodSync(program, 0o755);
  const [dumped] = (await dump({ name: 'vmlinux', bytes })).document.files;
  const [summary] = (await summarize({ name: 'vmlinux', bytes })).document.files;
  assert.ok(dumped && summary, 'the program is dumped');
  const jumps = (dumped.jumpTable ?? []).flatMap((entry) => ('site' in entry ? [entry] : []));
  const answers: Readonly<Record<string, readonly string[]>> = {
    'The sites of a key.': jumps
      .filter(({ key }) => key.owner === 'device')
      .map(({ site }) => `${site.address} ${site.symbol}`),
    'The keys that are on.': summary.keys.filter(({ state }) => state.state === 'on').map(({ name }) => name),
    'What patches a function.': jumps
      .filter(({ site }) => site.symbol === 'nested')
      .map(({ site, key }) => `jumpTable ${site.address} ${key.symbol}`),
    'How many sites of each table lie in init text.': summary.tables.flatMap(({ table, initSites }) => [
      '{',
      `  "${table}": ${initSites}`,
      '}',
    ]),
    'The ten source files with the most static branches.': summary.files
      .map(({ name, tables }) => [tables.jumpTable ?? 0, name] as const)
      .sort(([a], [b]) => b - a)
      .map(([number, name]) => `${number} ${name}`),
  };
  assert.deepEqual([...examples.keys()], Object.keys(answers));
  for (const [question, command] of examples) {
    // The names of the program stand for those of a kernel.
    const asked = command.replace('__tracepoint_sched_switch', 'device').replace('"schedule"', '"nested"');
    const env = `PATH='${directory}':"$PATH"; cd '${directory}'; ${asked}`;
    const { status, stdout, stderr } = tryRun('sh', ['-c', env]);
    assert.deepEqual([status, stderr], [0, ''], command);
    const lines = stdout.split('\n').slice(0, -1);
    assert.ok(lines.length > 0, `${question} has an answer`);
    assert.deepEqual(lines, answers[question], question);
  }
});
