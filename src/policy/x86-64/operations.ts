// What the operations of hypervisors (pv_ops) may lead to: what the file has in their pointers, and what its code stores there.
// Calls through them become direct ones at start-up.
import { readS32 } from '../../arch/x86-64/length.ts';
import type { Image } from '../../image/image.ts';
import { functionStarts, type KernelFile } from './kernel.ts';

/** Copies of pv_ops with the operations of Xen, which start-up takes over part by part (arch/x86/xen). */
const copies = ['xen_irq_ops', 'xen_cpu_ops', 'xen_mmu_ops', 'xen_time_ops'];
/** More bytes than pv_ops has. */
const longest = 4096;

const known = new WeakMap<Image, ReadonlyMap<number, ReadonlySet<number>>>();

/** The number of the set of what a pointer may lead to. */
export function operationTargets({ image, builder }: KernelFile, slot: number): number {
  return builder.targetsOf(`operation of ${image.describe(slot)}`, () => {
    const stored = known.get(image) ?? storedFunctions(image);
    known.set(image, stored);
    const { symbols } = image;
    const found = new Set<number>(stored.get(slot));
    const take = (at: number) => {
      if (!image.contains(at, 8)) return;
      const value = image.readWord(at);
      if (image.codeAt(value) && image.symbolAt(value)?.offset === 0) found.add(value);
    };
    take(slot);
    const whole = symbols.addressOf('pv_ops');
    if (whole !== undefined && slot >= whole && slot < whole + longest)
      for (const copy of copies.flatMap((name) => symbols.addressesOf(name))) take(copy + slot - whole);
    for (const name of ['BUG_func', 'paravirt_BUG'])
      for (const bug of symbols.addressesOf(name)) found.add(bug);
    return { addresses: Float64Array.from(found).sort(), before: 0, outside: false };
  });
}

/** Functions that code stores into memory: by the place, `movq $function, place(%rip)`, or by lea and mov. */
function storedFunctions(image: Image): ReadonlyMap<number, ReadonlySet<number>> {
  const functions = new Set(functionStarts(image));
  const stored = new Map<number, Set<number>>();
  const add = (place: number, value: number) => {
    if (!functions.has(value)) return;
    const of = stored.get(place) ?? new Set<number>();
    of.add(value);
    stored.set(place, of);
  };
  for (const { address, code } of image.code)
    for (let at = 0; at + 14 <= code.length; at++) {
      if (code[at] !== 0x48) continue;
      if (code[at + 1] === 0xc7 && code[at + 2] === 0x05)
        add(address + at + 11 + readS32(code, at + 3), readS32(code, at + 7));
      const isLea = code[at + 1] === 0x8d && ((code[at + 2] as number) & 0xc7) === 0x05;
      if (isLea && code[at + 7] === 0x48 && code[at + 8] === 0x89 && code[at + 9] === code[at + 2])
        add(address + at + 14 + readS32(code, at + 10), address + at + 7 + readS32(code, at + 3));
    }
  return stored;
}
