// Links to source lines: where, to what, and nowhere else.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { hasHyperlinks, withHyperlinks } from '../../src/output/hyperlinks.ts';
import { scratch } from '../tools.ts';

for (const [what, isTerminal, environment, expected] of [
  ['a terminal that nobody knows', true, { TERM: 'xterm' }, false],
  ['one of GNOME', true, { VTE_VERSION: '7200' }, true],
  ['an old one of GNOME', true, { VTE_VERSION: '4999' }, false],
  ['kitty', true, { TERM: 'xterm-kitty' }, true],
  ['iTerm2 3.4', true, { TERM_PROGRAM: 'iTerm.app', TERM_PROGRAM_VERSION: '3.4.15' }, true],
  ['iTerm2 3.0', true, { TERM_PROGRAM: 'iTerm.app', TERM_PROGRAM_VERSION: '3.0.1' }, false],
  ['a pipe', false, { VTE_VERSION: '7200' }, false],
  ['a build server', true, { VTE_VERSION: '7200', CI: 'true' }, false],
  ['a multiplexer', true, { VTE_VERSION: '7200', TMUX: '/tmp/x' }, false],
  ['a pipe with FORCE_HYPERLINK=1', false, { FORCE_HYPERLINK: '1' }, true],
  ['kitty with FORCE_HYPERLINK=0', true, { TERM: 'xterm-kitty', FORCE_HYPERLINK: '0' }, false],
] as const) {
  test(`${what} has ${expected ? '' : 'no '}hyperlinks`, () =>
    assert.equal(hasHyperlinks(isTerminal, environment), expected));
}

test('lines of files that are there lead to them, everything else stays', (t) => {
  const directory = scratch(t);
  mkdirSync(join(directory, 'a b'));
  writeFileSync(join(directory, 'a#1.c'), '');
  writeFileSync(join(directory, 'b.c'), '');
  const link = (text: string) => withHyperlinks(text, undefined, directory);
  const to = (name: string, url: string) =>
    `\x1b]8;;file://${encodeURIComponent(hostname())}${url}\x1b\\${name}\x1b]8;;\x1b\\`;
  const b = join(directory, 'b.c');
  assert.equal(link('f+0x1  b.c:12  b.c\n'), `f+0x1  ${to('b.c:12', b)}  b.c\n`);
  assert.equal(link(`(${b}:1)`), `(${to(`${b}:1`, b)})`);
  assert.equal(link('a#1.c:2'), to('a#1.c:2', join(directory, 'a%231.c')));
  assert.equal(link('\x1b[2mb.c:7\x1b[22m'), `\x1b[2m${to('b.c:7', b)}\x1b[22m`);
  for (const text of ['none.c:3', '"b.c:3"', 'b.c:3x', 'xb.c:3', '::b.c:3', directory])
    assert.equal(link(text), text);
  assert.equal(
    withHyperlinks('b.c:12', 'vscode://file{path}:{line}\x1b', directory),
    `\x1b]8;;vscode://file${b}:12\x1b\\b.c:12\x1b]8;;\x1b\\`,
  );
});
