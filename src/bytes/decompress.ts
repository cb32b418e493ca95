// Decompression: what Node has built in, and fzstd for zstd where the running Node (before 22.15) has none.
import nodeModule from 'node:module';
import { TextpokeError } from '../errors.ts';

// Loaded when something compressed turns up: most runs see nothing of the kind.
const load = nodeModule.createRequire(import.meta.url);

/** The content of a zlib or gzip stream, at most `size` bytes if that is given; `elf-malformed` for a damaged one. */
export function inflate(bytes: Uint8Array, size?: number): Uint8Array {
  const { unzipSync } = load('node:zlib') as typeof import('node:zlib');
  return orMalformed('zlib', () =>
    unzipSync(bytes, size === undefined ? {} : { maxOutputLength: size || 1 }),
  );
}

/** The content of a zstd stream, of `size` bytes if that is known; `elf-malformed` for a damaged one. */
export function unzstd(bytes: Uint8Array, size?: number): Uint8Array {
  const { zstdDecompressSync } = load('node:zlib') as {
    zstdDecompressSync?: (b: Uint8Array, o: object) => Uint8Array;
  };
  return orMalformed('zstd', () => {
    if (zstdDecompressSync)
      return zstdDecompressSync(bytes, size === undefined ? {} : { maxOutputLength: size || 1 });
    if (bytes.length === 0) throw new Error('there are none');
    const { decompress } = load('fzstd') as typeof import('fzstd');
    return decompress(bytes, size === undefined ? undefined : new Uint8Array(size));
  });
}

/** Decompressors throw whatever they like about their input. */
function orMalformed(format: string, decompress: () => Uint8Array): Uint8Array {
  try {
    return decompress();
  } catch (error) {
    throw new TextpokeError(
      'elf-malformed',
      `the ${format} data cannot be decompressed: ${(error as Error).message}`,
    );
  }
}
