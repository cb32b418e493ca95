// What an arm64 kernel's records and probes demand of its text, and what they cannot say.
import assert from 'node:assert/strict';
import test from 'node:test';
import { EM_AARCH64 } from '../../../src/elf/constants.ts';
import type { Image } from '../../../src/image/image.ts';
import type { Btf } from '../../../src/kernel/btf.ts';
import type { FtraceOps, FtraceTables } from '../../../src/memory/kernel/ftrace.ts';
import type { Probe } from '../../../src/memory/kernel/kprobes.ts';
import { KernelReader } from '../../../src/memory/kernel/reader.ts';
import { KernelVariables } from '../../../src/memory/kernel/variables.ts';
import { ftraceHooks } from '../../../src/text/aarch64/ftrace-hooks.ts';
import { kprobes } from '../../../src/text/aarch64/kprobes.ts';
import { branchWord } from '../../../src/text/aarch64/words.ts';
import { textsOf } from '../../../src/text/texts.ts';
import { madeImage, madeMemory, pointersOf, wordsAt, wordsOf } from '../made-image.ts';

const NOP = 0xd503201f;
const RET = 0xd65f03c0;
const text = -0x7fff_0000;
const data = text + 0x10_0000;
const slide = 0x20_0000;
const enabled = 1 << 31;
const callOps = 1 << 21;
const direct = 1 << 23;
/** Where the call of a function stands, and where it calls without a tracer. */
const [place, other] = [text + 12, text + 36];
const caller = text + 48;

const image = madeImage({
  machine: EM_AARCH64,
  class: 64,
  sections: [
    {
      name: '.text',
      address: text,
      bytes: wordsOf(NOP, NOP, NOP, NOP, RET, RET, NOP, NOP, NOP, NOP, RET, RET, RET, RET),
      what: 'code',
    },
    { name: '.data', address: data, bytes: new Uint8Array(64), what: 'variables' },
    { name: '__mcount_loc', address: data + 0x1_0000, bytes: pointersOf(text, text + 24), what: 'data' },
  ],
  symbols: {
    one: text + 8,
    two: text + 32,
    ftrace_caller: caller,
    ftrace_nop_ops: data,
    ftrace_list_ops: data + 8,
  },
});

/** The members that are asked for, with where the probe and its slot are. */
const offsets: Readonly<Record<string, number>> = { 'kprobe.opcode': 8, 'kprobe.ainsn.xol_insn': 16 };
const btf = {
  member: (struct: string, path: string) => {
    const offset = offsets[`${struct}.${path}`];
    return offset === undefined ? undefined : { offset, size: 8, typeName: '' };
  },
} as unknown as Btf;

const memoryAt = 0x1000;
function kernelWith(bytes: Uint8Array): KernelVariables {
  const reader = new KernelReader(madeMemory([[memoryAt, bytes]]), image);
  return new KernelVariables(image, slide, reader, btf);
}

const ops = (at: number, ips: readonly number[]): FtraceOps => ({
  ...{ at, flags: 0, func: 0, trampoline: 0, trampolineSize: 0 },
  hooks: () => false,
  traces: (ip) => ips.includes(ip),
});

/** `loader`: the kernel that a module is loaded into. */
function hook(
  records: readonly (readonly [ip: number, flags: number])[],
  given: Partial<FtraceTables> = {},
  loader?: Image,
) {
  const texts = textsOf(image);
  const tables: FtraceTables = {
    ips: Float64Array.from(records, ([ip]) => ip),
    flags: Int32Array.from(records, ([, flags]) => flags),
    ...{ ops: [], withTrampoline: [], direct: new Map(), broken: [] },
    ...given,
  };
  const isFunction = (address: number) => address === text + slide + 32;
  const pass = ftraceHooks(kernelWith(new Uint8Array(0)), tables, { isFunction, isDirect: isFunction });
  const result = pass.run({ image, kernel: loader, slide, texts, state: undefined });
  return { texts, told: result?.notes.map(({ message }) => message) ?? [], sites: result?.sites };
}

const ip = (address: number) => address + slide;
const pointerAt = (texts: ReturnType<typeof textsOf>, address: number) => {
  const [low, high] = wordsAt(texts, address, 2) as [number, number];
  return (high | 0) * 2 ** 32 + low;
};

