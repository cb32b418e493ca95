// Which code an entry of .debug_info is about: one range, or a list in .debug_rnglists (DWARF 5, section 7.25) or
// .debug_ranges (versions 3 and 4, section 2.17.3).
import { requireSafe } from '../bytes/integer.ts';
import type { ByteView } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import * as dw from './constants.ts';
import { numberAt, readUleb } from './forms.ts';
import type { CodePlace, DebugPlace, InfoFile } from './info-file.ts';
import { type InfoUnit, Slot } from './info-unit.ts';

/** Forms of an attribute that is an address, not a number of bytes. */
const addressForms: ReadonlySet<number> = new Set([
  dw.DW_FORM_addr,
  dw.DW_FORM_addrx,
  dw.DW_FORM_addrx1,
  dw.DW_FORM_addrx2,
  dw.DW_FORM_addrx3,
  dw.DW_FORM_addrx4,
  dw.DW_FORM_GNU_addr_index,
]);

/** Receives a range: the section of an object or 0, and both ends. */
export type Range = (section: number, low: number, high: number) => void;

/** Where a unit's tables are, as its first entry says. */
export interface UnitTables {
  readonly addresses: DebugPlace | undefined;
  readonly rangeLists: DebugPlace | undefined;
  /** What ranges count from. */
  readonly base: CodePlace;
}

const nowhere: CodePlace = { section: -1, offset: 0 };

/** Reads the ranges of the entries of a file. */
export class RangeReader {
  private readonly info: InfoFile;
  /** Entries that may still be read, by section: entries may share lists, but not each all of them. */
  private readonly left = new Map<ByteView, number>();

  constructor(info: InfoFile) {
    this.info = info;
  }

  /** The tables of a unit whose first entry was read last. Errors: `elf-malformed`, `elf-truncated`. */
  tablesOf(unit: InfoUnit): UnitTables {
    const addresses = unit.follow(Slot.addresses, 'addr');
    const rangeLists = unit.follow(Slot.rangeLists, 'rnglists');
    const tables = { addresses, rangeLists, base: nowhere };
    return {
      ...tables,
      base: this.low(unit, tables) ?? (this.info.isObject ? nowhere : { section: 0, offset: 0 }),
    };
  }

  private low(unit: InfoUnit, tables: UnitTables): CodePlace | undefined {
    return unit.has(Slot.lowPc) ? this.addressOf(unit, Slot.lowPc, tables) : undefined;
  }

  /** Tells each range of the entry that was read last. Errors: `elf-malformed`, `elf-truncated`. */
  each(unit: InfoUnit, tables: UnitTables, range: Range): void {
    if (unit.has(Slot.ranges)) this.list(unit, tables, range);
    else if (unit.has(Slot.lowPc) && unit.has(Slot.highPc)) {
      const { section, offset } = this.addressOf(unit, Slot.lowPc, tables);
      const isAddress = addressForms.has(unit.attribute(Slot.highPc).form);
      const high = isAddress
        ? this.addressOf(unit, Slot.highPc, tables).offset
        : offset + (unit.number(Slot.highPc) ?? 0);
      range(section, offset, high);
    }
  }

  private addressOf(unit: InfoUnit, slot: number, tables: UnitTables): CodePlace {
    const { form, at } = unit.attribute(slot);
    if (form === dw.DW_FORM_addr) return unit.addressAt(at);
    const index = numberAt(unit.view, form, at, unit.header);
    if (index === undefined) throw malformed(`form 0x${form.toString(16)} of an address is not supported`);
    return this.indexed(unit, tables, index);
  }

  /** Entry `index` of the unit's part of .debug_addr. */
  private indexed(unit: InfoUnit, { addresses }: UnitTables, index: number): CodePlace {
    if (!addresses) throw malformed('an address is in .debug_addr, and the unit does not say where');
    const { addressSize } = unit.header;
    const { view } = this.info.load(addresses.section);
    const at = addresses.offset + index * addressSize;
    return this.info.address(view, at, addressSize, addresses.section, at);
  }

