// AArch64 relocations: names, and what an in-memory link carries out (aaelf64 sections 5.7.4 to 5.7.13).
import { eitherRange, signedRange } from '../../bytes/integer.ts';
import { ByteView } from '../../bytes/view.ts';
import type { LinkRelocation } from '../arch.ts';

type Formula = (r: LinkRelocation) => number;
/** Address of the 4 KiB page that an address lies in. */
export const pageOf = (address: number) => address - (((address % 0x1000) + 0x1000) % 0x1000);
const absolute: Formula = (r) => r.symbol + r.addend; // S + A
const relative: Formula = (r) => r.symbol + r.addend - r.place; // S + A - P
const pages: Formula = (r) => pageOf(r.symbol + r.addend) - pageOf(r.place); // Page(S + A) - Page(P)
const slot: Formula = (r) => r.slot() + r.addend; // G(GDAT(S)) + A
const slotRelative: Formula = (r) => r.slot() + r.addend - r.place;
const slotPages: Formula = (r) => pageOf(r.slot() + r.addend) - pageOf(r.place);
/** A branch to a weak symbol that nobody defines goes on behind itself (aaelf64, 5.7.8). */
const branch: Formula = (r) => (r.symbol === 0 ? 4 : relative(r));

/** A field of `width` bits of the value, from its bit `shift` on, which goes to bit `at` of the instruction. */
interface Field {
  readonly at: number;
  readonly width: number;
  readonly shift: number;
}

interface Row {
  readonly name: string;
  readonly value?: Formula;
  /** Bytes of a datum; undefined for an instruction. */
  readonly bytes?: 2 | 4 | 8;
  readonly fields?: readonly Field[];
  /** Both ends of what the value may be; undefined: not checked. */
  readonly range?: readonly [low: number, high: number];
  /** The value is a multiple of so many bytes. */
  readonly multiple?: number;
  /** movz for a value that is not negative, movn with its complement else. */
  readonly signedMove?: true;
}

const unsignedRange = (bits: number): readonly [number, number] => [0, 2 ** bits - 1];

const data = (name: string, bytes: 2 | 4 | 8, value: Formula, range?: Row['range']): Row => ({
  name,
  bytes,
  value,
  ...(range && { range }),
});
const adr = (name: string, value: Formula, shift: number, range?: Row['range']): Row => ({
  name,
  value,
  fields: [
    { at: 29, width: 2, shift },
    { at: 5, width: 19, shift: shift + 2 },
  ],
  ...(range && { range }),
});
const low12 = (name: string, shift: number, value = absolute): Row => ({
  name,
  value,
  fields: [{ at: 10, width: 12 - shift, shift }],
  multiple: 2 ** shift,
});
const words = (name: string, at: number, width: number, value: Formula): Row => ({
  name,
  value,
  fields: [{ at, width, shift: 2 }],
  range: signedRange(width + 2),
  multiple: 4,
});
const move = (name: string, group: number, value: Formula, range?: Row['range'], signedMove?: true): Row => ({
  name,
  value,
  fields: [{ at: 5, width: 16, shift: 16 * group }],
  ...(range && { range }),
  ...(signedMove && { signedMove }),
});

