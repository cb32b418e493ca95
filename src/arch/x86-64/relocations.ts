// x86-64 relocations: names, and what an in-memory link carries out (psABI 1.0, table 4.9 and section 4.4.1).
import { ByteView } from '../../bytes/view.ts';
import type { LinkRelocation } from '../arch.ts';

// biome-ignore format: the psABI's order, many a line
const names = [
  'NONE', '64', 'PC32', 'GOT32', 'PLT32', 'COPY', 'GLOB_DAT', 'JUMP_SLOT', 'RELATIVE', 'GOTPCREL', '32', '32S',
  '16', 'PC16', '8', 'PC8', 'DTPMOD64', 'DTPOFF64', 'TPOFF64', 'TLSGD', 'TLSLD', 'DTPOFF32', 'GOTTPOFF',
  'TPOFF32', 'PC64', 'GOTOFF64', 'GOTPC32', 'GOT64', 'GOTPCREL64', 'GOTPC64', 'GOTPLT64', 'PLTOFF64', 'SIZE32',
  'SIZE64', 'GOTPC32_TLSDESC', 'TLSDESC_CALL', 'TLSDESC', 'IRELATIVE', 'RELATIVE64', 'PC32_BND', 'PLT32_BND',
  'GOTPCRELX', 'REX_GOTPCRELX',
];

/** `R_X86_64_…`, or the number of a type that the psABI does not name. */
export function relocationName(type: number): string {
  return names[type] === undefined ? `relocation type ${type}` : `R_X86_64_${names[type]}`;
}

type Formula = (r: LinkRelocation) => number;
const absolute: Formula = (r) => r.symbol + r.addend;
const relative: Formula = (r) => r.symbol + r.addend - r.place;
const viaSlot: Formula = (r) => r.slot() + r.addend - r.place;

/** Type → width of the field in bytes, whether it is signed, and its value. */
const rows: Readonly<Record<number, readonly [width: number, signed: boolean, value: Formula]>> = {
  1: [8, true, absolute], // 64
  2: [4, true, relative], // PC32
  4: [4, true, relative], // PLT32: no PLT is needed where everything is in reach
  9: [4, true, viaSlot], // GOTPCREL
  10: [4, false, absolute], // 32
  11: [4, true, absolute], // 32S
  12: [2, false, absolute], // 16
  13: [2, true, relative], // PC16
  14: [1, false, absolute], // 8
  15: [1, true, relative], // PC8
  24: [8, true, relative], // PC64
  41: [4, true, viaSlot], // GOTPCRELX
  42: [4, true, viaSlot], // REX_GOTPCRELX
};

/** Carries out one relocation of an in-memory link; returns why not, when it cannot. */
export function applyX86Relocation(r: LinkRelocation): string | undefined {
  if (r.type === 0) return undefined;
  const row = rows[r.type];
  if (!row)
    return `${relocationName(r.type)} is not supported by the in-memory link; link with ld, and run boot on the image`;
  const [width, signed, formula] = row;
  const value = formula(r);
  if (!Number.isSafeInteger(value)) return `the value of ${relocationName(r.type)} needs more than 53 bits`;
  const view = new ByteView(r.bytes, true);
  if (width === 8) {
    view.setS64(r.offset, value);
    return undefined;
  }
  const limit = 2 ** (8 * width);
  const low = signed ? -limit / 2 : 0;
  const high = signed ? limit / 2 - 1 : limit - 1;
  if (value < low || value > high) {
    return `${relocationName(r.type)} needs ${value}, which is out of its range (${low} to ${high})`;
  }
  if (width === 4) view.setU32(r.offset, value >>> 0);
  else if (width === 2) view.setU16(r.offset, value & 0xffff);
  else view.setU8(r.offset, value & 0xff);
  return undefined;
}
