// Entries by themselves: in code, on instructions, keys in data, within their function, in order.
import type { Program } from '../demand/program.ts';
import { unitNotes } from '../image/unit-notes.ts';
import { countSites } from '../kinds/registry.ts';
import { checkInTurn } from './checked.ts';
import type { Finding } from './finding.ts';
import { checkInitFlags, checkInitReferences } from './init.ts';
import { checkKeys } from './keys.ts';
import type { VerifyOptions } from './options.ts';
import { checkOrder } from './order.ts';
import { checkOverlaps } from './overlaps.ts';
import { checkPlaces, checkTargets } from './places.ts';

/** TP001 to TP006, TP015, TP016, TP018 to TP020, TP023, and the program of the entries that nothing is wrong with. */
export function checkEntries(
  program: Program,
  { state = 'booted' }: VerifyOptions,
): { readonly findings: readonly Finding[]; readonly sound: Program } {
  if (countSites(program) === 0 && unitNotes(program.image).annotated === 0) {
    const message = 'no table has an entry; annotate the objects, and keep the tables in the link';
    const place = program.image.file.path;
    return { findings: [{ rule: 'TP016', address: undefined, place, message }], sound: program };
  }
  const { findings, sound } = checkInTurn(program, [checkPlaces, checkKeys, checkTargets, checkOverlaps]);
  return {
    findings: [
      ...findings,
      ...(state === 'booted' ? [...checkOrder(sound), ...checkInitFlags(sound)] : []),
      ...checkInitReferences(sound),
    ],
    sound,
  };
}
