// Passes over the text of a made arm64 kernel: what becomes of each place, and what is told.
import assert from 'node:assert/strict';
import test from 'node:test';
import { EM_AARCH64 } from '../../../src/elf/constants.ts';
import { KernelReader } from '../../../src/memory/kernel/reader.ts';
import { alternatives } from '../../../src/text/aarch64/alternatives.ts';
import { accessesOf } from '../../../src/text/aarch64/code-reads.ts';
import { constants } from '../../../src/text/aarch64/constants.ts';
import { ftraceNops } from '../../../src/text/aarch64/ftrace.ts';
import { arm64Relocations, relocation } from '../../../src/text/aarch64/relocation.ts';
import type { Arm64State } from '../../../src/text/aarch64/state.ts';
import { CallbackValues } from '../../../src/text/aarch64/values.ts';
import { textsOf } from '../../../src/text/texts.ts';
import { madeImage, madeMemory, pointersOf, wordsAt, wordsOf } from '../made-image.ts';

const NOP = 0xd503201f;
const RET = 0xd65f03c0;
const KEEP = 0xaa1e03e9; // mov x9, x30
const text = -0x7fff_0000;
const data = text + 0x10_0000;
const slide = 0x20_0000;

/** An entry of .altinstructions at an address. */
function alternative(entry: number, place: number, length: number, to: number, kind: number): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, place - entry, true);
  view.setInt32(4, to - (entry + 4), true);
  view.setUint16(8, kind, true);
  bytes[10] = length;
  bytes[11] = (kind & 0x8000) !== 0 ? 0 : length;
  return bytes;
}

interface Given {
  readonly code: readonly number[];
  readonly symbols?: Readonly<Record<string, number>>;
  /** Sections behind the code, each 64 KiB from the one before; what they hold depends on where they lie. */
  readonly tables?: Readonly<Record<string, (start: number) => Uint8Array>>;
  /** Variables in memory, by name. */
  readonly variables?: Readonly<Record<string, Uint8Array>>;
  readonly caps?: readonly number[];
  readonly named?: Readonly<Record<string, number>>;
}

function made({ code, symbols = {}, tables = {}, variables = {}, caps = [], named = {} }: Given) {
  const held = Object.entries(variables).map(([name, bytes], i) => ({ name, at: data + 256 * i, bytes }));
  const image = madeImage({
    machine: EM_AARCH64,
    class: 64,
    sections: [
      { name: '.text', address: text, bytes: wordsOf(...code), what: 'code' },
      { name: '.data', address: data, bytes: new Uint8Array(0x1000), what: 'variables' },
      ...Object.entries(tables).map(([name, make], i) => {
        const address = data + 0x1_0000 * (i + 1);
        return { name, address, bytes: make(address), what: 'data' } as const;
      }),
    ],
    symbols: { ...symbols, ...Object.fromEntries(held.map(({ name, at }) => [name, at])) },
  });
  const memory = madeMemory(held.map(({ at, bytes }) => [at + slide, bytes] as const));
  const reader = new KernelReader(memory, image);
  const at = (name: string) => {
    const address = image.symbols.addressOf(name);
    return address === undefined ? undefined : address + slide;
  };
  const state: Arm64State = {
    has: (cap) => caps.includes(cap),
    hasEarly: () => false,
    cap: (name) => named[name],
    values: new CallbackValues(at, reader, undefined),
    reader,
    btf: undefined,
    notes: [],
    unknown: undefined,
  };
  const texts = textsOf(image);
  return { image, texts, subject: { image, slide, texts, state } };
}

const altTable = (rows: readonly (readonly [place: number, length: number, to: number, kind: number])[]) => ({
  '.altinstructions': (start: number) =>
    Uint8Array.from(
      rows.flatMap(([place, length, to, kind], i) => [
        ...alternative(start + 12 * i, text + place, length, text + to, kind),
      ]),
    ),
});

test('an alternative is written where the system has its capability, branches led to where they led', () => {
  const { texts, subject } = made({
    // bl .+64, b.ne to behind the second word, and b.eq to a place beyond both.
    code: [NOP, NOP, NOP, RET, 0x94000010, 0x54000021, 0x54000060, RET],
    tables: altTable([
      [0, 12, 16, 5],
      [12, 4, 28, 6],
    ]),
    caps: [5],
  });
  const result = alternatives.run(subject);
  assert.deepEqual(
    wordsAt(texts, text, 4).map((word) => word.toString(16)),
    ['94000014', '54000021', '540000e0', 'd65f03c0'],
  );
  assert.deepEqual({ sites: result?.sites, notes: result?.notes }, { sites: 2, notes: [] });
});

