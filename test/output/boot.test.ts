import assert from 'node:assert/strict';
import test from 'node:test';
import { loadDisassemblers } from '../../src/engines/disassembler.ts';
import { MismatchError } from '../../src/errors.ts';
import { mismatchLines } from '../../src/output/boot.ts';
import { imageOf, linkedBytes } from '../samples.ts';

test('of very many mismatches the first are shown and the rest counted', async () => {
  const image = imageOf(linkedBytes('gcc-O2', ['lock']));
  const disassemblers = await loadDisassemblers(image.arch);
  const [range] = image.code;
  const mismatches = Array.from({ length: 25 }, (_, i) => ({
    address: range!.address + i,
    name: `place${i}`,
    found: Uint8Array.of(0x90),
    allowed: [{ bytes: Uint8Array.of(0xf0), meaning: 'lock' }],
    reason: 'a test',
  }));
  const lines = mismatchLines(new MismatchError(mismatches, {}), image, disassemblers);
  assert.equal(lines.filter((line) => line.includes('a test')).length, 20);
  assert.match(lines[0] as string, / place0: a test$/);
  assert.equal(lines.at(-1), '  and 5 further places');
  const few = mismatchLines(new MismatchError(mismatches.slice(0, 20), {}), image, disassemblers);
  assert.equal(
    few.some((line) => line.includes('further')),
    false,
  );
});
