// Writes what a new file is to hold: bytes, or a source of them that need not be in memory.
import { ftruncateSync, writeSync } from 'node:fs';
import { type ByteSource, memorySource } from './source.ts';
import { waitedFor } from './stream.ts';

/** What a new file is to hold. */
export type Content = Uint8Array | ByteSource;

/** Bytes that are in memory at once while a file is written. */
const chunk = 1 << 20;
const zeros = Buffer.alloc(chunk);

/** Writes all of a content to a new file. Where it has nothing but zeros the file gets a hole, as sparse files have. */
export function writeContent(fd: number, content: Content): void {
  if (content instanceof Uint8Array) {
    writeAll(fd, content, 0);
    return;
  }
  for (let at = 0; at < content.size; at += chunk) {
    const bytes = content.read(at, Math.min(chunk, content.size - at));
    if (zeros.compare(bytes, 0, bytes.length, 0, bytes.length) !== 0) writeAll(fd, bytes, at);
  }
  ftruncateSync(fd, content.size);
}

/** Writes all of a content to a stream. Fails as the system fails. */
export function sendContent(fd: number, content: Content): void {
  const source = content instanceof Uint8Array ? memorySource(content) : content;
  for (let at = 0; at < source.size; at += chunk) {
    const bytes = source.read(at, Math.min(chunk, source.size - at));
    for (let done = 0; done < bytes.length; ) done += writeWhenTaken(fd, bytes, done);
  }
}

function writeWhenTaken(fd: number, bytes: Uint8Array, done: number): number {
  try {
    return writeSync(fd, bytes, done);
  } catch (error) {
    if (!waitedFor(error)) throw error;
    return 0;
  }
}

function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    // Systems write less than 2 GiB at once.
    done += writeSync(fd, bytes, done, Math.min(bytes.length - done, 1 << 30), position + done);
  }
}
