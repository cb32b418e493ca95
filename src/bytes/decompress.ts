// Compressed sections, and compressed files as distributions ship kernel modules, with a limit on what they expand to.
// Node does gzip, zlib and (from 22.15 on) zstd; zstd.ts and xz-decompress do the rest. The only file that imports
// this package.
import { constants } from 'node:buffer';
import nodeModule from 'node:module';
import { TextpokeError } from '../errors.ts';
import { decodeZstd, TooLong } from './zstd.ts';

// Loaded when something compressed turns up: most runs see nothing of the kind.
const load = nodeModule.createRequire(import.meta.url);

export type Compression = 'gzip' | 'xz' | 'zstd';

const magics: Readonly<Record<Compression, readonly number[]>> = {
  gzip: [0x1f, 0x8b],
  xz: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00],
  zstd: [0x28, 0xb5, 0x2f, 0xfd],
};

/** Bytes at the start of a file that tell its compression. */
export const magicSize = 6;

/** What the first bytes of a file say of its compression. */
export function compressionOf(start: Uint8Array): Compression | undefined {
  const forms = Object.keys(magics) as Compression[];
  return forms.find((form) => magics[form].every((byte, i) => start[i] === byte));
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
  if (!(limit >= 0))
    throw new TextpokeError('usage', `the expand limit is ${limit}; a number of bytes is required`);
  const content =
    form === 'xz'
      ? await unxz(bytes, limit)
      : form === 'gzip'
        ? inflateUpTo(bytes, limit)
        : unzstdUpTo(bytes, limit);
  if (content) return content;
  throw new TextpokeError(
    'compressed-too-large',
    `the ${form} data, ${bytes.length} bytes, expand to more than ${Math.floor(limit / mebibyte)} MiB; --expand-limit allows more`,
  );
}

/** The content of a zlib or gzip stream, at most `size` bytes; `compressed-malformed`. */
export function inflate(bytes: Uint8Array, size: number): Uint8Array {
  return inflateUpTo(bytes, size) ?? refuseLonger('zlib', size);
}

/** The content of a zstd stream, at most `size` bytes; `compressed-malformed`. */
export function unzstd(bytes: Uint8Array, size: number): Uint8Array {
  return unzstdUpTo(bytes, size) ?? refuseLonger('zstd', size);
}

function refuseLonger(form: string, size: number): never {
  throw damaged(form, `it has more than ${size} bytes`);
}

/** The content; undefined when it is longer. */
function inflateUpTo(bytes: Uint8Array, limit: number): Uint8Array | undefined {
  const { unzipSync } = load('node:zlib') as typeof import('node:zlib');
  try {
    return unzipSync(bytes, { maxOutputLength: outputLength(limit) });
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
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return Buffer.concat(chunks, size);
      size += value.length;
      if (size > limit) return undefined;
      chunks.push(value);
    }
  } catch (error) {
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
