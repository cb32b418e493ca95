// What the library and the commands are given: the path of a file, or bytes that have a name.
import { type ByteSource, fileSource, memorySource } from './source.ts';
import { isOpenStream, readWhole } from './stream.ts';

/** Bytes in memory, with the name that messages and documents call them by. They are never changed. */
export interface NamedBytes {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** The path of a file, of which only the ranges that are looked at are read, or bytes in memory. */
export type Input = string | NamedBytes;

/** What messages call an input: its path or its name. */
export function nameOf(input: Input): string {
  return typeof input === 'string' ? input : input.name;
}

/** The path of an input; undefined for bytes in memory. */
export function pathOf(input: Input): string | undefined {
  return typeof input === 'string' ? input : undefined;
}

/** The same bytes as an array of the plain kind: `slice` of a Buffer copies nothing. */
function plainBytes({ buffer, byteOffset, byteLength }: Uint8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/**
 * Opens an input, to be closed by whoever opened it; what an open stream brings is read first. Error `read-failed`, for
 * what is neither a stream nor a regular file too.
 */
export function openInput(input: Input): ByteSource {
  const isFile = typeof input === 'string' && !isOpenStream(input);
  return isFile ? fileSource(input) : memorySource(readInput(input));
}

/** Opens an input for as long as `body` runs. Errors: `read-failed`, and those of `body`. */
export async function withSource<T>(input: Input, body: (source: ByteSource) => T | Promise<T>): Promise<T> {
  const source = openInput(input);
  try {
    return await body(source);
  } finally {
    source.close();
  }
}

/** More than any object or archive has that could be in memory at once with what is made of it. */
const largestInput = 2 ** 32;
/** The most that a pipe may bring, which need not end. */
const largestStream = 2 ** 30;
/** More than what people write has: JSON of this size still fits memory when it is read. */
const largestText = 16 << 20;

/** All bytes of an input; `read-failed` with the system's reason. */
export function readInput(input: Input): Uint8Array {
  return typeof input === 'string' ? readWhole(input, largestInput, largestStream) : plainBytes(input.bytes);
}

/** All of an input as text, at most `limit` bytes. Error `read-failed`. */
export function readText(input: Input, limit = largestText): string {
  const bytes = typeof input === 'string' ? readWhole(input, limit) : input.bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
}
