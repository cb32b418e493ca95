// kallsyms is found in made kernels of every form, and what is no sound kallsyms is refused or not taken for one.
import assert from 'node:assert/strict';
import test from 'node:test';
import { findKallsyms, type Kallsyms } from '../../src/kernel/kallsyms.ts';
import { Random } from '../seeded.ts';
import { type MadeForm, type MadeSymbol, makeKallsyms } from './made-kallsyms.ts';

const text64 = -0x7f00_0000; // 0xffffffff81000000
const text32 = 0xc000_8000;

/** Symbols like a kernel's: many short names, some long ones, several at one address. */
function madeSymbols(text: number, count: number, percpu = 0): MadeSymbol[] {
  const random = new Random(count, percpu);
  const words = ['tcp', 'vfs', 'sched', 'read', 'write', 'lock', 'irq', 'init', 'page', 'x', '__', 'cpu'];
  const symbols: MadeSymbol[] = [
    { address: text, type: 'T', name: '_text' },
    { address: text, type: 'T', name: '_stext' },
  ];
  for (let i = 0; i < percpu; i++)
    symbols.push({ address: 64 * i, type: 'A', name: `pcpu_${random.pick(words)}_${i}` });
  let address = text;
  while (symbols.length < count - 3) {
    address += 16 * random.below(9);
    const name = Array.from({ length: 1 + random.below(4) }, () => random.pick(words)).join('_');
    symbols.push({
      address,
      type: random.pick(['t', 'T', 'd', 'D', 'b', 'r', 'W', '?']),
      name: `${name}_${symbols.length}`,
    });
  }
  symbols.push({ address: text + 0x10_0000, type: 'R', name: '__start_rodata' });
  symbols.push({ address: text + 0x80_0000, type: 'R', name: '__end_rodata' });
  symbols.push({ address: text + 0x90_0000, type: 'B', name: '_end' });
  return symbols;
}

/** Every form that a kernel from 5.10 to 7.3 has had. */
const forms: Record<string, MadeForm & { readonly percpu?: number }> = {
  '5.10 and 6.1 x86-64': {
    bits: 64,
    little: true,
    order: 'front',
    entries: 'signed',
    sequence: 0,
    alignment: 8,
    percpu: 30,
  },
  'stable 5.10 and 6.1 x86-64': {
    bits: 64,
    little: true,
    order: 'front',
    entries: 'signed',
    sequence: 3,
    alignment: 8,
    percpu: 30,
  },
  '5.10 arm64': { bits: 64, little: true, order: 'front', entries: 'unsigned', sequence: 0, alignment: 8 },
  '6.2 arm64': { bits: 64, little: true, order: 'front', entries: 'unsigned', sequence: 3, alignment: 8 },
  'the order by text in four bytes': {
    bits: 64,
    little: true,
    order: 'front',
    entries: 'unsigned',
    sequence: 4,
    alignment: 8,
  },
  '5.10 without BASE_RELATIVE': {
    bits: 64,
    little: true,
    order: 'front',
    entries: 'words',
    sequence: 0,
    alignment: 8,
  },
  '5.10 ARM': { bits: 32, little: true, order: 'front', entries: 'unsigned', sequence: 0, alignment: 4 },
  '6.1 ARM': { bits: 32, little: true, order: 'front', entries: 'unsigned', sequence: 3, alignment: 4 },
  '5.10 ARM without BASE_RELATIVE': {
    bits: 32,
    little: true,
    order: 'front',
    entries: 'words',
    sequence: 0,
    alignment: 4,
  },
  '6.4 to 6.14 x86-64': {
    bits: 64,
    little: true,
    order: 'behind',
    entries: 'signed',
    sequence: 3,
    alignment: 8,
    percpu: 30,
  },
  '6.15 to 6.19': { bits: 64, little: true, order: 'behind', entries: 'unsigned', sequence: 3, alignment: 8 },
  '6.12 ARM': { bits: 32, little: true, order: 'behind', entries: 'unsigned', sequence: 3, alignment: 4 },
  '6.4 without BASE_RELATIVE': {
    bits: 64,
    little: true,
    order: 'behind',
    entries: 'words',
    sequence: 3,
    alignment: 8,
  },
  '7.0': { bits: 64, little: true, order: 'behind', entries: 'places', sequence: 3, alignment: 4 },
  '7.0 ARM': { bits: 32, little: true, order: 'behind', entries: 'words', sequence: 3, alignment: 4 },
  'big-endian 6.1 ARM': {
    bits: 32,
    little: false,
    order: 'front',
    entries: 'unsigned',
    sequence: 3,
    alignment: 4,
  },
  'big-endian 6.12 arm64': {
    bits: 64,
    little: false,
    order: 'behind',
    entries: 'unsigned',
    sequence: 3,
    alignment: 8,
  },
  'big-endian 7.0': {
    bits: 64,
    little: false,
    order: 'behind',
    entries: 'places',
    sequence: 3,
    alignment: 4,
  },
};

/** The made kernel's bytes lie where its read-only data is. */
const rodata = 0x10_0000;
const textOf = (form: MadeForm) => (form.bits === 32 ? text32 : text64);
const shapeOf = (form: MadeForm) => ({
  little: form.little,
  bits: form.bits,
  addressOf: (offset: number) => textOf(form) + rodata + offset,
});

function make(form: MadeForm & { readonly percpu?: number }, count: number) {
  const symbols = madeSymbols(textOf(form), count, form.percpu);
  return { symbols, ...makeKallsyms(symbols, form, new Uint8Array(64), shapeOf(form).addressOf) };
}

const line = (address: number, type: string, name: string) => `${address} ${type} ${name}`;
const linesOf = (k: Kallsyms) =>
  Array.from({ length: k.count }, (_, i) => line(k.addresses[i] as number, k.type(i), k.name(i)));
const linesMade = (symbols: readonly MadeSymbol[]) => symbols.map((s) => line(s.address, s.type, s.name));

for (const [name, form] of Object.entries(forms)) {
  for (const count of [40 + (form.percpu ?? 0), 255, 256, 257, 511, 513, 1100]) {
    test(`every name and address of ${count} symbols is read: ${name}`, () => {
      const { bytes, at, symbols } = make(form, count);
      const found = findKallsyms(bytes, shapeOf(form));
      assert.ok(found, 'it is found');
      assert.deepEqual(linesOf(found).sort(), linesMade(symbols).sort());
      assert.equal(found.anchored, true);
      assert.equal(found.at.count, at.count);
      assert.equal(found.at.names, at.names);
      assert.equal(found.at.markers, at.markers);
      assert.equal(found.at.tokenTable, at.tokenTable);
      assert.equal(found.at.tokenIndex, at.tokenIndex);
      assert.equal(found.at.addresses, at.entries);
      assert.equal(found.at.relativeBase, at.base);
      assert.equal(found.at.sequence, at.sequence);
    });
  }
}
