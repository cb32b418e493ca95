// The capabilities of an arm64 system (arch/arm64/kernel/cpufeature.c): a bit each, by a number that changes from version to
// version. The kernel's own table of them says which number is which: `struct arm64_cpu_capabilities` has a description.
import type { Image } from '../../image/image.ts';
import type { Btf } from '../../kernel/btf.ts';

/** Descriptions that have been the same from 5.10 to 7.3. */
const descriptions = {
  vhe: 'Virtualization Host Extensions',
  ssbs: 'Speculative Store Bypassing Safe (SSBS)',
  v3a: 'Spectre-v3a',
} as const;
export type CapName = keyof typeof descriptions;

/** Numbers are below this (ARM64_CB_BIT is bit 15). */
export const mostCaps = 1 << 15;

/** The number of a capability; undefined where the kernel's table does not tell, or has it twice with two numbers. */
export function capNumber(image: Image, btf: Btf | undefined, name: CapName): number | undefined {
  const desc = btf?.member('arm64_cpu_capabilities', 'desc')?.offset;
  const number = btf?.member('arm64_cpu_capabilities', 'capability')?.offset;
  if (desc === undefined || number === undefined) return undefined;
  const text = Buffer.from(`\0${descriptions[name]}\0`, 'latin1');
  const strings: number[] = [];
  for (const { address, bytes } of dataOf(image))
    for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1))
      strings.push(address + at + 1);
  const found = new Set<number>();
  for (const string of strings) {
    const word = Buffer.alloc(8);
    word.writeBigInt64LE(BigInt(string));
    for (const { address, bytes } of dataOf(image))
      for (let at = bytes.indexOf(word); at >= 0; at = bytes.indexOf(word, at + 1)) {
        const entry = address + at - desc;
        if (entry % 8 === 0 && image.contains(entry + number, 2)) {
          const low = image.read(entry + number, 2);
          found.add((low[0] as number) | ((low[1] as number) << 8));
        }
      }
  }
  const [only] = found;
  return found.size === 1 && only !== undefined && only < mostCaps ? only : undefined;
}

const data = new WeakMap<Image, readonly { readonly address: number; readonly bytes: Buffer }[]>();

/** The sections that have no code. */
function dataOf(image: Image): readonly { readonly address: number; readonly bytes: Buffer }[] {
  const known = data.get(image);
  if (known) return known;
  const made = image.file.sections.flatMap(({ addr, size, flags }) => {
    const isData = (flags & 2) !== 0 && (flags & 4) === 0 && size > 0;
    if (!isData || image.fileOffset(addr, size) === undefined) return [];
    const bytes = image.read(addr, size);
    return [{ address: addr, bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length) }];
  });
  data.set(image, made);
  return made;
}
