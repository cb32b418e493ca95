// What messages call ELF's numbers: elf.h's names, and of machines the names that people use.
import { hex } from '../bytes/integer.ts';

type Names = Readonly<Record<number, string>>;

/** sh_type (gABI, table 4-9; GNU and LLVM extensions). */
export const sectionTypes: Names = {
  0: 'SHT_NULL',
  1: 'SHT_PROGBITS',
  2: 'SHT_SYMTAB',
  3: 'SHT_STRTAB',
  4: 'SHT_RELA',
  5: 'SHT_HASH',
  6: 'SHT_DYNAMIC',
  7: 'SHT_NOTE',
  8: 'SHT_NOBITS',
  9: 'SHT_REL',
  10: 'SHT_SHLIB',
  11: 'SHT_DYNSYM',
  14: 'SHT_INIT_ARRAY',
  15: 'SHT_FINI_ARRAY',
  16: 'SHT_PREINIT_ARRAY',
  17: 'SHT_GROUP',
  18: 'SHT_SYMTAB_SHNDX',
  19: 'SHT_RELR',
  1073741844: 'SHT_CREL',
  1879002115: 'SHT_LLVM_ADDRSIG',
  1879002121: 'SHT_LLVM_CALL_GRAPH_PROFILE',
  1879048181: 'SHT_GNU_ATTRIBUTES',
  1879048182: 'SHT_GNU_HASH',
  1879048189: 'SHT_GNU_verdef',
  1879048190: 'SHT_GNU_verneed',
  1879048191: 'SHT_GNU_versym',
};

/** e_type. */
export const fileTypes: Names = { 0: 'ET_NONE', 1: 'ET_REL', 2: 'ET_EXEC', 3: 'ET_DYN', 4: 'ET_CORE' };

/** EI_CLASS, EI_DATA and EI_VERSION of e_ident. */
export const identClasses: Names = { 0: 'ELFCLASSNONE', 1: 'ELFCLASS32', 2: 'ELFCLASS64' };
export const identOrders: Names = { 0: 'ELFDATANONE', 1: 'ELFDATA2LSB', 2: 'ELFDATA2MSB' };
export const identVersions: Names = { 0: 'EV_NONE', 1: 'EV_CURRENT' };

/** e_machine. */
const machines: Names = {
  2: 'SPARC',
  3: '80386',
  8: 'MIPS',
  20: 'PowerPC',
  21: 'PowerPC64',
  22: 'S/390',
  40: 'ARM',
  43: 'SPARC V9',
  62: 'x86-64',
  183: 'AArch64',
  243: 'RISC-V',
  247: 'BPF',
  258: 'LoongArch',
};

/** The name of a number, or the number where it has none. */
export function constantName(names: Names, value: number): string {
  return names[value] ?? hex(value);
}

/** What e_machine names. */
export function machineName(machine: number): string {
  return machines[machine] ?? `machine ${machine}`;
}
