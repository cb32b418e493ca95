// What verify says of an earlier build: sites that were lost since, and sites that are new.
import type { Finding } from '../verify/finding.ts';
import type { ComparedSites } from './compare.ts';
import { describeSite } from './sites.ts';

/** TP027, TP028. What a site says may change; textpoke diff shows that. */
export function* checkBaseline({ differences }: ComparedSites): Generator<Finding> {
  for (const difference of differences) {
    if (difference.what === 'removed') {
      const { before } = difference;
      const message = `the baseline has a ${describeSite(before)} at ${before.place}`;
      yield { rule: 'TP027', address: undefined, place: difference.function, message };
    } else if (difference.what === 'added') {
      const { place, address } = difference.after;
      const message = `the baseline does not have this ${describeSite(difference.after)}`;
      yield { rule: 'TP028', address, place, message };
    }
  }
}
