// Call depth tracking: the code in front of functions, and the calls that go there.
import assert from 'node:assert/strict';
import test from 'node:test';
import { type Alternative, Alternatives } from '../../../src/image/alternatives.ts';
import { readBtf } from '../../../src/kernel/btf.ts';
import { callThunks, countsBehindAlternatives } from '../../../src/text/x86-64/call-thunks.ts';
import { makeBtf } from '../../memory/kernel/btf.ts';
import {
  branchHex,
  dataStart,
  expectedAt,
  hexOf,
  type MadeMachine,
  madeKernel,
  madeSubject,
  textStart,
} from './made.ts';

/** sarq $5, %gs:distance(%rip), whose counter lies at an address of its own. */
const counter = textStart + 0x30_0000;
const size = 9;
const counting = (at: number) => {
  const field = Buffer.alloc(4);
  field.writeInt32LE(counter - (at + size));
  return `6548c13d${field.toString('hex')}05`;
};
const template = counting(dataStart);
const nops = '90'.repeat(16);

const functions = {
  _text: 0,
  counted: 0x210,
  alsoCounted: 0x230,
  packed: 0x250,
  __fentry__: 0x270,
  byStaticCall: 0x290,
  _etext: 0x300,
  initial: 0x410,
};
const padded = [
  functions.counted,
  functions.alsoCounted,
  functions.__fentry__,
  functions.byStaticCall,
  functions.initial,
];
const calls = {
  first: 0x100,
  second: 0x110,
  again: 0x120,
  packed: 0x130,
  fentry: 0x140,
  gone: 0x150,
  init: 0x160,
  late: 0x3e0,
};
const code: Record<number, string> = {
  [calls.first]: branchHex('e8', calls.first, functions.counted),
  [calls.second]: branchHex('e8', calls.second, functions.alsoCounted),
  [calls.again]: branchHex('e8', calls.again, functions.counted),
  [calls.packed]: branchHex('e8', calls.packed, functions.packed),
  [calls.fentry]: branchHex('e8', calls.fentry, functions.__fentry__),
  [calls.gone]: '0f1f440000',
  [calls.init]: branchHex('e8', calls.init, functions.initial),
  [calls.late]: branchHex('e8', calls.late, functions.counted),
  [functions.packed - 9]: '554889e55dc3cccccc',
};
for (const at of padded) code[at - 16] = nops;
const data = { skl_call_thunk_template: template, skl_call_thunk_tail: '' };

/** The tail symbol lies right behind the template; tables of symbols have it so. */
function kernelOf(extra: Readonly<Record<number, string>> = {}) {
  const image = madeKernel({
    code: { ...code, ...extra },
    functions,
    data,
    tables: { '.call_sites': Object.values(calls) },
  });
  const { symbols } = image;
  const addressOf = symbols.addressOf.bind(symbols);
  symbols.addressOf = (name) => (name === 'skl_call_thunk_tail' ? dataStart + size : addressOf(name));
  return image;
}

const on = { CALL_DEPTH: true };
const run = (machine: MadeMachine, image = kernelOf()) => {
  const subject = madeSubject(image, machine);
  return { subject, result: callThunks.run(subject) };
};

test('calls go to the code in front of their function, which is moved there; other calls stay', () => {
  const { subject, result } = run({ features: on });
  assert.deepEqual([result?.notes, result?.sites], [[], 8]);
  const at = (offset: number, length: number) => expectedAt(subject, offset, length);
  for (const name of ['counted', 'alsoCounted'] as const)
    assert.equal(at(functions[name] - size, size), counting(textStart + functions[name] - size), name);
  for (const [call, to] of [
    ['first', 'counted'],
    ['second', 'alsoCounted'],
    ['again', 'counted'],
  ] as const)
    assert.equal(at(calls[call], 5), branchHex('e8', calls[call], functions[to] - size), call);
  // No room in front of the function; the tracer's entry; a call that an alternative took; from and to init text.
  for (const call of ['packed', 'fentry', 'gone', 'init', 'late'] as const)
    assert.equal(at(calls[call], 5), code[calls[call]], call);
  for (const at of [functions.__fentry__, functions.initial])
    assert.equal(expectedAt(subject, at - size, size), nops.slice(0, 2 * size));
});

test('without CALL_DEPTH nothing is written', () => {
  const { subject, result } = run({ features: { CALL_DEPTH: false } });
  assert.deepEqual([result?.notes, result?.sites], [[], 8]);
  const [text] = subject.texts.all;
  assert.deepEqual(text?.bytes, text?.file);
});

test('a template whose distance follows the slide is taken from memory; another one is told', () => {
  const slide = 0x100_0000;
  const field = Buffer.alloc(4);
  field.writeInt32LE(counter - (dataStart + size) - slide);
  const moved = `6548c13d${field.toString('hex')}05`;
  const { subject, result } = run({ features: on, slide, variables: { skl_call_thunk_template: moved } });
  assert.deepEqual(result?.notes, []);
  const at = textStart + functions.counted - size;
  const inPad = Buffer.alloc(4);
  inPad.writeInt32LE(counter - (at + size) - slide);
  assert.equal(expectedAt(subject, functions.counted - size, size), `6548c13d${inPad.toString('hex')}05`);
  const other = run({ features: on, variables: { skl_call_thunk_template: `${template.slice(0, -2)}06` } });
  assert.deepEqual(
    other.result?.notes.map(({ severity, input }) => [severity, input]),
    [['wrong', 'skl_call_thunk_template']],
  );
});

