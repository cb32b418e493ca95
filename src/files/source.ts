// Where a file's bytes come from: memory, or an open file read range by range, so that a large image costs
// only the ranges that are looked at.
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';
import { compressionOf, decompress, magicSize } from '../bytes/decompress.ts';
import { TextpokeError } from '../errors.ts';

export interface ByteSource {
  /** Size of the whole file in bytes. */
  readonly size: number;
  /** The file that the bytes are read from, where they are all of it as it stands. */
  readonly path?: string;
  /** The bytes [offset, offset + length), not to be changed; `elf-truncated` when the file ends before. */
  read(offset: number, length: number): Uint8Array;
  /** The same into bytes that are there already, which saves memory where much is read. */
  readInto?(offset: number, into: Uint8Array): void;
  /** Gives the file back to the system; nothing may be read after it. */
  close(): void;
}

/** Copies bytes of a source, as many as `into` has; errors as `read`. */
export function copyFrom(source: ByteSource, offset: number, into: Uint8Array): void {
  if (source.readInto) source.readInto(offset, into);
  else into.set(source.read(offset, into.length));
}

/** Stands in front of every allocation: a damaged header must not be able to ask for 2^60 bytes. */
export function requireRange(size: number, offset: number, length: number): void {
  if (!(offset >= 0 && length >= 0 && offset + length <= size)) {
    throw new TextpokeError(
      'elf-truncated',
      `${length} bytes are needed here, but the file ends at byte ${size}`,
      { offset },
    );
  }
}

/** Bytes in memory. */
export function memorySource(given: Uint8Array): ByteSource {
  // A Buffer's slice shares its memory, where that of other arrays copies it, and copies are what is written to.
  const bytes = new Uint8Array(given.buffer, given.byteOffset, given.byteLength);
  return {
    size: bytes.length,
    read(offset, length) {
      requireRange(bytes.length, offset, length);
      return bytes.subarray(offset, offset + length);
    },
    close() {},
  };
}

/** A part of a source; to close it closes nothing. */
export function partOf(source: ByteSource, start: number, size: number): ByteSource {
  return {
    size,
    read(offset, length) {
      requireRange(size, offset, length);
      return source.read(start + offset, length);
    },
    close() {},
  };
}

/** The system's word for a failed file operation, such as `ENOENT: no such file or directory`. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(
    /, (open|read|write|rename|stat|unlink|copyfile|mkdir|fstat|futime|lstat|realpath|readlink|fchown|fchmod)\b.*$/,
    '',
  );
}

/**
 * Opens a regular file. Anything else is refused unopened: to open a FIFO waits for its other end, and to open a device
 * may do something. Whoever puts a FIFO there in between does not make it wait either. Errors of the system.
 */
export function openRegular(path: string): { fd: number; size: number } {
  refuseOther(statSync(path));
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(fd);
    refuseOther(stat);
    return { fd, size: stat.size };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function refuseOther(stat: Stats): void {
  if (!stat.isFile()) throw new Error(stat.isDirectory() ? 'is a directory' : 'is not a regular file');
}

/** Opens `path` for reading; `read-failed` when the system refuses, and for what is no regular file. */
export function fileSource(path: string): ByteSource {
  try {
    const { fd, size } = openRegular(path);
    return openSource(path, fd, size);
  } catch (error) {
    throw new TextpokeError('read-failed', `cannot read: ${reasonOf(error)}`, { file: path });
  }
}

/** As many bytes as systems and arrays of Node read at once. */
const mostAtOnce = 2 ** 31 - 1;
const largestArray = 2 ** 32;

/** Room for bytes of a file, all of which will be written. Errors: `elf-unsupported` for more than an array holds, `read-failed` without memory. */
export function roomFor(length: number, offset: number): Uint8Array {
  if (length > largestArray) {
    throw new TextpokeError(
      'elf-unsupported',
      `${length} bytes are needed here at once; at most ${largestArray} are supported`,
      { offset },
    );
  }
  try {
    return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
  } catch {
    throw new TextpokeError('read-failed', `cannot read: there is no memory for ${length} bytes`, { offset });
  }
}

/** The bytes of an open file; closing the source closes it. */
export function openSource(path: string, fd: number, size: number): ByteSource {
  const readInto = (offset: number, bytes: Uint8Array) => {
    requireRange(size, offset, bytes.length);
    let done = 0;
    while (done < bytes.length) {
      const count = readFrom(fd, bytes, done, offset + done);
      if (count === 0) throw new TextpokeError('read-failed', 'the file became shorter while it was read');
      done += count;
    }
  };
  return {
    size,
    path,
    read(offset, length) {
      requireRange(size, offset, length);
      const bytes = roomFor(length, offset);
      readInto(offset, bytes);
      return bytes;
    },
    readInto,
    close: () => closeSync(fd),
  };
}

function readFrom(fd: number, bytes: Uint8Array, done: number, position: number): number {
  try {
    return readSync(fd, bytes, done, Math.min(bytes.length - done, mostAtOnce), position);
  } catch (error) {
    throw new TextpokeError('read-failed', `cannot read: ${reasonOf(error)}`);
  }
}

/**
 * The source itself, or what it holds when it is compressed: `limit` bytes at most, or as many as fit its size. Errors:
 * `compressed-malformed`, `compressed-too-large`.
 */
export async function plainSource(source: ByteSource, limit?: number): Promise<ByteSource> {
  const form = compressionOf(source.read(0, Math.min(magicSize, source.size)));
  return form ? memorySource(await decompress(form, source.read(0, source.size), limit)) : source;
}