test('a function that one ops traces calls the tracer, and points to its ops', () => {
  const { texts, told, sites } = hook(
    [
      [ip(place), enabled | callOps],
      [ip(other), enabled],
    ],
    { ops: [ops(0x5000, [ip(place)])] },
  );
  assert.deepEqual([told, sites], [[], 2]);
  assert.deepEqual(wordsAt(texts, place, 1), [branchWord(true, place, caller)]);
  assert.equal(pointerAt(texts, text), 0x5000);
  // Several ops are asked through the list of them.
  assert.equal(pointerAt(texts, text + 24), data + 8 + slide);
});

test('a record that no ops answers for is told', () => {
  const { told } = hook([
    [ip(place), enabled | callOps],
    [ip(other), 0],
  ]);
  assert.deepEqual(told, ['one+0x4 is traced by one ftrace_ops, and 0 have it in their filters']);
});

test('places without a record, and records without a place, are told', () => {
  const { told } = hook([
    [ip(place), 0],
    [ip(place + 4), 0],
  ]);
  assert.deepEqual(told, [
    'two+0x4 has no record in ftrace_pages_start, though it may be traced',
    'one+0x8 has a record in ftrace_pages_start, and __mcount_loc does not list it',
  ]);
});

test('what is wrong with the lists of the kernel is told for the kernel, and not again for each module', () => {
  const records = [
    [ip(place), 0],
    [ip(other), 0],
  ] as const;
  const tables = { broken: [{ message: 'the list leads in circles', isMissing: false }] };
  assert.deepEqual(hook(records, tables).told, ['the list leads in circles']);
  assert.deepEqual(hook(records, tables, image).told, []);
  const pass = kprobes(kernelWith(new Uint8Array(0)), {
    ...tables,
    probes: [],
    pages: [],
    allDisarmed: false,
  });
  const subject = { image, slide, texts: textsOf(image), state: undefined };
  assert.deepEqual(
    pass.run(subject)?.notes.map(({ message }) => message),
    ['the list leads in circles'],
  );
  assert.deepEqual(pass.run({ ...subject, kernel: image })?.notes, []);
});

test('a direct call leads to a function, or through the tracer where it does not reach', () => {
  const near = hook(
    [
      [ip(place), enabled | direct],
      [ip(other), 0],
    ],
    { direct: new Map([[ip(place), ip(text + 32)]]) },
  );
  assert.deepEqual(near.told, []);
  assert.deepEqual(wordsAt(near.texts, place, 1), [branchWord(true, place, text + 32)]);
  const far = hook(
    [
      [ip(place), enabled | direct],
      [ip(other), 0],
    ],
    { direct: new Map([[ip(place), 0x7000_0000]]) },
  );
  assert.deepEqual(far.told, [
    'one+0x4 is to call code that is no function and no program of BPF (direct_functions)',
  ]);
  assert.deepEqual(wordsAt(far.texts, place, 1), [branchWord(true, place, caller)]);
});

/** A probe at the return of a function; its memory: pad, opcode, slot, and the slot itself. */
function probe(opcode: number, slot: readonly number[], flags = 0) {
  const texts = textsOf(image);
  const bytes = new Uint8Array(64);
  bytes.set(wordsOf(opcode), 8);
  bytes.set(pointersOf(slot.length > 0 ? memoryAt + 32 : 0), 16);
  bytes.set(wordsOf(...slot), 32);
  const one: Probe = { at: memoryAt, address: ip(text + 16), flags, opcode: 0, slot: 0 };
  const tables = { probes: [one], pages: [], allDisarmed: false, broken: [] };
  const result = kprobes(kernelWith(bytes), tables).run({ image, slide, texts, state: undefined });
  return { word: wordsAt(texts, text + 16, 1)[0], told: result?.notes.map(({ message }) => message) };
}

const brk = 0xd4200080;
test('a probe is a breakpoint, and runs the instruction under it', () => {
  assert.deepEqual(probe(RET, [RET, 0xd42000c0]), { word: brk, told: [] });
  assert.deepEqual(probe(RET, []), { word: brk, told: [] });
});
test('a probe that is disabled leaves the code', () => {
  assert.deepEqual(probe(RET, [], 2), { word: RET, told: [] });
});
test('a probe cannot hide other code', () => {
  assert.deepEqual(probe(NOP, []).told, [
    'the probe at one+0x8 keeps another instruction than the code under it has',
  ]);
  assert.deepEqual(probe(RET, [NOP, 0xd42000c0]).told, [
    'the probe at one+0x8 runs another instruction than the one under it',
  ]);
});