test('the code in front of a function that only a static call leads to is accepted where memory has it', () => {
  const pad = textStart + functions.byStaticCall - size;
  const { subject } = run({ features: on, memory: [[pad, counting(pad)]] });
  const others = subject.texts.all.flatMap(({ others }) => others);
  assert.deepEqual(
    others.map(({ address, bytes, kind }) => [address, hexOf(bytes), kind]),
    [[pad, counting(pad), 'call-thunk']],
  );
  assert.equal(expectedAt(subject, functions.byStaticCall - size, size), nops.slice(0, 2 * size));
  // Anything else in the padding is not.
  const changed = run({ features: on, memory: [[pad, `${counting(pad).slice(0, -2)}06`]] });
  assert.deepEqual(
    changed.subject.texts.all.flatMap(({ others }) => others),
    [],
  );
});

const btfWith = (...members: readonly string[]) =>
  readBtf(
    makeBtf({
      structs: {
        callthunk_sites: {
          size: 8 * members.length,
          members: members.map((name, i) => [name, 'ptr', 8 * i] as const),
        },
      },
    }),
    true,
  );
const btfs = {
  paravirt: btfWith('call_start', 'call_end', 'pv_start', 'pv_end'),
  alternatives: btfWith('call_start', 'call_end', 'alt_start', 'alt_end'),
  alone: btfWith('call_start', 'call_end'),
};

test('the tables that a kernel goes through say whether it counts behind alternatives; versions decide without types', () => {
  const order = (machine: MadeMachine) => countsBehindAlternatives(madeSubject(kernelOf(), machine).state);
  assert.deepEqual(
    [order({ btf: btfs.paravirt }), order({ btf: btfs.alternatives }), order({ btf: btfs.alone })],
    [true, true, false],
  );
  assert.deepEqual(
    [order({ version: [6, 2] }), order({ version: [6, 18] }), order({ version: [7, 3] })],
    [true, false, false],
  );
});

test('behind alternatives, calls that these made are counted, too', () => {
  const made = 0x180;
  const call = branchHex('e8', made, functions.alsoCounted);
  const alternatives = new Alternatives([
    { address: textStart + made, length: 5 } as Alternative,
    { address: textStart + calls.gone, length: 5 } as Alternative,
  ]);
  const written = (btf: (typeof btfs)[keyof typeof btfs]) => {
    const { subject, result } = run({ features: on, btf, alternatives }, kernelOf({ [made]: call }));
    assert.deepEqual(result?.notes, []);
    assert.equal(expectedAt(subject, calls.gone, 5), code[calls.gone]);
    return expectedAt(subject, made, 5);
  };
  assert.equal(written(btfs.alternatives), branchHex('e8', made, functions.alsoCounted - size));
  assert.equal(written(btfs.alone), call);
});

test('calls of a module into the kernel and into another module are counted, where these have the room', () => {
  const start = textStart + 0x100_0000;
  const other = start + 0x10_0000 - textStart;
  const to = (from: number, target: number) => branchHex('e8', start - textStart + from, target);
  const places = { counted: 0x100, packed: 0x110, initial: 0x120, other: 0x130, bare: 0x140, own: 0x150 };
  const own = 0x210;
  const module = madeKernel({
    start,
    code: {
      [places.counted]: to(places.counted, functions.counted),
      [places.packed]: to(places.packed, functions.packed),
      [places.initial]: to(places.initial, functions.initial),
      [places.other]: to(places.other, other),
      [places.bare]: to(places.bare, other + 0x100),
      [places.own]: branchHex('e8', places.own, own),
      [own - 16]: nops,
    },
    tables: { '.call_sites': Object.values(places) },
  });
  const kernel = kernelOf();
  const pad = textStart + other - size;
  const { state, slide } = madeSubject(kernel, { features: on, memory: [[pad, counting(pad)]] });
  const subject = { ...madeSubject(module), kernel, state, slide };
  const isInit = kernel.isInitText.bind(kernel);
  kernel.isInitText = (address) => address === textStart + functions.initial || isInit(address);
  assert.deepEqual(callThunks.run(subject)?.notes, []);
  const at = (place: number) =>
    hexOf(subject.texts.holding(start + place)?.at(start + place, 5) ?? new Uint8Array());
  assert.equal(at(places.counted), to(places.counted, functions.counted - size));
  assert.equal(at(places.packed), to(places.packed, functions.packed));
  assert.equal(at(places.initial), to(places.initial, functions.initial));
  assert.equal(at(places.other), to(places.other, other - size));
  assert.equal(at(places.bare), to(places.bare, other + 0x100));
  assert.equal(at(places.own), branchHex('e8', places.own, own - size));
});
