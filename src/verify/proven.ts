// What verify proves of an image, for a person who wants to hear more than that nothing is wrong.
import type { Program } from '../demand/program.ts';
import { kinds } from '../kinds/registry.ts';
import type { LockPolicy } from '../object/found.ts';
import type { Finding } from './finding.ts';
import { lockPolicyOf } from './locks.ts';
import type { VerifyOptions } from './options.ts';
import type { RuleId } from './rules.ts';
import { countTrampolines } from './trampolines.ts';

/** What was looked at, and found right. */
export interface Proven {
  /** Sites about which there is no finding, of those that have to be in a state, by what people call one. */
  readonly sites: readonly { readonly noun: string; readonly proven: number; readonly of: number }[];
  /** Trampolines of static calls. */
  readonly trampolines: number;
  /** Which locks need an entry. */
  readonly locks: LockPolicy;
  readonly cpus: number | undefined;
  readonly state: 'linked' | 'booted';
  /** A module that is not loaded, without its kernel. */
  readonly isModule?: true;
  /** What the image was compared with. */
  readonly original?: string | undefined;
  readonly baseline?: string | undefined;
}

/** Rules about the number of CPUs: without that, one finding says that sites are in several states. */
const cpuRules: ReadonlySet<RuleId> = new Set(['TP011', 'TP017']);

/** Counts what no finding is about; `sound` is the program without the entries at fault. */
export function provenOf(
  program: Program,
  sound: Program,
  options: VerifyOptions,
  findings: readonly Finding[],
): Omit<Proven, 'original' | 'baseline'> {
  const { state = 'booted', cpus } = options;
  const locks = lockPolicyOf(program, options);
  const wrong = new Set<number>();
  for (const { address } of findings) if (address !== undefined) wrong.add(address);
  const isMixed = cpus === undefined && findings.some(({ rule }) => cpuRules.has(rule));
  const counts = new Map<string, { noun: string; proven: number; of: number }>();
  for (const kind of kinds) {
    if (!kind.group) continue;
    const { id, noun } = kind.group;
    const count = counts.get(id) ?? { noun, proven: 0, of: 0 };
    counts.set(id, count);
    count.of += program.sites.of(kind).length;
    const isLookedAt =
      kind.demand !== undefined || (!isMixed && (kind.isNoted === undefined || locks !== 'none'));
    if (isLookedAt) for (const { address } of sound.sites.of(kind)) if (!wrong.has(address)) count.proven++;
  }
  const trampolines = countTrampolines(sound) - findings.filter(({ rule }) => rule === 'TP012').length;
  return { sites: [...counts.values()], trampolines, locks, cpus, state };
}
