// Chooses entries by their keys.

import { globMatcher } from '../bytes/glob.ts';
import { keyPrefix, trampolinePrefix } from '../bytes/static-call-names.ts';
import { type DumpedPlace, placeName } from '../kinds/shown.ts';

/** Matches a key by symbol, `symbol+0x10`, or a static call's name without its prefix. */
export function keyFilter(pattern: string): (key: DumpedPlace) => boolean {
  const matches = globMatcher(pattern);
  return (key) => {
    const { symbol } = key;
    if (symbol === undefined) return matches(placeName(key));
    if (matches(symbol) || matches(placeName(key))) return true;
    const isCall = symbol.startsWith(keyPrefix) || symbol.startsWith(trampolinePrefix);
    return isCall && matches(symbol.slice(keyPrefix.length));
  };
}
