// What the library and the commands are given: the path of a file, or bytes that have a name.
import { readFileSync, statSync } from 'node:fs';
import { TextpokeError } from '../errors.ts';
import { type ByteSource, fileSource, memorySource, reasonOf } from './source.ts';

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

/** The same bytes as an array of the plain kind: `slice` of a Buffer copies nothing. */
function plainBytes({ buffer, byteOffset, byteLength }: Uint8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Opens an input, to be closed by whoever opened it. Error `read-failed`, for what is no regular file too. */
export function openInput(input: Input): ByteSource {
  return typeof input === 'string' ? fileSource(input) : memorySource(input.bytes);
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

/** All bytes of an input, of a pipe too; `read-failed` with the system's reason. */
export function readInput(input: Input): Uint8Array {
  if (typeof input !== 'string') return plainBytes(input.bytes);
  try {
    if (statSync(input).isDirectory()) throw new Error('is a directory');
    return plainBytes(readFileSync(input));
  } catch (error) {
    throw new TextpokeError('read-failed', `cannot read: ${reasonOf(error)}`, { file: input });
  }
}

/** All of an input as text. Error `read-failed`. */
export function readText(input: Input): string {
  return Buffer.from(readInput(input)).toString('utf8');
}
