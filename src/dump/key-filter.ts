// Chooses entries by their keys.

import { globMatcher, isPattern } from '../bytes/glob.ts';
import { hex, parseAddress } from '../bytes/integer.ts';
import { callNameOf, keyPrefix } from '../bytes/static-call-names.ts';
import { isKeyPlace, isLoneKey } from '../demand/keys.ts';
import { demangled } from '../engines/demangler.ts';
import type { Image } from '../image/image.ts';
import { splitName } from '../image/names.ts';
import { isNot } from '../image/what-is.ts';
import { keyOf } from '../kinds/kind.ts';
import { kinds } from '../kinds/registry.ts';
import { type DumpedPlace, placeName } from '../kinds/shown.ts';

/** Matches a key by symbol (the linker's name or the source's), `symbol+0x10`, a static call's name without its prefix, or the key's address. */
export function keyFilter(pattern: string): (key: DumpedPlace) => boolean {
  const address = parseAddress(pattern);
  if (address !== undefined) return (key) => key.address === hex(address);
  const matches = globMatcher(pattern);
  return (key) => {
    const { symbol } = key;
    if (symbol === undefined) return matches(placeName(key));
    if (matches(symbol) || matches(placeName(key))) return true;
    const source = demangled(symbol);
    if (source !== undefined && (matches(source) || matches(placeName({ ...key, symbol: source }))))
      return true;
    const call = callNameOf(symbol);
    return call !== undefined && matches(call);
  };
}

/**
 * Throws where a name that matched no entry of an image is no key's: `unknown-key`, which says what it is instead. A
 * key whose sites were all dropped has no entry.
 */
export function requireKeyName(image: Image, name: string): void {
  const address = parseAddress(name);
  if (isPattern(name) || (address === undefined && !image.file.symtab)) return;
  const { name: symbol, offset = 0 } = splitName(name);
  const named =
    address !== undefined
      ? [address]
      : [symbol, keyPrefix + symbol].flatMap((known) =>
          image.symbols.addressesOf(known).map((start) => start + offset),
        );
  const isCallKey = (key: number) =>
    (image.symbolAt(key)?.name.startsWith(keyPrefix) ?? false) && isKeyPlace(image, key);
  if (named.some((key) => isLoneKey(image, key) || isCallKey(key))) return;
  const keys = new Set(named);
  if (kinds.some((kind) => kind.read(image).some((site) => keys.has(keyOf(site) ?? Number.NaN)))) return;
  // A pattern that matches nothing is a pattern all the same.
  if (named[0] !== undefined) throw isNot(image, named[0], 'a key');
}
