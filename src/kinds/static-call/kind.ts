// The row of static calls.
import { placeOf } from '../../arch/code-pointer.ts';
import { hex, largestOf } from '../../bytes/integer.ts';
import { keyPrefix } from '../../bytes/static-call-names.ts';
import { TextpokeError } from '../../errors.ts';
import type { Kind } from '../kind.ts';
import {
  type DumpedEntry,
  type DumpedInstruction,
  type DumpedPlace,
  flagsText,
  instructionColumns,
  placeName,
  siteColumns,
} from '../shown.ts';
import { callDemand, callStates, isCallAsLinked } from './demand.ts';
import { findStaticCalls } from './find.ts';
import { withKeys } from './module-sites.ts';
import { type CallSite, callFields, callInit, callTail, readCallSites, staticCallSites } from './table.ts';
import { readCallValue } from './values.ts';

/** An entry of `.static_call_sites`. */
export interface DumpedCallSite extends DumpedEntry {
  /** Where the call stands. */
  readonly site: DumpedPlace;
  /** Key of the static call without the flags of the field; its trampoline where a module has no key. */
  readonly key: DumpedPlace;
  /** The call is a jump. */
  readonly tail: boolean;
  /** The site lies in init text, which boot finds out. */
  readonly init: boolean;
  /** What stands at the site. */
  readonly instruction?: DumpedInstruction;
}

export const staticCall: Kind<CallSite, DumpedCallSite> = {
  id: 'staticCallSites',
  table: staticCallSites,
  aliases: ['call', 'static-call-sites', 'static_call_sites'],
  isInScript: () => true,
  name: 'static call',
  plural: 'static calls',
  noun: 'static call',
  group: { id: 'calls', noun: 'static call', state: 'static call' },
  statistic: 'staticCalls',
  annotate: {
    option: 'staticCall',
    options: [{ flags: '--static-call', description: 'only static calls (.static_call_sites)' }],
    find: findStaticCalls,
  },

  hasKeys: true,
  stateOf(key) {
    const name = key.function();
    if (name === undefined) return undefined;
    if (name === null) return { state: 'null' };
    return { state: name === '__static_call_return0' ? 'return 0' : 'function', function: name };
  },
  decode([site, value], reader) {
    const found = reader.key(value);
    if (!found) return undefined;
    return {
      site: reader.code(site),
      key: found.key,
      tail: (found.flags & callTail) !== 0,
      init: (found.flags & callInit) !== 0,
      ...reader.instruction(site),
    };
  },
  columns: [...siteColumns, 'key', 'flags', ...instructionColumns],
  cells: ({ site, key, tail, init, instruction }, tools) => [
    ...tools.site(site),
    tools.key(key),
    flagsText({ tail, init }),
    ...tools.instruction(instruction),
  ],
  identify({ site, key, tail, init }) {
    const name = placeName(key);
    const flags = [tail ? 'tail call' : 'call', ...(init ? ['init'] : [])].join(', ');
    return { place: site, key: name.startsWith(keyPrefix) ? name.slice(keyPrefix.length) : name, flags };
  },

  read: readCallSites,
  sizeOf: (image, { address }) => image.instructionAt(address).size,
  longest: ({ maxSite }) => maxSite,
  places: (_, { address }) => [{ address, what: 'a static call entry names a site', starts: 'branch' }],
  meaning: ({ key, tail }) => `${key} ${tail}`,
  tell: ({ key, tail }) => `, key ${hex(key)}, ${tail ? 'tail' : 'call'}`,
  isSorted: true,
  isInit: ({ init }) => init,
  reference(program, { key }) {
    try {
      const value = readCallValue(program, key);
      const code = value.kind === 'function' ? placeOf(program.image.arch, value.address) : undefined;
      return { what: 'function', code };
    } catch (error) {
      if (error instanceof TextpokeError) return { what: 'function', code: undefined };
      throw error;
    }
  },
  changes({ image }, { address, key }) {
    // A NULL tail call is a return with fill behind it: as long as the jump it replaces.
    const longest = largestOf(image.instructionsAt(address).branchSizes);
    return [[address, Math.max(image.instructionAt(address).size, longest)], ...image.dynamic.rangesOf(key)];
  },

  demand: callDemand,
  states: (program, site, listed) => callStates(program, site, listed.get(site.key)),
  isAsLinked: isCallAsLinked,
  phase: 'static_call_init',
  reserves: (image, { address }, { start, end }) =>
    address <= end && address + largestOf(image.instructionsAt(address).branchSizes) > start,
  isInModules: true,
  withKeys,
  link: {
    fields: callFields,
    isTyped: false,
    module: ['static_call_sites', 'num_static_call_sites'],
    list: { struct: 'static_call_mod', entries: 'sites', order: ['next', 'mod', 'entries'] },
  },
};
