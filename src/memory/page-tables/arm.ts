// Page tables of 32-bit ARM: short descriptors, and long ones where the kernel has CONFIG_ARM_LPAE (ARM DDI 0406, B3.5
// and B3.6; arch/arm/include/asm/pgtable-2level-hwdef.h and pgtable-3level-hwdef.h).
import { addressIn, type PageTables, type Target } from './format.ts';

const end = 2 ** 32;

const short: PageTables = {
  name: 'ARM with short descriptors',
  entrySize: 4,
  levels: [
    { shift: 20, bits: 12 },
    { shift: 12, bits: 8 },
  ],
  start: 0,
  end,
  target(level, low): Target | undefined {
    const type = low & 3;
    if (type === 0) return undefined;
    if (level === 0) {
      if (type === 1) return { kind: 'table', at: addressIn(low, 0, 10) };
      // A section, or a supersection, which says bits 32 to 39 too.
      if ((low & (1 << 18)) === 0) return { kind: 'page', at: addressIn(low, 0, 20) };
      const upper = ((low >>> 20) & 15) + 16 * ((low >>> 5) & 15);
      return { kind: 'page', at: addressIn(low, upper, 24), shift: 24 };
    }
    return type === 1
      ? { kind: 'page', at: addressIn(low, 0, 16), shift: 16 }
      : { kind: 'page', at: addressIn(low, 0, 12) };
  },
};

const longLevels = [
  { shift: 30, bits: 2 },
  { shift: 21, bits: 9 },
  { shift: 12, bits: 9 },
];

const long: PageTables = {
  name: 'ARM with long descriptors',
  entrySize: 8,
  levels: longLevels,
  start: 0,
  end,
  target(level, low, high): Target | undefined {
    if ((low & 1) === 0) return undefined;
    const isTable = (low & 2) !== 0;
    if (level === 2 && !isTable) return undefined;
    const isPage = level === 2 || !isTable;
    const { shift } = longLevels[level] as { shift: number };
    // Bits 12 to 39 of the address.
    return { kind: isPage ? 'page' : 'table', at: addressIn(low, high & 0xff, isPage ? shift : 12) };
  },
};

export const armTables: readonly PageTables[] = [short, long];
