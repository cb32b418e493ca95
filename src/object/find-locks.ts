// Finds lock prefixes: every F0 that prefixes an instruction, never one in a displacement, an immediate or data.
import { TextpokeError } from '../errors.ts';
import { keepLockSymbol } from './markers.ts';
import type { CodeSection, ObjectCode } from './object-code.ts';

export interface LockSite {
  readonly section: number;
  /** Section-relative byte offset of the F0 byte itself. */
  readonly offset: number;
  /** Marked as one that must never be dropped. */
  readonly kept: boolean;
}

/**
 * The lock prefixes of one code section, ascending; none on machines without the prefix. `kept` holds the offsets
 * that carry the keep-this-lock marker. Error `site-mismatch`: such a marker is not on a lock prefix.
 */
export function findLocks(object: ObjectCode, code: CodeSection, kept: ReadonlySet<number>): LockSite[] {
  // Elsewhere the marker is for barriers.
  if (!object.arch.lockPrefix) return [];
  const offsets = object.arch.lockPrefix.find(code.code, object.codeMap(code.section));
  const section = code.section.index;
  const sites = Array.from(offsets, (offset) => ({ section, offset, kept: kept.has(offset) }));
  if (sites.reduce((sum, site) => sum + (site.kept ? 1 : 0), 0) === kept.size) return sites;
  const found = new Set(offsets);
  const offset = [...kept].find((at) => !found.has(at)) as number;
  throw new TextpokeError(
    'site-mismatch',
    `${object.describe(section, offset)}: the marker ${keepLockSymbol} is not on a lock prefix; it has to stand right in front of it`,
    { section: code.section.name, offset },
  );
}
