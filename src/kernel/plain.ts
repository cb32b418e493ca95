// What an input is without its containers: compressed files and kernel files become what is in them. This stands in front
// of reading ELF, so it looks at few bytes; what it needs for a kernel is loaded when there is one.
import { compressionOf, magicSize } from '../bytes/decompress.ts';
import { ET_REL } from '../elf/constants.ts';
import { isElf } from '../elf/magic.ts';
import { readElfFrom } from '../elf/read.ts';
import { inFile } from '../errors.ts';
import type { ByteSource } from '../files/source.ts';
import { headOf, kernelFormOf } from './files/detect.ts';

/** An input without containers. */
export interface PlainInput {
  readonly source: ByteSource;
  /** What was unpacked, where a kernel was: `bzImage, zstd, 57,575,404 bytes; 148,055 symbols of kallsyms`. */
  readonly form?: string;
  /** The relocation lists behind the payload of x86 (relocation-lists.ts). */
  readonly relocations?: Uint8Array;
}

const placeOfType = 16; // e_type, behind e_ident

/**
 * Takes the containers off an input; an ELF file with symbols, an archive and anything unknown come back as they are. What
 * is compressed may expand to `limit` bytes, or to 64 MiB or 20 times its size. `name` is for messages. Errors:
 * `compressed-malformed`, `compressed-too-large`, `elf-unsupported`, `elf-truncated`, `elf-malformed`, `not-elf`.
 */
export async function withoutContainers(
  name: string,
  source: ByteSource,
  limit?: number,
): Promise<PlainInput> {
  const head = inFile(name, () => headOf(source));
  if (isElf(head)) {
    // Objects are never kernels; the type is in the byte that is not 0, whatever the byte order.
    const type = (head[placeOfType] as number) + (head[placeOfType + 1] as number);
    if (type === ET_REL || readElfFrom(name, source).symtab) return { source };
  } else if (kernelFormOf(head) === undefined && compressionOf(head.subarray(0, magicSize)) === undefined) {
    return { source };
  }
  const { openKernel } = await import('./open.ts');
  return (await openKernel(name, source, limit)) ?? { source };
}

/** The note that tells what a file was; none for one that is as it seems. */
export function unpackedNotes(name: string, form: string | undefined): string[] {
  return form === undefined ? [] : [`${name}: ${form}`];
}
