// The head of the list of modules where no symbol names it.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Image } from '../../../src/image/image.ts';
import type { ModuleLayout } from '../../../src/memory/kernel/layout.ts';
import { findListHeads } from '../../../src/memory/kernel/list-head.ts';
import { KernelReader } from '../../../src/memory/kernel/reader.ts';

/** Addresses of the running kernel: its data, what it has allocated, and modules; one stretch of memory has all of it. */
const data = -0x1000_0000;
const heap = data + 0x10000;
const modules = data + 0x20000;
const size = 0x40000;
const slide = 0x100000;

const layout: ModuleLayout = {
  ...{ state: 0, list: 8, name: 24, nameSize: 56 },
  memory: [{ base: 80, size: 88 }],
  text: [],
  ...{ sections: undefined, perCpu: undefined, tables: new Map() },
};

class Made {
  readonly bytes = new Uint8Array(size);
  readonly view = new DataView(this.bytes.buffer);

  word(at: number, value: number): void {
    this.view.setBigInt64(at - data, BigInt(value), true);
  }

  /** A list in both directions: its head and the members of its elements. */
  list(head: number, elements: readonly number[]): void {
    const all = [head, ...elements];
    all.forEach((at, i) => {
      this.word(at, all[(i + 1) % all.length] as number);
      this.word(at + 8, all[(i + all.length - 1) % all.length] as number);
    });
  }

  /** What reads as a module at an address; returns its member of the list. */
  module(at: number, name: string, { state = 0, base = modules, length = 0x8000 } = {}): number {
    this.view.setUint32(at - data + layout.state, state, true);
    this.bytes.set(Buffer.from(`${name}\0`, 'latin1'), at - data + layout.name);
    this.word(at + 80, base);
    this.view.setUint32(at - data + 88, length, true);
    return at + layout.list;
  }

  /** Heads that are found in data of so many bytes; .text and .bss before and behind it are not looked at. */
  heads(dataSize = 0x1000): number[] {
    const memory = {
      ...({ format: 'made', addresses: 'virtual', fileSize: size } as const),
      runs: { starts: Float64Array.of(data), ends: Float64Array.of(data + size) },
      read: (address: number, into: Uint8Array): boolean => {
        const at = address - data;
        if (at < 0 || at + into.length > size) return false;
        into.set(this.bytes.subarray(at, at + into.length));
        return true;
      },
    };
    const sections = [
      { type: 1, flags: 6, addr: data - slide + 0x2000, size: 0x1000 },
      { type: 1, flags: 3, addr: data - slide, size: dataSize },
      { type: 8, flags: 3, addr: data - slide + 0x1000, size: 0x1000 },
    ];
    const image = {
      ...{ arch: { wordSize: 8 }, file: { header: { little: true }, sections } },
      addressAt: (address: number, by: number) => address + by,
    } as unknown as Image;
    return findListHeads(image, new KernelReader(memory, image), layout, slide);
  }
}

const head = data + 0x128;

test('it leads to modules, and they lead back', () => {
  const made = new Made();
  made.list(head, [made.module(modules + 0x1000, 'xfs'), made.module(modules + 0x2000, 'nf_tables')]);
  assert.deepEqual(made.heads(), [head]);
});

test('a list of one module has it too', () => {
  const made = new Made();
  made.list(head, [made.module(modules + 0x1000, 'kvm')]);
  assert.deepEqual(made.heads(), [head]);
});

test('it may lie across what is read at once', () => {
  const made = new Made();
  const across = data + 0x1_0000 - 8;
  made.list(across, [made.module(modules + 0x1000, 'kvm')]);
  assert.deepEqual(made.heads(0x1_8000), [across]);
});

test('two of them are two', () => {
  const made = new Made();
  made.list(head, [made.module(modules + 0x1000, 'kvm')]);
  made.list(head + 0x40, [made.module(modules + 0x2000, 'xfs')]);
  assert.deepEqual(made.heads(), [head, head + 0x40]);
});

const others: readonly { name: string; make: (made: Made) => void }[] = [
  { name: 'an empty list', make: (made) => made.list(head, []) },
  {
    name: 'a list whose element has no name',
    make: (made) => made.list(head, [made.module(modules + 0x1000, '')]),
  },
  {
    name: 'a list whose element has a name that no module has',
    make: (made) => made.list(head, [made.module(modules + 0x1000, 'a b')]),
  },
  {
    name: 'a list whose element has another state',
    make: (made) => made.list(head, [made.module(modules + 0x1000, 'xfs', { state: 4 })]),
  },
  {
    name: 'a list whose element lies elsewhere than its memory',
    make: (made) => made.list(head, [made.module(heap, 'xfs')]),
  },
  {
    name: 'a list whose element has memory that begins within a page',
    make: (made) => made.list(head, [made.module(modules + 0x1000, 'xfs', { base: modules + 8 })]),
  },
  {
    name: 'a list whose element has more memory than any module',
    make: (made) => made.list(head, [made.module(modules + 0x1000, 'xfs', { length: 0xffff8000 })]),
  },
  {
    name: 'a list that does not lead back',
    make: (made) => {
      made.list(head, [made.module(modules + 0x1000, 'xfs')]);
      made.word(modules + 0x1000 + layout.list + 8, head + 8);
    },
  },
  {
    name: 'a list outside of what is written to',
    make: (made) => made.list(data + 0x2100, [made.module(modules + 0x1000, 'xfs')]),
  },
];
for (const { name, make } of others) {
  test(`it is not ${name}`, () => {
    const made = new Made();
    make(made);
    assert.deepEqual(made.heads(), []);
  });
}
