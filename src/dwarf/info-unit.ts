// A unit of .debug_info: its header and its first entry (DWARF 5, sections 7.5.1 and 3.1; versions 2 to 5), and the
// entries behind it, one after the other.
import { requireSafe } from '../bytes/integer.ts';
import type { ByteView } from '../bytes/view.ts';
import type { Section } from '../elf/file.ts';
import { TextpokeError } from '../errors.ts';
import { type Abbreviations, Op, type SlotOf } from './abbreviations.ts';
import * as dw from './constants.ts';
import { directForm, Ends, endOf, type FormSizes, numberAt, readUleb, sizeOf } from './forms.ts';
import type { CodePlace, DebugPlace, InfoFile } from './info-file.ts';
import type { UnitFrame } from './line-header.ts';

/** The attributes that are looked at. */
export const Slot = {
  sibling: 0,
  lowPc: 1,
  highPc: 2,
  ranges: 3,
  callFile: 4,
  callLine: 5,
  name: 6,
  linkageName: 7,
  origin: 8,
  specification: 9,
  lineTable: 10,
  addresses: 11,
  rangeLists: 12,
  stringOffsets: 13,
  splitName: 14,
} as const;

const unitSlots = new Map<number, number>([
  [dw.DW_AT_stmt_list, Slot.lineTable],
  [dw.DW_AT_low_pc, Slot.lowPc],
  [dw.DW_AT_addr_base, Slot.addresses],
  [dw.DW_AT_GNU_addr_base, Slot.addresses],
  [dw.DW_AT_rnglists_base, Slot.rangeLists],
  [dw.DW_AT_str_offsets_base, Slot.stringOffsets],
  [dw.DW_AT_dwo_name, Slot.splitName],
  [dw.DW_AT_GNU_dwo_name, Slot.splitName],
]);

const functionSlots = new Map<number, number>([
  [dw.DW_AT_sibling, Slot.sibling],
  [dw.DW_AT_low_pc, Slot.lowPc],
  [dw.DW_AT_high_pc, Slot.highPc],
  [dw.DW_AT_ranges, Slot.ranges],
  [dw.DW_AT_call_file, Slot.callFile],
  [dw.DW_AT_call_line, Slot.callLine],
  [dw.DW_AT_name, Slot.name],
  [dw.DW_AT_linkage_name, Slot.linkageName],
  [dw.DW_AT_MIPS_linkage_name, Slot.linkageName],
  [dw.DW_AT_abstract_origin, Slot.origin],
  [dw.DW_AT_specification, Slot.specification],
]);

const unitTags: ReadonlySet<number> = new Set([
  dw.DW_TAG_compile_unit,
  dw.DW_TAG_partial_unit,
  dw.DW_TAG_skeleton_unit,
]);

/** What is looked at: of units where their tables are, of functions all, of everything else where the next one is. */
export const slotOf: SlotOf = (tag, attribute) => {
  if (unitTags.has(tag)) return unitSlots.get(attribute);
  if (tag === dw.DW_TAG_subprogram || tag === dw.DW_TAG_inlined_subroutine)
    return functionSlots.get(attribute);
  return attribute === dw.DW_AT_sibling ? Slot.sibling : undefined;
};

/** A unit's header. */
export interface UnitHeader extends FormSizes {
  /** Of the unit in its section. */
  readonly offset: number;
  readonly size: number;
  /** DW_UT_compile and so on; DW_UT_compile for all up to version 4. */
  readonly type: number;
  readonly abbreviations: DebugPlace;
  /** Of the first entry, from the unit's start. */
  readonly entries: number;
}

/** Reads the header of the unit that `frame` bounds, of which `view` has at least the first bytes. Errors: `elf-…`. */
export function readHeader(info: InfoFile, section: Section, frame: UnitFrame, view: ByteView): UnitHeader {
  const { offset, wide } = frame;
  let at = frame.body - offset;
  const version = view.u16(at);
  if (version < 2 || version > 5)
    throw new TextpokeError('elf-unsupported', `the version is ${version}; versions 2 to 5 are supported`);
  at += 2;
  let type: number = dw.DW_UT_compile;
  let addressSize = 0;
  if (version >= 5) {
    type = view.u8(at);
    addressSize = view.u8(at + 1);
    at += 2;
  }
  const value = wide ? requireSafe(view.u64(at), 'debug_abbrev_offset') : view.u32(at);
  const abbreviations = info.follow(section, offset + at, value, 'abbrev');
  at += wide ? 8 : 4;
  if (version < 5) addressSize = view.u8(at++);
  else if (type === dw.DW_UT_skeleton || type === dw.DW_UT_split_compile) at += 8;
  else if (type === dw.DW_UT_type || type === dw.DW_UT_split_type) at += wide ? 16 : 12;
  if (addressSize !== 4 && addressSize !== 8)
    throw new TextpokeError(
      'elf-unsupported',
      `addresses have ${addressSize} bytes; 4 and 8 bytes are supported`,
    );
  return { offset, size: frame.end - offset, version, wide, addressSize, type, abbreviations, entries: at };
}

