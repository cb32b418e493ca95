// Page tables of AArch64, translation table 1 (Arm ARM, D8 "VMSAv8-64 descriptors"; arch/arm64/include/asm/pgtable-hwdef.h).
import { addressIn, type Level, type PageTables, rights, type Target } from './format.ts';

/** A granule in bits, and how many bits an address has. */
interface Shape {
  readonly granule: 12 | 14 | 16;
  readonly bits: number;
  /** Addresses of 52 bits with a small granule (LPA2), where bits 8 and 9 of an entry belong to the address. */
  readonly isLpa2?: boolean;
}

/** What CONFIG_ARM64_VA_BITS offers for each granule. */
const shapes: readonly Shape[] = [
  { granule: 12, bits: 48 },
  { granule: 12, bits: 39 },
  { granule: 12, bits: 52, isLpa2: true },
  { granule: 14, bits: 47 },
  { granule: 14, bits: 48 },
  { granule: 14, bits: 36 },
  { granule: 14, bits: 52, isLpa2: true },
  { granule: 16, bits: 48 },
  { granule: 16, bits: 52 },
  { granule: 16, bits: 42 },
];

/** AP[1]: programs may use it. AP[2]: nobody may write to it. Both in the lower half of an entry. */
const ofUsers = 1 << 6;
const readOnly = 1 << 7;
/**
 * In the upper half: the processor, or an indirect permission, may let it be written to all the same (DBM, bit 51); not for the
 * kernel (PXN, bit 53), not for programs (UXN, bit 54) to execute.
 */
const dirtyBit = 1 << 19;
const notForKernel = 1 << 21;
const notForUsers = 1 << 22;
/** Of an entry that leads to a table, for all below it: PXNTable (bit 59), UXNTable (60), APTable (61: not for programs, 62). */
const tableNotForKernel = 1 << 27;
const tableNotForUsers = 1 << 28;
const tableOfKernel = 1 << 29;
const tableReadOnly = 1 << 30;

/** What a block or a page lets be done. Whether a block is one of a contiguous range (bit 52) changes nothing. */
function pageRights(low: number, high: number): number {
  const isOfUsers = (low & ofUsers) !== 0;
  const isExecutable = (high & notForKernel) === 0 || (isOfUsers && (high & notForUsers) === 0);
  const isWritable = (low & readOnly) === 0 || (high & dirtyBit) !== 0;
  return (
    (isWritable ? rights.write : 0) | (isExecutable ? rights.execute : 0) | (isOfUsers ? rights.user : 0)
  );
}

function tableRights(high: number): number {
  const isExecutable = (high & tableNotForKernel) === 0 || (high & tableNotForUsers) === 0;
  return (
    ((high & tableReadOnly) === 0 ? rights.write : 0) |
    (isExecutable ? rights.execute : 0) |
    ((high & tableOfKernel) === 0 ? rights.user : 0)
  );
}

function levelsOf({ granule, bits }: Shape): Level[] {
  const step = granule - 3;
  const levels: Level[] = [];
  for (let shift: number = granule; shift < bits; shift += step)
    levels.unshift({ shift, bits: Math.min(step, bits - shift) });
  return levels;
}

function tables(shape: Shape): PageTables {
  const { granule, bits, isLpa2 = false } = shape;
  const levels = levelsOf(shape);
  const last = levels.length - 1;
  return {
    name: `AArch64 with pages of ${2 ** (granule - 10)} KiB and addresses of ${bits} bits`,
    entrySize: 8,
    levels,
    start: -(2 ** bits),
    end: 0,
    target(level, low, high): Target | undefined {
      if ((low & 1) === 0) return undefined;
      const isTable = (low & 2) !== 0;
      const { shift } = levels[level] as Level;
      // A block is an entry of a level above the last that is no table; the last level has pages alone.
      if (level === last && !isTable) return undefined;
      const isPage = level === last || !isTable;
      // Bits 12 to 47 of the address, with LPA2 12 to 49.
      let at = addressIn(low, high & (isLpa2 ? 0x3_ffff : 0xffff), isPage ? shift : granule);
      if (isLpa2) at += ((low >>> 8) & 3) * 2 ** 50;
      else if (granule === 16) at += ((low >>> 12) & 15) * 2 ** 48;
      return { kind: isPage ? 'page' : 'table', at };
    },
    rights: (low, high, level) =>
      level < last && (low & 2) !== 0 ? tableRights(high) : pageRights(low, high),
  };
}

export const arm64Tables: readonly PageTables[] = shapes.map(tables);

/** The tables by which a kernel with pages of 4 KiB runs where it lies in physical memory (idmap_pg_dir), by translation table 0. */
export const arm64Identity: PageTables = {
  ...tables({ granule: 12, bits: 48 }),
  name: 'AArch64 with physical addresses',
  start: 0,
  end: 2 ** 48,
};
