// A flat kernel (an arm64 Image, what is in a 32-bit ARM zImage) as an ELF file: addresses, sections and tables come from
// kallsyms, and from the bytes themselves where kallsyms has only functions.
import { EM_AARCH64, EM_ARM, SHF_EXECINSTR } from '../../elf/constants.ts';
import type { ElfFile } from '../../elf/file.ts';
import { TextpokeError } from '../../errors.ts';
import { memorySource } from '../../files/source.ts';
import { findKallsyms, type Kallsyms } from '../kallsyms.ts';
import type { AddedSymbol } from '../symbol-table.ts';
import { baseOf } from './flat-base.ts';
import { elfAround } from './flat-elf.ts';
import { type FlatExtent, type FlatSection, layoutNames, sectionsOf } from './flat-layout.ts';
import {
  exitCodeEnd,
  type FlatMemory,
  type FoundTable,
  findAltSmp,
  findBtf,
  findJumpTable,
} from './flat-tables.ts';
import { applyRelativeRelocations } from './relative-relocations.ts';
import type { UnpackedKernel } from './unpack.ts';

/** The ELF file without symbols, and what makes its symbols. */
export interface FlatKernel {
  readonly elf: ElfFile;
  readonly kallsyms: Kallsyms;
  readonly added: readonly AddedSymbol[];
  readonly thumb: boolean;
}

const EF_ARM_EABI_VER5 = 0x0500_0000;
/** Names that are asked for beside those of the layout. */
const otherNames = [
  '_end',
  '__bss_stop',
  '__start___jump_table',
  '__stop___jump_table',
  '__smpalt_begin',
  '__smpalt_end',
  '__start_BTF',
  '__stop_BTF',
];
/** Where the kernel's size with its .bss stands in an arm64 Image (Documentation/arch/arm64/booting.rst: image_size). */
const imageSize = 16;

/** Makes the ELF file. Errors: `elf-unsupported` where kallsyms or the address is missing, `table-malformed`. */
export function flatKernel(name: string, unpacked: UnpackedKernel): FlatKernel {
  const { source, kind, little, isOwn, bssSize } = unpacked;
  const bits = kind === 'flat arm64' ? 64 : 32;
  if (bits === 32 && !little)
    throw unsupported('the ARM kernel is big-endian, which is supported as an ELF file alone');
  const given = source.read(0, source.size);
  // Relocations are written into the bytes.
  const bytes = isOwn ? given : given.slice();
  const kallsyms = findKallsyms(bytes, { little, bits, addressOf: () => undefined });
  if (!kallsyms)
    throw unsupported('the kernel has no kallsyms (CONFIG_KALLSYMS), so nothing says what lies where');
  const named = kallsyms.find(new Set([...layoutNames, ...otherNames]));
  const addressOf = (text: string) => {
    const at = named.get(text)?.[0];
    return at === undefined ? undefined : kallsyms.addresses[at];
  };
  const start = startOf(bytes, little, bits, kallsyms, addressOf);
  const fileEnd = start + bytes.length;
  const size = bits === 64 ? Number(view64(bytes, imageSize, little)) : bytes.length + (bssSize ?? 0);
  const end = Math.max(
    fileEnd,
    addressOf('_end') ?? 0 - Number.MAX_VALUE,
    addressOf('__bss_stop') ?? 0 - Number.MAX_VALUE,
    start + size,
  );
  if (!(end - start <= mostTimes * bytes.length + mostMore))
    throw unsupported(`the kernel has ${end - start} bytes of memory, many times those of the file`);
  if (bits === 64) applyRelativeRelocations(bytes, little, start);
  const extent = { start, fileEnd, end };
  const before = sectionsOf(extent, addressOf);
  const memory = memoryOf(bytes, little, extent, before);
  const initEnd = addressOf('_einittext') ?? end;
  const jumps = tableOf(addressOf, '__start___jump_table', '__stop___jump_table', () =>
    findJumpTable(memory, bits, initEnd),
  );
  const exitEnd = jumps && exitCodeEnd(memory, jumps, bits, initEnd);
  // Kernels whose kallsyms has functions alone do not say where exit code lies.
  const sections = sectionsOf(
    extent,
    (text) => addressOf(text) ?? { __exittext_begin: exitEnd && initEnd, __exittext_end: exitEnd }[text],
  );
  const isThumb = bits === 32 && isThumbCode(bytes, start, sections);
  const added: AddedSymbol[] = [
    ...boundsOf(addressOf, '__start___jump_table', '__stop___jump_table', jumps),
    ...boundsOf(
      addressOf,
      '__start_BTF',
      '__stop_BTF',
      tableOf(addressOf, '__start_BTF', '__stop_BTF', () => findBtf(memory)),
    ),
    ...(bits === 32
      ? [
          ...boundsOf(
            addressOf,
            '__smpalt_begin',
            '__smpalt_end',
            tableOf(addressOf, '__smpalt_begin', '__smpalt_end', () => findAltSmp(memory)),
          ),
          ...mappingSymbols(sections, isThumb),
        ]
      : []),
  ];
  const elf = elfAround(name, memorySource(bytes), sections, {
    class: bits,
    little,
    machine: bits === 64 ? EM_AARCH64 : EM_ARM,
    flags: bits === 64 ? 0 : EF_ARM_EABI_VER5,
  });
  return { elf, kallsyms, added, thumb: isThumb };
}

