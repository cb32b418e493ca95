// What a check of entries gives back: findings, and which entries are at fault. It changes nothing.
import type { Address, EntryAddress } from '../bytes/named-numbers.ts';
import { type Program, withoutEntries } from '../demand/program.ts';
import type { Finding } from './finding.ts';
import type { RuleId } from './rules.ts';

export interface Checked {
  readonly findings: readonly Finding[];
  /** Addresses of entries that something is wrong with. */
  readonly faulty: ReadonlySet<EntryAddress>;
}

/** What a site that is listed has in common with all others. */
interface Listed {
  readonly entry: { readonly address: EntryAddress };
}

/** A finding about an entry and the place it names. */
export function entryFinding(
  { image }: Pick<Program, 'image'>,
  rule: RuleId,
  { entry }: Listed,
  address: Address,
  message: string,
): Finding {
  return { rule, address, place: image.describe(address), message, entry: entry.address };
}

/**
 * Runs checks one after the other, each on the entries that those in front of it found sound: one defect is said once.
 * Returns all findings and the program of the sound entries.
 */
export function checkInTurn(
  program: Program,
  checks: readonly ((program: Program) => Checked)[],
): { readonly findings: readonly Finding[]; readonly sound: Program } {
  let sound = program;
  const findings: Finding[] = [];
  for (const check of checks) {
    const { findings: found, faulty } = check(sound);
    for (const finding of found) findings.push(finding);
    sound = withoutEntries(sound, faulty);
  }
  return { findings, sound };
}