test('what cannot be moved is told, and its place stays', () => {
  const { texts, subject } = made({
    code: [NOP, 0x58000040, RET],
    tables: altTable([[0, 4, 4, 1]]),
    caps: [1],
  });
  const result = alternatives.run(subject);
  assert.deepEqual(wordsAt(texts, text, 1), [NOP]);
  assert.match(result?.notes[0]?.message ?? '', /cannot be moved/);
});

const callback = 0x8000;

test('callbacks make of their places what their variables say', () => {
  const { texts, subject } = made({
    code: [
      0xd2800400,
      0x14000004,
      0xd503201f,
      0x92400000,
      0x93c00400,
      0x91000000,
      0x91400000,
      0x93c0fc00,
      RET,
      RET,
      RET,
      RET,
      RET,
    ],
    symbols: {
      spectre_bhb_patch_loop_iter: text + 36,
      alt_cb_patch_nops: text + 40,
      smccc_patch_fw_mitigation_conduit: text + 44,
      kvm_update_va_mask: text + 48,
    },
    tables: altTable([
      [0, 4, 36, callback | 1],
      [4, 4, 40, callback | 1],
      [8, 4, 44, callback | 1],
      [12, 20, 48, callback | 1],
    ]),
    caps: [1],
    named: { vhe: 7 },
    variables: {
      max_bhb_k: Uint8Array.of(24),
      smccc_version: wordsOf(0x10001),
      smccc_conduit: wordsOf(2),
      tag_lsb: Uint8Array.of(28),
      va_mask: wordsOf(0x0fff_ffff, 0),
      tag_val: wordsOf(0xf_0ae1, 0),
    },
  });
  const result = alternatives.run(subject);
  assert.deepEqual(result?.notes, []);
  assert.deepEqual(
    wordsAt(texts, text, 8).map((word) => word.toString(16)),
    ['d2800300', 'd503201f', 'd4000002', '92406c00', '93c07000', '912b8400', '9143c000', '93c09000'],
  );
});

test('a mask that no kernel makes leaves the places, and is told', () => {
  const { texts, subject } = made({
    code: [0x92400000, 0x93c00400, 0x91000000, 0x91400000, 0x93c0fc00, RET],
    symbols: { kvm_update_va_mask: text + 20 },
    tables: altTable([[0, 20, 20, callback | 1]]),
    caps: [1],
    named: { vhe: 7 },
    variables: { tag_lsb: Uint8Array.of(28), va_mask: wordsOf(0x0fff_fffe, 0), tag_val: wordsOf(1, 0) },
  });
  const result = alternatives.run(subject);
  assert.equal(wordsAt(texts, text, 1)[0], 0x92400000);
  assert.deepEqual(
    result?.notes.map(({ severity, input }) => [severity, input]),
    [['left', 'va_mask']],
  );
});

test('a callback that nobody knows is counted, and its place stays', () => {
  const { texts, subject } = made({
    code: [NOP, RET],
    symbols: { of_another_kernel: text + 4 },
    tables: altTable([[0, 4, 4, callback | 1]]),
    caps: [1],
  });
  const result = alternatives.run(subject);
  assert.deepEqual(wordsAt(texts, text, 1), [NOP]);
  assert.deepEqual(
    result?.notes.map(({ severity, message }) => [severity, message]),
    [['left', 'the callback of_another_kernel of alternatives is not replayed']],
  );
});

test('a place for tracing keeps its return address, and has a pointer in front of it', () => {
  const { texts, subject } = made({
    code: [NOP, NOP, NOP, NOP, RET, NOP, NOP, NOP, 0xd503245f, NOP, NOP, RET],
    symbols: { traced: text + 8, guarded: text + 32 },
    tables: { __mcount_loc: () => pointersOf(text, text + 24) },
    variables: { ftrace_nop_ops: new Uint8Array(8) },
  });
  const result = ftraceNops.run(subject);
  const [low, high] = wordsAt(texts, text, 2) as [number, number];
  assert.equal((high | 0) * 2 ** 32 + low, data + slide);
  assert.deepEqual(wordsAt(texts, text + 8, 2), [KEEP, NOP]);
  // bti c stays in front of it.
  assert.deepEqual(wordsAt(texts, text + 32, 3), [0xd503245f, KEEP, NOP]);
  assert.deepEqual([result?.sites, result?.notes], [2, []]);
});

