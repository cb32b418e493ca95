// Lock prefixes by number of CPUs (arch/x86/kernel/alternative.c: alternatives_smp_lock and _unlock).
import { TextpokeError } from '../errors.ts';
import type { Runtime } from './runtime.ts';
import type { Patch } from './text-poke.ts';

/** What replaces a lock on one CPU: a DS prefix, or a NOP. */
export type UpFill = 'ds' | 'nop';

/** Drops the locks for one CPU, or puts them back for several. */
export function setLocks(runtime: Runtime, cpus: number, fill: UpFill): void {
  const { image, poker, locks } = runtime;
  const prefix = image.arch.lockPrefix;
  poker.phase = 'SMP alternatives';
  if (!prefix) return;
  const nop = fill === 'nop';
  if (cpus === 1 && nop) requireFirstPrefix(runtime);
  const [up, name] = nop ? [prefix.nop, 'nop'] : [prefix.up, 'ds'];
  const one = (byte: number) => Uint8Array.of(byte);
  const allowed = [
    { bytes: one(prefix.lock), meaning: 'lock' },
    { bytes: one(prefix.up), meaning: 'ds (dropped lock)' },
    { bytes: one(prefix.nop), meaning: 'nop (dropped lock)' },
  ];
  const patches = locks.map(
    ({ address }): Patch => ({
      address,
      allowed,
      bytes: one(cpus === 1 ? up : prefix.lock),
      reason: cpus === 1 ? `one CPU: lock becomes ${name}` : `${cpus} CPUs: lock`,
    }),
  );
  poker.poke(patches);
}

/** 66 90 0f b1 is another instruction than 66 f0 0f b1: a NOP may only replace a lock that comes first. */
function requireFirstPrefix(runtime: Runtime): void {
  const { image, locks } = runtime;
  for (const { address } of locks) {
    const range = image.codeAt(address);
    if (range && image.arch.startsInstruction(range.code, image.codeMap(range), address - range.address))
      continue;
    throw new TextpokeError(
      'site-unpatchable',
      `${image.describe(address)}: the lock is not the first prefix, so a NOP in its place would make another instruction; use --up-fill ds`,
      { file: image.file.path },
    );
  }
}
