// Relocation, constants and operations of a hypervisor: fields and calls that follow from what memory holds.
import assert from 'node:assert/strict';
import test from 'node:test';
import { constants } from '../../../src/text/x86-64/constants.ts';
import { paravirt } from '../../../src/text/x86-64/paravirt.ts';
import { relocation } from '../../../src/text/x86-64/relocation.ts';
import { branchHex, bytesOf, expectedAt, madeKernel, madeSubject, textStart } from './made.ts';

const listOf = (...offsets: readonly number[]) => Int32Array.from(offsets, (offset) => textStart + offset);

test('the slide is added to fields of 64 and 32 bits, and taken from per-CPU distances', () => {
  const image = madeKernel({ code: { 16: 'd0156382ffffffff', 32: 'd0156382', 48: '00100000' } });
  const lists = { relocs64: listOf(0x10), inverse32: listOf(0x30), relocs32: listOf(0x20, 0x7000_0000) };
  const subject = madeSubject(image, { slide: 0x1460_0000 });
  assert.equal(relocation(lists).run(subject)?.sites, 3);
  const found = [0x10, 0x20, 0x30].map((offset) => expectedAt(subject, offset, offset === 0x10 ? 8 : 4));
  assert.deepEqual(found, ['d015c396ffffffff', 'd015c396', '0010a0eb']);
  assert.equal(relocation(lists).run(madeSubject(image)), undefined, 'what did not move is not relocated');
});

test('without lists, that text was moved is not passed over', () => {
  const subject = madeSubject(madeKernel({ code: { 0: '90' } }), { slide: 0x20_0000 });
  const result = relocation(undefined).run(subject);
  assert.deepEqual(
    result?.notes.map(({ severity }) => severity),
    ['left'],
  );
});

test('constants are what their variables hold', () => {
  const image = madeKernel({
    code: { 16: '48b8efcdab8967452301', 32: 'c1e80c', 48: '2578563412' },
    data: { table: '00'.repeat(8), shift: '00'.repeat(4), mask: '00'.repeat(4) },
    tables: { runtime_ptr_table: [0x12], runtime_shift_shift: [0x22], runtime_mask_mask: [0x31] },
  });
  const variables = { table: '5075064158 8cffff', shift: '07000000', mask: 'ff000000' };
  const subject = madeSubject(image, { variables });
  assert.deepEqual(constants.run(subject), { sites: 3, notes: [] });
  assert.deepEqual(
    [expectedAt(subject, 0x10, 10), expectedAt(subject, 0x20, 3), expectedAt(subject, 0x30, 5)],
    ['48b8507506415 88cffff'.replace(' ', ''), 'c1e807', '25ff000000'],
  );
});

test('a shift that no address has is an input that cannot be; a variable that is unknown leaves its places', () => {
  const image = madeKernel({
    code: { 32: 'c1e80c' },
    data: { shift: '00'.repeat(4) },
    tables: { runtime_shift_shift: [0x22], runtime_shift_gone: [0x22] },
  });
  const result = constants.run(madeSubject(image, { variables: { shift: '40000000' } }));
  assert.deepEqual(
    result?.notes.map(({ severity, input }) => [severity, input]),
    [
      ['wrong', 'shift'],
      ['left', 'gone'],
    ],
  );
  assert.equal(constants.run(madeSubject(madeKernel({ code: { 0: '90' } }))), undefined);
});

const functions = { _paravirt_nop: 0x1000, paravirt_BUG: 0x1010, read: 0x1020, _paravirt_ident_64: 0x1030 };
const addressHex = (offset: number | undefined) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(offset === undefined ? 0 : textStart + offset));
  return bytes.toString('hex');
};
/** struct paravirt_patch_site, the last one without its fill. */
const entry = (offset: number, type: number, length: number) => `${addressHex(offset)}0${type}0${length}`;
const places = [0x100, 0x110, 0x120, 0x130];

function operations(values: readonly (number | undefined)[], native: Readonly<Record<string, number>> = {}) {
  const table = places.map((at, i) => entry(at, i, 7)).join('000000000000');
  const image = madeKernel({
    code: Object.fromEntries(places.map((at) => [at, 'ff1425d0156382'])),
    functions: { ...functions, ...native },
    data: {
      pv_ops: values
        .map(addressHex)
        .join('')
        .padEnd(8 * 256 * 2, '0'),
      __parainstructions: table,
    },
  });
  const { symbols } = image;
  const start = symbols.addressOf('__parainstructions') ?? 0;
  const addressOf = symbols.addressOf.bind(symbols);
  const end = start + bytesOf(table).length;
  symbols.addressOf = (name) => (name === '__parainstructions_end' ? end : addressOf(name));
  const subject = madeSubject(image, { version: [6, 1] });
  const result = paravirt.run(subject);
  return { result, found: places.map((at) => expectedAt(subject, at, 7)) };
}

test('an indirect call of an operation becomes a direct one; one of nothing becomes a NOP', () => {
  const { read, _paravirt_nop, paravirt_BUG } = functions;
  const { result, found } = operations([read, _paravirt_nop, undefined, read]);
  assert.deepEqual(result, { sites: 4, notes: [] });
  const call = (i: number, to: number) => `${branchHex('e8', places[i] as number, to)}6690`;
  assert.deepEqual(found, [call(0, read), '0f1f8000000000', call(2, paravirt_BUG), call(3, read)]);
});

test('an operation that is no function of the image is told, and its calls are left', () => {
  const { result, found } = operations([functions.read + 1, 0x70_0000, functions.read, functions.read]);
  assert.deepEqual(
    result?.notes.map(({ severity, input }) => [severity, input]),
    [
      ['wrong', 'pv_ops'],
      ['wrong', 'pv_ops'],
    ],
  );
  assert.equal(found[0], 'ff1425d0156382');
});

test('5.10 writes out the identity, and ud2 for an operation that is missing', () => {
  const { found } = operations([functions._paravirt_ident_64, undefined], { native_patch: 0x1040 });
  assert.equal(found[0], '4889f80f1f4000');
  assert.equal(found[1], '0f0b0f1f440000');
});
