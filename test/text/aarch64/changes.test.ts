// Changes that were under way when the memory was read: what the holder of a lock changes may be older than what decides.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Program } from '../../../src/demand/program.ts';
import { EM_AARCH64 } from '../../../src/elf/constants.ts';
import type { Btf } from '../../../src/kernel/btf.ts';
import type { FtraceOps } from '../../../src/memory/kernel/ftrace.ts';
import { KernelReader } from '../../../src/memory/kernel/reader.ts';
import { KernelVariables } from '../../../src/memory/kernel/variables.ts';
import { keyUpdate } from '../../../src/text/aarch64/changes.ts';
import { ftraceHooks } from '../../../src/text/aarch64/ftrace-hooks.ts';
import { kprobes } from '../../../src/text/aarch64/kprobes.ts';
import { branchWord } from '../../../src/text/aarch64/words.ts';
import { compareText } from '../../../src/text/compare.ts';
import type { ExpectedText } from '../../../src/text/expected.ts';
import { textsOf } from '../../../src/text/texts.ts';
import { madeImage, madeMemory, pointersOf, wordsOf } from '../made-image.ts';

const [NOP, RET, KEEP, BRK] = [0xd503201f, 0xd65f03c0, 0xaa1e03e9, 0xd4200080] as const;
const text = -0x7fff_0000;
const data = text + 0x10_0000;
const slide = 0x20_0000;
const mutexes = ['jump_label_mutex', 'ftrace_lock', 'kprobe_mutex'] as const;
type Mutex = (typeof mutexes)[number];
/** Two functions with pointers in front of them, a caller and a tracer. */
const code: readonly number[] = [NOP, NOP, NOP, NOP, RET, RET, NOP, NOP, NOP, NOP, RET, RET, RET, RET];
const [place, other, caller, tracer] = [text + 12, text + 36, text + 48, text + 52];

const image = madeImage({
  machine: EM_AARCH64,
  class: 64,
  sections: [
    { name: '.text', address: text, bytes: wordsOf(...code), what: 'code' },
    { name: '.data', address: data, bytes: new Uint8Array(256), what: 'variables' },
    { name: '__mcount_loc', address: data + 0x1_0000, bytes: pointersOf(text, text + 24), what: 'data' },
  ],
  symbols: {
    ...{ one: text + 8, two: text + 32, ftrace_caller: caller, tracer },
    ...{ ftrace_nop_ops: data, ftrace_list_ops: data + 16 },
    ...Object.fromEntries(mutexes.map((name, i) => [name, data + 64 + 8 * i])),
  },
});

const offsets: Readonly<Record<string, number>> = {
  'mutex.owner': 0,
  'ftrace_ops.func': 0,
  'kprobe.opcode': 8,
};
const btf = {
  member: (struct: string, path: string) => {
    const offset = offsets[`${struct}.${path}`];
    return offset === undefined ? undefined : { offset, size: 8, typeName: '' };
  },
} as unknown as Btf;

const probeAt = 0x1000;

/** A memory with these words of text, in which somebody holds a mutex. */
function kernelWith(words: readonly number[], held: Mutex | undefined) {
  const variables = new Uint8Array(256);
  variables.set(pointersOf(tracer + slide), 0);
  variables.set(pointersOf(tracer + slide), 16);
  if (held) variables.set(pointersOf(0x1234), 64 + 8 * mutexes.indexOf(held));
  const memory = madeMemory([
    [text + slide, wordsOf(...words)],
    [data + slide, variables],
    [probeAt, new Uint8Array([...pointersOf(0), ...wordsOf(RET, 0)])],
  ]);
  return { memory, kernel: new KernelVariables(image, slide, new KernelReader(memory, image), btf) };
}

/** The text as it must be, and what of a memory it does not explain. */
const unexplained = (of: ExpectedText, memory: ReturnType<typeof kernelWith>['memory']) =>
  compareText(of, of.file.length, memory, slide).unexplained;

const sites = [
  { address: text + 16, target: text + 20, key: 1 },
  { address: text + 40, target: text + 44, key: 1 },
  { address: text + 44, target: text + 40, key: 2 },
];
const program = { sites: { of: () => sites } } as unknown as Program;

/** Sites of a key that is off now: what memory has of the three. */
function update(of: readonly number[], held: Mutex | undefined): number {
  const words = [...code];
  sites.forEach(({ address }, i) => {
    words[(address - text) / 4] = of[i] as number;
  });
  const { memory, kernel } = kernelWith(words, held);
  const texts = textsOf(image);
  const [all] = texts.all as [ExpectedText];
  for (const { address } of sites) all.write(address, wordsOf(NOP), 'static-branch');
  keyUpdate(kernel, program).run({ image, slide, texts, state: undefined });
  return unexplained(all, memory);
}
const on = sites.map(({ address, target }) => branchWord(false, address, target) as number);

