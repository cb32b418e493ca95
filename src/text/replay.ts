// The text of a running kernel, replayed as its machine does it. Loaded when a kernel's memory is verified.
import { EM_AARCH64, EM_ARM, EM_X86_64 } from '../elf/constants.ts';
import type { Image } from '../image/image.ts';
import { relocationListsFor } from '../kernel/relocation-sections.ts';
import type { RunningKernel } from '../memory/kernel/kernel.ts';
import { replayArm64Text } from './aarch64/replay.ts';
import { replayArmText } from './arm/replay.ts';
import type { ReplayedText, TextNotCompared } from './result.ts';
import { replayX86Text } from './x86-64/replay.ts';

/**
 * Undefined for a machine whose text is not replayed, and for what does not say where its text begins and ends. `relocations`
 * are the lists behind the payload of a bzImage; a vmlinux may have sections of them. Errors: `table-malformed`, `memory-malformed`, `elf-malformed`.
 */
export function replayText(
  image: Image,
  running: RunningKernel,
  relocations: Uint8Array | undefined,
): ReplayedText | TextNotCompared | undefined {
  if (image.file.header.machine === EM_AARCH64) return replayArm64Text(image, running);
  if (image.file.header.machine === EM_ARM) return replayArmText(image, running);
  if (image.file.header.machine !== EM_X86_64) return undefined;
  const { addressOf } = image.symbols;
  const bounds = ['_text', '_etext'].map((name) => addressOf.call(image.symbols, name));
  if (bounds.includes(undefined)) return undefined;
  const lists = relocationListsFor(image.file, relocations);
  if (!lists && running.place.slide !== 0) {
    const why =
      'the kernel was moved (KASLR), and the file does not have the places that the loader changes; the vmlinuz has them, and a vmlinux that keeps .rela.text';
    return { why };
  }
  return replayX86Text(image, running, lists);
}
