// Lock prefixes by number of CPUs (arch/x86/kernel/alternative.c: alternatives_smp_lock and _unlock).
import { TextpokeError } from '../errors.ts';
import type { LockSite } from '../image/sites.ts';
import type { Runtime, Sites } from './runtime.ts';
import { made } from './text-poke.ts';

/** What replaces a lock on one CPU: a DS prefix, or a NOP. */
export type UpFill = 'ds' | 'nop';

/** Drops the locks for one CPU, or puts them back for several, in image and modules. */
export function setLocks(runtime: Runtime, cpus: number, fill: UpFill): void {
  for (const part of runtime.parts) setLocksOf(runtime, part, cpus, fill);
  runtime.onOneCpu = cpus === 1;
  if (cpus === 1) runtime.locksListed = true;
}

/** The same for one part of the program: a module when it is loaded. */
export function setLocksOf(runtime: Runtime, part: Sites, cpus: number, fill: UpFill): void {
  const { image, poker } = runtime;
  const prefix = image.arch.lockPrefix;
  if (!prefix) return;
  const locks = droppedLocks(runtime, part);
  const nop = fill === 'nop';
  if (cpus === 1 && nop) requireFirstPrefix(runtime, locks);
  const [up, name] = nop ? [prefix.nop, 'nop'] : [prefix.up, 'ds'];
  const one = (byte: number) => Uint8Array.of(byte);
  const allowed = [
    { bytes: one(prefix.lock), meaning: 'lock' },
    { bytes: one(prefix.up), meaning: 'ds (dropped lock)' },
    { bytes: one(prefix.nop), meaning: 'nop (dropped lock)' },
  ];
  const bytes = one(cpus === 1 ? up : prefix.lock);
  const reason = cpus === 1 ? `one CPU: lock becomes ${name}` : `${cpus} CPUs: lock`;
  poker.poke(made(locks, ({ address }) => ({ address, allowed, bytes, reason })));
}

/** The locks that are dropped at all: a kernel leaves those alone that lie outside _text to _etext, or a module's .text. */
export function droppedLocks({ image, profile }: Runtime, part: Sites): readonly LockSite[] {
  if (profile.version === undefined) return part.locks;
  const start = image.symbols.addressOf('_text') ?? Number.NEGATIVE_INFINITY;
  const end = image.symbols.addressOf('_etext') ?? Number.POSITIVE_INFINITY;
  const isModule = 'image' in part && part.image !== image;
  return part.locks.filter(({ address }) =>
    isModule ? image.sectionAt(address)?.name === '.text' : address >= start && address < end,
  );
}

/** 66 90 0f b1 is another instruction than 66 f0 0f b1: a NOP may only replace a lock that comes first. */
function requireFirstPrefix({ image }: Runtime, locks: readonly LockSite[]): void {
  for (const { address } of locks) {
    if (image.isInstructionStart(address)) continue;
    throw new TextpokeError(
      'site-unpatchable',
      `${image.describe(address)}: the lock is not the first prefix, so a NOP in its place would make another instruction; use --up-fill ds`,
      { file: image.file.path },
    );
  }
}