/** A kernel's .bss has megabytes. */
const mostTimes = 4;
const mostMore = 256 << 20;

function unsupported(message: string): TextpokeError {
  return new TextpokeError('elf-unsupported', `${message}; use the ELF file (vmlinux) of the same build`);
}

function view64(bytes: Uint8Array, at: number, little: boolean): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return bytes.length < at + 8 ? 0n : view.getBigUint64(at, little);
}

/** The address of the first byte: `_text`, or where functions begin as functions do. */
function startOf(
  bytes: Uint8Array,
  little: boolean,
  bits: 32 | 64,
  kallsyms: Kallsyms,
  addressOf: (name: string) => number | undefined,
): number {
  const text = addressOf('_text');
  const from = addressOf('_stext');
  const to = addressOf('_etext');
  if (from === undefined || to === undefined)
    throw unsupported('the kernel has no symbols _stext and _etext');
  const functions = kallsyms.addresses.filter((address) => address >= from && address < to);
  const found = baseOf(bytes, little, bits, functions, from);
  if (text !== undefined && (found === undefined || found === text)) return text;
  if (found !== undefined && text === undefined) return found;
  throw unsupported('nothing says at which address the kernel is linked');
}

function memoryOf(
  bytes: Uint8Array,
  little: boolean,
  { start, end }: FlatExtent,
  sections: readonly FlatSection[],
): FlatMemory {
  const code = sections.filter(({ flags }) => (flags & SHF_EXECINSTR) !== 0);
  const isCode = (address: number) =>
    code.some((section) => address >= section.start && address < section.end);
  return { bytes, little, start, end, isCode };
}

type AddressOf = (name: string) => number | undefined;

/** A table between its symbols, or as it is found. */
function tableOf(
  addressOf: AddressOf,
  first: string,
  last: string,
  find: () => FoundTable | undefined,
): FoundTable | undefined {
  const [start, end] = [addressOf(first), addressOf(last)];
  return start !== undefined && end !== undefined ? { start, end } : find();
}

/** Symbols at both ends of a table that kallsyms does not name. */
function boundsOf(
  addressOf: AddressOf,
  first: string,
  last: string,
  table: FoundTable | undefined,
): AddedSymbol[] {
  if (!table || (addressOf(first) !== undefined && addressOf(last) !== undefined)) return [];
  return [
    { name: first, value: table.start },
    { name: last, value: table.end },
  ];
}

/** Words of ARM code have a condition in their highest bits, nearly always the one that is always met. */
function isThumbCode(bytes: Uint8Array, start: number, sections: readonly FlatSection[]): boolean {
  const text = sections.find(({ name }) => name === '.text');
  if (!text) throw unsupported('the kernel has no text');
  let always = 0;
  let words = 0;
  for (let at = text.start - start + 3; at < text.end - start; at += 64, words++)
    if (((bytes[at] as number) & 0xf0) === 0xe0) always++;
  if (always > words / 2) return false;
  if (always < words / 4) return true;
  throw unsupported('ARM code cannot be told from Thumb code');
}

/** What kallsyms leaves out: which instruction set the code is in (AAELF32, "Mapping symbols"). */
function mappingSymbols(sections: readonly FlatSection[], thumb: boolean): AddedSymbol[] {
  return sections.flatMap(({ flags, start }, i) =>
    (flags & SHF_EXECINSTR) === 0 ? [] : [{ name: thumb ? '$t' : '$a', value: start, section: i + 1 }],
  );
}
