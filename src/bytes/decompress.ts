// Compressed sections, compressed files as distributions ship kernel modules, and the payloads of kernels, with a limit
// on what they expand to. Node does gzip, zlib and (from 22.15 on) zstd, xz-decompress what is not filtered, and files of
// this room do the rest. The only file that imports this package.
import { constants } from 'node:buffer';
import nodeModule from 'node:module';
import { TextpokeError } from '../errors.ts';
import { isLzmaAlone } from './lzma-header.ts';
import { type Decoded, Output, TooLong } from './output.ts';
import { decodeZstd } from './zstd.ts';

// Loaded when something compressed turns up: most runs see nothing of the kind.
const load = nodeModule.createRequire(import.meta.url);

/** A compression by the name of its tool; `lz4` is its legacy format, which kernels have, `lzo` that of lzop. */
export type Compression = 'gzip' | 'bzip2' | 'lzma' | 'xz' | 'lzo' | 'lz4' | 'zstd';

/** The first bytes of each; those of LZMA are fewer, so isLzmaAlone looks at more. */
export const compressionMagics: Readonly<Record<Compression, readonly number[]>> = {
  gzip: [0x1f, 0x8b],
  bzip2: [0x42, 0x5a, 0x68],
  lzma: [0x5d, 0x00, 0x00],
  xz: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00],
  lzo: [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a],
  lz4: [0x02, 0x21, 0x4c, 0x18],
  zstd: [0x28, 0xb5, 0x2f, 0xfd],
};

/** Bytes at the start of a file that tell its compression. */
export const magicSize = 13;

/** What the first bytes of a file say of its compression. */
export function compressionOf(start: Uint8Array): Compression | undefined {
  const forms = Object.keys(compressionMagics) as Compression[];
  const found = forms.find((form) => compressionMagics[form].every((byte, i) => start[i] === byte));
  return found === 'lzma' && !isLzmaAlone(start) ? undefined : found;
}

const mebibyte = 2 ** 20;

/** Bytes that what is in a file of `size` bytes may expand to unless more is allowed. Modules and kernels are about 3 to 10 times as large as they are compressed. */
export function expandLimit(size: number): number {
  return Math.max(64 * mebibyte, 20 * size);
}

/**
 * The bytes in a compressed file. Errors: `compressed-malformed` when it is damaged or cut off, `compressed-too-large`
 * when it has more than `limit` bytes; it is read no further than that.
 */
export async function decompress(
  form: Compression,
  bytes: Uint8Array,
  limit = expandLimit(bytes.length),
): Promise<Uint8Array> {
  const { content } = await decompressFirst(form, bytes, limit);
  return content;
}

/** The same with the number of bytes that the first stream took; of some forms that is all of `bytes`. Errors as above. */
export async function decompressFirst(
  form: Compression,
  bytes: Uint8Array,
  limit = expandLimit(bytes.length),
): Promise<Decoded> {
  if (!(limit >= 0))
    throw new TextpokeError('usage', `the expand limit is ${limit}; a number of bytes is required`);
  const decoded = await decoders[form](bytes, limit);
  if (decoded) return decoded;
  throw new TextpokeError(
    'compressed-too-large',
    `the ${form} data, ${bytes.length} bytes, expand to more than ${Math.floor(limit / mebibyte)} MiB; --expand-limit allows more`,
  );
}

/** The content of each form; undefined when it is longer than the limit. Error `compressed-malformed`. */
const decoders: Readonly<
  Record<Compression, (bytes: Uint8Array, limit: number) => Promise<Decoded | undefined>>
> = {
  gzip: async (bytes, limit) => inflateUpTo(bytes, limit),
  zstd: async (bytes, limit) => whole(unzstdUpTo(bytes, limit), bytes),
  xz: async (bytes, limit) => {
    const { decodeXz, hasFilter } = await import('./xz.ts');
    if (hasFilter(bytes)) return decodeUpTo('xz', () => decodeXz(bytes, limit));
    return whole(await unxz(bytes, limit), bytes);
  },
  bzip2: async (bytes, limit) => {
    const { decodeBzip2 } = await import('./bzip2.ts');
    return decodeUpTo('bzip2', () => decodeBzip2(bytes, limit));
  },
  lzma: async (bytes, limit) => {
    const { decodeLzmaAlone } = await import('./lzma.ts');
    return decodeUpTo('lzma', () => decodeLzmaAlone(bytes, limit));
  },
  lzo: async (bytes, limit) => {
    const { decodeLzop } = await import('./lzop.ts');
    return decodeUpTo('lzo', () => decodeLzop(bytes, limit));
  },
  lz4: async (bytes, limit) => {
    const { decodeLz4Legacy } = await import('./lz4.ts');
    return decodeUpTo('lz4', () => decodeLz4Legacy(bytes, limit));
  },
};

