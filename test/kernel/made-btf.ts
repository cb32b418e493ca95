// BTF written in bytes, record for record after include/uapi/linux/btf.h.
import { kinds } from '../../src/kernel/btf/kinds.ts';

/** A type: its words behind the name are info, size or type, and what the kind has. */
export interface MadeType {
  readonly name?: string;
  readonly kind: number;
  readonly flag?: boolean;
  readonly members?: number;
  readonly sizeOrType: number;
  /** Names become offsets of strings. */
  readonly extra?: readonly (number | string)[];
}

export function makeBtf(types: readonly MadeType[], little = true): Uint8Array {
  const strings: number[] = [0];
  const offsetOf = (text: string) => {
    if (text === '') return 0;
    const at = strings.length;
    strings.push(...Buffer.from(text), 0);
    return at;
  };
  const words = types.flatMap(({ name, kind, flag, members, sizeOrType, extra }) => [
    offsetOf(name ?? ''),
    ((flag ? 0x8000_0000 : 0) | (kind << 24) | (members ?? 0)) >>> 0,
    sizeOrType,
    ...(extra ?? []).map((word) => (typeof word === 'string' ? offsetOf(word) : word >>> 0)),
  ]);
  const bytes = new Uint8Array(24 + 4 * words.length + strings.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0xeb9f, little);
  view.setUint8(2, 1);
  [24, 0, 4 * words.length, 4 * words.length, strings.length].forEach((word, i) => {
    view.setUint32(4 + 4 * i, word, little);
  });
  words.forEach((word, i) => {
    view.setUint32(24 + 4 * i, word, little);
  });
  bytes.set(strings, 24 + 4 * words.length);
  return bytes;
}

export const int = (name: string, size: number): MadeType => ({
  name,
  kind: kinds.int,
  sizeOrType: size,
  extra: [8 * size],
});
export const pointerTo = (type: number): MadeType => ({ kind: kinds.pointer, sizeOrType: type });
export const struct = (
  name: string,
  size: number,
  members: readonly [string, number, number][],
  flag = false,
): MadeType => ({
  name,
  kind: kinds.struct,
  flag,
  members: members.length,
  sizeOrType: size,
  extra: members.flat(),
});
export const array = (type: number, length: number): MadeType => ({
  kind: kinds.array,
  sizeOrType: 0,
  extra: [type, 1, length],
});
