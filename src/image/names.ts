// What people call keys, calls and places: a symbol, `file.c:symbol` where file-local names repeat, `module:symbol`,
// an address, or a pattern for many.

import { globMatcher, isPattern } from '../bytes/glob.ts';
import { hex, parseAddress } from '../bytes/integer.ts';
import type { Address } from '../bytes/named-numbers.ts';
import { didYouMean } from '../bytes/nearest.ts';
import { keyPrefix } from '../bytes/static-call-names.ts';
import { withDemangled } from '../engines/demangler.ts';
import { TextpokeError } from '../errors.ts';
import type { Image } from './image.ts';
import type { StaticCall } from './static-calls.ts';
import { isNot } from './what-is.ts';

/** What people write for a place: a name, and what of it is meant. */
interface NameParts {
  /** `symbol`, `file.c:symbol` or `module:symbol`. */
  readonly name: string;
  /** 2 of `symbol[2]`. */
  readonly index: number | undefined;
  /** 16 of `symbol+0x10`. */
  readonly offset: number | undefined;
}

/** Splits `symbol[2]` and `symbol+0x10`; any other text is a name as a whole. */
export function splitName(text: string): NameParts {
  const [, name = text, index, offset] = /^(.+?)(?:\[(\d+)\]|\+(0x[0-9a-f]+|\d+))?$/is.exec(text) ?? [];
  const numberOf = (digits: string | undefined) => (digits === undefined ? undefined : Number(digits));
  return { name, index: numberOf(index), offset: numberOf(offset) };
}

/** Splits `file.c:symbol` and `module:symbol`; the file may have colons of its own. */
export function splitScope(name: string): { scope: string | undefined; symbol: string } {
  const colon = name.lastIndexOf(':');
  return { scope: colon < 0 ? undefined : name.slice(0, colon), symbol: name.slice(colon + 1) };
}

/**
 * The address that a person's name for a key means: a symbol, `symbol[index]` of an array of static keys,
 * `symbol+0x10`, or an address. What is none is told with the nearest names of `keys`. Errors: `unknown-key`,
 * `ambiguous-name`, `usage`.
 */
