// Compressed files, as distributions ship kernel modules: gzip and zstd by Node where it can, zstd by fzstd and xz by
// xz-decompress where it cannot. The only file that imports these packages.
import * as zlib from 'node:zlib';
import { TextpokeError } from '../errors.ts';

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
  try {
    return await decompressors[form](bytes);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TextpokeError('compressed-malformed', `the ${form} data cannot be decompressed: ${reason}`);
  }
}

const decompressors: Record<Compression, (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>> = {
  gzip: (bytes) => zlib.gunzipSync(bytes),
  xz: unxz,
  zstd: unzstd,
};

/** Node has zstd from 22.15 on, which the types of Node 20 do not know. */
const { zstdDecompressSync } = zlib as { zstdDecompressSync?: (bytes: Uint8Array) => Uint8Array };

async function unzstd(bytes: Uint8Array): Promise<Uint8Array> {
  return zstdDecompressSync ? zstdDecompressSync(bytes) : (await import('fzstd')).decompress(bytes);
}

async function unxz(bytes: Uint8Array): Promise<Uint8Array> {
  // A CommonJS package whose names only some loaders see.
  const loaded = await import('xz-decompress');
  const { XzReadableStream } = loaded.default ?? loaded;
  const stream = new XzReadableStream(new Blob([bytes as Uint8Array<ArrayBuffer>]).stream());
  try {
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch (error) {
    const code = /error code (\d+)$/.exec(String(error))?.[1];
    throw new Error(xzErrors[code ?? ''] ?? String(error));
  }
}

/** xz_ret of XZ Embedded, which the package is made of (linux/include/linux/xz.h). */
const xzErrors: Readonly<Record<string, string>> = {
  '2': 'a kind of checksum that is not supported',
  '6': 'filters that are not supported (xz --x86 and the like); kernels are compressed without',
  '7': 'the data is damaged',
  '8': 'the data ends too early',
};
