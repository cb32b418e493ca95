// The library's verifyRunning and verifyProcess: hold the memory of the machine that they run on against its kernel, and that
// of a process against its program or a library of it.
import { release } from 'node:os';
import { TextpokeError } from '../errors.ts';
import type { Input } from '../files/input.ts';
import { countSites, programOf } from '../kinds/registry.ts';
import { codeFilesOf, memoryPathOf, openProcess, programFileOf } from '../memory/live-process.ts';
import { kcorePath, kernelFileOf, openRunning } from '../memory/running.ts';
import { withImage } from './image.ts';
import { type OpenImage, type Tell, type VerifyMemoryResult, verifyOpenMemory } from './verify-memory.ts';
import type { VerifyProcessOptions, VerifyRunningOptions } from './verify-options.ts';
import { tell } from './verify-report.ts';

/** How often sites are looked at that are not as they must be: they may be patched meanwhile. */
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
  const memory = {
    name: kcorePath,
    open: () => openRunning(opened.image),
    times: looks,
    compared: { running: true },
  } as const;
  return verifyOpenMemory(opened, memory, options, body);
}

/**
 * Proves that every site of a program or a library that a process runs is what its keys demand, from /proc/PID/mem: nothing of
 * the process is changed, and it is not stopped. Without an input it is the program. Errors: those of `verifyMemory`;
 * `read-failed` where there is no such process, or its memory may not be read.
 */
export function verifyProcess(
  pid: number,
  input?: Input,
  options: VerifyProcessOptions = {},
): Promise<VerifyMemoryResult> {
  const file = input ?? programFileOf(pid);
  return withImage(file, options, (image, notes, relocations) =>
    verifyImageProcess(pid, { image, input: file, relocations }, options, (verified) =>
      tell(verified, options, notes),
    ),
  );
}

/**
 * Files of a process whose tables have entries: of its program and its libraries; of its program alone where none has. Errors:
 * `read-failed`, those of tables.
 */
export async function imagesOfProcess(pid: number): Promise<string[]> {
  const files = codeFilesOf(pid);
  const images: string[] = [];
  for (const file of files) if (await hasEntries(file)) images.push(file);
  return images.length > 0 ? images : files.slice(0, 1);
}

async function hasEntries(file: string): Promise<boolean> {
  try {
    return await withImage(file, {}, (image) => countSites(programOf(image)) > 0);
  } catch (error) {
    // Files with other code are mapped as well, such as those of virtual machines.
    if (error instanceof TextpokeError && /^(not-elf|not-an-image|machine-unsupported)$/.test(error.code))
      return false;
    throw error;
  }
}

/** The same for an image that is open. Errors as `verifyProcess`. */
export function verifyImageProcess<T>(
  pid: number,
  opened: OpenImage,
  options: VerifyProcessOptions,
  body: Tell<T>,
): Promise<T> {
  const memory = {
    name: memoryPathOf(pid),
    open: () => openProcess(pid, opened.image.file.header),
    times: looks,
    compared: { pid },
  };
  return verifyOpenMemory(opened, memory, options, body);
}
