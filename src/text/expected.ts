// What stretches of text must hold, byte for byte: first what the file has, then what the kernel's own patching makes of
// it, pass by pass, in the kernel's own order. Each byte knows the kind of patching that wrote it last.
import type { TextKind } from './kind.ts';
import { kindNumbers, textKinds } from './kind.ts';

/** A place that may hold another form for ever: which bytes, and why (docs/kernel-text.md). */
export interface Either {
  /** As linked. */
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly kind: TextKind;
  readonly why: string;
}

/** One stretch of executable memory: a section of the image, or of a module. Addresses are as linked. */
export class ExpectedText {
  readonly name: string;
  readonly start: number;
  /** As the file has it. */
  readonly file: Uint8Array;
  /** As the passes so far have made it. */
  readonly bytes: Uint8Array;
  /** For each byte the number of the kind that wrote it last; 0: the file's. */
  readonly kinds: Uint8Array;
  /** Other forms that are accepted, in the order in which they were found. */
  readonly others: Either[] = [];

  constructor(name: string, start: number, file: Uint8Array) {
    this.name = name;
    this.start = start;
    this.file = file;
    this.bytes = file.slice();
    this.kinds = new Uint8Array(file.length);
  }

  get end(): number {
    return this.start + this.file.length;
  }

  /** Whether all of [address, address + length) lies in it. */
  has(address: number, length: number): boolean {
    return address >= this.start && length >= 0 && address + length <= this.end;
  }

  /** The bytes at an address as they are expected now: a view that later writes change. The place must lie in the text. */
  at(address: number, length: number): Uint8Array {
    const from = address - this.start;
    return this.bytes.subarray(from, from + length);
  }

  /** Has the kernel write there. Bytes that stay as they are keep their kind. The place must lie in the text. */
  write(address: number, bytes: Uint8Array, kind: TextKind): void {
    const from = address - this.start;
    const number = kindNumbers[kind];
    for (let i = 0; i < bytes.length; i++) {
      if (this.bytes[from + i] === bytes[i]) continue;
      this.bytes[from + i] = bytes[i] as number;
      this.kinds[from + i] = number;
    }
  }

  /** Has a loader add to a little-endian number of `size` bytes, which wraps round. The place must lie in the text. */
  add(address: number, distance: number, size: 4 | 8): void {
    const number = kindNumbers.relocation;
    const from = address - this.start;
    const high = Math.floor(distance / 0x1_0000_0000);
    for (let i = 0, sum = 0; i < size; i++, sum >>>= 8) {
      const old = this.bytes[from + i] as number;
      sum += old + (((i < 4 ? distance : high) >>> (8 * (i & 3))) & 0xff);
      if ((sum & 0xff) === old) continue;
      this.bytes[from + i] = sum;
      this.kinds[from + i] = number;
    }
  }

  /** Accepts another form of a place, whose history the memory does not tell. */
  accept(other: Either): void {
    this.others.push(other);
  }

  /** The kind that wrote the byte at an address last; undefined: it is the file's. */
  kindAt(address: number): TextKind | undefined {
    return textKinds[(this.kinds[address - this.start] as number) - 1];
  }
}

/** Stretches by address; a place belongs to one of them. */
export class Texts {
  readonly all: readonly ExpectedText[];

  constructor(all: readonly ExpectedText[]) {
    this.all = [...all].sort((a, b) => a.start - b.start);
  }

  /** The stretch that holds all of [address, address + length). */
  holding(address: number, length = 1): ExpectedText | undefined {
    let low = 0;
    let high = this.all.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.all[middle] as ExpectedText).start <= address) low = middle + 1;
      else high = middle;
    }
    const text = this.all[low - 1];
    return text?.has(address, length) ? text : undefined;
  }
}

/** Places of a text that were being changed. */
export function changingIn({ others }: ExpectedText): number[] {
  return others.flatMap(({ kind, address }) => (kind === 'poke' ? [address] : []));
}
