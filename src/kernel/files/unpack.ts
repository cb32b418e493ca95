// From a kernel file to the kernel in it: containers and compressions are taken off one after the other.
import {
  compressionMagics,
  compressionOf,
  decompress,
  expandLimit,
  magicSize,
} from '../../bytes/decompress.ts';
import { isElf } from '../../elf/magic.ts';
import { TextpokeError } from '../../errors.ts';
import { type ByteSource, memorySource } from '../../files/source.ts';
import { bzImagePayload } from './bzimage.ts';
import { headOf, kernelFormOf } from './detect.ts';
import { linuxSection } from './pe.ts';
import { zbootPayload } from './zboot.ts';
import { zImageKernel } from './zimage.ts';

/** A kernel without its containers: an ELF file, or a flat image of its memory. */
export interface UnpackedKernel {
  readonly source: ByteSource;
  /** `other` for what was compressed and is no kernel. */
  readonly kind: 'elf' | 'flat arm64' | 'flat arm' | 'other';
  readonly little: boolean;
  /** What it was in, from the outside in: `bzImage`, `zstd`. */
  readonly steps: readonly string[];
  /** True where its bytes are in memory of their own. */
  readonly isOwn: boolean;
  /** Bytes of .bss, where a zImage says it. */
  readonly bssSize?: number | undefined;
}

/** A unified image with a zboot image with a kernel that is compressed: nobody makes more. */
const mostSteps = 6;

/**
 * Takes containers off until the kernel is there; undefined for what is no kernel file. `limit` is what each compression
 * may expand to. Errors: those of the containers, `compressed-malformed`, `compressed-too-large`.
 */
export async function unpackKernel(
  source: ByteSource,
  limit = expandLimit(source.size),
): Promise<UnpackedKernel | undefined> {
  const steps: string[] = [];
  let inner = source;
  let isOwn = false;
  for (;;) {
    const head = headOf(inner);
    const form = kernelFormOf(head);
    const compression = form === undefined ? compressionOf(head.subarray(0, magicSize)) : undefined;
    if (steps.length > mostSteps) throw tooDeep(steps);
    if (isElf(head)) return { source: inner, kind: 'elf', little: true, steps, isOwn };
    if (form === undefined && compression === undefined) {
      if (steps.length === 0) return undefined;
      if (steps.every(isCompression)) return { source: inner, kind: 'other', little: true, steps, isOwn };
      throw notAKernel(steps, head);
    }
    steps.push(form ?? (compression as string));
    switch (form) {
      case undefined:
        inner = memorySource(
          await decompress(compression as NonNullable<typeof compression>, inner.read(0, inner.size), limit),
        );
        isOwn = true;
        break;
      case 'bzImage':
        inner = await withoutSize(bzImagePayload(inner), limit, steps);
        isOwn = true;
        break;
      case 'EFI zboot image': {
        const { bytes, compression: name } = zbootPayload(inner);
        const known = compressionOf(bytes.subarray(0, magicSize));
        if (!known) throw unknownCompression(steps, bytes, name);
        steps.push(known);
        inner = memorySource(await decompress(known, bytes, limit));
        isOwn = true;
        break;
      }
      case 'zImage': {
        const { bytes, compression: known, little, bssSize } = await zImageKernel(inner, limit);
        steps.push(known);
        return { source: memorySource(bytes), kind: 'flat arm', little, steps, isOwn: true, bssSize };
      }
      case 'arm64 Image':
        // Bit 0 of its flags says that the kernel is big-endian (Documentation/arch/arm64/booting.rst).
        return { source: inner, kind: 'flat arm64', little: ((head[24] as number) & 1) === 0, steps, isOwn };
      case 'EFI image': {
        const linux = linuxSection(inner);
        if (!linux) {
          steps.pop();
          if (steps.length === 0) return undefined;
          if (steps.every(isCompression)) return { source: inner, kind: 'other', little: true, steps, isOwn };
          throw notAKernel(steps, head);
        }
        steps[steps.length - 1] = 'unified kernel image';
        inner = linux;
      }
    }
  }
}

/** True for a step that is no container of its own. */
export function isCompression(step: string): boolean {
  return step in compressionMagics;
}

/** The content of a bzImage's payload, which has its size behind it unless gzip says it anyway. */
async function withoutSize(payload: Uint8Array, limit: number, steps: string[]): Promise<ByteSource> {
  const form = compressionOf(payload.subarray(0, magicSize));
  if (!form) {
    if (isElf(payload)) return memorySource(payload);
    throw unknownCompression(steps, payload);
  }
  steps.push(form);
  if (form === 'gzip') return memorySource(await decompress(form, payload, limit));
  const end = Math.max(payload.length - 4, 0);
  const content = await decompress(form, payload.subarray(0, end), limit);
  const size =
    payload.length < 4 ? 0 : Buffer.from(payload.buffer, payload.byteOffset + end, 4).readUInt32LE();
  if (size !== content.length) {
    throw new TextpokeError(
      'compressed-malformed',
      `the payload of the bzImage has ${content.length} bytes; the size behind it says ${size}`,
    );
  }
  return memorySource(content);
}

function bytesAt(bytes: Uint8Array): string {
  return Array.from(bytes.subarray(0, 6), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

function unknownCompression(steps: readonly string[], bytes: Uint8Array, name?: string): TextpokeError {
  const called = name === undefined ? '' : ` (the header calls it ${JSON.stringify(name)})`;
  return new TextpokeError(
    'elf-unsupported',
    `the kernel in the ${steps.join(', ')} is compressed in an unknown way${called}: it begins with ${bytesAt(bytes)}. Known are gzip, bzip2, lzma, xz, lzo, lz4 (legacy) and zstd; else use the ELF file (vmlinux) of the same build`,
  );
}

function notAKernel(steps: readonly string[], head: Uint8Array): TextpokeError {
  return new TextpokeError(
    'not-elf',
    `the file is a kernel file (${steps.join(', ')}), but what is in it begins with ${bytesAt(head)}; an ELF file or an arm64 Image is required. Use the ELF file (vmlinux) of the same build`,
  );
}

function tooDeep(steps: readonly string[]): TextpokeError {
  return new TextpokeError(
    'elf-unsupported',
    `the file has too many containers in one another: ${steps.join(', ')}`,
  );
}
