// What a file is by its first bytes: ELF, or what people give in its place, which the error names.
import { compressionOf, magicSize } from '../bytes/decompress.ts';
import { hexBytes } from '../bytes/integer.ts';
import { TextpokeError } from '../errors.ts';
import type { ByteSource } from '../files/source.ts';

/** True when the bytes start with ELF's magic number. */
export function isElf(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/** True for LLVM bitcode, which starts with `BC 0xc0de`, or with its wrapper's 0x0b17c0de. */
export function isBitcode(b: Uint8Array): boolean {
  return (
    (b[0] === 0x42 && b[1] === 0x43 && b[2] === 0xc0 && b[3] === 0xde) ||
    (b[0] === 0xde && b[1] === 0xc0 && b[2] === 0x17 && b[3] === 0x0b)
  );
}

/** Boot images of kernels: magic number, its offset in the file, what it is and where the ELF file is. */
const bootImages = [
  ['48647253', 0x202, 'a bzImage; extract the vmlinux with scripts/extract-vmlinux of the kernel tree'],
  ['41524d64', 0x38, 'an arm64 kernel Image; use the ELF file (vmlinux) of the same build'],
  ['18286f01', 0x24, 'an arm zImage; use the ELF file (vmlinux) of the same build'],
] as const;

function describeMagic(source: ByteSource): string {
  const at = (offset: number, size: number) =>
    source.read(Math.min(offset, source.size), Math.max(0, Math.min(size, source.size - offset)));
  const start = at(0, magicSize);
  if (start.length === 0) return 'the file is empty';
  if (start[0] === 0x23 && start[1] === 0x21) return 'the file is a script';
  const compression = compressionOf(start);
  if (compression) return `the file is compressed with ${compression}`;
  const image = bootImages.find(([magic, offset]) => hexBytes(at(offset, 4)) === magic);
  if (image) return `the file is ${image[2]}`;
  return `the file starts with ${Array.from(start.subarray(0, 4), (b) => hexBytes(Uint8Array.of(b))).join(' ')}`;
}

/** Throws for a file that does not start as ELF does; `ident` are its first bytes. Errors: `lto-object`, `not-elf`. */
export function refuseOthers(source: ByteSource, ident: Uint8Array): void {
  if (isBitcode(ident)) {
    throw new TextpokeError(
      'lto-object',
      'the file is LLVM bitcode and has no machine code; link it to an object first (ld.lld -r), or compile without -flto',
    );
  }
  if (!isElf(ident)) {
    throw new TextpokeError('not-elf', `${describeMagic(source)}; an ELF file starts with 7f 45 4c 46`);
  }
}
