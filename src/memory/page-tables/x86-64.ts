// Page tables of x86-64 (Intel SDM 3A, 4.5; arch/x86/include/asm/pgtable_64_types.h).
import { addressIn, type PageTables, rights, type Target } from './format.ts';

const present = 1 << 0;
/** RW and US. */
const writable = 1 << 1;
const ofUsers = 1 << 2;
/** NX, which is bit 63. */
const noExecute = 1 << 31;
/** PS: the entry is the memory itself. */
const large = 1 << 7;
/** Bits 12 to 51 hold the address; those above are the kernel's and NX. */
const highAddress = 0x000f_ffff;
const shifts = [48, 39, 30, 21, 12];

/** `encryption` is the bit of AMD's memory encryption (sme_me_mask), which is no part of an address. */
function tables(name: string, count: 4 | 5, encryption: number): PageTables {
  const levels = shifts.slice(-count).map((shift) => ({ shift, bits: 9 }));
  const half = 2 ** (levels[0] as { shift: number }).shift * 2 ** 8;
  const kept = highAddress & ~Math.floor(encryption / 2 ** 32);
  return {
    name,
    entrySize: 8,
    levels,
    start: -half,
    end: half,
    target(level, low, high): Target | undefined {
      if ((low & present) === 0) return undefined;
      const { shift } = levels[level] as { shift: number };
      const isPage = shift === 12 || (low & large) !== 0;
      if (!isPage) return { kind: 'table', at: addressIn(low, high & kept, 12) };
      // Entries of 512 GiB and more have no such bit.
      return shift > 30 ? undefined : { kind: 'page', at: addressIn(low, high & kept, shift) };
    },
    rights: (low, high) =>
      ((low & writable) !== 0 ? rights.write : 0) |
      ((high & noExecute) === 0 ? rights.execute : 0) |
      ((low & ofUsers) !== 0 ? rights.user : 0),
  };
}

/** Four levels, and five (LA57). */
export const x86Tables = (encryption: number): readonly PageTables[] => [
  tables('x86-64 with four levels', 4, encryption),
  tables('x86-64 with five levels', 5, encryption),
];
