// The code of an image as proofs take it: functions by symbols and unwind tables.
import { functionsOf } from '../arch/functions.ts';
import type { ProvableCode } from '../arch/proof.ts';
import type { Address } from '../bytes/named-numbers.ts';
import type { CodeRange } from './code-space.ts';
import type { Image } from './image.ts';

/** What is known of a range of code; `code` is its content, `entries` are addresses that patching sends the flow to. */
export function provableRange(
  image: Image,
  range: CodeRange,
  code: Uint8Array,
  entries: readonly Address[],
): ProvableCode {
  const { table, dynamicOnly } = image.symbols;
  const { address } = range;
  const { length } = range.code;
  const end = address + length;
  // Where only dynamic symbols are left, nothing says where a function without a size ends.
  const members = image.symbols
    .between(address, end)
    .filter((i) => !dynamicOnly || ((table?.size[i] as number) ?? 0) > 0);
  const frames = image
    .framesIn(range)
    .map((frame) => ({ ...frame, start: frame.start - address, end: frame.end - address }));
  return {
    code,
    functions: functionsOf(table, members, (i) => (table?.value[i] as number) - address, frames, length),
    entries: Float64Array.from(
      entries.filter((at) => at >= address && at < end),
      (at) => at - address,
    ).sort(),
    relocated: undefined,
    address: image.isPositionIndependent ? undefined : address,
  };
}