export function resolveStaticKey(image: Image, text: string, keys?: Iterable<Address>): Address {
  const address = parseAddress(text);
  if (address !== undefined) return address;
  const { name, index, offset } = splitName(text);
  if (/^$|[[+]/.test(name)) {
    throw new TextpokeError(
      'usage',
      `${JSON.stringify(text)} is not a key; SYMBOL, SYMBOL[INDEX], FILE.c:SYMBOL or 0xADDRESS is required`,
    );
  }
  const distance = index === undefined ? (offset ?? 0) : index * 2 * image.arch.wordSize;
  const known = keys && (() => namesOf(image, keys));
  const start = resolveSymbol(image, name, 'key', known);
  const size = image.symbolAt(start)?.size ?? 0;
  if (distance > 0 && size > 0 && distance >= size) throw isNot(image, start, `as large as ${text} requires`);
  return start + distance;
}

/** What people call some addresses, arrays without an index. */
function* namesOf(image: Image, addresses: Iterable<Address>): Generator<string> {
  for (const address of new Set(addresses)) yield image.describe(address);
}

/** What a pattern leaves of a name to look for. */
function wordsOf(pattern: string): string {
  return pattern.replace(/[*?]/g, '');
}

/**
 * The keys of a name or, in order of address, of a pattern (* and ?) among `keys`. Errors as `resolveStaticKey`; `no-match`
 * for a pattern.
 */
export function resolveStaticKeys(image: Image, text: string, keys: Iterable<Address>): Address[] {
  if (!isPattern(text)) return [resolveStaticKey(image, text, keys)];
  const matches = globMatcher(text);
  const all = [...new Set(keys)];
  const found = all
    .filter((key) => {
      const name = image.describe(key);
      return matches(name) || matches(withDemangled(name));
    })
    .sort((a, b) => a - b);
  if (found.length > 0) return found;
  const hint = didYouMean(wordsOf(text), namesOf(image, all));
  throw new TextpokeError('no-match', `no static key matches ${text}${hint}`);
}

/** A place in the image: `symbol`, `symbol+0x1c` or an address. Errors as `resolveStaticKey`. */
export function resolvePlace(image: Image, text: string): Address {
  const address = parseAddress(text);
  if (address !== undefined) return address;
  const { name, index, offset } = splitName(text);
  return resolveSymbol(image, index === undefined ? name : text, 'place') + (offset ?? 0);
}

/**
 * The address of a symbol of the image or of a module: `name`, `file.c:name` or `module:name`. `known` are the names that
 * such a text may mean: those of all symbols unless given. Errors: `unknown-key`, `ambiguous-name` (file-local names that
 * repeat).
 */
export function resolveSymbol(
  image: Image,
  text: string,
  what: string,
  known: () => Iterable<string> = () => symbolNames(image),
): number {
  const addresses = [...new Set(addressesOf(image, text))];
  if (addresses.length === 0) {
    const table = image.symbols.table ? '' : ' (the image has no symbol table; use an address)';
    const { symbol } = splitScope(text);
    const isCall = what === 'static call' && symbol.startsWith(keyPrefix);
    const hint = didYouMean(isCall ? symbol.slice(keyPrefix.length) : symbol, known());
    throw new TextpokeError(
      'unknown-key',
      `the ${what} ${text} is not a symbol of the image${table}${hint}`,
      {
        file: image.file.path,
      },
    );
  }
  if (addresses.length > 1) {
    throw new TextpokeError(
      'ambiguous-name',
      `${addresses.length} symbols have the name ${text} (${addresses.map(hex).join(', ')}); use FILE.c:${text} or an address`,
      { file: image.file.path },
    );
  }
  return addresses[0] as number;
}

/** The names of all symbols of an image and of its modules. */
function* symbolNames(image: Image): Generator<string> {
  for (const { symbols } of [image, ...image.guests.map((guest) => guest.image)])
    for (const { name } of symbols.named(() => true)) yield name;
}

function addressesOf(image: Image, text: string): number[] {
  const images = [image, ...image.guests.map((guest) => guest.image)];
  const { scope, symbol } = splitScope(text);
  if (scope === undefined) return images.flatMap(({ symbols }) => symbols.addressesOf(symbol));
  const guest = image.guests.find(({ name }) => name === scope);
  if (guest) return guest.image.symbols.addressesOf(symbol);
  return images.flatMap(({ symbols }) => symbols.addressesIn(scope, symbol));
}

/** `file.c:name` or `name` with a static call's key in place of the name. */
function keySymbol(text: string): string {
  const { scope, symbol } = splitScope(text);
  const key = keyPrefix + symbol.replace(/^__SC[KT]__/, '');
  return scope === undefined ? key : `${scope}:${key}`;
}

/** The static call that a person's name means: `name`, `__SCK__name`, `file.c:name` or the key's address. */
export function resolveStaticCall(
  image: Image,
  calls: ReadonlyMap<Address, StaticCall>,
  text: string,
): StaticCall {
  const address = parseAddress(text);
  if (address !== undefined) {
    return calls.get(address) ?? { name: hex(address), key: address, trampoline: undefined };
  }
  const symbol = keySymbol(text);
  if (addressesOf(image, symbol).length === 0) {
    const [other] = addressesOf(image, text);
    if (other !== undefined) throw isNot(image, other, `a static call, which has a key ${keyPrefix}NAME`);
  }
  const known = () => Array.from(calls.values(), ({ name }) => name);
  const key = resolveSymbol(image, symbol, 'static call', known);
  return calls.get(key) ?? { name: text, key, trampoline: undefined };
}

/** The static calls of a name or, in order of address, of a pattern. Errors as `resolveStaticCall`; `no-match` for a pattern. */
export function resolveStaticCalls(
  image: Image,
  calls: ReadonlyMap<Address, StaticCall>,
  text: string,
): StaticCall[] {
  if (!isPattern(text)) return [resolveStaticCall(image, calls, text)];
  const matches = globMatcher(text);
  const found = [...calls.values()].filter(({ name }) => matches(name)).sort((a, b) => a.key - b.key);
  if (found.length > 0) return found;
  const hint = didYouMean(
    wordsOf(text),
    Array.from(calls.values(), ({ name }) => name),
  );
  throw new TextpokeError('no-match', `no static call matches ${text}${hint}`);
}