/** A unit whose entries are gone through. Places count from the unit's start. */
export class InfoUnit {
  readonly info: InfoFile;
  readonly section: Section;
  readonly header: UnitHeader;
  readonly view: ByteView;
  readonly abbreviations: Abbreviations;
  /** The attributes of the entry that was read last, by slot: a bit for each, its form and where it stands. */
  private noted = 0;
  private readonly forms = new Int32Array(16);
  private readonly places = new Float64Array(16);
  tag = 0;
  hasChildren = false;

  constructor(
    info: InfoFile,
    section: Section,
    header: UnitHeader,
    view: ByteView,
    abbreviations: Abbreviations,
  ) {
    this.info = info;
    this.section = section;
    this.header = header;
    this.view = view;
    this.abbreviations = abbreviations;
  }

  /** Reads the entry at byte `at`; returns the byte behind it. Tag 0 ends a list of children. Errors: `elf-malformed`. */
  read(at: number): number {
    const { bytes } = this.view;
    let code = bytes[at++] ?? 0;
    if (code >= 0x80) {
      const { value, end } = readUleb(bytes, at - 1);
      code = value;
      at = end;
    }
    this.noted = 0;
    if (code === 0) {
      this.tag = 0;
      this.hasChildren = false;
      return at;
    }
    const { tag, hasChildren, start } = this.abbreviations.get(code);
    const { ops } = this.abbreviations;
    for (let op = start; ; ) {
      const what = ops[op];
      if (what === Op.skip) {
        at += ops[op + 1] as number;
        op += 2;
      } else if (what === Op.note) {
        const slot = ops[op + 1] as number;
        const form = ops[op + 2] as number;
        const distance = ops[op + 3] as number;
        this.noted |= 1 << slot;
        this.forms[slot] = form;
        this.places[slot] = form === dw.DW_FORM_implicit_const ? distance : at + distance;
        op += 4;
      } else if (what === Op.ends) {
        at = this.pass(ops[op + 1] as number, at);
        op += 2;
      } else break;
    }
    if (at > bytes.length) throw new TextpokeError('elf-malformed', 'an entry ends behind its unit');
    this.tag = tag;
    this.hasChildren = hasChildren;
    return at;
  }

  /** Passes a value that tells where it ends. */
  private pass(kind: number, at: number): number {
    const { bytes } = this.view;
    switch (kind) {
      case Ends.leb: {
        let next = at;
        while ((bytes[next++] ?? 0) >= 0x80);
        return next;
      }
      case Ends.string: {
        const end = bytes.indexOf(0, at);
        if (end < 0) throw new TextpokeError('elf-malformed', 'a name is not zero-terminated');
        return end + 1;
      }
      case Ends.block: {
        const { value, end } = readUleb(bytes, at);
        return end + value;
      }
      case Ends.block1:
        return at + 1 + this.view.u8(at);
      case Ends.block2:
        return at + 2 + this.view.u16(at);
      case Ends.block4:
        return at + 4 + this.view.u32(at);
      default: {
        const direct = directForm(bytes, dw.DW_FORM_indirect, at);
        const size = sizeOf(direct.form, this.header);
        if (size !== undefined) return direct.at + size;
        return this.pass(endOf(direct.form), direct.at);
      }
    }
  }

  has(slot: number): boolean {
    return (this.noted & (1 << slot)) !== 0;
  }

  /** Form and place of an attribute that is there. */
  attribute(slot: number): { form: number; at: number } {
    const [form, at] = [this.forms[slot] as number, this.places[slot] as number];
    return form === dw.DW_FORM_indirect ? directForm(this.view.bytes, form, at) : { form, at };
  }

  /** An attribute that is a number; undefined where it is absent or something else. */
  number(slot: number): number | undefined {
    if (!this.has(slot)) return undefined;
    const { form, at } = this.attribute(slot);
    return numberAt(this.view, form, at, this.header);
  }

  /** What an attribute that is an offset leads to, in the section called `.debug_<name>`. Error `elf-malformed`. */
  follow(slot: number, name: string): DebugPlace | undefined {
    const value = this.number(slot);
    if (value === undefined) return undefined;
    return this.info.follow(this.section, this.header.offset + this.attribute(slot).at, value, name);
  }

  /** The address that stands at byte `at`. */
  addressAt(at: number): CodePlace {
    const { addressSize, offset } = this.header;
    return this.info.address(this.view, at, addressSize, this.section, offset + at);
  }
}
