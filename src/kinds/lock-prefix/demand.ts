// What must and may stand at a listed lock prefix (arch/x86/kernel/alternative.c: alternatives_smp_lock and _unlock).

import type { LockPrefix } from '../../arch/arch.ts';
import type { Address } from '../../bytes/named-numbers.ts';
import type { Patch, State, UpFill } from '../../demand/patch.ts';
import type { Program } from '../../demand/program.ts';
import type { Site } from '../../demand/sites.ts';
import { TextpokeError } from '../../errors.ts';
import type { Image } from '../../image/image.ts';

/** What stands for the lock at an address on one CPU: DS, or the segment override of its instruction once more. */
function upOf(
  { image, profile }: Program,
  address: Address,
): { readonly byte: number; readonly name: string } {
  const prefix = image.arch.lockPrefix as LockPrefix;
  const range = profile.repeatsOverride ? image.codeAt(address) : undefined;
  const override = range && prefix.overrideAt(range.code, image.codeMap(range), address - range.address);
  return override ?? { byte: prefix.up, name: 'ds' };
}

/** Whether the byte at an address is a lock prefix, what stands for a dropped one there, or neither. */
export function lockState(
  program: Program,
  address: Address,
  byte: number | undefined,
): 'locked' | 'dropped' | undefined {
  const { image } = program;
  const prefix = image.arch.lockPrefix;
  if (byte === undefined || !prefix) return undefined;
  if (byte === prefix.lock) return 'locked';
  if (byte === prefix.nop) return image.isInstructionStart(address) ? 'dropped' : undefined;
  return byte === upOf(program, address).byte ? 'dropped' : undefined;
}

/**
 * True for a lock that may be in place on one CPU too: by the byte in front of it nobody can tell an override, which is to
 * be repeated, from the end of an instruction, so a runtime that does not decode the code leaves it alone.
 */
export function mayStay({ image, profile }: Program, address: Address): boolean {
  const prefix = image.arch.lockPrefix;
  const range = profile.repeatsOverride ? image.codeAt(address) : undefined;
  return (
    prefix !== undefined &&
    range !== undefined &&
    prefix.isBehindOverride(range.code, address - range.address)
  );
}

/**
 * True for an entry of a kernel whose lock stands behind another prefix (`66 f0`): assemblers put the prefixes of
 * `lock cmpxchgw` in their own order, behind the label (LOCK_PREFIX of 6.12). The kernel looks at the listed byte
 * alone, and leaves such a lock in place.
 */
export function isInFront({ image, profile }: Program, address: Address): boolean {
  const prefix = image.arch.lockPrefix;
  if (profile.version === undefined || !prefix) return false;
  const [byte] = image.readUpTo(address, 1);
  const range = byte === prefix.lock || byte === prefix.up ? undefined : image.codeAt(address);
  return range !== undefined && prefix.isInFront(range.code, image.codeMap(range), address - range.address);
}

/**
 * The locks that are dropped at all: a kernel leaves those alone that lie outside _text to _etext, or a module's
 * .text, and those that its entries do not name themselves. `of` is the image that lists them.
 */
export function droppedLocks(program: Program, of: Image, locks: readonly Site[]): readonly Site[] {
  const { image, profile } = program;
  if (profile.version === undefined) return locks;
  const start = image.symbols.addressOf('_text') ?? Number.NEGATIVE_INFINITY;
  const end = image.symbols.addressOf('_etext') ?? Number.POSITIVE_INFINITY;
  const isInRange = (address: Address) =>
    of === image ? address >= start && address < end : image.sectionAt(address)?.name === '.text';
  return locks.filter(({ address }) => isInRange(address) && !isInFront(program, address));
}

/** What drops the locks for one CPU, or puts them back for several. Error `site-unpatchable`. */
export function* lockPatches(
  program: Program,
  locks: readonly Site[],
  cpus: number,
  fill: UpFill,
): Generator<Patch> {
  const { image } = program;
  const prefix = image.arch.lockPrefix;
  if (!prefix) return;
  if (cpus === 1 && fill === 'nop') requireFirstPrefix(image, locks);
  for (const { address } of locks) {
    const up = upOf(program, address);
    const [byte, name] = fill === 'nop' ? [prefix.nop, 'nop'] : [up.byte, up.name];
    yield {
      address,
      allowed: statesAt(program, address, ['lock', `${up.name} (dropped lock)`, 'nop (dropped lock)']),
      bytes: Uint8Array.of(cpus === 1 ? byte : prefix.lock),
      reason: cpus === 1 ? `one CPU: lock becomes ${name}` : `${cpus} CPUs: lock`,
    };
  }
}

/** The bytes that may stand at a listed lock, with their meanings: the lock, its replacement, and a NOP if it comes first. */
function statesAt(
  program: Program,
  address: Address,
  [locked, dropped, noOperation]: readonly [string, string, string],
): State[] {
  const { image } = program;
  const { lock, nop } = image.arch.lockPrefix as LockPrefix;
  const states = [
    { bytes: Uint8Array.of(lock), meaning: locked },
    { bytes: Uint8Array.of(upOf(program, address).byte), meaning: dropped },
  ];
  if (image.isInstructionStart(address)) states.push({ bytes: Uint8Array.of(nop), meaning: noOperation });
  return states;
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
export function lockStates(program: Program, { address }: Site): State[] {
  return statesAt(program, address, ['several CPUs', 'one CPU', 'one CPU (--up-fill nop)']);
}
