// LZO1X, as kernels, initramfs tools and dumps are compressed with it (Linux, Documentation/staging/lzo.rst).
import { TextpokeError } from '../errors.ts';

/** Bytes of literals that the first instruction may say: it is 17 more than their number. */
const firstLiteral = 17;

/**
 * The content of an LZO1X stream, at most `size` bytes of it. Errors: `compressed-malformed` for a stream that is
 * damaged, ends too early, has more bytes behind its end, or has a longer content.
 */
export function unlzo(bytes: Uint8Array, size: number): Uint8Array {
  const damaged = (reason: string) =>
    new TextpokeError('compressed-malformed', `the lzo data cannot be decompressed: ${reason}`);
  const made = new Uint8Array(size);
  let from = 0;
  let to = 0;
  const next = (): number => {
    const byte = bytes[from++];
    if (byte === undefined) throw damaged('it ends too early');
    return byte;
  };
  /** A number that goes on: each byte of 0 stands for 255. */
  const more = (base: number): number => {
    let length = base;
    let byte = next();
    for (; byte === 0; byte = next()) length += 255;
    return length + byte;
  };
  const room = (length: number) => {
    if (to + length > size) throw damaged(`it has more than ${size} bytes`);
  };
  const literals = (length: number) => {
    if (from + length > bytes.length) throw damaged('it ends too early');
    room(length);
    for (const end = from + length; from < end; ) made[to++] = bytes[from++] as number;
  };
  const copy = (distance: number, length: number) => {
    if (distance > to) throw damaged(`a copy begins ${distance} bytes back, where it has ${to}`);
    room(length);
    for (const end = to + length; to < end; to++) made[to] = made[to - distance] as number;
  };

  // What the last instruction has copied as literals: 0 to 3 bytes behind a match, or 4 for a run of its own.
  let state = 0;
  const first = bytes[0];
  if (first !== undefined && first > firstLiteral) {
    from = 1;
    literals(first - firstLiteral);
    state = Math.min(first - firstLiteral, 4);
  }
  for (;;) {
    const code = next();
    let behind = code & 3;
    if (code >= 64) {
      copy(next() * 8 + ((code >> 2) & 7) + 1, (code >> 5) + 1);
    } else if (code >= 32) {
      const length = (code & 31 || more(31)) + 2;
      const low = next();
      behind = low & 3;
      copy((next() << 6) + (low >> 2) + 1, length);
    } else if (code >= 16) {
      const length = (code & 7 || more(7)) + 2;
      const low = next();
      behind = low & 3;
      const distance = ((code & 8) << 11) + (next() << 6) + (low >> 2);
      if (distance === 0) {
        if (length !== 3 || behind !== 0) throw damaged('its end is another one');
        if (from !== bytes.length) throw damaged(`${bytes.length - from} bytes follow its end`);
        return made.subarray(0, to);
      }
      copy(distance + 0x4000, length);
    } else if (state === 0) {
      literals((code || more(15)) + 3);
      state = 4;
      continue;
    } else if (state === 4) copy(next() * 4 + (code >> 2) + 0x801, 3);
    else copy(next() * 4 + (code >> 2) + 1, 2);
    literals(behind);
    state = behind;
  }
}
