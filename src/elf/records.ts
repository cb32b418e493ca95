// The records of an ELF file, one field list for each class (gABI chapters 4 and 5). Field names drop elf.h's
// prefixes (sh_size is `size`) so that both classes read alike.
import { record } from '../bytes/record.ts';

export const identSize = 16;

const ehdrTail = {
  flags: 'u32',
  ehsize: 'u16',
  phentsize: 'u16',
  phnum: 'u16',
  shentsize: 'u16',
  shnum: 'u16',
  shstrndx: 'u16',
} as const;

/** The file header behind e_ident. */
export const Ehdr = {
  32: record({
    type: 'u16',
    machine: 'u16',
    version: 'u32',
    entry: 'u32',
    phoff: 'u32',
    shoff: 'u32',
    ...ehdrTail,
  }),
  64: record({
    type: 'u16',
    machine: 'u16',
    version: 'u32',
    entry: 'u64',
    phoff: 'u64',
    shoff: 'u64',
    ...ehdrTail,
  }),
} as const;

export const Shdr = {
  32: record({
    name: 'u32',
    type: 'u32',
    flags: 'u32',
    addr: 'u32',
    offset: 'u32',
    size: 'u32',
    link: 'u32',
    info: 'u32',
    addralign: 'u32',
    entsize: 'u32',
  }),
  64: record({
    name: 'u32',
    type: 'u32',
    flags: 'u64',
    addr: 'u64',
    offset: 'u64',
    size: 'u64',
    link: 'u32',
    info: 'u32',
    addralign: 'u64',
    entsize: 'u64',
  }),
} as const;

export const Phdr = {
  32: record({
    type: 'u32',
    offset: 'u32',
    vaddr: 'u32',
    paddr: 'u32',
    filesz: 'u32',
    memsz: 'u32',
    flags: 'u32',
    align: 'u32',
  }),
  64: record({
    type: 'u32',
    flags: 'u32',
    offset: 'u64',
    vaddr: 'u64',
    paddr: 'u64',
    filesz: 'u64',
    memsz: 'u64',
    align: 'u64',
  }),
} as const;

export const Sym = {
  32: record({ name: 'u32', value: 'u32', size: 'u32', info: 'u8', other: 'u8', shndx: 'u16' }),
  64: record({ name: 'u32', info: 'u8', other: 'u8', shndx: 'u16', value: 'u64', size: 'u64' }),
} as const;

export const Rel = {
  32: record({ offset: 'u32', info: 'u32' }),
  64: record({ offset: 'u64', info: 'u64' }),
} as const;

export const Rela = {
  32: record({ offset: 'u32', info: 'u32', addend: 's32' }),
  64: record({ offset: 'u64', info: 'u64', addend: 'u64' }),
} as const;

/** In front of the content of a SHF_COMPRESSED section. */
export const Chdr = {
  32: record({ type: 'u32', size: 'u32', addralign: 'u32' }),
  64: record({ type: 'u32', reserved: 'u32', size: 'u64', addralign: 'u64' }),
} as const;
