// The address of a flat kernel's first byte, where no symbol says it: the one at which functions begin as functions do.
import { ByteView } from '../../bytes/view.ts';

/** True for a word that compilers begin functions with: saving the return address, or a landing pad. */
const beginsFunction = {
  64: (word: number) =>
    word === 0xd503233f || // paciasp
    word === 0xd503245f || // bti c
    word === 0xd503201f || // nop
    (word & 0xffc07fff) >>> 0 === 0xa9807bfd, // stp x29, x30, [sp, #-n]!
  32: (word: number) =>
    (word & 0xffff4000) >>> 0 === 0xe92d4000 || // push {..., lr}
    word === 0xe1a0c00d || // mov ip, sp
    word === 0xe52de004, // push {lr}
} as const;

const samples = 400;
/** Text begins at most so far behind the kernel's first byte. */
const farthest = 0x40_0000;
const step = 0x1000;

/**
 * The address of byte 0 of `bytes` by those of functions, ascending; undefined where none fits clearly. `text` is where
 * the text begins (_stext).
 */
export function baseOf(
  bytes: Uint8Array,
  little: boolean,
  bits: 32 | 64,
  functions: Float64Array,
  text: number,
): number | undefined {
  const every = Math.max(1, Math.floor(functions.length / samples));
  const chosen = functions.filter((address, i) => i % every === 0 && address % 4 === 0);
  // Instructions of arm64 are little-endian whatever its data are.
  const order = bits === 64 ? true : little;
  const view = new ByteView(bytes, order).table(0, bytes.length);
  const scoreOf = (base: number) => {
    let score = 0;
    for (const address of chosen) {
      const at = address - base;
      if (at >= 0 && at + 4 <= bytes.length && beginsFunction[bits](view.getUint32(at, order))) score++;
    }
    return score;
  };
  let best: number | undefined;
  let [most, second] = [0, 0];
  for (let base = text - farthest; base <= text; base += step) {
    const score = scoreOf(base);
    if (score > most) {
      second = most;
      [best, most] = [base, score];
    } else second = Math.max(second, score);
  }
  return most >= chosen.length / 4 && most > 2 * second ? best : undefined;
}
