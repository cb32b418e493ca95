// Proves a patched image: every check in turn, findings in order of rule and address.
import { Runtime } from '../boot/runtime.ts';
import type { Finding } from '../findings.ts';
import type { Image } from '../image/image.ts';
import { checkBarriers } from './barriers.ts';
import { checkCoverage } from './coverage.ts';
import { checkEntries } from './entries.ts';
import { checkInstructions } from './instructions.ts';
import { checkLocks } from './locks.ts';
import { checkOriginal } from './original.ts';

/** Which locks need an entry: all, none but those listed, or locks are not looked at. */
export type LockCheck = 'all' | 'listed' | 'none';

export interface VerifyOptions {
  /** `linked`: as the linker left it, sites still on their trampolines. `booted`: patched and sorted. */
  readonly state: 'linked' | 'booted';
  /** Number of CPUs the locks must fit; undefined: all in one state, whichever. */
  readonly cpus: number | undefined;
  /** Undefined: `all` where the image has a lock table (`listed` in a kernel), else `none`. */
  readonly locks: LockCheck | undefined;
  readonly original: Image | undefined;
}

export interface Verified {
  readonly findings: readonly Finding[];
  /** What was looked at. */
  readonly counts: {
    readonly branches: number;
    readonly calls: number;
    readonly locks: number;
    readonly barriers: number;
  };
}

export function byRuleAndAddress(a: Finding, b: Finding): number {
  return a.rule < b.rule ? -1 : a.rule > b.rule ? 1 : a.address - b.address;
}

/** Runs every check. Errors: `table-malformed` when a table cannot be read at all. */
export function verifyImage(image: Image, options: VerifyOptions): Verified {
  const runtime = new Runtime(image);
  const findings: Finding[] = [
    ...checkEntries(runtime, options),
    ...checkInstructions(runtime, options),
    ...checkCoverage(runtime),
    ...checkLocks(runtime, options),
    ...checkBarriers(runtime, options),
    ...(options.original ? checkOriginal(runtime, new Runtime(options.original)) : []),
  ];
  findings.sort(byRuleAndAddress);
  return {
    findings,
    counts: {
      branches: runtime.branches.length,
      calls: runtime.callSites.length,
      locks: runtime.locks.length,
      barriers: runtime.barriers.length + runtime.alternatives.length,
    },
  };
}
