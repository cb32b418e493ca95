// Opens a dump of memory, whose format its first bytes tell.
import { hex } from '../bytes/integer.ts';
import { isElf } from '../elf/magic.ts';
import { inFile, TextpokeError } from '../errors.ts';
import { type Input, nameOf, openInput } from '../files/input.ts';
import type { ByteSource } from '../files/source.ts';
import type { Image } from '../image/image.ts';
import { readCore } from './core.ts';
import { flatSignature, unflatten } from './flat.ts';
import { kdumpSignature, readKdump } from './kdump.ts';
import type { Snapshot } from './memory.ts';

/** A snapshot whose file is open. */
export interface OpenSnapshot extends Snapshot {
  /** Gives the file back to the system; nothing may be read after it. */
  close(): void;
}

/**
 * Opens the dump of a system that runs `image`; `base` is the virtual address of a raw dump's first byte.
 * Errors: `read-failed`, `memory-unsupported`, `memory-malformed`, `memory-mismatch`, `elf-truncated`.
 */
export function openSnapshot(input: Input, image: Image, base: number | undefined): OpenSnapshot {
  const name = nameOf(input);
  const source = openInput(input);
  const close = () => source.close();
  try {
    return { ...inFile(name, () => readSnapshot(name, source, image, base)), close };
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
  base: number | undefined,
): Snapshot {
  if (base !== undefined) return rawSnapshot(source, base);
  const start = source.read(0, Math.min(16, source.size));
  const text = Buffer.from(start).toString('latin1');
  const { header } = image.file;
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
    'the file is neither an ELF core nor a kdump; a raw dump needs --base with the address of its first byte',
  );
}

function rawSnapshot(source: ByteSource, base: number): Snapshot {
  const end = base + source.size;
  if (!Number.isSafeInteger(end))
    throw new TextpokeError('usage', `--base is ${hex(base)}; no machine has memory there`);
  return {
    memories: [
      {
        format: 'a raw dump',
        addresses: 'virtual',
        fileSize: source.size,
        runs: { starts: Float64Array.of(base), ends: Float64Array.of(end) },
        read(address, into) {
          const from = Math.max(address, base);
          const to = Math.min(address + into.length, end);
          if (from < to) into.set(source.read(from - base, to - from), from - address);
          return from === address && to === address + into.length;
        },
      },
    ],
    vmcoreinfo: undefined,
    process: undefined,
  };
}
