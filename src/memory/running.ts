// The memory of the machine that textpoke runs on, and the file of its kernel.
import { closeSync, existsSync, openSync, readFileSync, statSync } from 'node:fs';
import { inFile, TextpokeError } from '../errors.ts';
import { openSource, reasonOf } from '../files/source.ts';
import type { Image } from '../image/image.ts';
import { readKcore } from './core.ts';
import type { OpenSnapshot } from './open.ts';

export const kcorePath = '/proc/kcore';
const lockdownPath = '/sys/kernel/security/lockdown';

/** Where packages put the file of a kernel. */
const kernelPaths = (release: string) => [
  `/boot/vmlinuz-${release}`,
  `/lib/modules/${release}/vmlinuz`,
  `/usr/lib/debug/boot/vmlinux-${release}`,
];

/** The file of the kernel with that release (`uname -r`). Error `read-failed` where none is there. */
export function kernelFileOf(release: string): string {
  const paths = kernelPaths(release);
  const found = paths.find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new TextpokeError(
    'read-failed',
    `there is no file of kernel ${release}: ${paths.join(', ')} do not exist; give it: textpoke verify --running FILE`,
  );
}

/**
 * Opens the memory of the machine. Errors: `read-failed` where it is not there or not allowed, and those of `readKcore`.
 */
export function openRunning(image: Image, path = kcorePath): OpenSnapshot {
  const fd = openKcore(path);
  try {
    // Its size says as little as that of other files in /proc.
    const source = openSource(path, fd, Number.MAX_SAFE_INTEGER);
    return { ...inFile(path, () => readKcore(path, source, image.file.header)), close: () => source.close() };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function openKcore(path: string): number {
  try {
    if (statSync(path).isFile()) return openSync(path, 'r');
  } catch (error) {
    throw refusal(path, (error as { code?: unknown }).code, reasonOf(error));
  }
  throw refusal(path, undefined, 'is not a regular file');
}

/** What is missing, and what to do. */
function refusal(path: string, code: unknown, reason: string): TextpokeError {
  const instead = 'or verify a dump of its memory with --memory';
  return new TextpokeError('read-failed', `cannot read: ${reason}; ${whyNot(code)}, ${instead}`, {
    file: path,
  });
}

function whyNot(code: unknown): string {
  if (code === 'ENOENT')
    return 'the kernel needs CONFIG_PROC_KCORE, and /proc has to be mounted (containers may leave it out)';
  if (code === undefined) return 'containers hide it: run textpoke on the machine itself';
  const mode = lockdown();
  if (mode !== undefined) return `the kernel is locked down (${mode}), as Secure Boot does it: boot without`;
  if (process.getuid?.() !== 0) return 'root is required: sudo textpoke verify --running';
  return 'root lacks CAP_SYS_RAWIO, as in a container: run textpoke on the machine itself';
}

/** What the kernel is locked down to (security/lockdown); undefined where it is not, or nobody says. */
function lockdown(): string | undefined {
  try {
    const mode = /\[(\w+)\]/.exec(readFileSync(lockdownPath, 'latin1'))?.[1];
    return mode === 'none' ? undefined : mode;
  } catch {
    return undefined;
  }
}
