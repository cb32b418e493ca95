// textpoke explain, and verify's configuration, as a user has them.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { ruleIds, rules } from '../../src/verify/rules.ts';
import { runBuilt } from '../e2e/warm.ts';
import { linkedBytes, programUnits } from '../samples.ts';
import { scratch } from '../tools.ts';

const textpoke = (...args: string[]) => runBuilt(args);

test('without a rule it lists them all, a line each', () => {
  const { status, stdout } = textpoke('explain');
  assert.equal(status, 0);
  const lines = stdout.trimEnd().split('\n');
  assert.deepEqual(
    lines.map((line) => line.slice(0, 5)),
    ruleIds,
  );
});

test('a rule is known by its id and by its name, in either case', () => {
  for (const name of ['TP007', 'tp007', 'wrong-instruction']) {
    const { status, stdout } = textpoke('explain', name);
    assert.equal(status, 0);
    assert.equal(stdout.split('\n\n')[2]!.trim().replaceAll('\n', ' '), rules.TP007.help);
    for (const line of stdout.split('\n')) assert.ok(line.length <= 79, line);
  }
});

for (const [word, advice] of [
  ['TP07', 'did you mean TP007?'],
  ['wrong-instuction', 'did you mean wrong-instruction?'],
  ['nothing of the kind', 'textpoke explain lists all rules'],
] as const) {
  test(`unknown rule ${word}: ${advice}`, () => {
    const { status, stdout, stderr } = textpoke('explain', word);
    assert.deepEqual([status, stdout], [2, '']);
    assert.ok(stderr.includes(advice), stderr);
  });
}

test('ids have no gaps, names are words of their own, and every rule is explained', () => {
  assert.deepEqual(
    ruleIds,
    ruleIds.map((_, i) => `TP${String(i + 1).padStart(3, '0')}`),
  );
  const all = Object.values(rules);
  assert.equal(new Set(all.map(({ name }) => name)).size, all.length);
  for (const { name, help, summary } of all) {
    assert.match(name, /^[a-z]+(-[a-z]+)*$/);
    assert.ok(help.length > 120 && /\.$/.test(help) && !/ {2}/.test(help), name);
    assert.ok(!/\.$/.test(summary), name);
  }
});

test('a suppressed finding is no finding, but is counted; a bad configuration is said with its file', (t) => {
  const directory = scratch(t);
  const [image, config] = [join(directory, 'image'), join(directory, 'config.json')];
  writeFileSync(image, linkedBytes('gcc-O2', programUnits));
  const configure = (suppress: unknown) =>
    writeFileSync(config, JSON.stringify({ schema: 'textpoke.config/1', suppress }));
  const verify = (...args: string[]) => textpoke('verify', image, '--config', config, ...args);
  configure([
    { rule: 'TP004', reason: 'not booted' },
    { rule: 'TP007', reason: 'not booted' },
  ]);
  const quiet = verify();
  assert.deepEqual([quiet.status, quiet.stdout, quiet.stderr], [0, '', '']);
  const { findings, suppressed } = JSON.parse(verify('--format', 'json').stdout);
  assert.equal(findings.length, 0);
  assert.ok(suppressed.length > 2, `${suppressed.length} findings`);
  assert.equal(suppressed[0].reason, 'not booted');
  configure([{ rule: 'TP007', reason: 'not booted' }]);
  const loud = verify();
  assert.equal(loud.status, 1);
  assert.match(loud.stdout, /error TP004/);
  assert.match(loud.stdout, /, \d+ suppressed;/);
  configure([{ rule: 'TP007' }]);
  const bad = verify();
  assert.equal(bad.status, 3);
  assert.match(bad.stderr, /config\.json: suppress\[0\]\.reason: .* \[config-malformed\]/);
  assert.equal(textpoke('verify', image, '--config', join(directory, 'none')).status, 4);
});
