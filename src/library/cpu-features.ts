// The library's cpuFeatures: what a dump tells of the processor that its kernel runs on, for boot.
import { EM_X86_64 } from '../elf/constants.ts';
import { inFile, TextpokeError } from '../errors.ts';
import { type Input, nameOf } from '../files/input.ts';
import { runningKernel } from '../memory/kernel/kernel.ts';
import { locateImage } from '../memory/locate.ts';
import { openSnapshot } from '../memory/open.ts';
import { type CpuDocument, cpuDocument } from '../text/x86-64/cpu/document.ts';
import { withImage } from './image.ts';
import { addressOf } from './numbers.ts';
import { rawLayoutOf } from './verify-memory.ts';
import type { VerifyMemoryOptions } from './verify-options.ts';

/** Where a raw dump lies. */
export interface CpuFeaturesOptions
  extends Pick<VerifyMemoryOptions, 'base' | 'physical' | 'slide' | 'expandLimit'> {}

/**
 * The state of an x86-64 kernel that decides about its text, which `boot` takes as `cpuFeatures`. Errors: those of
 * `verifyMemory`; `memory-unsupported` where the dump does not tell.
 */
export function cpuFeatures(
  input: Input,
  snapshot: Input,
  options: CpuFeaturesOptions = {},
): Promise<CpuDocument> {
  const name = nameOf(snapshot);
  return withImage(input, options, (image) => {
    if (image.file.header.machine !== EM_X86_64) {
      throw new TextpokeError('memory-unsupported', 'the features of x86-64 kernels alone are known', {
        file: nameOf(input),
      });
    }
    const memory = openSnapshot(snapshot, image, rawLayoutOf(options));
    try {
      return inFile(name, () => {
        const place = locateImage(image, memory, addressOf('slide', options.slide));
        const running = runningKernel(image, place);
        if (running) return cpuDocument(image, running);
        throw new TextpokeError('memory-unsupported', 'the image is no kernel');
      });
    } finally {
      memory.close();
    }
  });
}
