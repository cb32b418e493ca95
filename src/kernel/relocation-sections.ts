// The places that the loader of a moved kernel changes, from the relocation sections that a vmlinux keeps (linked with
// --emit-relocs; builds up to 6.4 leave them there, later ones in vmlinux.unstripped). The kernel's build makes the lists
// behind its payload of the same (arch/x86/tools/relocs.c: do_reloc64).
import { hex } from '../bytes/integer.ts';
import { EM_X86_64, ET_EXEC, SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_RELA } from '../elf/constants.ts';
import type { ElfFile, Section } from '../elf/file.ts';
import { type SymbolTable, sectionAbsolute } from '../elf/symbols.ts';
import { TextpokeError } from '../errors.ts';
import { type RelocationLists, relocationListsIn } from './relocation-lists.ts';

/** R_X86_64_… (System V ABI, AMD64 supplement, 4.4). */
const types = { none: 0, absolute64: 1, place32: 2, plt32: 4, absolute32: 10, signed32: 11 } as const;
/** Relative to the place, so that nothing changes: PC64, and loads through the GOT that linkers make no loads of. */
const relative: readonly number[] = [types.none, 9, 24, 41, 42];

/** The lists behind the payload that a kernel was unpacked from, or what its own sections say of its code. Errors: as below. */
export function relocationListsFor(
  elf: ElfFile,
  relocations: Uint8Array | undefined,
): RelocationLists | undefined {
  return relocationListsIn(elf, relocations) ?? relocationListsOfCode(elf);
}

/**
 * The places in code; undefined for a file that keeps no relocations of its `.text`. Error `elf-malformed`: relocations that no
 * linker leaves in a kernel.
 */
export function relocationListsOfCode(elf: ElfFile): RelocationLists | undefined {
  const { header, sections, symtab } = elf;
  if (header.machine !== EM_X86_64 || header.type !== ET_EXEC || !symtab) return undefined;
  const tables = sections.filter(
    ({ type, info, link }) => type === SHT_RELA && isCode(sections[info]) && link === symtab.index,
  );
  if (!tables.some(({ info }) => sections[info]?.name === '.text')) return undefined;
  const symbols = elf.symbols(symtab);
  // Up to 6.14 variables of processors are linked at 0, and do not move with the kernel.
  const perCpu = sections.find(({ name, addr }) => name === '.data..percpu' && addr === 0)?.index ?? 0;
  const places = { relocs64: [] as number[], inverse32: [] as number[], relocs32: [] as number[] };
  for (const table of tables) {
    const target = sections[table.info] as Section;
    const { count, offset, type, symbol } = elf.relocations(table);
    for (let i = 0; i < count; i++) {
      const list = listOf(type[i] as number, symbol[i] as number, symbols, perCpu);
      const at = offset[i] as number;
      if (list === 'unknown')
        malformed(elf, table, `the relocation at ${hex(at)} has type ${type[i]}, which no kernel's code has`);
      if (list === undefined) continue;
      const size = list === 'relocs64' ? 8 : 4;
      if (!(at >= target.addr && at + size <= target.addr + target.size))
        malformed(elf, table, `a relocation is at ${hex(at)}, outside of ${target.name}`);
      places[list].push(at);
    }
  }
  const inOrder = (of: readonly number[]): Int32Array => {
    const sorted = Int32Array.from(of).sort();
    const twice = sorted.findIndex((at, i) => i > 0 && at === sorted[i - 1]);
    if (twice > 0) malformed(elf, tables[0] as Section, `${hex(sorted[twice] as number)} is relocated twice`);
    return sorted;
  };
  return {
    relocs64: inOrder(places.relocs64),
    inverse32: perCpu === 0 ? undefined : inOrder(places.inverse32),
    relocs32: inOrder(places.relocs32),
  };
}

function isCode(section: Section | undefined): boolean {
  return (
    section !== undefined &&
    (section.flags & SHF_ALLOC) !== 0 &&
    (section.flags & SHF_EXECINSTR) !== 0 &&
    (section.flags & SHF_WRITE) === 0 &&
    section.addr < 0
  );
}

/** Which list a relocation's place belongs to; undefined: to none. */
function listOf(
  type: number,
  symbol: number,
  symbols: SymbolTable,
  perCpu: number,
): keyof RelocationLists | 'unknown' | undefined {
  const section = symbols.section[symbol] as number;
  // Nothing is relocated by what is not there, such as a weak function.
  if (section === 0 || relative.includes(type)) return undefined;
  const isOfCpu = section === perCpu && !staysWithKernel.test(symbols.name(symbol));
  if (type === types.place32 || type === types.plt32) return isOfCpu ? 'inverse32' : undefined;
  const list = type === types.absolute64 ? 'relocs64' : 'relocs32';
  if (type !== types.absolute64 && type !== types.absolute32 && type !== types.signed32) return 'unknown';
  // Numbers (checksums, hashes of types) are absolute, and so are some symbols of the linker script, which are addresses.
  const isNumber = section === sectionAbsolute && !((symbols.value[symbol] as number) < 0);
  return isOfCpu || isNumber ? undefined : list;
}

/** Symbols that linkers put into the section of variables of processors, and that are addresses of the kernel all the same. */
const staysWithKernel = /^(__init_begin|__per_cpu_load|init_per_cpu_.*)$/;

function malformed(elf: ElfFile, { name }: Section, what: string): never {
  throw new TextpokeError('elf-malformed', what, { file: elf.path, section: name });
}
