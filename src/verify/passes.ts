// The passes of verify over an image, top to bottom; findings in order of rule and address.
import type { Image } from '../image/image.ts';
import { unitNotes } from '../image/unit-notes.ts';
import { countGroups, countSites, programOf, type SiteCounts } from '../kinds/registry.ts';
import { checkBarriers } from './barriers.ts';
import { checkCoverage } from './coverage.ts';
import { checkEntries } from './entries.ts';
import type { Finding } from './finding.ts';
import { checkInstructions } from './instructions.ts';
import { checkLocks } from './locks.ts';
import { checkLostSites } from './lost-sites.ts';
import { checkMarkers } from './markers.ts';
import type { VerifyOptions } from './options.ts';
import { byRuleAndAddress, withoutConsequences } from './order-findings.ts';
import { checkOriginal } from './original.ts';
import { type Proven, provenOf } from './proven.ts';

export interface Verified {
  readonly findings: readonly Finding[];
  /** How many sites were looked at. */
  readonly counts: SiteCounts;
  /** And found right, without the names of what it was compared with. */
  readonly proven: Proven;
}

/** Runs every check. Errors: `table-malformed` when a table cannot be read at all. */
export function checkImage(image: Image, options: VerifyOptions = {}): Verified {
  const { state = 'booted', original } = options;
  const program = programOf(image);
  const counts = countGroups(program);
  const { findings: causes, sound } = checkEntries(program, options);
  if (countSites(program) === 0 && unitNotes(image).annotated === 0)
    return { findings: causes, counts, proven: provenOf(program, sound, options, causes) };
  // From here on checks see the entries that nothing is wrong with, and are told of the others where these excuse.
  const findings = [
    ...causes,
    ...checkInstructions(sound, { state }),
    ...checkCoverage(program, sound),
    ...checkMarkers(program, sound),
    ...checkLocks(sound, program, options),
    ...checkBarriers(sound, options),
  ];
  for (const finding of checkLostSites(program, sound, findings)) findings.push(finding);
  if (original) {
    const faulty = new Set(findings.flatMap(({ entry }) => (entry === undefined ? [] : [entry])));
    for (const finding of checkOriginal(program, programOf(original), faulty)) findings.push(finding);
  }
  const ordered = withoutConsequences(findings).sort(byRuleAndAddress);
  return { findings: ordered, counts, proven: provenOf(program, sound, options, ordered) };
}
