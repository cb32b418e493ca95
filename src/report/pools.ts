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

/** The same for the same bytes: to make digits of them costs more than all else that is done with the bytes of a place. */
export function keyOfBytes(bytes: Uint8Array): number | string {
  if (bytes.length > mostInNumber) return hexBytes(bytes);
  let value = bytes.length;
  for (const byte of bytes) value = value * 256 + byte;
  return value;
}

/** What the makers of one image's data share. */
export class Pools {
  readonly strings = new Pool();
  readonly byteStrings = new Pool();
  private readonly byKey = new Map<number | string, number>();

  string(text: string): number {
    return this.strings.of(text);
  }

  bytes(bytes: Uint8Array): number {
    const key = keyOfBytes(bytes);
    let number = this.byKey.get(key);
    if (number === undefined) {
      number = this.byteStrings.of(hexBytes(bytes));
      this.byKey.set(key, number);
    }
    return number;
  }
}
