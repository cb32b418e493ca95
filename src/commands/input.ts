// Reads the files that a command line names.
import { readFileSync, statSync } from 'node:fs';
import { readElfFrom } from '../elf/read.ts';
import { TextpokeError } from '../errors.ts';
import { fileSource, reasonOf } from '../files/source.ts';
import { Image } from '../image/image.ts';

/** A regular file's bytes; `read-failed` with the system's reason. */
export function readBytes(path: string): Uint8Array {
  try {
    const stat = statSync(path);
    if (stat.isDirectory()) throw new Error('is a directory');
    const buffer = readFileSync(path);
    return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  } catch (error) {
    throw new TextpokeError('read-failed', `cannot read: ${reasonOf(error)}`, { file: path });
  }
}

/** A linked image, of which only what is looked at is read. Errors: `read-failed`, `not-an-image`, those of reading ELF. */
export function openImage(path: string): Image {
  return new Image(readElfFrom(path, fileSource(path)));
}
