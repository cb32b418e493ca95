// The compressed kernel in a 32-bit ARM zImage (arch/arm/boot/compressed/head.S, vmlinux.lds.S, piggy.S). No header says
// where it begins: it is found by its magic number, and what comes of it is held against the size that follows it.
import {
  type Compression,
  compressionMagics,
  compressionOf,
  decompressFirst,
  magicSize,
} from '../../bytes/decompress.ts';
import { ByteView } from '../../bytes/view.ts';
import { TextpokeError } from '../../errors.ts';
import type { ByteSource } from '../../files/source.ts';

const at = { magic: 0x24, hasTable: 0x34, table: 0x38, end: 0x40 } as const;
const tableMagic = 0x4545_4545;
/** The tag of the entry that says where the size of the kernel stands (`KLSZ`). */
const kernelSizeTag = 0x5a53_4c4b;
/** Places that may be tried: code and data of the decompressor seldom look like a magic number. */
const mostTries = 16;

/** What ARM kernels may be compressed with. */
const forms: readonly Compression[] = ['gzip', 'lzma', 'xz', 'lzo', 'lz4', 'zstd'];

/** The kernel in a zImage, which is a flat image. */
export interface ZImageKernel {
  readonly bytes: Uint8Array;
  readonly compression: Compression;
  readonly little: boolean;
  /** Bytes of its .bss; undefined before 4.15. */
  readonly bssSize: number | undefined;
}

/** What the table behind the header says (vmlinux.lds.S, `.table`). */
interface Sizes {
  /** Where the size of the kernel stands, behind the compressed data. */
  readonly placeOfSize: number;
  readonly bssSize: number;
}

/** Undefined before 4.15, or where nothing says. */
function sizesOf(view: ByteView): Sizes | undefined {
  const { length } = view.bytes;
  if (view.u32(at.hasTable) !== tableMagic) return undefined;
  for (let entry = view.u32(at.table); entry + 16 <= length; ) {
    const words = view.u32(entry);
    if (words < 2) return undefined;
    if (view.u32(entry + 4) === kernelSizeTag) {
      const place = view.u32(entry + 8);
      if (place < at.end || place + 4 > length) return undefined;
      return { placeOfSize: place, bssSize: view.u32(entry + 12) };
    }
    entry += words * 4;
  }
  return undefined;
}

/** Places that begin as compressed data do, in order. */
function candidates(bytes: Uint8Array): { form: Compression; start: number }[] {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const found: { form: Compression; start: number }[] = [];
  for (const form of forms) {
    const magic = Uint8Array.from(form === 'gzip' ? [...compressionMagics.gzip, 8] : compressionMagics[form]);
    let seen = 0;
    for (
      let start = data.indexOf(magic, at.end);
      start >= 0 && seen < mostTries;
      start = data.indexOf(magic, start + 1)
    ) {
      if (compressionOf(bytes.subarray(start, start + magicSize)) !== form) continue;
      found.push({ form, start });
      seen++;
    }
  }
  return found.sort((a, b) => a.start - b.start);
}

/**
 * The kernel, at most `limit` bytes of it. Errors: `elf-unsupported` where none is found, `compressed-too-large`, and
 * `compressed-malformed` for the only one there could be.
 */
export async function zImageKernel(source: ByteSource, limit: number): Promise<ZImageKernel> {
  const bytes = source.read(0, source.size);
  const little = bytes[at.magic] === 0x18;
  const view = new ByteView(bytes, little);
  const sizes = sizesOf(view);
  const size = sizes?.placeOfSize;
  let problem: unknown;
  for (const { form, start } of candidates(bytes).slice(0, mostTries)) {
    // Legacy LZ4 does not say where it ends. gzip has the size in its own last bytes.
    if (form === 'lz4' && size === undefined) continue;
    const end = size === undefined ? bytes.length : form === 'gzip' ? size + 4 : size;
    if (start >= end) continue;
    try {
      const decoded = await decompressFirst(form, bytes.subarray(start, end), limit);
      const behind = start + decoded.end;
      if (form !== 'gzip' && new ByteView(bytes, true).u32(behind) !== decoded.content.length) continue;
      return { bytes: decoded.content, compression: form, little, bssSize: sizes?.bssSize };
    } catch (error) {
      if (!(error instanceof TextpokeError)) throw error;
      problem ??= error;
    }
  }
  if (problem) throw problem;
  throw new TextpokeError(
    'elf-unsupported',
    `no kernel was found in the zImage; one that is compressed with ${forms.join(', ')} is required. Use the ELF file (vmlinux) of the same build`,
  );
}
