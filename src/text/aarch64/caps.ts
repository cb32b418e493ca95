// The capabilities of an arm64 system (arch/arm64/kernel/cpufeature.c): a bit each, by a number that changes from version to
// version. The kernel's own table of them says which number is which: `struct arm64_cpu_capabilities` has a description.
import type { Image } from '../../image/image.ts';
import type { Btf } from '../../kernel/btf.ts';
import { forEachPointer } from '../longest-table.ts';
import { pointerAt } from './found-tables.ts';

/** Descriptions that have been the same from 5.10 to 7.3. */
const descriptions = {
  vhe: 'Virtualization Host Extensions',
  ssbs: 'Speculative Store Bypassing Safe (SSBS)',
  v3a: 'Spectre-v3a',
  adrp: 'ARM erratum 843419',
} as const;
export type CapName = keyof typeof descriptions;
export const capNames = Object.keys(descriptions) as readonly CapName[];

/** Numbers are below this (ARM64_CB_BIT is bit 15). */
export const mostCaps = 1 << 15;

/** The number of a capability; undefined where the kernel's table does not tell, or has it twice with two numbers. */
export function capNumber(image: Image, btf: Btf | undefined, name: CapName): number | undefined {
  const desc = btf?.member('arm64_cpu_capabilities', 'desc')?.offset;
  const number = btf?.member('arm64_cpu_capabilities', 'capability')?.offset;
  const matches = btf?.member('arm64_cpu_capabilities', 'matches')?.offset;
  if (desc === undefined || number === undefined || matches === undefined) return undefined;
  const found = new Set<number>();
  forEachPointer(image, descriptions[name], (view, at) => {
    const entry = at - desc;
    // Other tables have the same names (overrides of registers); of a capability a function says who has it.
    const isEntry = entry >= 0 && entry + matches + 8 <= view.byteLength;
    if (isEntry && image.codeAt(pointerAt(view, entry + matches)))
      found.add(view.getUint16(entry + number, true));
  });
  const [only] = found;
  return found.size === 1 && only !== undefined && only < mostCaps ? only : undefined;
}