  private list(unit: InfoUnit, tables: UnitTables, range: Range): void {
    const { version } = unit.header;
    const { form } = unit.attribute(Slot.ranges);
    if (version < 5) {
      const place = unit.follow(Slot.ranges, 'ranges');
      if (place) this.oldList(unit, tables, place, range);
      return;
    }
    let place: DebugPlace | undefined;
    if (form === dw.DW_FORM_rnglistx) {
      const { rangeLists } = tables;
      const index = unit.number(Slot.ranges);
      if (!rangeLists || index === undefined)
        throw malformed('a list of ranges has a number, and the unit does not say where lists are');
      const { view } = this.info.load(rangeLists.section);
      const at = rangeLists.offset + index * (unit.header.wide ? 8 : 4);
      const distance = unit.header.wide ? requireSafe(view.u64(at), 'an offset') : view.u32(at);
      place = { section: rangeLists.section, offset: rangeLists.offset + distance };
    } else place = unit.follow(Slot.ranges, 'rnglists');
    if (place) this.newList(unit, tables, place, range);
  }

  /** Counts entries, so that a small file cannot ask for any amount of work. */
  private count(view: ByteView): void {
    const left = this.left.get(view) ?? 1000 + 8 * view.bytes.length;
    if (left <= 0) throw malformed('entries share too many ranges');
    this.left.set(view, left - 1);
  }

  private oldList(unit: InfoUnit, tables: UnitTables, { section, offset }: DebugPlace, range: Range): void {
    const { view } = this.info.load(section);
    const { addressSize: size } = unit.header;
    const select = size === 8 ? -1 : 0xffff_ffff;
    let { base } = tables;
    for (let at = offset; ; at += 2 * size) {
      this.count(view);
      const low = this.info.address(view, at, size, section, at);
      const high = this.info.address(view, at + size, size, section, at + size);
      const isPlain = !this.info.isObject || low.section < 0;
      if (isPlain && low.offset === 0 && high.offset === 0) return;
      if (isPlain && low.offset === select) base = high;
      else if (this.info.isObject && low.section >= 0) range(low.section, low.offset, high.offset);
      else range(base.section, base.offset + low.offset, base.offset + high.offset);
    }
  }

  private newList(unit: InfoUnit, tables: UnitTables, { section, offset }: DebugPlace, range: Range): void {
    const { view } = this.info.load(section);
    const { addressSize: size } = unit.header;
    let { base } = tables;
    let at = offset;
    const uleb = () => {
      const { value, end } = readUleb(view.bytes, at);
      at = end;
      return value;
    };
    const address = () => {
      const found = this.info.address(view, at, size, section, at);
      at += size;
      return found;
    };
    const span = (low: CodePlace, length: number) => range(low.section, low.offset, low.offset + length);
    for (;;) {
      this.count(view);
      const kind = view.u8(at++);
      switch (kind) {
        case dw.DW_RLE_end_of_list:
          return;
        case dw.DW_RLE_base_addressx:
          base = this.indexed(unit, tables, uleb());
          break;
        case dw.DW_RLE_startx_endx: {
          const low = this.indexed(unit, tables, uleb());
          range(low.section, low.offset, this.indexed(unit, tables, uleb()).offset);
          break;
        }
        case dw.DW_RLE_startx_length: {
          const low = this.indexed(unit, tables, uleb());
          span(low, uleb());
          break;
        }
        case dw.DW_RLE_offset_pair: {
          const low = uleb();
          range(base.section, base.offset + low, base.offset + uleb());
          break;
        }
        case dw.DW_RLE_base_address:
          base = address();
          break;
        case dw.DW_RLE_start_end: {
          const low = address();
          range(low.section, low.offset, address().offset);
          break;
        }
        case dw.DW_RLE_start_length: {
          const low = address();
          span(low, uleb());
          break;
        }
        default:
          throw malformed(`a list of ranges has an entry of kind ${kind}`);
      }
    }
  }
}

function malformed(what: string): TextpokeError {
  return new TextpokeError('elf-malformed', what);
}
