// Opens a dump of memory, whose format its first bytes tell.
import { isElf } from '../elf/magic.ts';
import { inFile, TextpokeError } from '../errors.ts';
import { type Input, nameOf, openInput } from '../files/input.ts';
import type { ByteSource } from '../files/source.ts';
import type { Image } from '../image/image.ts';
import { readCore } from './core.ts';
import { flatSignature, unflatten } from './flat.ts';
import { kdumpSignature, readKdump } from './kdump.ts';
import { isLime, readLime } from './lime.ts';
import type { Snapshot } from './memory.ts';
import { type RawLayout, readRaw } from './raw.ts';

/** A snapshot whose file is open. */
export interface OpenSnapshot extends Snapshot {
  /** Gives the file back to the system; nothing may be read after it. */
  close(): void;
}

/**
 * Opens the dump of a system that runs `image`; `raw` is how a dump lies in memory that does not say so itself.
 * Errors: `usage`, `read-failed`, `memory-unsupported`, `memory-malformed`, `memory-mismatch`, `elf-truncated`.
 */
export function openSnapshot(input: Input, image: Image, raw: RawLayout | undefined): OpenSnapshot {
  const name = nameOf(input);
  const source = openInput(input);
  const close = () => source.close();
  try {
    return { ...inFile(name, () => readSnapshot(name, source, image, raw)), close };
  } catch (error) {
    close();
    throw error;
  }
}

/** The same for an open source. */
export function readSnapshot(
  path: string,
  source: ByteSource,
  image: Image,
  raw: RawLayout | undefined,
): Snapshot {
  const start = source.read(0, Math.min(16, source.size));
  const text = Buffer.from(start).toString('latin1');
  const { header } = image.file;
  if (raw) {
    requireRaw(text, raw);
    return readRaw(source, image, raw);
  }
  if (isLime(text)) return readLime(path, source);
  if (isElf(start)) return readCore(path, source, header);
  if (text.startsWith(kdumpSignature)) return readKdump(path, source, header);
  if (text.startsWith(flatSignature)) {
    const flat = unflatten(source);
    const inner = Buffer.from(flat.read(0, Math.min(16, flat.size)));
    if (isElf(inner)) return readCore(path, flat, header);
    if (inner.toString('latin1').startsWith(kdumpSignature)) return readKdump(path, flat, header);
  }
  throw new TextpokeError(
    'memory-unsupported',
    'the file is no ELF core, kdump, LiME or AVML; a raw image needs --physical, or --base with the virtual address of its first byte',
  );
}

/** Memory from an ELF header on may be a raw image of a program's; physical memory does not begin so. */
function requireRaw(start: string, raw: RawLayout): void {
  const signature = ['\x7fELF', kdumpSignature, flatSignature].find((text) => start.startsWith(text));
  if ('base' in raw || (signature === undefined && !isLime(start))) return;
  throw new TextpokeError(
    'usage',
    'the file says itself where its memory lies (an ELF core, a kdump, LiME or AVML); --physical is for raw images',
  );
}
