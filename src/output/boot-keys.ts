// Chooses the writes of a boot by the key that decided them.
import type { Runtime } from '../boot/runtime.ts';
import { keysInUse } from '../boot/static-key.ts';
import type { PokeRecord, RecordedKey } from '../boot/text-poke.ts';
import { globMatcher, isPattern } from '../bytes/glob.ts';
import { parseAddress } from '../bytes/integer.ts';
import { didYouMean } from '../bytes/nearest.ts';
import { keyPrefix } from '../bytes/static-call-names.ts';
import { TextpokeError } from '../errors.ts';

/**
 * Whether a write is about a key that a name or a pattern means: a symbol, `symbol+0x10`, a static call's name or an address.
 * Error `no-match` where the program has no such key.
 */
export function writesOf(runtime: Runtime, pattern: string): (record: PokeRecord) => boolean {
  const address = parseAddress(pattern);
  const matches = globMatcher(pattern);
  const isMeant = ({ address: at, name }: RecordedKey) =>
    address !== undefined
      ? at === address
      : matches(name) || (name.startsWith(keyPrefix) && matches(name.slice(keyPrefix.length)));
  const known = () => keysOf(runtime);
  for (const key of known())
    if (isMeant(key)) return (record) => record.key !== undefined && isMeant(record.key);
  const names = Array.from(known(), ({ name }) =>
    name.startsWith(keyPrefix) ? name.slice(keyPrefix.length) : name,
  );
  const hint = didYouMean(pattern.replace(/[*?]/g, ''), names);
  const what = isPattern(pattern) ? `no key matches ${pattern}` : `no key is called ${pattern}`;
  throw new TextpokeError('no-match', `${what}${hint}`, { file: runtime.image.file.path });
}

/** The keys of sites, of calls and of writes. */
function* keysOf(runtime: Runtime): Generator<RecordedKey> {
  const { image, program, poker } = runtime;
  for (const key of new Set([...keysInUse(runtime), ...program.calls.keys()]))
    yield { address: key, name: image.describe(key) };
  for (const { key } of poker.records) if (key) yield key;
}
