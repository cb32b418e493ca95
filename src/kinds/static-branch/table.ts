// __jump_table: `struct jump_entry` (include/linux/jump_label.h), s32 code, s32 target, long key.
import type { Address } from '../../bytes/named-numbers.ts';
import { code, splitKey, type TableRow } from '../../bytes/table.ts';
import type { KeyedSite } from '../../demand/sites.ts';
import { SHF_ALLOC, SHF_WRITE } from '../../elf/constants.ts';
import type { Image } from '../../image/image.ts';
import { readImageTable } from '../../image/tables.ts';

/** 32-bit ARM kernels write it with absolute addresses (arch/arm/include/asm/jump_label.h). */
export const jumpTable: TableRow = {
  name: '__jump_table',
  fields: [code('code'), code('target'), { name: 'key', width: 'word' }],
  flags: SHF_ALLOC | SHF_WRITE,
  addralign: 8,
  entsize: 0,
  mayBeAbsolute: true,
  insideOther: true,
  bounds: [['__start___jump_table', '__stop___jump_table']],
};

/** Low bits of a jump entry's key field. */
export const jumpBranch = 1;
export const jumpBit1 = 2;

/** A static branch site; all numbers are virtual addresses. */
export interface BranchSite extends KeyedSite {
  readonly target: Address;
  /** True for static_branch_likely. */
  readonly branch: boolean;
  /** At build: emitted as a jump, must become a NOP. At run time: the site lies in init text. */
  readonly bit1: boolean;
}

/** Every static branch that an image lists. Error `table-malformed`. */
export function readBranchSites(image: Image): BranchSite[] {
  return Array.from(readImageTable(image, jumpTable), ({ address: at, fields }) => {
    const [address, target, value] = fields as [number, number, number];
    const { key, flags } = splitKey(value);
    return {
      entry: { address: at },
      address,
      target,
      key,
      branch: (flags & jumpBranch) !== 0,
      bit1: (flags & jumpBit1) !== 0,
    };
  });
}

/** The fields of a site's entry with flags as they are to be. */
export function branchFields({ address, target, key, branch, bit1 }: BranchSite): number[] {
  return [address, target, key + (branch ? jumpBranch : 0) + (bit1 ? jumpBit1 : 0)];
}