test('sites of one key that is being turned off may be on still', () => {
  assert.equal(update([NOP, on[1] as number, NOP], 'jump_label_mutex'), 0);
  assert.equal(update([on[0] as number, on[1] as number, NOP], 'jump_label_mutex'), 0);
});
test('sites that are on are wrong where nobody changes keys, or where they are of two keys', () => {
  assert.notEqual(update([NOP, on[1] as number, NOP], undefined), 0);
  assert.notEqual(update([NOP, on[1] as number, on[2] as number], 'jump_label_mutex'), 0);
});
test('other code at a site is wrong while keys are changed', () => {
  assert.notEqual(update([RET, NOP, NOP], 'jump_label_mutex'), 0);
});

const enabled = 1 << 31;
const pointer = (at: number) => {
  const view = new DataView(pointersOf(at).buffer);
  return [view.getUint32(0, true), view.getUint32(4, true)];
};
const [idle, listed] = [data, data + 16].map((at) => pointer(at + slide)) as [number[], number[]];
const call = (at: number) => branchWord(true, at, caller) as number;

/** Both functions are traced now; what memory has of each: its pointer and its place. */
function trace(
  rows: readonly (readonly [pointer: readonly number[], word: number])[],
  held: Mutex | undefined,
  flags = enabled,
) {
  const [[a, first], [b, second]] = rows as [(typeof rows)[number], (typeof rows)[number]];
  const words = [...a, KEEP, first, RET, RET, ...b, KEEP, second, RET, RET, RET, RET];
  const { memory, kernel } = kernelWith(words, held);
  const texts = textsOf(image);
  const [all] = texts.all as [ExpectedText];
  for (const at of [place, other]) all.write(at - 4, wordsOf(KEEP), 'ftrace');
  const tables = {
    ips: Float64Array.of(place + slide, other + slide),
    flags: Int32Array.of(flags, flags),
    ...{ ops: [] as FtraceOps[], withTrampoline: [], direct: new Map(), broken: [] },
  };
  const isFunction = (address: number) => address === tracer + slide;
  ftraceHooks(kernel, tables, { isFunction, isDirect: isFunction }).run({
    image,
    slide,
    texts,
    state: undefined,
  });
  return unexplained(all, memory);
}
const done = [listed, call(place)] as const;

test('one function whose tracing is under way may have its old instruction and its old pointer', () => {
  assert.equal(trace([done, [idle, NOP]], 'ftrace_lock'), 0);
  assert.equal(trace([done, [listed, NOP]], 'ftrace_lock'), 0);
  assert.equal(trace([done, [listed, call(other)]], undefined), 0);
});
test('a function that is not traced though it must be is wrong where nobody changes that, or where there are two', () => {
  assert.notEqual(trace([done, [idle, NOP]], undefined), 0);
  assert.notEqual(
    trace(
      [
        [idle, NOP],
        [idle, NOP],
      ],
      'ftrace_lock',
    ),
    0,
  );
});
test('while an ops comes or goes, its places may point to any', () => {
  const callOps = enabled | (1 << 21);
  const rows = [done, [idle, call(other)]] as const;
  assert.equal(trace(rows, 'ftrace_lock', callOps), 0);
  assert.notEqual(trace([done, [pointer(0x7000), call(other)]], 'ftrace_lock', callOps), 0);
  assert.notEqual(trace(rows, undefined), 0);
});
test('a call of something else, and a pointer to no ops, are wrong while tracing is changed', () => {
  assert.notEqual(trace([done, [listed, branchWord(true, other, text + 16) as number]], 'ftrace_lock'), 0);
  assert.notEqual(trace([done, [pointer(0x7000), NOP]], 'ftrace_lock'), 0);
});

function probe(word: number, held: Mutex | undefined): number {
  const words = [...code];
  words[4] = word;
  const { memory, kernel } = kernelWith(words, held);
  const texts = textsOf(image);
  const one = { at: probeAt, address: text + 16 + slide, flags: 0, opcode: 0, slot: 0 };
  kprobes(kernel, { probes: [one], pages: [], allDisarmed: false, broken: [] }).run({
    ...{ image, slide, texts, state: undefined },
  });
  return unexplained(texts.all[0] as ExpectedText, memory);
}

test('a probe that is being set has its breakpoint, or the code still', () => {
  assert.deepEqual(
    [probe(BRK, undefined), probe(BRK, 'kprobe_mutex'), probe(RET, 'kprobe_mutex')],
    [0, 0, 0],
  );
});
test('a probe without its breakpoint is wrong where nobody sets probes, and other code always', () => {
  assert.notEqual(probe(RET, undefined), 0);
  assert.notEqual(probe(NOP, 'kprobe_mutex'), 0);
});
