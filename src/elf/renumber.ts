// Inserting local symbols moves every later symbol up, so every holder of a symbol number follows: relocations,
// group signatures, sh_info of the symbol table, .symtab_shndx, and LLVM's address-significance and call-graph
// tables. (Each of them has been forgotten by some tool; objtool forgot .symtab_shndx.)
import { ByteView } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import {
  SHT_CREL,
  SHT_GROUP,
  SHT_LLVM_ADDRSIG,
  SHT_LLVM_CALL_GRAPH_PROFILE,
  SHT_REL,
  SHT_RELA,
  SHT_SYMTAB_SHNDX,
} from './constants.ts';
import type { ElfFile, Section } from './file.ts';
import { Rel, Rela } from './records.ts';

/** Maps a symbol number as it stood to the number it gets. */
export type Renumber = (symbol: number) => number;

function renumberRelocations(file: ElfFile, section: Section, renumber: Renumber): Uint8Array {
  const bytes = file.data(section).slice();
  const { class: bits, little } = file.header;
  const format = (section.type === SHT_RELA ? Rela : Rel)[bits];
  const view = new ByteView(bytes, little, { section: section.name });
  const symbolAt = format.offsets.info + (bits === 64 && little ? 4 : 0);
  for (let at = 0; at + format.size <= bytes.length; at += format.size) {
    if (bits === 64) view.setU32(at + symbolAt, renumber(view.u32(at + symbolAt)));
    else {
      const info = view.u32(at + symbolAt);
      const symbol = renumber(info >>> 8);
      if (symbol > 0xffffff) {
        throw new TextpokeError('elf-unsupported', `symbol ${symbol} does not fit the 24 bits of r_info`, {
          section: section.name,
          offset: at,
        });
      }
      view.setU32(at + symbolAt, ((symbol << 8) | (info & 0xff)) >>> 0);
    }
  }
  return bytes;
}

/** SHT_LLVM_ADDRSIG is a row of ULEB128 symbol numbers (LLVM: Extensions, "SHT_LLVM_ADDRSIG Section"). */
function renumberAddrsig(bytes: Uint8Array, renumber: Renumber, name: string): Uint8Array {
  const out: number[] = [];
  let value = 0;
  let shift = 0;
  bytes.forEach((byte, offset) => {
    value += (byte & 0x7f) * 2 ** shift;
    shift += 7;
    if (byte & 0x80) {
      if (offset === bytes.length - 1 || shift > 35) {
        throw new TextpokeError('elf-malformed', 'an unfinished ULEB128 number', { section: name, offset });
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
function renumberCallGraph(file: ElfFile, section: Section, renumber: Renumber): Uint8Array {
  const bytes = file.data(section).slice();
  if (section.entsize !== 16) return bytes;
  const view = new ByteView(bytes, file.header.little, { section: section.name });
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
 * of it (objcopy and `ld -r` leave .llvm_addrsig that way, and linkers then ignore it).
 */
export function renumberSymbols(file: ElfFile, symtab: Section, renumber: Renumber): Renumbered {
  const data = new Map<number, Uint8Array>();
  const info = new Map<number, number>();
  for (const section of file.sections) {
    if (section.link !== symtab.index) continue;
    switch (section.type) {
      case SHT_REL:
      case SHT_RELA:
        data.set(section.index, renumberRelocations(file, section, renumber));
        break;
      case SHT_GROUP:
        info.set(section.index, renumber(section.info));
        break;
      case SHT_LLVM_ADDRSIG:
        data.set(section.index, renumberAddrsig(file.data(section), renumber, section.name));
        break;
      case SHT_LLVM_CALL_GRAPH_PROFILE:
        data.set(section.index, renumberCallGraph(file, section, renumber));
        break;
      case SHT_CREL:
        throw new TextpokeError(
          'elf-unsupported',
          'compact relocations (SHT_CREL) are not supported; compile without -Wa,--crel',
          { section: section.name },
        );
      case SHT_SYMTAB_SHNDX:
        break;
      default:
        break;
    }
  }
  return { data, info };
}
