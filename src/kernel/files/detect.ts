// What kind of kernel file some bytes begin, by the magic numbers of its header. Small, for every input is asked.
import type { ByteSource } from '../../files/source.ts';

/** A kernel file that holds the kernel in another form than ELF. */
export type KernelForm = 'bzImage' | 'EFI zboot image' | 'arm64 Image' | 'zImage' | 'EFI image';

/** Bytes from the start of a file that tell its form. */
export const headSize = 0x248 + 8;

/** Bytes and where they stand; several, where one would not do. */
type Mark = readonly [offset: number, ...bytes: number[]];

const marks: readonly (readonly [form: KernelForm, ...marks: Mark[]])[] = [
  // Documentation/arch/x86/boot.rst: boot_flag, and `HdrS`.
  ['bzImage', [0x1fe, 0x55, 0xaa], [0x202, 0x48, 0x64, 0x72, 0x53]],
  // drivers/firmware/efi/libstub/zboot-header.S: `MZ`, `zimg`.
  ['EFI zboot image', [0, 0x4d, 0x5a, 0, 0, 0x7a, 0x69, 0x6d, 0x67]],
  // Documentation/arch/arm64/booting.rst: `ARM\x64`.
  ['arm64 Image', [0x38, 0x41, 0x52, 0x4d, 0x64]],
  // arch/arm/boot/compressed/head.S: 0x016f2818 in the byte order of the code's data.
  ['zImage', [0x24, 0x18, 0x28, 0x6f, 0x01]],
  ['zImage', [0x24, 0x01, 0x6f, 0x28, 0x18]],
  // A unified kernel image is a program of EFI (PE); the sections tell whether it has a kernel.
  ['EFI image', [0, 0x4d, 0x5a]],
];

/** The form of a kernel file by its first `headSize` bytes; undefined for anything else. */
export function kernelFormOf(head: Uint8Array): KernelForm | undefined {
  const stands = ([offset, ...bytes]: Mark) => bytes.every((byte, i) => head[offset + i] === byte);
  return marks.find(([, ...all]) => all.every(stands))?.[0];
}

/** The first bytes of a source, as many as it has. */
export function headOf(source: ByteSource): Uint8Array {
  return source.read(0, Math.min(headSize, source.size));
}
