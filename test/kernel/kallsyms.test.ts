// kallsyms is found in made kernels of every form, and what is no sound kallsyms is refused or not taken for one.
import assert from 'node:assert/strict';
import test from 'node:test';
import { TextpokeError } from '../../src/errors.ts';
import { findKallsyms, type Kallsyms } from '../../src/kernel/kallsyms.ts';
import { flipped, Random, seeded } from '../seeded.ts';
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
    sequence: false,
    alignment: 8,
    percpu: 30,
  },
  'stable 5.10 and 6.1 x86-64': {
    bits: 64,
    little: true,
    order: 'front',
    entries: 'signed',
    sequence: true,
    alignment: 8,
    percpu: 30,
  },
  '5.10 arm64': {
    bits: 64,
    little: true,
    order: 'front',
    entries: 'unsigned',
    sequence: false,
    alignment: 8,
  },
  '6.2 arm64': { bits: 64, little: true, order: 'front', entries: 'unsigned', sequence: true, alignment: 8 },
  '5.10 without BASE_RELATIVE': {
    bits: 64,
    little: true,
    order: 'front',
    entries: 'words',
    sequence: false,
    alignment: 8,
  },
  '5.10 ARM': { bits: 32, little: true, order: 'front', entries: 'unsigned', sequence: false, alignment: 4 },
  '6.1 ARM': { bits: 32, little: true, order: 'front', entries: 'unsigned', sequence: true, alignment: 4 },
  '5.10 ARM without BASE_RELATIVE': {
    bits: 32,
    little: true,
    order: 'front',
    entries: 'words',
    sequence: false,
    alignment: 4,
  },
  '6.4 to 6.14 x86-64': {
    bits: 64,
    little: true,
    order: 'behind',
    entries: 'signed',
    sequence: true,
    alignment: 8,
    percpu: 30,
  },
  '6.15 to 6.19': {
    bits: 64,
    little: true,
    order: 'behind',
    entries: 'unsigned',
    sequence: true,
    alignment: 8,
  },
  '6.12 ARM': { bits: 32, little: true, order: 'behind', entries: 'unsigned', sequence: true, alignment: 4 },
  '6.4 without BASE_RELATIVE': {
    bits: 64,
    little: true,
    order: 'behind',
    entries: 'words',
    sequence: true,
    alignment: 8,
  },
  '7.0': { bits: 64, little: true, order: 'behind', entries: 'places', sequence: true, alignment: 4 },
  '7.0 ARM': { bits: 32, little: true, order: 'behind', entries: 'words', sequence: true, alignment: 4 },
  'big-endian 6.1 ARM': {
    bits: 32,
    little: false,
    order: 'front',
    entries: 'unsigned',
    sequence: true,
    alignment: 4,
  },
  'big-endian 6.12 arm64': {
    bits: 64,
    little: false,
    order: 'behind',
    entries: 'unsigned',
    sequence: true,
    alignment: 8,
  },
  'big-endian 7.0': {
    bits: 64,
    little: false,
    order: 'behind',
    entries: 'places',
    sequence: true,
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

const arm64: MadeForm = {
  bits: 64,
  little: true,
  order: 'behind',
  entries: 'unsigned',
  sequence: true,
  alignment: 8,
};
const x86: MadeForm = {
  bits: 64,
  little: true,
  order: 'front',
  entries: 'signed',
  sequence: true,
  alignment: 8,
};

test('lengths of 128 codes and more have two bytes since 6.1, and one before', () => {
  const random = new Random(1);
  const long = () => Array.from({ length: 200 }, () => String.fromCharCode(0x41 + random.below(58))).join('');
  const symbols = [
    ...madeSymbols(text64, 300),
    ...Array.from({ length: 20 }, (_, i) => ({ address: text64 + i, type: 't', name: long() })),
  ];
  for (const wide of [true, false]) {
    const { bytes } = makeKallsyms(symbols, { ...x86, sequence: false, wide });
    const found = findKallsyms(bytes, { ...shapeOf(x86), addressOf: () => undefined });
    assert.ok(found, 'it is found');
    assert.deepEqual(linesOf(found).sort(), linesMade(symbols).sort());
  }
});

test('symbols are found by name, with all that have it', () => {
  const symbols = [
    ...madeSymbols(text64, 300),
    ...[1, 2].map((i) => ({ address: text64 + i, type: 't', name: 'twice' })),
  ];
  const { bytes } = makeKallsyms(symbols, arm64);
  const found = findKallsyms(bytes, { ...shapeOf(arm64), addressOf: () => undefined });
  const numbers = found?.find(new Set(['twice', '_end', 'absent']));
  assert.deepEqual([...(numbers?.keys() ?? [])].sort(), ['_end', 'twice']);
  assert.deepEqual(
    numbers?.get('twice')?.map((i) => found?.addresses[i]),
    [text64 + 1, text64 + 2],
  );
});

test('all names fit the bytes that are said', () => {
  const { bytes } = make(arm64, 300);
  const found = findKallsyms(bytes, shapeOf(arm64));
  assert.ok(found, 'it is found');
  const table = new Uint8Array(found.nameBytes);
  let at = 0;
  for (let i = 0; i < found.count; i++) at += found.copyName(i, table, at);
  assert.equal(at, found.nameBytes);
  assert.equal(
    Buffer.from(table).toString(),
    Array.from({ length: found.count }, (_, i) => found.name(i)).join(''),
  );
});

/** The start of a flat arm64 kernel with pointers to `targets`, all of which lie where it is linked. */
function pointers(targets: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(8 * targets.length);
  const view = new DataView(bytes.buffer);
  targets.forEach((target, i) => {
    view.setBigInt64(8 * i, BigInt(target), true);
  });
  return bytes;
}

const linked = -0x7fff_8000_0000; // 0xffff800080000000
for (const [name, form] of Object.entries({
  'a base of 0, whose relocation has the address': { ...arm64, order: 'front', storedBase: 0 } as MadeForm,
  'entries that count from their own places': { ...arm64, entries: 'places', alignment: 4 } as MadeForm,
})) {
  const symbols = madeSymbols(linked, 600);
  const unknown = { little: true, bits: 64 as const, addressOf: () => undefined };
  const random = new Random(7);

  test(`a kernel's pointers say where it is linked: ${name}`, () => {
    const lead = pointers(
      Array.from({ length: 200 }, () => random.pick(symbols).address + (random.chance(0.5) ? 4 : 0)),
    );
    const { bytes } = makeKallsyms(symbols, form, lead, (offset) => linked + offset);
    const found = findKallsyms(bytes, unknown);
    assert.equal(found?.anchored, true);
    assert.deepEqual(found && linesOf(found).sort(), linesMade(symbols).sort());
  });

  test(`without pointers addresses count from _text: ${name}`, () => {
    const { bytes } = makeKallsyms(symbols, form, new Uint8Array(64), (offset) => linked + offset);
    const found = findKallsyms(bytes, unknown);
    assert.equal(found?.anchored, false);
    const fromText = symbols.map((s) => ({ ...s, address: s.address - linked }));
    assert.deepEqual(found && linesOf(found).sort(), linesMade(fromText).sort());
  });

  test(`pointers that lead to no symbols say nothing: ${name}`, () => {
    const lead = pointers(Array.from({ length: 200 }, () => linked + 1 + 16 * random.below(0x1000)));
    const { bytes } = makeKallsyms(symbols, form, lead, (offset) => linked + offset);
    assert.equal(findKallsyms(bytes, unknown)?.anchored, false);
  });
}

test('bytes without kallsyms have none', () => {
  const random = new Random(3);
  for (const bytes of [
    new Uint8Array(0),
    new Uint8Array(511),
    new Uint8Array(1 << 20),
    Uint8Array.from({ length: 1 << 20 }, () => random.below(256)),
    Uint8Array.from({ length: 1 << 20 }, (_, i) => (i >> 1) & 0xff),
  ]) {
    assert.equal(findKallsyms(bytes, shapeOf(arm64)), undefined);
  }
});

test('the same kallsyms twice counts once; another one beside it is refused', () => {
  const { bytes } = make(arm64, 300);
  const filler = new Uint8Array((8 - (bytes.length % 8)) % 8);
  const twice = Buffer.concat([bytes, filler, bytes]);
  const shape = { ...shapeOf(arm64), addressOf: () => undefined };
  assert.equal(findKallsyms(twice, shape)?.count, 300);
  const both = Buffer.concat([bytes, filler, make(arm64, 301).bytes]);
  assert.throws(() => findKallsyms(both, shape), { code: 'elf-unsupported', message: /two kallsyms/ });
});

/** A made kernel with one part changed. */
const changed: Record<string, (bytes: Uint8Array, at: Record<string, number>) => void> = {
  'a marker': (bytes, at) => {
    bytes[(at.markers as number) + 4]! ^= 1;
  },
  'the number of names': (bytes, at) => {
    bytes[at.count as number]! ^= 1;
  },
  'the length of a name': (bytes, at) => {
    bytes[at.names as number]! += 1;
  },
  'the end of a token': (bytes, at) => {
    bytes[bytes.indexOf(0, at.tokenTable)] = 0x61;
  },
  'the index of a token': (bytes, at) => {
    bytes[(at.tokenIndex as number) + 40]! ^= 1;
  },
};
for (const [what, change] of Object.entries(changed)) {
  test(`${what} that does not fit the rest: there is no kallsyms`, () => {
    const { bytes, at } = make(arm64, 700);
    change(bytes, at);
    assert.equal(findKallsyms(bytes, shapeOf(arm64)), undefined);
  });
}

/** Names are sound, addresses are not. */
const unsound: Record<
  string,
  readonly [form: MadeForm, change: (bytes: Uint8Array, at: Record<string, number>) => void]
> = {
  'an offset falls': [
    arm64,
    (bytes, at) => bytes.fill(0xff, (at.entries as number) + 41, (at.entries as number) + 42),
  ],
  'the first offset is not 0': [arm64, (bytes, at) => bytes.fill(1, at.entries, (at.entries as number) + 1)],
  'the base is no address of a kernel': [
    arm64,
    (bytes, at) => bytes.fill(0x7f, at.base, (at.base as number) + 8),
  ],
  'the order by text names a symbol twice': [
    arm64,
    (bytes, at) =>
      bytes.copyWithin((at.sequence as number) + 3, at.sequence as number, (at.sequence as number) + 3),
  ],
  'a negative offset rises': [
    { ...x86, sequence: false },
    (bytes, at) => bytes.fill(0, (at.entries as number) + 4 * 200 + 2, (at.entries as number) + 4 * 200 + 3),
  ],
};
for (const [what, [form, change]] of Object.entries(unsound)) {
  test(`${what}: refused with words`, () => {
    const { bytes, at } = make({ ...form, percpu: form.entries === 'signed' ? 30 : 0 } as MadeForm, 700);
    change(bytes, at);
    assert.throws(() => findKallsyms(bytes, shapeOf(form)), {
      code: 'elf-unsupported',
      message: /no known form of addresses/,
    });
  });
}

test('symbols that say that the names lie elsewhere are refused', () => {
  const { bytes } = make(arm64, 300);
  const elsewhere = { ...shapeOf(arm64), addressOf: (offset: number) => text64 + offset };
  assert.throws(() => findKallsyms(bytes, elsewhere), { code: 'elf-unsupported', message: /__start_rodata/ });
});

test('symbols without _text and _stext are no kernel', () => {
  const symbols = madeSymbols(text64, 300).filter(({ name }) => !/^_s?text$/.test(name));
  const { bytes } = makeKallsyms(symbols, arm64);
  assert.throws(() => findKallsyms(bytes, { ...shapeOf(arm64), addressOf: () => undefined }), {
    message: /_stext/,
  });
});

for (const [name, form] of Object.entries(forms)) {
  test(`whatever bytes are changed, kallsyms is read, missed or refused with a code: ${name}`, () => {
    const { bytes } = make(form, 300);
    const random = seeded(form.bits + form.alignment);
    for (let i = 0; i < 100; i++) {
      try {
        const found = findKallsyms(flipped(bytes, random), shapeOf(form));
        if (found) linesOf(found);
      } catch (error) {
        assert.equal(error instanceof TextpokeError, true, String(error));
      }
    }
  });
}

test('bytes in which every word may be the number of names are refused before that costs much', () => {
  const { bytes, at } = make(arm64, 700);
  const tables = bytes.subarray(at.markers as number, (at.tokenIndex as number) + 512);
  const lead = new Uint8Array(1 << 20);
  const view = new DataView(lead.buffer);
  for (let word = 0; word < lead.length; word += 4) view.setUint32(word, 700, true);
  assert.throws(() => findKallsyms(Buffer.concat([lead, tables]), shapeOf(arm64)), {
    code: 'elf-malformed',
    message: /too many places/,
  });
});
