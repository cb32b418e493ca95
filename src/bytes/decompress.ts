// Compressed sections, and compressed files as distributions ship kernel modules. Node does gzip, zlib and (from 22.15
// on) zstd; fzstd and xz-decompress do the rest. The only file that imports these packages.
import nodeModule from 'node:module';
import { TextpokeError } from '../errors.ts';

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

/** The bytes in a compressed file; `compressed-malformed` when it is damaged or cut off. */
export async function decompress(form: Compression, bytes: Uint8Array): Promise<Uint8Array> {
  if (form === 'gzip') return inflate(bytes);
  return form === 'zstd' ? unzstd(bytes) : unxz(bytes);
}

/** The content of a zlib or gzip stream, at most `size` bytes if that is given; `compressed-malformed`. */
export function inflate(bytes: Uint8Array, size?: number): Uint8Array {
  const { unzipSync } = load('node:zlib') as typeof import('node:zlib');
  const options = size === undefined ? {} : { maxOutputLength: size || 1 };
  try {
    return unzipSync(bytes, options);
  } catch (error) {
    throw damaged('zlib', error);
  }
}

/** The content of a zstd stream, of `size` bytes if that is known; `compressed-malformed`. */
export function unzstd(bytes: Uint8Array, size?: number): Uint8Array {
  // Node 20's types do not know it.
  const { zstdDecompressSync } = load('node:zlib') as {
    zstdDecompressSync?: (b: Uint8Array, o: object) => Uint8Array;
  };
  try {
    if (zstdDecompressSync)
      return zstdDecompressSync(bytes, size === undefined ? {} : { maxOutputLength: size || 1 });
    if (bytes.length === 0) throw new Error('the stream is empty');
    const { decompress } = load('fzstd') as typeof import('fzstd');
    return decompress(bytes, size === undefined ? undefined : new Uint8Array(size));
  } catch (error) {
    throw damaged('zstd', error);
  }
}

async function unxz(bytes: Uint8Array): Promise<Uint8Array> {
  const { XzReadableStream } = load('xz-decompress') as typeof import('xz-decompress');
  const stream = new XzReadableStream(new Blob([bytes as Uint8Array<ArrayBuffer>]).stream());
  try {
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch (error) {
    const code = /error code (\d+)$/.exec(String(error))?.[1];
    throw damaged('xz', xzErrors[code ?? ''] ?? error);
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
