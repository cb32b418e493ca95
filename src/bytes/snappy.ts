// Snappy blocks (google/snappy, format_description.txt).
import { TextpokeError } from '../errors.ts';

const damaged = (reason: string) =>
  new TextpokeError('compressed-malformed', `the snappy data cannot be decompressed: ${reason}`);

/** How many bytes a block says that its content has, and how many bytes it says that with; undefined where it is damaged. */
export function snappySize(
  bytes: Uint8Array,
): { readonly size: number; readonly length: number } | undefined {
  let size = 0;
  for (let i = 0; i < 5; i++) {
    const byte = bytes[i];
    if (byte === undefined) return undefined;
    size += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return size < 2 ** 32 ? { size, length: i + 1 } : undefined;
  }
  return undefined;
}

/**
 * The content of a block, at most `most` bytes. Errors: `compressed-malformed` for a block that is damaged, ends too
 * early, has another content than it says, or a longer one.
 */
export function unsnappy(bytes: Uint8Array, most: number): Uint8Array {
  const said = snappySize(bytes);
  if (!said) throw damaged('its length is no number');
  const { size } = said;
  if (size > most) throw damaged(`it has ${size} bytes; ${most} are the most`);
  const made = new Uint8Array(size);
  let from = said.length;
  let to = 0;
  const number = (length: number): number => {
    if (from + length > bytes.length) throw damaged('it ends too early');
    let value = 0;
    for (let i = 0; i < length; i++) value += (bytes[from++] as number) * 2 ** (8 * i);
    return value;
  };
  while (from < bytes.length) {
    const tag = bytes[from++] as number;
    const upper = tag >> 2;
    const kind = tag & 3;
    if (kind === 0) {
      const length = (upper < 60 ? upper : number(upper - 59)) + 1;
      if (from + length > bytes.length) throw damaged('it ends too early');
      if (to + length > size) throw damaged(`it says that it has ${size} bytes, and has more`);
      made.set(bytes.subarray(from, from + length), to);
      from += length;
      to += length;
      continue;
    }
    const length = kind === 1 ? (upper & 7) + 4 : upper + 1;
    const distance = kind === 1 ? (upper >> 3) * 256 + number(1) : number(kind === 2 ? 2 : 4);
    if (distance === 0 || distance > to)
      throw damaged(`a copy begins ${distance} bytes back, where it has ${to}`);
    if (to + length > size) throw damaged(`it says that it has ${size} bytes, and has more`);
    for (const end = to + length; to < end; to++) made[to] = made[to - distance] as number;
  }
  if (to !== size) throw damaged(`it says that it has ${size} bytes, and has ${to}`);
  return made;
}
