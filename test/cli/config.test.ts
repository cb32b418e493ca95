// textpoke config: words that a compiler and a linker take, wherever the package lies.
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { runBuilt } from '../e2e/warm.ts';
import { run, scratch, testOfTurn } from '../tools.ts';

const said = (...options: string[]) => {
  const { status, stdout, stderr } = runBuilt(['config', ...options]);
  return { status, text: stdout.trimEnd(), stderr };
};

test('config says where the headers are', () => {
  const { text } = said('--include');
  assert.ok(existsSync(join(text, 'textpoke', 'static_key.h')), text);
  assert.equal(said('--cflags').text, `-I${text}`);
});

test('GNU ld and lld get the script of the machine by its usual names, gold and mold get none', () => {
  for (const linker of ['bfd', 'lld']) {
    for (const [machine, file] of [
      ['x86_64', 'x86-64.ld'],
      ['arm64', 'aarch64.ld'],
      ['aarch64-linux-gnu', 'aarch64.ld'],
      ['arm', 'arm.ld'],
    ] as const) {
      const { text } = said('--ldflags', '--linker', linker, '--machine', machine);
      const [choice, script] = text.split(' ') as [string, string];
      assert.equal(choice, `-fuse-ld=${linker}`);
      assert.ok(script.endsWith(file) && existsSync(script.replace('-Wl,-T,', '')), script);
    }
  }
  for (const linker of ['gold', 'mold'])
    assert.equal(said('--ldflags', '--linker', linker).text, `-fuse-ld=${linker}`);
});

test('a link that would lose entries is refused, and the listing says when the script matters', () => {
  const refused = said('--ldflags', '--linker', 'gold', '--gc-sections');
  assert.equal(refused.status, 2);
  assert.match(refused.stderr, /bfd or lld; textpoke config --help .*\[usage\]/);
  assert.match(said('--linker', 'mold').text, /^script {3}mold takes none: boot and verify work without/m);
  assert.match(said().text, /^script {3}libtextpoke in the program needs it/m);
  assert.match(said('--machine', 'arm').text, /-fno-section-anchors/);
  assert.match(said('--ldflags', '--gc-sections').text, /--gc-sections -Wl,-T,.*-gc-sections\.ld$/);
});

test('an unknown machine is refused with the names that there are', () => {
  const { status, stderr } = said('--machine', 'm68k');
  assert.equal(status, 2);
  assert.match(stderr, /known machines: x86-64, aarch64,/);
});

const source = `#include <textpoke/static_call.h>
#include <textpoke/static_key.h>
int plain(void) { return 0; }
int other(void) { return 3; }
DEFINE_STATIC_CALL(work, plain);
DEFINE_STATIC_KEY_FALSE(key);
int (*volatile kept)(void) = other;
int main(void) {
  if (static_branch_unlikely(&key)) return 4;
  return static_call(work)();
}
`;

for (const [turn, linker] of ['bfd', 'lld', 'gold', 'mold'].entries()) {
  testOfTurn(turn, 4)(
    `what config prints links with ${linker}; boot and verify take the program`,
    ['gcc', linker === 'mold' ? 'mold' : `ld.${linker}`],
    (t) => {
      const directory = scratch(t);
      writeFileSync(join(directory, 'x.c'), source);
      run('gcc', ['-O2', said('--cflags').text, '-c', 'x.c'], directory);
      assert.equal(runBuilt(['annotate', 'x.o'], directory).status, 0);
      run('gcc', ['x.o', ...said('--ldflags', '--linker', linker).text.split(' '), '-o', 'x'], directory);
      const boot = runBuilt(['boot', 'x', '--update', 'work=other', '-o', 'y'], directory);
      assert.equal(boot.stderr, '');
      assert.equal(runBuilt(['verify', 'y', '--original', 'x'], directory).status, 0);
    },
  );
}
