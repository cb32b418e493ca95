// Keys in memory: `struct static_key` (include/linux/jump_label.h) and `struct static_call_key`
// (include/linux/static_call_types.h), whose second member is a union with flags.
import type { Address } from '../bytes/named-numbers.ts';
import { TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';

/** JUMP_TYPE_TRUE: the key's initial value, in bit 0 of its `type`. */
const initiallyTrue = 1;

/** State of a `struct static_key`. */
export interface KeyState {
  /** The count, as static_key_count gives it. */
  readonly enabled: number;
  readonly initial: boolean;
}

/** Throws unless a key of either kind can lie at an address: `key-unaligned`, `table-malformed` (in `table`). */
export function requireKey(image: Image, key: Address, table: string): void {
  if (key % 4 !== 0) {
    throw new TextpokeError('key-unaligned', `the key ${image.describe(key)} is not aligned to 4 bytes`, {
      file: image.file.path,
    });
  }
  if (!image.contains(key, keySize(image))) {
    throw new TextpokeError('table-malformed', `the key at ${image.describe(key)} is outside the image`, {
      file: image.file.path,
      section: table,
    });
  }
}

/** Bytes of a key of either kind. */
export function keySize({ arch }: Image): number {
  return 2 * arch.wordSize;
}

/** Reads a `struct static_key`; errors `table-malformed`, `key-unaligned` when no key can be there. */
export function readKey(image: Image, key: Address): KeyState {
  requireKey(image, key, '__jump_table');
  const type = image.readS32(key + image.arch.wordSize);
  return { enabled: image.readS32(key), initial: (type & initiallyTrue) !== 0 };
}

/** True where static_key_enabled is: a count that is not 0, below it too. */
export function isEnabled({ enabled }: KeyState): boolean {
  return enabled !== 0;
}
