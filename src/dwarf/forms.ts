// The forms in which attributes of .debug_info stand (DWARF 5, section 7.5.6; GNU's extensions to DWARF 4).
import { requireSafe } from '../bytes/integer.ts';
import type { ByteView } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import * as dw from './constants.ts';

/** What the size of a form follows from. */
export interface FormSizes {
  readonly version: number;
  readonly addressSize: number;
  /** 64-bit DWARF: offsets have eight bytes. */
  readonly wide: boolean;
}

/** How a form without a fixed size tells where it ends. */
export const Ends = { leb: 1, string: 2, block: 3, block1: 4, block2: 5, block4: 6, indirect: 7 } as const;

const ends = new Map<number, number>([
  [dw.DW_FORM_string, Ends.string],
  [dw.DW_FORM_block, Ends.block],
  [dw.DW_FORM_exprloc, Ends.block],
  [dw.DW_FORM_block1, Ends.block1],
  [dw.DW_FORM_block2, Ends.block2],
  [dw.DW_FORM_block4, Ends.block4],
  [dw.DW_FORM_indirect, Ends.indirect],
  ...[
    dw.DW_FORM_sdata,
    dw.DW_FORM_udata,
    dw.DW_FORM_ref_udata,
    dw.DW_FORM_strx,
    dw.DW_FORM_addrx,
    dw.DW_FORM_loclistx,
    dw.DW_FORM_rnglistx,
    dw.DW_FORM_GNU_addr_index,
    dw.DW_FORM_GNU_str_index,
  ].map((form): [number, number] => [form, Ends.leb]),
]);

const sizes = new Map<number, number>([
  [dw.DW_FORM_flag_present, 0],
  [dw.DW_FORM_implicit_const, 0],
  [dw.DW_FORM_data1, 1],
  [dw.DW_FORM_flag, 1],
  [dw.DW_FORM_ref1, 1],
  [dw.DW_FORM_strx1, 1],
  [dw.DW_FORM_addrx1, 1],
  [dw.DW_FORM_data2, 2],
  [dw.DW_FORM_ref2, 2],
  [dw.DW_FORM_strx2, 2],
  [dw.DW_FORM_addrx2, 2],
  [dw.DW_FORM_strx3, 3],
  [dw.DW_FORM_addrx3, 3],
  [dw.DW_FORM_data4, 4],
  [dw.DW_FORM_ref4, 4],
  [dw.DW_FORM_ref_sup4, 4],
  [dw.DW_FORM_strx4, 4],
  [dw.DW_FORM_addrx4, 4],
  [dw.DW_FORM_data8, 8],
  [dw.DW_FORM_ref8, 8],
  [dw.DW_FORM_ref_sig8, 8],
  [dw.DW_FORM_ref_sup8, 8],
  [dw.DW_FORM_data16, 16],
]);

/** Forms that hold an offset in a section, in this file or the supplementary one. */
const offsetForms: ReadonlySet<number> = new Set([
  dw.DW_FORM_strp,
  dw.DW_FORM_line_strp,
  dw.DW_FORM_strp_sup,
  dw.DW_FORM_sec_offset,
  dw.DW_FORM_GNU_strp_alt,
  dw.DW_FORM_GNU_ref_alt,
]);

/** Bytes of a form; undefined where they tell themselves (`endOf`). Error `elf-unsupported` for an unknown form. */
export function sizeOf(form: number, { version, addressSize, wide }: FormSizes): number | undefined {
  const size = sizes.get(form);
  if (size !== undefined) return size;
  const offset = wide ? 8 : 4;
  if (offsetForms.has(form)) return offset;
  if (form === dw.DW_FORM_addr) return addressSize;
  if (form === dw.DW_FORM_ref_addr) return version <= 2 ? addressSize : offset;
  if (ends.has(form)) return undefined;
  throw new TextpokeError('elf-unsupported', `form 0x${form.toString(16)} is not supported`);
}

/** How a form without a fixed size ends: one of `Ends`. */
export function endOf(form: number): number {
  return ends.get(form) as number;
}

/** Bytes of a number of LEB128. Tools pad some, and many entries may refer to one. */
const longestNumber = 32;

/** The number at byte `at`, and the byte behind it. Error `elf-malformed` for one that goes on and on. */
export function readUleb(bytes: Uint8Array, at: number): { value: number; end: number } {
  let value = 0;
  let scale = 1;
  let next = at;
  let byte: number;
  do {
    byte = bytes[next++] ?? 0;
    value += (byte & 0x7f) * scale;
    scale *= 0x80;
  } while (byte >= 0x80 && next - at < longestNumber);
  if (byte < 0x80) return { value, end: next };
  throw new TextpokeError('elf-malformed', `a number has more than ${longestNumber} bytes`);
}

/** Resolves DW_FORM_indirect: the form that stands at the place, and where its value is. */
export function directForm(bytes: Uint8Array, form: number, at: number): { form: number; at: number } {
  let now = { form, at };
  while (now.form === dw.DW_FORM_indirect) {
    const { value, end } = readUleb(bytes, now.at);
    now = { form: value, at: end };
    if (now.at > bytes.length) throw new TextpokeError('elf-malformed', 'a form ends behind its unit');
  }
  return now;
}

/** The unsigned number of a constant, an offset, an index or a reference; undefined for other forms. Error `elf-truncated`. */
export function numberAt(view: ByteView, form: number, at: number, unit: FormSizes): number | undefined {
  if (form === dw.DW_FORM_implicit_const) return at;
  const size = sizeOf(form, unit);
  if (size === undefined) return endOf(form) === Ends.leb ? readUleb(view.bytes, at).value : undefined;
  switch (size) {
    case 1:
      return view.u8(at);
    case 2:
      return view.u16(at);
    case 3: {
      const [a, b, c] = [view.u8(at), view.u8(at + 1), view.u8(at + 2)];
      return view.little ? a | (b << 8) | (c << 16) : (a << 16) | (b << 8) | c;
    }
    case 4:
      return view.u32(at);
    case 8:
      return requireSafe(view.u64(at), 'a number');
    default:
      return undefined;
  }
}
