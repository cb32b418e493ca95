// The compressed kernel in an EFI zboot image (drivers/firmware/efi/libstub/zboot-header.S, Makefile.zboot).
import { hex } from '../../bytes/integer.ts';
import { ByteView } from '../../bytes/view.ts';
import { TextpokeError } from '../../errors.ts';
import type { ByteSource } from '../../files/source.ts';
import { headOf } from './detect.ts';

const at = { payloadOffset: 8, payloadSize: 12, compression: 24, end: 0x38 } as const;

/** What the header says: the payload, and the name of its compression. */
export interface ZbootPayload {
  /** Without the size that follows what gzip has not compressed. */
  readonly bytes: Uint8Array;
  readonly compression: string;
}

/** The payload as it stands. Error `elf-truncated`. */
export function zbootPayload(source: ByteSource): ZbootPayload {
  const view = new ByteView(headOf(source), true);
  const start = view.u32(at.payloadOffset);
  const size = view.u32(at.payloadSize);
  if (size === 0 || start + size > source.size) {
    throw new TextpokeError(
      'elf-truncated',
      `the payload of the EFI zboot image has ${size} bytes at ${hex(start)}, but the file has ${source.size} bytes`,
      { offset: at.payloadOffset },
    );
  }
  const name = Buffer.from(view.bytes.subarray(at.compression, at.end)).toString('latin1');
  return { bytes: source.read(start, size), compression: name.split('\0', 1)[0] as string };
}
