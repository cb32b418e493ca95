// What must and may stand at a listed lock prefix (arch/x86/kernel/alternative.c: alternatives_smp_lock and _unlock).

import type { Patch, State, UpFill } from '../../demand/patch.ts';
import type { Program } from '../../demand/program.ts';
import type { Site } from '../../demand/sites.ts';
import { TextpokeError } from '../../errors.ts';
import type { Image } from '../../image/image.ts';

/** Whether a byte is a lock prefix, what stands for a dropped one, or neither. */
export function lockState(image: Image, byte: number | undefined): 'locked' | 'dropped' | undefined {
  const prefix = image.arch.lockPrefix;
  if (byte === undefined || !prefix) return undefined;
  if (byte === prefix.lock) return 'locked';
  return byte === prefix.up || byte === prefix.nop ? 'dropped' : undefined;
}

/**
 * The locks that are dropped at all: a kernel leaves those alone that lie outside _text to _etext, or a module's
 * .text. `of` is the image that lists them.
 */
export function droppedLocks(
  { image, profile }: Program,
  of: Image,
  locks: readonly Site[],
): readonly Site[] {
  if (profile.version === undefined) return locks;
  const start = image.symbols.addressOf('_text') ?? Number.NEGATIVE_INFINITY;
  const end = image.symbols.addressOf('_etext') ?? Number.POSITIVE_INFINITY;
  return locks.filter(({ address }) =>
    of === image ? address >= start && address < end : image.sectionAt(address)?.name === '.text',
  );
}

/** What drops the locks for one CPU, or puts them back for several. Error `site-unpatchable`. */
export function* lockPatches(
  { image }: Program,
  locks: readonly Site[],
  cpus: number,
  fill: UpFill,
): Generator<Patch> {
  const prefix = image.arch.lockPrefix;
  if (!prefix) return;
  const nop = fill === 'nop';
  if (cpus === 1 && nop) requireFirstPrefix(image, locks);
  const [up, name] = nop ? [prefix.nop, 'nop'] : [prefix.up, 'ds'];
  const one = (byte: number) => Uint8Array.of(byte);
  const allowed = [
    { bytes: one(prefix.lock), meaning: 'lock' },
    { bytes: one(prefix.up), meaning: 'ds (dropped lock)' },
    { bytes: one(prefix.nop), meaning: 'nop (dropped lock)' },
  ];
  const bytes = one(cpus === 1 ? up : prefix.lock);
  const reason = cpus === 1 ? `one CPU: lock becomes ${name}` : `${cpus} CPUs: lock`;
  for (const { address } of locks) yield { address, allowed, bytes, reason };
}

/** 66 90 0f b1 is another instruction than 66 f0 0f b1: a NOP may only replace a lock that comes first. */
function requireFirstPrefix(image: Image, locks: readonly Site[]): void {
  for (const { address } of locks) {
    if (image.isInstructionStart(address)) continue;
    throw new TextpokeError(
      'site-unpatchable',
      `${image.describe(address)}: the lock is not the first prefix, so a NOP in its place would make a different instruction; use --up-fill ds`,
      { file: image.file.path },
    );
  }
}

/** Every byte that may stand at a listed lock. */
export function lockStates({ image }: Program): State[] {
  const { lock = 0, up = 0, nop = 0 } = image.arch.lockPrefix ?? {};
  return [
    { bytes: Uint8Array.of(lock), meaning: 'several CPUs' },
    { bytes: Uint8Array.of(up), meaning: 'one CPU' },
    { bytes: Uint8Array.of(nop), meaning: 'one CPU (--up-fill nop)' },
  ];
}
