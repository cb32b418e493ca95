// Writes what a new file is to hold: bytes, or a source of them that need not be in memory.
import { ftruncateSync, writeSync } from 'node:fs';
import type { ByteSource } from './source.ts';

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

function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    // Systems write less than 2 GiB at once.
    done += writeSync(fd, bytes, done, Math.min(bytes.length - done, 1 << 30), position + done);
  }
}
