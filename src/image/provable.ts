// The code of an image as proofs take it: functions by symbols and .eh_frame, which strip leaves.
import { functionsOf } from '../arch/functions.ts';
import type { ProvableCode } from '../arch/proof.ts';
import type { Address } from '../bytes/named-numbers.ts';
import { type Frame, readFrames } from '../dwarf/frames.ts';
import { SHT_NOBITS } from '../elf/constants.ts';
import type { CodeRange } from './code-space.ts';
import type { Image } from './image.ts';

/** The functions that the image's unwind tables describe, in order of address. */
export function framesOfImage(image: Image): readonly Frame[] {
  const frames: Frame[] = [];
  for (const { name, type, addr, size } of image.file.sections) {
    if (name !== '.eh_frame' || type === SHT_NOBITS || !image.contains(addr, size)) continue;
    const found = readFrames(image.read(addr, size), image.file.header.little, {
      resolve: (at, value, isRelative) => ({ section: 0, offset: isRelative ? addr + at + value : value }),
      isRelocated: () => false,
    });
    for (const frame of found) frames.push(frame);
  }
  return frames.sort((a, b) => a.start - b.start);
}

/** What is known of a range of code; `code` is its content, `entries` are addresses that patching sends the flow to. */
export function provableRange(
  image: Image,
  { address, code: { length } }: CodeRange,
  code: Uint8Array,
  frames: readonly Frame[],
  entries: readonly Address[],
): ProvableCode {
  const { table, dynamicOnly } = image.symbols;
  const end = address + length;
  // Where only dynamic symbols are left, nothing says where a function without a size ends.
  const members = image.symbols
    .between(address, end)
    .filter((i) => !dynamicOnly || ((table?.size[i] as number) ?? 0) > 0);
  const own = frames
    .filter(({ start }) => start >= address && start < end)
    .map((frame) => ({ ...frame, start: frame.start - address, end: frame.end - address }));
  return {
    code,
    functions: functionsOf(table, members, (i) => (table?.value[i] as number) - address, own, length),
    entries: Float64Array.from(
      entries.filter((at) => at >= address && at < end),
      (at) => at - address,
    ).sort(),
    relocated: undefined,
    address: image.isPositionIndependent ? undefined : address,
  };
}
