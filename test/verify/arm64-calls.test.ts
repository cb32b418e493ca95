// Static calls of arm64 kernels since 7.1: no sites, and trampolines that load their function from a literal.
import assert from 'node:assert/strict';
import test from 'node:test';
import { replayBoot } from '../../src/boot/passes.ts';
import { Runtime } from '../../src/boot/runtime.ts';
import { patchableStates } from '../../src/boot/states.ts';
import { hexBytes } from '../../src/bytes/integer.ts';
import { MismatchError } from '../../src/errors.ts';
import type { Image } from '../../src/image/image.ts';
import { programOf } from '../../src/kinds/registry.ts';
import { checkImage } from '../../src/verify/passes.ts';
import {
  dataAt,
  kernelImage,
  type MadeKernel,
  rodataAt,
  textAt,
  verifyRunning,
  word,
} from '../kinds/made-kernel.ts';

const key = dataAt + 0x100;
const literal = rodataAt + 0x208;
const trampoline = textAt + 0x100;
const [first, second, return0] = [textAt + 0x200, textAt + 0x240, textAt + 0x280];
/** From the page of the trampoline to that of the literal. */
const pages = (rodataAt - textAt) / 0x1000;

const made: MadeKernel = {
  version: '7.1.0',
  machine: 183,
  fill: 0,
  symbols: {
    __start_static_call_sites: dataAt + 0x80,
    __stop_static_call_sites: dataAt + 0x80,
    __start___jump_table: dataAt + 0x400,
    __stop___jump_table: dataAt + 0x410,
    __SCK__call: key,
    __SCT__call: trampoline,
    __static_call_return0: return0,
    caller: textAt,
    first,
    second,
  },
  bytes: [
    [textAt + 0x10, word(0x9400_0000 | ((trampoline - textAt - 0x10) / 4), 4)], // bl
    [textAt + 0x20, word(0xd503_201f, 4)],
    [dataAt + 0x400, word(textAt + 0x20 - dataAt - 0x400, 4)],
    [dataAt + 0x404, word(textAt + 0x30 - dataAt - 0x404, 4)],
    [dataAt + 0x408, word(dataAt + 0x300 - dataAt - 0x408, 8)],
    [trampoline, word(0xd503_245f, 4)], // bti c
    [trampoline + 4, word(0x9000_0010 | ((pages & 3) << 29) | ((pages >> 2) << 5), 4)], // adrp x16
    [trampoline + 8, word(0xf940_0210 | ((0x208 / 8) << 10), 4)], // ldr x16, [x16, #0x208]
    [trampoline + 12, word(0xd61f_0200, 4)], // br x16
    [literal, word(first, 8)],
    [key, word(first, 8)],
  ],
};

const rules = ({ findings }: { findings: readonly { rule: string; address: number | undefined }[] }) =>
  findings.map(({ rule, address }) => `${rule} ${(address ?? Number.NaN) - textAt}`);
const wordAt = (image: Image, address: number) => image.readWord(address);

test('memory: the literal holds what the key has, and the function that returns 0 for NULL', () => {
  const { findings, tables, calls } = verifyRunning(made);
  assert.deepEqual(findings, []);
  assert.deepEqual(
    tables.map(({ name, compared }) => [name, compared]),
    [
      ['__jump_table', 1],
      ['trampolines', 1],
    ],
  );
  assert.deepEqual(
    calls.map(({ value }) => value),
    ['first'],
  );
  const both = (now: number, held = now) => [[key, word(now, 8)] as const, [literal, word(held, 8)] as const];
  assert.deepEqual(rules(verifyRunning(made, both(second))), []);
  assert.deepEqual(rules(verifyRunning(made, both(0, return0))), []);
  assert.deepEqual(rules(verifyRunning(made, both(0))), [`TP012 ${0x100}`]);
  assert.deepEqual(rules(verifyRunning(made, both(first, second))), [`TP012 ${0x100}`]);
  assert.match(
    verifyRunning(made, both(0, first)).findings[0]?.message ?? '',
    /the literal of the trampoline of call, .*, does not hold __static_call_return0/,
  );
  // Whatever else stands there is no trampoline, or another literal.
  assert.deepEqual(rules(verifyRunning(made, [[trampoline + 12, word(0xd61f_0220, 4)]])), [`TP012 ${0x100}`]);
  assert.deepEqual(rules(verifyRunning(made, [[trampoline + 8, word(0xf940_0610, 4)]])), [`TP012 ${0x100}`]);
});

test('a vmlinux: calls of such trampolines are no sites, and a call without sites is none that was lost', () => {
  const { findings } = checkImage(kernelImage(made), { state: 'linked' });
  assert.deepEqual(findings, []);
});

test('a vmlinux: what stands in place of a trampoline is found', () => {
  for (const [at, text] of [
    [trampoline, 0xd503_201f],
    [trampoline + 12, 0xd61f_0220],
  ] as const) {
    const image = kernelImage({ ...made, bytes: [...(made.bytes ?? []), [at, word(text, 4)]] });
    assert.deepEqual(rules(checkImage(image, { state: 'linked' })), [`TP012 ${0x100}`]);
  }
});

test('an update stores key and literal, and verify finds it right', () => {
  for (const [value, func, held] of [
    ['second', second, second],
    ['NULL', 0, return0],
    ['RET0', return0, return0],
  ] as const) {
    const image = kernelImage(made);
    const runtime = replayBoot(image, { steps: [{ do: 'update', call: 'call', value }] });
    assert.deepEqual([wordAt(image, key), wordAt(image, literal)], [func, held]);
    assert.deepEqual(runtime.log.notes, []);
    assert.deepEqual(
      runtime.poker.records.map(({ what }) => what),
      ['data', 'data'],
    );
    assert.deepEqual(checkImage(image, { original: kernelImage(made) }).findings, []);
  }
});

test('an update of a trampoline whose literal holds something else is refused', () => {
  const image = kernelImage({ ...made, bytes: [...(made.bytes ?? []), [literal, word(second, 8)]] });
  assert.throws(
    () => replayBoot(image, { steps: [{ do: 'update', call: 'call', value: 'NULL' }] }),
    (error) =>
      error instanceof MismatchError &&
      /literal of the trampoline of call/.test(error.mismatches[0]?.reason ?? ''),
  );
});

test('the text of such a trampoline has one state', () => {
  const image = kernelImage(made);
  const place = patchableStates(new Runtime(programOf(image)), new Map()).find(
    ({ kind }) => kind === 'trampoline',
  );
  assert.deepEqual(
    place?.states.map(({ bytes, meaning }) => [hexBytes(bytes), meaning]),
    [[hexBytes(image.read(trampoline, 16)), 'unchanged']],
  );
});