test('what __mcount_loc lists and is no place for tracing is told', () => {
  const { subject } = made({ code: [NOP, RET, RET, RET], tables: { __mcount_loc: () => pointersOf(text) } });
  assert.match(ftraceNops.run(subject)?.notes[0]?.message ?? '', /no place for tracing/);
});

test('addresses in literals move with the kernel, by records and by packed ones', () => {
  const pointer = text + 0x1234;
  const literal = pointersOf(pointer);
  const [low, high] = [0, 4].map((at) => new DataView(literal.buffer).getUint32(at, true)) as [
    number,
    number,
  ];
  const { image, texts, subject } = made({
    code: [low, high, RET, RET, low, high, low, high],
    tables: {
      '.rela.dyn': () => pointersOf(text, 0x403, pointer),
      // The second place, and by bit 1 the word behind it.
      '.relr.dyn': () => pointersOf(text + 16, 3),
    },
  });
  const result = relocation(arm64Relocations(image)).run(subject);
  assert.equal(result?.sites, 3);
  for (const at of [0, 16, 24]) {
    const [first, second] = wordsAt(texts, text + at, 2) as [number, number];
    assert.equal((second | 0) * 2 ** 32 + first, pointer + slide);
  }
  assert.deepEqual(wordsAt(texts, text + 8, 2), [RET, RET]);
});

test('constants stand in movz and movk, in a shift and in a mask', () => {
  const places = (offset: number) => (start: number) => wordsOf(text + offset - start);
  const { texts, subject } = made({
    code: [0xd299bde0, 0xf2b13560, 0xf2c8ace0, 0xf2e02460, 0x530c7c41, 0xd3407c41],
    tables: { a: places(0), b: places(16), c: places(20) },
    symbols: {
      __start_runtime_ptr_table: data + 0x1_0000,
      __stop_runtime_ptr_table: data + 0x1_0004,
      __start_runtime_shift_bits: data + 0x2_0000,
      __stop_runtime_shift_bits: data + 0x2_0004,
      __start_runtime_mask_most: data + 0x3_0000,
      __stop_runtime_mask_most: data + 0x3_0004,
    },
    variables: { table: pointersOf(-0x1234_5678), bits: wordsOf(9), most: wordsOf(0xff) },
  });
  const result = constants.run(subject);
  assert.deepEqual([result?.sites, result?.notes], [3, []]);
  assert.deepEqual(
    wordsAt(texts, text, 6).map((word) => word.toString(16)),
    ['d2953100', 'f2bdb960', 'f2dfffe0', 'f2ffffe0', '53097c41', 'd3401c41'],
  );
});

test('a shift of more bits than a number has is told', () => {
  const { subject } = made({
    code: [0x530c7c41],
    tables: { b: (start) => wordsOf(text - start) },
    symbols: { __start_runtime_shift_bits: data + 0x1_0000, __stop_runtime_shift_bits: data + 0x1_0004 },
    variables: { bits: wordsOf(64) },
  });
  assert.deepEqual(
    constants.run(subject)?.notes.map(({ severity }) => severity),
    ['wrong'],
  );
});

test('what code reads and writes at fixed addresses is told in its order', () => {
  const { image } = made({
    // adrp x0, .+1 page; add x0, x0, #16; ldr w1, [x0, #4]; strb w1, [x0]; ldr x0, [x0]; ldr x2, [x0]; ret
    code: [0xb0000000, 0x91004000, 0xb9400401, 0x39000001, 0xf9400000, 0xf9400002, RET],
    symbols: { reads: text },
  });
  const page = text + 0x1000;
  assert.deepEqual(accessesOf(image, text), [
    { address: page + 16, bytes: 0, isStore: false },
    { address: page + 20, bytes: 4, isStore: false },
    { address: page + 16, bytes: 1, isStore: true },
    { address: page + 16, bytes: 8, isStore: false },
  ]);
});
