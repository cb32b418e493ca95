// The library's verifyRunning: holds the memory of the machine that it runs on against its kernel.
import { release } from 'node:os';
import type { Input } from '../files/input.ts';
import { kcorePath, kernelFileOf, openRunning } from '../memory/running.ts';
import { withImage } from './image.ts';
import {
  type OpenImage,
  type Tell,
  type VerifyMemoryResult,
  type VerifyRunningOptions,
  verifyOpenMemory,
} from './verify-memory.ts';
import { tell } from './verify-report.ts';

/** How often sites are looked at that are not as they must be: the kernel may be patching them. */
const looks = 4;

/**
 * Proves that every site of the running kernel is what its keys demand, from /proc/kcore. Without an input the kernel's
 * file is looked for where packages put it. Errors: those of `verifyMemory`; `read-failed` where there is no such file,
 * or the memory may not be read.
 */
export function verifyRunning(
  input?: Input,
  options: VerifyRunningOptions = {},
): Promise<VerifyMemoryResult> {
  const file = input ?? runningKernelFile();
  return withImage(file, options, (image, notes, relocations) =>
    verifyImageRunning({ image, input: file, relocations }, options, (verified) =>
      tell(verified, options, notes),
    ),
  );
}

/** The file of the kernel that runs. Error `read-failed`. */
export function runningKernelFile(): string {
  return kernelFileOf(release());
}

/** The same for an image that is open. Errors as `verifyRunning`. */
export function verifyImageRunning<T>(
  opened: OpenImage,
  options: VerifyRunningOptions,
  body: Tell<T>,
): Promise<T> {
  const memory = { name: kcorePath, open: () => openRunning(opened.image), times: looks };
  return verifyOpenMemory(opened, memory, options, body);
}
