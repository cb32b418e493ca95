// What a function of A64 reads and writes at fixed addresses: adrp, and the offset of the add, load or store behind it. Kernels
// whose kallsyms has functions alone tell by this where their variables lie.
import type { Image } from '../../image/image.ts';
import { adrpPages, isAdrp, operandOf, registerOf, size } from './words.ts';

/** An access in the order of the code. */
export interface Access {
  /** As linked. */
  readonly address: number;
  /** 1, 2, 4 or 8; 0: its address is taken, or counted on from. */
  readonly bytes: number;
  readonly isStore: boolean;
}

/** Most instructions of a function that are looked at. */
const most = 400;

/** The accesses of the function at an address. A register keeps its address until it gets another. */
export function accessesOf(image: Image, address: number): Access[] {
  const held = new Map<number, number>();
  const found: Access[] = [];
  const end = endOf(image, address);
  for (let at = address; at < end; at += size) {
    const word = image.readS32(at) >>> 0;
    const [to, from] = [registerOf(word), operandOf(word)];
    const base = held.get(from);
    if (isAdrp(word)) {
      held.set(to, (Math.floor(at / 4096) + adrpPages(word)) * 4096);
      continue;
    }
    // add Xd, Xn, #imm{, lsl #12}
    if ((word & 0xff80_0000) >>> 0 === 0x9100_0000) {
      const number = ((word >>> 10) & 0xfff) << ((word & 0x40_0000) !== 0 ? 12 : 0);
      if (base === undefined) held.delete(to);
      else {
        held.set(to, base + number);
        found.push({ address: base + number, bytes: 0, isStore: false });
      }
      continue;
    }
    // ldr and str of an unsigned offset, which is counted in what is read: size in bits 31 and 30.
    if ((word & 0x3f00_0000) === 0x3900_0000) {
      const bytes = 1 << (word >>> 30);
      const isStore = (word & 0x00c0_0000) === 0;
      if (base !== undefined) found.push({ address: base + ((word >>> 10) & 0xfff) * bytes, bytes, isStore });
      if (!isStore) held.delete(to);
    }
  }
  return found;
}

/** Where the next function begins. */
function endOf(image: Image, address: number): number {
  let end = address + size;
  while (end < address + most * size && image.contains(end, size) && image.symbolAt(end)?.offset !== 0)
    end += size;
  return end;
}