function whole(content: Uint8Array | undefined, { length }: Uint8Array): Decoded | undefined {
  return content && { content, end: length };
}

/** What a decoder of this room gives; undefined when it is longer. */
function decodeUpTo(form: Compression, decode: () => Decoded): Decoded | undefined {
  try {
    return decode();
  } catch (error) {
    if (isTooLong(error)) return undefined;
    throw error instanceof TextpokeError ? error : damaged(form, error);
  }
}

/** The content of a zlib or gzip stream, at most `size` bytes; `compressed-malformed`. */
export function inflate(bytes: Uint8Array, size: number): Uint8Array {
  return inflateUpTo(bytes, size)?.content ?? refuseLonger('zlib', size);
}

/** The content of a zstd stream, at most `size` bytes; `compressed-malformed`. */
export function unzstd(bytes: Uint8Array, size: number): Uint8Array {
  return unzstdUpTo(bytes, size) ?? refuseLonger('zstd', size);
}

function refuseLonger(form: string, size: number): never {
  throw damaged(form, `it has more than ${size} bytes`);
}

/** What a zlib or gzip stream holds; undefined when it is longer. */
function inflateUpTo(bytes: Uint8Array, limit: number): Decoded | undefined {
  // Node's types do not know what `info` gives.
  const { unzipSync } = load('node:zlib') as {
    unzipSync: (b: Uint8Array, o: object) => { buffer: Uint8Array; engine: { bytesWritten: number } };
  };
  try {
    const { buffer, engine } = unzipSync(bytes, { maxOutputLength: outputLength(limit), info: true });
    return { content: buffer, end: engine.bytesWritten };
  } catch (error) {
    if (isTooLong(error)) return undefined;
    throw damaged('zlib', error);
  }
}

/** The content; undefined when it is longer. */
function unzstdUpTo(bytes: Uint8Array, limit: number): Uint8Array | undefined {
  // Node 20's types do not know it.
  const { zstdDecompressSync } = load('node:zlib') as {
    zstdDecompressSync?: (b: Uint8Array, o: object) => Uint8Array;
  };
  try {
    if (zstdDecompressSync) return zstdDecompressSync(bytes, { maxOutputLength: outputLength(limit) });
    return decodeZstd(bytes, limit);
  } catch (error) {
    if (isTooLong(error)) return undefined;
    throw damaged('zstd', error);
  }
}

/** What zlib takes: at least 1. */
function outputLength(limit: number): number {
  return Math.min(Math.max(limit, 1), constants.MAX_LENGTH);
}

function isTooLong(error: unknown): boolean {
  return error instanceof TooLong || (error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE';
}

async function unxz(bytes: Uint8Array, limit: number): Promise<Uint8Array | undefined> {
  const { XzReadableStream } = load('xz-decompress') as typeof import('xz-decompress');
  const stream = new XzReadableStream(new Blob([bytes as Uint8Array<ArrayBuffer>]).stream());
  const reader = stream.getReader();
  // Modules become four to nine times as long: to grow once more costs a copy of all.
  const output = new Output(10 * bytes.length, limit);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return output.content;
      output.append(value, 0, value.length);
    }
  } catch (error) {
    if (error instanceof TooLong) return undefined;
    const code = /error code (\d+)$/.exec(String(error))?.[1];
    throw damaged('xz', xzErrors[code ?? ''] ?? error);
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** xz_ret of XZ Embedded, which the package is made of (linux/include/linux/xz.h). */
const xzErrors: Readonly<Record<string, string>> = {
  '2': 'the type of the checksum is not supported',
  '6': 'the filters are not supported (xz --x86, for example); kernels are compressed without filters',
  '7': 'the data is damaged',
  '8': 'the data ends too early',
};

/** Decompressors throw whatever they like about their input. */
function damaged(form: string, error: unknown): TextpokeError {
  const reason = error instanceof Error ? error.message : String(error);
  return new TextpokeError('compressed-malformed', `the ${form} data cannot be decompressed: ${reason}`);
}
