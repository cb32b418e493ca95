// A symbol table as typed arrays (gABI chapter 4, "Symbol Table"); names are decoded when asked for.
import type { SymbolNumber } from '../bytes/named-numbers.ts';
import { ByteView, signed64 } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import { SHN_ABS, SHN_COMMON, SHN_LORESERVE, SHN_UNDEF, SHN_XINDEX, STT_SECTION } from './constants.ts';
import { Sym } from './records.ts';
import { countRecords } from './relocations.ts';
import type { StringTable } from './strings.ts';

/** Values of `SymbolTable.section` that name no section. */
export const sectionUndefined = 0;
export const sectionAbsolute = -1;
export const sectionCommon = -2;
export const sectionReserved = -3;

export interface SymbolTableInput {
  readonly class: 32 | 64;
  readonly bytes: Uint8Array;
  readonly little: boolean;
  readonly strings: StringTable;
  /** Content of the SHT_SYMTAB_SHNDX section that belongs to the table, if there is one. */
  readonly extended: Uint8Array | undefined;
  readonly sectionCount: number;
  readonly firstGlobal: number;
  readonly tableName: string;
}

export class SymbolTable {
  readonly count: number;
  /** Index of the first symbol that is not local (sh_info). */
  readonly firstGlobal: number;
  /** Section number, 0 when undefined, or one of the negative `section…` values. */
  readonly section: Int32Array;
  /** st_value: section-relative in a relocatable object, else a virtual address (signed reading; NaN if inexact). */
  readonly value: Float64Array;
  readonly size: Float64Array;
  readonly info: Uint8Array;
  readonly other: Uint8Array;
  private readonly nameOffset: Uint32Array;
  private readonly strings: StringTable;

  constructor(input: SymbolTableInput) {
    const format = Sym[input.class];
    const { bytes, little, extended } = input;
    const place = { section: input.tableName };
    const count = countRecords(bytes, format.size, 'symbol table', input.tableName);
    const view = new ByteView(bytes, little).table(0, bytes.length);
    if (extended && extended.length !== count * 4) {
      throw new TextpokeError(
        'elf-malformed',
        `.symtab_shndx has ${extended.length} bytes; the table's ${count} symbols need ${count * 4}`,
        place,
      );
    }
    const words = extended && new ByteView(extended, little).table(0, extended.length);
    this.count = count;
    this.firstGlobal = input.firstGlobal;
    if (this.firstGlobal > count) {
      throw new TextpokeError(
        'elf-malformed',
        `sh_info gives ${this.firstGlobal} local symbols, but the table has only ${count} symbols`,
        place,
      );
    }
    this.strings = input.strings;
    this.section = new Int32Array(count);
    this.value = new Float64Array(count);
    this.size = new Float64Array(count);
    this.info = new Uint8Array(count);
    this.other = new Uint8Array(count);
    this.nameOffset = new Uint32Array(count);
    const at = format.offsets;
    const wide = input.class === 64;
    for (let i = 0, base = 0; i < count; i++, base += format.size) {
      this.nameOffset[i] = view.getUint32(base + at.name, little);
      this.info[i] = view.getUint8(base + at.info);
      this.other[i] = view.getUint8(base + at.other);
      this.value[i] = wide
        ? signed64(view, base + at.value, little)
        : view.getUint32(base + at.value, little);
      this.size[i] = wide ? signed64(view, base + at.size, little) : view.getUint32(base + at.size, little);
      const shndx = view.getUint16(base + at.shndx, little);
      let section: number;
      if (shndx === SHN_XINDEX) {
        if (!words) {
          throw new TextpokeError(
            'elf-malformed',
            `symbol ${i} has SHN_XINDEX, but the file has no .symtab_shndx section`,
            { ...place, offset: base },
          );
        }
        section = words.getUint32(i * 4, little);
      } else if (shndx < SHN_LORESERVE) section = shndx;
      else if (shndx === SHN_ABS) section = sectionAbsolute;
      else if (shndx === SHN_COMMON) section = sectionCommon;
      else section = sectionReserved;
      if (section >= input.sectionCount) {
        throw new TextpokeError(
          'elf-malformed',
          `symbol ${i} is in section ${section}, but the file has ${input.sectionCount} sections`,
          { ...place, offset: base },
        );
      }
      this.section[i] = section;
    }
  }

  type(index: SymbolNumber): number {
    return (this.info[index] as number) & 15;
  }
  binding(index: SymbolNumber): number {
    return (this.info[index] as number) >> 4;
  }
  visibility(index: SymbolNumber): number {
    return (this.other[index] as number) & 3;
  }
  isUndefined(index: SymbolNumber): boolean {
    return this.section[index] === SHN_UNDEF;
  }
  /** The symbol's own name; empty for section symbols. */
  name(index: SymbolNumber): string {
    return this.strings.at(this.nameOffset[index] as number);
  }
  /** `sumOfName` of the symbol's name. */
  nameSum(index: SymbolNumber): number {
    return this.strings.sumAt(this.nameOffset[index] as number);
  }
  /** True when the symbol's name starts with `prefix`, without decoding the name. */
  nameStartsWith(index: SymbolNumber, prefix: Uint8Array): boolean {
    return this.strings.startsWith(this.nameOffset[index] as number, prefix);
  }
  /** True when the symbol's name ends in `suffix`, without decoding the name. */
  nameEndsWith(index: SymbolNumber, suffix: Uint8Array): boolean {
    return this.strings.endsWith(this.nameOffset[index] as number, suffix);
  }
  isSectionSymbol(index: SymbolNumber): boolean {
    return this.type(index) === STT_SECTION;
  }
}
