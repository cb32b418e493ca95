// Proves a patched image: every check in turn, findings in order of rule and address.
import { Runtime } from '../boot/runtime.ts';
import type { Image } from '../image/image.ts';
import { checkBarriers } from './barriers.ts';
import { checkCoverage } from './coverage.ts';
import { checkEntries } from './entries.ts';
import type { Finding } from './finding.ts';
import { checkInstructions } from './instructions.ts';
import { checkLocks } from './locks.ts';
import { checkMarkers } from './markers.ts';
import { checkOriginal } from './original.ts';
import { type RuleId, rules } from './rules.ts';

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
  if (a.rule !== b.rule) return a.rule < b.rule ? -1 : 1;
  if (a.address === undefined || b.address === undefined) {
    return Number(a.address === undefined) - Number(b.address === undefined);
  }
  return a.address - b.address;
}

/** Comparisons say that something differs; where another rule says what is wrong with it, they say no more. */
const comparisons: ReadonlySet<RuleId> = new Set(['TP013', 'TP014']);
const unlisted: ReadonlySet<RuleId> = new Set(['TP009', 'TP010', 'TP022']);

/** In order of rule and address, without what another finding says better. */
function settle(findings: readonly Finding[]): Finding[] {
  const isError = ({ rule }: Finding) => rules[rule].severity === 'error' && !comparisons.has(rule);
  const wrong = new Set(findings.filter(isError).map(({ address }) => address));
  // An entry that was turned to another site leaves that one listed twice and its own not at all.
  const isLost = findings.some(({ rule }) => unlisted.has(rule));
  return findings
    .filter(({ rule, address }) => !comparisons.has(rule) || address === undefined || !wrong.has(address))
    .filter(({ rule }) => rule !== 'TP019' || !isLost)
    .sort(byRuleAndAddress);
}

/** Runs every check. Errors: `table-malformed` when a table cannot be read at all. */
export function verifyImage(image: Image, options: VerifyOptions): Verified {
  const runtime = new Runtime(image);
  const counts = {
    branches: runtime.branches.length,
    calls: runtime.callSites.length,
    locks: runtime.locks.length,
    barriers: runtime.barriers.length + runtime.alternatives.length,
  };
  const isEmpty = runtime.entryCount === 0;
  // From here on the runtime holds only entries that nothing is wrong with.
  const causes = [...checkEntries(runtime, options)];
  if (isEmpty) return { findings: causes, counts };
  const findings = [
    ...causes,
    ...checkInstructions(runtime, options),
    ...checkCoverage(runtime),
    ...checkMarkers(runtime),
    ...checkLocks(runtime, options),
    ...checkBarriers(runtime, options),
  ];
  const faulty = new Set(findings.flatMap(({ entry }) => (entry === undefined ? [] : [entry])));
  // The tables are read once more, with the entries that were left out.
  const differences = options.original
    ? checkOriginal(new Runtime(image), new Runtime(options.original), faulty)
    : [];
  return { findings: settle([...findings, ...differences]), counts };
}
