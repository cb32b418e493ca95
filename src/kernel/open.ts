// A kernel file as people have it becomes an ELF vmlinux in memory, with the symbols that its kallsyms has. Loaded when an
// input is no ELF file with symbols.
import { EM_ARM } from '../elf/constants.ts';
import type { ElfFile } from '../elf/file.ts';
import { readElfFrom } from '../elf/read.ts';
import { inFile } from '../errors.ts';
import { type ByteSource, partOf } from '../files/source.ts';
import { flatKernel } from './files/flat.ts';
import { isCompression, type UnpackedKernel, unpackKernel } from './files/unpack.ts';
import { findKallsyms, type Kallsyms } from './kallsyms.ts';
import { hasFunctionsAlone } from './symbol-table.ts';
import { endOfElf, withKallsyms } from './with-symbols.ts';

/** A kernel as an ELF file. */
export interface OpenedKernel {
  /** The ELF file, with a symbol table. It reads from the file that was opened. */
  readonly source: ByteSource;
  /** What was unpacked, as a note says it: `bzImage, zstd, 57,575,404 bytes; 148,055 symbols of kallsyms`. */
  readonly form?: string;
  /** The relocation lists behind the payload of x86 (arch/x86/tools/relocs.c); empty where there are none. */
  readonly relocations: Uint8Array;
}

/**
 * Opens a kernel file; undefined for an input that is none. `name` is for messages. Errors: those of `unpackKernel`, of
 * reading ELF and of `findKallsyms`.
 */
export async function openKernel(
  name: string,
  source: ByteSource,
  limit?: number,
): Promise<OpenedKernel | undefined> {
  const unpacked = await unpackKernel(source, limit).catch((error) =>
    inFile(name, () => {
      throw error;
    }),
  );
  if (!unpacked) return undefined;
  const { kind, source: inner } = unpacked;
  if (kind === 'other') return { source: inner, relocations: new Uint8Array(0) };
  return inFile(name, () => (kind === 'elf' ? openElf(name, unpacked) : openFlat(name, unpacked)));
}

function openElf(name: string, { source, steps }: UnpackedKernel): OpenedKernel | undefined {
  const file = readElfFrom(name, source);
  const end = endOfElf(file);
  const relocations =
    steps.length > 0 && end < source.size ? source.read(end, source.size - end) : new Uint8Array(0);
  if (file.symtab || !isStrippedKernel(file)) {
    return {
      source,
      ...(steps.every(isCompression) ? {} : { form: formOf(steps, source.size) }),
      relocations,
    };
  }
  const elf = readElfFrom(name, partOf(source, 0, end));
  const bytes = elf.source.read(0, end);
  const kallsyms = findKallsyms(bytes, {
    little: file.header.little,
    bits: file.header.class,
    addressOf: (offset) => addressOf(elf, offset),
  });
  if (!kallsyms) return steps.length === 0 ? undefined : { source, form: formOf(steps, end), relocations };
  return {
    source: withKallsyms(elf, kallsyms, [], false),
    form: formOf(steps, end, kallsyms),
    relocations,
  };
}

function openFlat(name: string, unpacked: UnpackedKernel): OpenedKernel {
  const { source, steps } = unpacked;
  const { elf, kallsyms, added, thumb } = flatKernel(name, unpacked);
  return {
    source: withKallsyms(elf, kallsyms, added, thumb),
    form: formOf(steps, source.size, kallsyms),
    relocations: new Uint8Array(0),
  };
}

/** Sections that every kernel has, and nothing else has all of. */
const kernelSections = ['.init.text', '__ex_table', '.init.data'] as const;

function isStrippedKernel(file: ElfFile): boolean {
  return file.header.machine !== EM_ARM && kernelSections.every((name) => file.named(name) !== undefined);
}

function addressOf({ segments }: ElfFile, offset: number): number | undefined {
  const segment = segments.find((s) => offset >= s.offset && offset < s.offset + s.filesz);
  return segment && segment.vaddr + (offset - segment.offset);
}

function formOf(steps: readonly string[], size: number, kallsyms?: Kallsyms): string {
  const count = (number: number) => `${number}`.replace(/\B(?=(\d{3})+$)/g, ',');
  const what =
    steps.length === 0 ? 'an ELF file without symbols' : `${steps.join(', ')}, ${count(size)} bytes`;
  if (!kallsyms) return what;
  const alone = hasFunctionsAlone(kallsyms) ? ' (functions alone: keys have no names)' : '';
  return `${what}; ${count(kallsyms.count)} symbols of kallsyms${alone}`;
}
