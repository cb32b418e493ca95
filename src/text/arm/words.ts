// Words of A32 that a kernel makes when it patches itself. Instructions are little-endian.
import type { ExpectedText } from '../expected.ts';
import type { TextKind } from '../kind.ts';

/** Bytes of an instruction. */
export const size = 4;

/** The word at an address of a text, as it is expected now. The place must lie in the text. */
export function wordAt(text: ExpectedText, address: number): number {
  const bytes = text.at(address, size);
  return new DataView(bytes.buffer, bytes.byteOffset, size).getUint32(0, true);
}

export function writeWord(text: ExpectedText, address: number, word: number, kind: TextKind): void {
  text.write(address, bytesOf(word), kind);
}

/** Words as bytes of memory. */
export function bytesOf(...words: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(words.length * size);
  const view = new DataView(bytes.buffer);
  for (const [i, word] of words.entries()) view.setUint32(i * size, word, true);
  return bytes;
}
