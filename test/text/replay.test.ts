// The whole way from the file of a kernel and a dump of its memory to what explains its text.
import assert from 'node:assert/strict';
import test from 'node:test';
import { verifyMemory } from '../../src/index.ts';
import { imageFile, MadeKernel } from './made-kernel.ts';

const verify = async (dump: Uint8Array) =>
  (await verifyMemory({ name: 'vmlinux', bytes: imageFile }, { name: 'core', bytes: dump })).document;

test('what start-up leaves of a kernel is explained by its tables', async () => {
  const { text, findings } = await verify(new MadeKernel(0).start().dump());
  assert.deepEqual(findings, []);
  assert.ok(text && !('notCompared' in text), 'the text was compared');
  assert.equal(text.unexplained, 0);
  assert.deepEqual(
    text.kinds.map(({ kind, bytes, sites }) => [kind, bytes, sites]),
    [
      ['ftrace', 40, 8],
      ['retpoline', 5, 1],
      ['return', 5, 1],
      ['alternative', 4, 1],
      ['endbr', 3, 1],
      ['constant', 8, 1],
    ],
  );
});

test('a bit of text that is changed anywhere is found', async () => {
  const made = new MadeKernel(0).start();
  const start = made.at('_text');
  const size = made.at('_etext') - start;
  for (let at = 0; at < size; at += 29) {
    const [byte = 0] = made.bytes(start + at, 1);
    made.put(start + at, [byte ^ (1 << (at & 7))]);
    const { findings } = await verify(made.dump());
    assert.ok(findings.length > 0, `byte ${at}`);
    made.put(start + at, [byte]);
  }
});

test('a kernel that was moved, whose file does not say which places follow, is not compared', async () => {
  const { text } = await verify(new MadeKernel(0x20_0000).start().dump());
  assert.match(text && 'notCompared' in text ? text.notCompared : '', /^the kernel was moved \(KASLR\)/);
});
