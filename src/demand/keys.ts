// Keys in memory: `struct static_key` (include/linux/jump_label.h) and `struct static_call_key`
// (include/linux/static_call_types.h), whose second member is a union with flags.
import type { Address } from '../bytes/named-numbers.ts';
import { keyPrefix } from '../bytes/static-call-names.ts';
import { PF_W, STT_OBJECT } from '../elf/constants.ts';
import { TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { isReadOnlyAfterInit } from '../image/kernel.ts';
import { resolveStaticKeys } from '../image/names.ts';
import { hasNoSites } from '../image/static-calls.ts';
import { isNot, whatIs } from '../image/what-is.ts';

/** JUMP_TYPE_TRUE: the key's initial value, in bit 0 of its `type`. */
const initiallyTrue = 1;

/** State of a `struct static_key`. */
export interface KeyState {
  /** The count, as static_key_count gives it. */
  readonly enabled: number;
  readonly initial: boolean;
}

/** True where a key of either kind can be written to: data, writable at least until a kernel has started. */
export function isKeyPlace(image: Image, key: Address): boolean {
  const guest = image.guests.find((of) => of.image.contains(key));
  if (guest) return isKeyPlace(guest.image, key);
  const segment = image.segmentAt(key);
  const isWhole = segment && key + keySize(image) <= segment.vaddr + segment.memsz;
  if (!isWhole || image.codeAt(key)) return false;
  return (segment.flags & PF_W) !== 0 || isReadOnlyAfterInit(image, key);
}

/**
 * True for a static key that no entry names, as its symbol and its bytes show: a whole object of keys, one or an array,
 * and a `type` that says nothing but the initial value.
 */
export function isLoneKey(image: Image, key: Address): boolean {
  const size = keySize(image);
  const { wordSize } = image.arch;
  if (key % wordSize !== 0 || !isKeyPlace(image, key)) return false;
  const symbol = image.symbolAt(key);
  if (symbol?.type !== STT_OBJECT || symbol.name.startsWith(keyPrefix)) return false;
  if (symbol.size % size !== 0 || symbol.offset % size !== 0 || symbol.offset >= symbol.size) return false;
  const padding = image.read(key + 4, wordSize - 4);
  const word = image.readWord(key + wordSize);
  return padding.every((byte) => byte === 0) && (word === 0 || word === initiallyTrue);
}

/** Throws `unknown-key` unless a static key lies at an address; `isListed` says that an entry of a table names it. */
export function requireStaticKey(image: Image, key: Address, isListed: boolean): void {
  if (isListed || isLoneKey(image, key)) return;
  throw isNot(
    image,
    key,
    `a static key; a key is named by an entry of __jump_table, or an object of ${keySize(image)} bytes in writable data`,
  );
}

/**
 * The static keys that a person's name, or a pattern among `keys`, means; `isListed` as `requireStaticKey` has it. The name of
 * a structure with one key in it means that key. Errors: those of names; `unknown-key` for what is no key.
 */
export function staticKeysNamed(
  image: Image,
  text: string,
  keys: Iterable<Address>,
  isListed: (key: Address) => boolean,
): Address[] {
  const named = resolveStaticKeys(image, text, keys).map((key) =>
    isListed(key) || isLoneKey(image, key) ? key : (onlyKeyIn(image, key, keys) ?? key),
  );
  for (const key of named) requireStaticKey(image, key, isListed(key));
  return named;
}

/** The only one of some keys in the structure whose symbol begins at an address: a tracepoint's name means its key. */
function onlyKeyIn(image: Image, start: Address, keys: Iterable<Address>): Address | undefined {
  const { size = 0, offset } = image.symbolAt(start) ?? {};
  if (offset !== 0) return undefined;
  const inside = new Set<Address>();
  for (const key of keys) if (key >= start && key < start + size) inside.add(key);
  const [only] = inside;
  return inside.size === 1 ? only : undefined;
}

/** Throws `unknown-key` unless the key of a static call lies at an address; `isKnown`: a name or an entry says so. */
export function requireCallKey(image: Image, key: Address, isKnown: boolean): void {
  const symbol = image.symbolAt(key);
  // Without sites, a key has nothing but `func`.
  const size = hasNoSites(image) ? image.arch.wordSize : keySize(image);
  const isWhole = symbol === undefined || symbol.size === 0 || symbol.size - symbol.offset >= size;
  if (isKnown && isWhole && isKeyPlace(image, key)) return;
  throw isNot(
    image,
    key,
    `the key of a static call; a key is called ${keyPrefix}NAME, or named by an entry of .static_call_sites, and is an object of ${size} bytes in writable data`,
  );
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
  if (!isKeyPlace(image, key)) {
    throw new TextpokeError(
      'table-malformed',
      `${whatIs(image, key)}, not a key; an entry has to name a key in writable data`,
      { file: image.file.path, section: table },
    );
  }
}

/** Bytes of a key of either kind. */
export function keySize({ arch }: Image): number {
  return 2 * arch.wordSize;
}

/** Reads a `struct static_key`; errors `table-malformed`, `key-unaligned` when no key can be there. */
export function readKey(image: Image, key: Address): KeyState {
  requireKey(image, key, '__jump_table');
  const { wordSize } = image.arch;
  // The half of `type` that has the bit. The rest may be a pointer.
  const low = image.file.header.little ? 0 : wordSize - 4;
  const type = image.readS32(key + wordSize + low);
  return { enabled: image.readS32(key), initial: (type & initiallyTrue) !== 0 };
}

/** `readKey` of keys that do not change meanwhile: each is read once, however many sites it has. */
export function keyReader(image: Image): (key: Address) => KeyState {
  const known = new Map<Address, KeyState>();
  return (key) => {
    let state = known.get(key);
    if (!state) {
      state = readKey(image, key);
      known.set(key, state);
    }
    return state;
  };
}

/** True where static_key_enabled is: a count that is not 0, below it too. */
export function isEnabled({ enabled }: KeyState): boolean {
  return enabled !== 0;
}