/** By number. Rows without a value are only named. */
const rows: Readonly<Record<number, Row>> = {
  0: { name: 'NONE' },
  256: { name: 'NONE' },
  257: data('ABS64', 8, absolute),
  258: data('ABS32', 4, absolute, eitherRange(32)),
  259: data('ABS16', 2, absolute, eitherRange(16)),
  260: data('PREL64', 8, relative),
  261: data('PREL32', 4, relative, signedRange(32)),
  262: data('PREL16', 2, relative, signedRange(16)),
  263: move('MOVW_UABS_G0', 0, absolute, unsignedRange(16)),
  264: move('MOVW_UABS_G0_NC', 0, absolute),
  265: move('MOVW_UABS_G1', 1, absolute, unsignedRange(32)),
  266: move('MOVW_UABS_G1_NC', 1, absolute),
  267: move('MOVW_UABS_G2', 2, absolute, unsignedRange(48)),
  268: move('MOVW_UABS_G2_NC', 2, absolute),
  269: move('MOVW_UABS_G3', 3, absolute),
  270: move('MOVW_SABS_G0', 0, absolute, signedRange(17), true),
  271: move('MOVW_SABS_G1', 1, absolute, signedRange(33), true),
  272: move('MOVW_SABS_G2', 2, absolute, signedRange(49), true),
  273: words('LD_PREL_LO19', 5, 19, relative),
  274: adr('ADR_PREL_LO21', relative, 0, signedRange(21)),
  275: adr('ADR_PREL_PG_HI21', pages, 12, signedRange(33)),
  276: adr('ADR_PREL_PG_HI21_NC', pages, 12),
  277: { name: 'ADD_ABS_LO12_NC', value: absolute, fields: [{ at: 10, width: 12, shift: 0 }] },
  278: low12('LDST8_ABS_LO12_NC', 0),
  279: words('TSTBR14', 5, 14, branch),
  280: words('CONDBR19', 5, 19, branch),
  282: words('JUMP26', 0, 26, branch),
  283: words('CALL26', 0, 26, branch),
  284: low12('LDST16_ABS_LO12_NC', 1),
  285: low12('LDST32_ABS_LO12_NC', 2),
  286: low12('LDST64_ABS_LO12_NC', 3),
  287: move('MOVW_PREL_G0', 0, relative, signedRange(17), true),
  288: move('MOVW_PREL_G0_NC', 0, relative),
  289: move('MOVW_PREL_G1', 1, relative, signedRange(33), true),
  290: move('MOVW_PREL_G1_NC', 1, relative),
  291: move('MOVW_PREL_G2', 2, relative, signedRange(49), true),
  292: move('MOVW_PREL_G2_NC', 2, relative),
  293: move('MOVW_PREL_G3', 3, relative, undefined, true),
  299: low12('LDST128_ABS_LO12_NC', 4),
  309: words('GOT_LD_PREL19', 5, 19, slotRelative),
  311: adr('ADR_GOT_PAGE', slotPages, 12, signedRange(33)),
  312: low12('LD64_GOT_LO12_NC', 3, slot),
  314: data('PLT32', 4, relative, signedRange(32)), // no PLT is needed where everything is in reach
  // Relocations against a GOT base or thread-local data, and dynamic ones
  307: { name: 'GOTREL64' },
  308: { name: 'GOTREL32' },
  310: { name: 'LD64_GOTOFF_LO15' },
  313: {
    name: 'LD64_GOTPAGE_LO15',
    value: (r) => r.slot() + r.addend - pageOf(r.got),
    fields: [{ at: 10, width: 12, shift: 3 }],
    range: unsignedRange(15),
    multiple: 8,
  },
  541: { name: 'TLSIE_ADR_GOTTPREL_PAGE21' },
  542: { name: 'TLSIE_LD64_GOTTPREL_LO12_NC' },
  549: { name: 'TLSLE_ADD_TPREL_HI12' },
  551: { name: 'TLSLE_ADD_TPREL_LO12_NC' },
  562: { name: 'TLSDESC_ADR_PAGE21' },
  563: { name: 'TLSDESC_LD64_LO12' },
  564: { name: 'TLSDESC_ADD_LO12' },
  569: { name: 'TLSDESC_CALL' },
  1024: { name: 'COPY' },
  1025: { name: 'GLOB_DAT' },
  1026: { name: 'JUMP_SLOT' },
  1027: { name: 'RELATIVE' },
  1031: { name: 'TLSDESC' },
  1032: { name: 'IRELATIVE' },
};

/** `R_AARCH64_…`, or the number of a type that has no row. */
export function aarch64RelocationName(type: number): string {
  const row = rows[type];
  return row ? `R_AARCH64_${row.name}` : `relocation type ${type}`;
}

/** Carries out one relocation of an in-memory link; returns why not, when it cannot. */
export function applyAArch64Relocation(r: LinkRelocation): string | undefined {
  const name = aarch64RelocationName(r.type);
  if (name === 'R_AARCH64_NONE') return undefined;
  const row = rows[r.type];
  if (!row?.value)
    return `${name} is not supported by the in-memory link; link with ld, and run boot on the image`;
  const value = row.value(r);
  if (!Number.isSafeInteger(value)) return `the value of ${name} needs more than 53 bits`;
  const [low, high] = row.range ?? [value, value];
  if (value < low || value > high)
    return `${name} needs ${value}, which is out of its range (${low} to ${high})`;
  if (row.multiple !== undefined && value % row.multiple !== 0)
    return `${name} needs ${value}, which is not a multiple of ${row.multiple}`;
  // Instructions are little-endian whatever data are.
  const view = new ByteView(r.bytes, row.bytes === undefined || r.little);
  if (row.bytes === 8) view.setS64(r.offset, value);
  else if (row.bytes === 4) view.setU32(r.offset, value >>> 0);
  else if (row.bytes === 2) view.setU16(r.offset, value & 0xffff);
  else view.setU32(r.offset, instruction(row, view.u32(r.offset), BigInt(value)));
  return undefined;
}

/** The instruction with the value in its fields. */
function instruction(row: Row, word: number, value: bigint): number {
  let bits = BigInt(word);
  let shown = value;
  if (row.signedMove) {
    // opc in bits 30 and 29: 10 is movz, 00 is movn
    bits = (bits & ~(3n << 29n)) | (value < 0n ? 0n : 2n << 29n);
    if (value < 0n) shown = ~value;
  }
  for (const { at, width, shift } of row.fields ?? []) {
    const mask = (1n << BigInt(width)) - 1n;
    bits = (bits & ~(mask << BigInt(at))) | (((shown >> BigInt(shift)) & mask) << BigInt(at));
  }
  return Number(bits);
}
