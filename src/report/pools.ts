// The lists of a report: what stands in many places stands once, and is named by its number.
import { hexBytes } from '../bytes/integer.ts';

/** Texts in the order in which they were first asked for. */
export class Pool {
  readonly list: string[] = [];
  private readonly numbers = new Map<string, number>();

  /** The number of a text. */
  of(text: string): number {
    let number = this.numbers.get(text);
    if (number === undefined) {
      number = this.list.length;
      this.list.push(text);
      this.numbers.set(text, number);
    }
    return number;
  }
}

/** Bytes that a number holds exactly, with how many they are. */
const mostInNumber = 6;

/** What the makers of one image's data share. */
export class Pools {
  readonly strings = new Pool();
  readonly byteStrings = new Pool();
  /** Digits cost more than all else that is done with the bytes of a place, so short ones are known by their value. */
  private readonly short = new Map<number, number>();

  string(text: string): number {
    return this.strings.of(text);
  }

  bytes(bytes: Uint8Array): number {
    if (bytes.length > mostInNumber) return this.byteStrings.of(hexBytes(bytes));
    let value = bytes.length;
    for (const byte of bytes) value = value * 256 + byte;
    let number = this.short.get(value);
    if (number === undefined) {
      number = this.byteStrings.of(hexBytes(bytes));
      this.short.set(value, number);
    }
    return number;
  }
}
