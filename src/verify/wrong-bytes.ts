// The finding about a place that holds something else than it must.
import { sameBytes } from '../bytes/integer.ts';
import type { Program } from '../demand/program.ts';
import type { Finding } from './finding.ts';
import type { RuleId } from './rules.ts';

/** `rule`, or TP008 where the place starts with a breakpoint. */
export function wrongBytes(
  { image }: Program,
  rule: RuleId,
  address: number,
  message: string,
  expected: Uint8Array | undefined,
  length = expected?.length ?? 1,
): Finding {
  const found = image.readUpTo(address, Math.max(length, 1)).slice();
  const { breakpoint } = image.arch;
  const half = breakpoint !== undefined && sameBytes(found.subarray(0, breakpoint.length), breakpoint);
  return {
    rule: half ? 'TP008' : rule,
    address,
    place: image.describe(address),
    message: half ? `${message}; the place starts with a breakpoint` : message,
    found,
    expected,
  };
}
