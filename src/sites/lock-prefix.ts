// Finds lock prefixes: every F0 that prefixes an instruction, never one in a displacement, an immediate or data.
import type { CodeSection, ObjectCode } from './object-code.ts';

export interface LockSite {
  readonly section: number;
  /** Section-relative byte offset of the F0 byte itself. */
  readonly offset: number;
}

/** The lock prefixes of one code section without those in `kept`, ascending; none on machines without the prefix. */
export function findLocks(object: ObjectCode, code: CodeSection, kept: ReadonlySet<number>): LockSite[] {
  const prefix = object.arch.lockPrefix;
  if (!prefix) return [];
  const section = code.section.index;
  const sites: LockSite[] = [];
  for (const offset of prefix.find(code.code, object.codeMap(code.section))) {
    if (!kept.has(offset)) sites.push({ section, offset });
  }
  return sites;
}
