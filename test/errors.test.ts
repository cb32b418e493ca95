// Exit statuses: the same numbers and words wherever they are listed.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { ExitCode, errorCodes, exitStatuses, TextpokeError } from '../src/errors.ts';
import { manPage } from '../src/output/help/man.ts';

const listed = Object.values(exitStatuses).map(({ status, meaning }) => [String(status), meaning]);

test('docs/README.md lists the exit statuses as they are', () => {
  const readme = readFileSync(new URL('../docs/README.md', import.meta.url), 'utf8');
  const section = readme.split('\n## Exit codes\n')[1]?.split('\n## ')[0] ?? assert.fail('no such section');
  const rows = [...section.matchAll(/^\| (\d+) \| (.*) \|$/gm)].map(([, status, meaning]) => [
    status,
    meaning,
  ]);
  assert.deepEqual(rows, listed);
});

test('the manual page lists the exit statuses as they are', () => {
  const section = manPage('does things', []).split('.SH EXIT STATUS\n')[1]?.split('.SH ')[0] ?? '';
  const rows = [...section.matchAll(/^\.TP\n\\fB(\d+)\\fR\n(.*)$/gm)].map(([, status, meaning]) => [
    status,
    meaning,
  ]);
  assert.deepEqual(rows, listed);
});

test('every error ends in a status of its own kind', () => {
  const statuses: readonly number[] = Object.values(ExitCode);
  assert.deepEqual(ExitCode, { done: 0, findings: 1, usage: 2, malformed: 3, io: 4, defect: 70 });
  for (const status of Object.values(errorCodes)) {
    assert.ok(statuses.includes(status), `status ${status}`);
    assert.notEqual(status, ExitCode.done);
  }
  assert.equal(new TextpokeError('usage', 'x').exitCode, 2);
});
