// Inserting local symbols moves every later symbol up, so every holder of a symbol number follows: relocations,
// group signatures, sh_info of the symbol table, .symtab_shndx, and LLVM's address-significance and call-graph
// tables. (Each of them has been forgotten by some tool; objtool forgot .symtab_shndx.)
import { ByteView } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import { constantName, sectionTypes } from './constant-names.ts';
import {
  SHT_GROUP,
  SHT_LLVM_ADDRSIG,
  SHT_LLVM_CALL_GRAPH_PROFILE,
  SHT_NOBITS,
  SHT_NOTE,
  SHT_PROGBITS,
  SHT_REL,
  SHT_RELA,
  SHT_STRTAB,
  SHT_SYMTAB_SHNDX,
} from './constants.ts';
import type { ElfFile, Section } from './file.ts';
import type { ElfHeader } from './header.ts';
import { Rel, Rela } from './records.ts';
import { infoHalves } from './relocations.ts';

/** Maps a symbol number as it stood to the number it gets; `elf-malformed` for one that does not exist. */
export type Renumber = (symbol: number) => number;

/** r_info of a 32-bit file; `elf-unsupported` when a half does not fit its bits. */
export function packInfo32(symbol: number, type: number): number {
  if (symbol > 0xffffff || type > 0xff) {
    throw new TextpokeError(
      'elf-unsupported',
      symbol > 0xffffff
        ? `symbol ${symbol} does not fit the 24 bits of r_info`
        : `relocation type ${type} does not fit the 8 bits of r_info`,
    );
  }
  return ((symbol << 8) | type) >>> 0;
}

function renumberRelocations(header: ElfHeader, section: Section, old: Uint8Array, renumber: Renumber) {
  const bytes = old.slice();
  const { class: bits, little } = header;
  const { size, offsets } = (section.type === SHT_RELA ? Rela : Rel)[bits];
  const view = new ByteView(bytes, little).table(0, bytes.length);
  const symbolAt = infoHalves(header).symbol;
  for (let at = 0; at + size <= bytes.length; at += size) {
    if (bits === 64) view.setUint32(at + symbolAt, renumber(view.getUint32(at + symbolAt, little)), little);
    else {
      const info = view.getUint32(at + offsets.info, little);
      view.setUint32(at + offsets.info, packInfo32(renumber(info >>> 8), info & 0xff), little);
    }
  }
  return bytes;
}

/** SHT_LLVM_ADDRSIG is a row of ULEB128 symbol numbers (LLVM: Extensions, "SHT_LLVM_ADDRSIG Section"). */
function renumberAddrsig(bytes: Uint8Array, renumber: Renumber): Uint8Array {
  const out: number[] = [];
  let value = 0;
  let shift = 0;
  bytes.forEach((byte, offset) => {
    value += (byte & 0x7f) * 2 ** shift;
    shift += 7;
    if (byte & 0x80) {
      if (offset === bytes.length - 1 || shift > 35) {
        throw new TextpokeError('elf-malformed', 'a ULEB128 number has no end or is too long', { offset });
      }
      return;
    }
    let rest = renumber(value);
    while (rest >= 0x80) {
      out.push((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    out.push(rest);
    value = 0;
    shift = 0;
  });
  return Uint8Array.from(out);
}

/** Until LLVM 12 an entry was (u32 from, u32 to, u64 weight); since 13 symbols stand in a relocation section. */
function renumberCallGraph(old: Uint8Array, little: boolean, renumber: Renumber): Uint8Array {
  const bytes = old.slice();
  const view = new ByteView(bytes, little);
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    view.setU32(at, renumber(view.u32(at)));
    view.setU32(at + 4, renumber(view.u32(at + 4)));
  }
  return bytes;
}

export interface Renumbered {
  /** New contents by section number. */
  readonly data: Map<number, Uint8Array>;
  /** New sh_info by section number. */
  readonly info: Map<number, number>;
}

/**
 * Contents and sh_info of every section that names symbols of `symtab`. The symbol table itself and
 * .symtab_shndx, which grow, are the caller's. Sections whose sh_link does not name the table hold no numbers
 * of it (objcopy and `ld -r` leave .llvm_addrsig that way, and linkers then ignore it). A section of a type that
 * is not known, linked to the table, may hold numbers that nobody would correct: `elf-unsupported`.
 */
export function renumberSymbols(file: ElfFile, symtab: Section, renumber: Renumber): Renumbered {
  const data = new Map<number, Uint8Array>();
  const info = new Map<number, number>();
  for (const section of file.sections) {
    if (section.link !== symtab.index) continue;
    const old = () => file.data(section);
    try {
      switch (section.type) {
        case SHT_REL:
        case SHT_RELA:
          data.set(section.index, renumberRelocations(file.header, section, old(), renumber));
          break;
        case SHT_GROUP:
          info.set(section.index, renumber(section.info));
          break;
        case SHT_LLVM_ADDRSIG:
          data.set(section.index, renumberAddrsig(old(), renumber));
          break;
        case SHT_LLVM_CALL_GRAPH_PROFILE:
          if (section.entsize === 16) {
            data.set(section.index, renumberCallGraph(old(), file.header.little, renumber));
          }
          break;
        case SHT_PROGBITS:
        case SHT_NOBITS:
        case SHT_NOTE:
        case SHT_STRTAB:
        case SHT_SYMTAB_SHNDX:
          break;
        default:
          throw new TextpokeError(
            'elf-unsupported',
            `a section of type ${constantName(sectionTypes, section.type)} refers to the symbol table; textpoke does not know the format of this section`,
          );
      }
    } catch (error) {
      if (!(error instanceof TextpokeError)) throw error;
      throw new TextpokeError(error.code, error.message, { ...error.place, section: section.name });
    }
  }
  return { data, info };
}
