// The compressed kernel in a bzImage (Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length).

import { hex } from '../../bytes/integer.ts';
import { ByteView } from '../../bytes/view.ts';
import { TextpokeError } from '../../errors.ts';
import type { ByteSource } from '../../files/source.ts';
import { headOf } from './detect.ts';

const at = { setupSects: 0x1f1, version: 0x206, payloadOffset: 0x248, payloadLength: 0x24c } as const;
/** The first protocol whose header says where the payload lies (kernel 2.6.26). */
const firstWithPayload = 0x208;

/** The payload as it stands, with its size behind it. Errors: `elf-unsupported`, `elf-truncated`. */
export function bzImagePayload(source: ByteSource): Uint8Array {
  const view = new ByteView(headOf(source), true);
  const version = view.u16(at.version);
  if (version < firstWithPayload) {
    throw new TextpokeError(
      'elf-unsupported',
      `the bzImage has boot protocol ${hex(version)}; ${hex(firstWithPayload)} or later is required, whose header says where the kernel lies in it`,
      { offset: at.version },
    );
  }
  // 0 stands for 4; the protected-mode code follows the boot sector and the setup code.
  const start = ((view.bytes[at.setupSects] || 4) + 1) * 512 + view.u32(at.payloadOffset);
  const size = view.u32(at.payloadLength);
  if (size === 0 || start + size > source.size) {
    throw new TextpokeError(
      'elf-truncated',
      `the payload of the bzImage has ${size} bytes at ${hex(start)}, but the file has ${source.size} bytes`,
      { offset: at.payloadOffset },
    );
  }
  return source.read(start, size);
}
