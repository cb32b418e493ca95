// What an ELF file's header says, as numbers.

export interface ElfHeader {
  readonly class: 32 | 64;
  readonly little: boolean;
  readonly osabi: number;
  readonly type: number;
  readonly machine: number;
  readonly flags: number;
  /** Virtual address (signed reading, see bytes/integer.ts). */
  readonly entry: number;
  readonly phoff: number;
  readonly shoff: number;
  readonly shstrndx: number;
}
