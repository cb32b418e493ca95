// The sites of an image, decoded from its tables, and the keys they belong to.

import {
  altSmp,
  callInit,
  callTail,
  entryLayout,
  jumpBit1,
  jumpBranch,
  jumpTable,
  type keptLocks,
  smpBarriers,
  type smpLocks,
  staticCallSites,
} from '../bytes/schema.ts';
import { keyPrefix, trampolinePrefix } from '../bytes/static-call-names.ts';
import { STB_LOCAL, STT_FILE } from '../elf/constants.ts';
import type { Image } from './image.ts';
import { type ImageEntry, readImageTable } from './tables.ts';

/** A static branch site; all numbers are virtual addresses. */
export interface BranchSite {
  readonly entry: ImageEntry;
  readonly address: number;
  readonly target: number;
  /** Address of the `struct static_key`. */
  readonly key: number;
  /** True for static_branch_likely. */
  readonly branch: boolean;
  /** At build: emitted as a jump, must become a NOP. At run time: the site lies in init text. */
  readonly bit1: boolean;
}

export interface CallSite {
  readonly entry: ImageEntry;
  readonly address: number;
  /** Address of the `struct static_call_key`. */
  readonly key: number;
  readonly tail: boolean;
  readonly init: boolean;
}

export interface LockSite {
  readonly entry: ImageEntry;
  /** Address of the prefix byte itself. */
  readonly address: number;
}

/** Splits a key field's value into address and flags. Both of the kernel's ways agree where keys are 4-aligned. */
export function splitKey(value: number): { key: number; flags: number } {
  const flags = ((value % 4) + 4) % 4;
  return { key: value - flags, flags };
}

export function readBranchSites(image: Image): BranchSite[] {
  return readImageTable(image, jumpTable).map((entry) => {
    const [address, target, value] = entry.fields as [number, number, number];
    const { key, flags } = splitKey(value);
    return {
      entry,
      address,
      target,
      key,
      branch: (flags & jumpBranch) !== 0,
      bit1: (flags & jumpBit1) !== 0,
    };
  });
}

export function readCallSites(image: Image): CallSite[] {
  return readImageTable(image, staticCallSites).map((entry) => {
    const [address, value] = entry.fields as [number, number];
    const { key, flags } = splitKey(value);
    return { entry, address, key, tail: (flags & callTail) !== 0, init: (flags & callInit) !== 0 };
  });
}

/**
 * Lock prefixes that a table lists: those that one CPU does not need, or those to be kept. A zero entry names itself:
 * the kernel's script pads `.smp_locks` to a page with them, and its code passes them over.
 */
export function readLockSites(image: Image, row: typeof smpLocks | typeof keptLocks): LockSite[] {
  return readImageTable(image, row)
    .filter(({ address, fields }) => fields[0] !== address)
    .map((entry) => ({ entry, address: entry.fields[0] as number }));
}

/** A barrier that one CPU does not need. */
export interface BarrierSite {
  readonly entry: ImageEntry;
  readonly address: number;
}

/** A site with the instruction that one CPU needs there. */
export interface AlternativeSite extends BarrierSite {
  readonly replacement: Uint8Array;
}

export function readBarrierSites(image: Image): BarrierSite[] {
  return readImageTable(image, smpBarriers).map((entry) => ({ entry, address: entry.fields[0] as number }));
}

export function readAlternatives(image: Image): AlternativeSite[] {
  const [, replacement] = entryLayout(altSmp, image.arch.wordSize).fields;
  return readImageTable(image, altSmp).map((entry) => ({
    entry,
    address: entry.fields[0] as number,
    replacement: image.read(entry.address + (replacement?.offset ?? 0), 4).slice(),
  }));
}

/** A static call as the image's symbols know it. */
export interface StaticCall {
  /** Without prefix. */
  readonly name: string;
  readonly key: number;
  /** Code pointer to the trampoline; undefined when the image has no symbol for it. */
  readonly trampoline: number | undefined;
}

/** Static calls by the address of their key. File-local ones may share a name: STT_FILE symbols tell them apart. */
export function readStaticCalls(image: Image): Map<number, StaticCall> {
  const { table } = image.symbols;
  const calls = new Map<number, StaticCall>();
  if (!table) return calls;
  const trampolines = new Map<string, number>();
  const keys: { scope: number; name: string; address: number }[] = [];
  const sck = new TextEncoder().encode(keyPrefix);
  const sct = new TextEncoder().encode(trampolinePrefix);
  let source = 0;
  for (let i = 1; i < table.count; i++) {
    if (table.type(i) === STT_FILE) source = i;
    if ((table.section[i] as number) <= 0) continue;
    const scope = table.binding(i) === STB_LOCAL ? source : 0;
    const address = table.value[i] as number;
    if (table.nameStartsWith(i, sct)) {
      const name = table.name(i).slice(trampolinePrefix.length);
      trampolines.set(`${scope}:${name}`, address);
      // Hidden symbols become local in a linked image; then they stand in no source's scope of their own.
      if (!trampolines.has(`any:${name}`)) trampolines.set(`any:${name}`, address);
    } else if (table.nameStartsWith(i, sck)) {
      keys.push({ scope, name: table.name(i).slice(keyPrefix.length), address });
    }
  }
  for (const { scope, name, address } of keys) {
    const trampoline = trampolines.get(`${scope}:${name}`) ?? trampolines.get(`any:${name}`);
    calls.set(address, { name, key: address, trampoline });
  }
  return calls;
}

/** Byte offset of `type` (static keys) and of the union (static calls) behind the first member. */
export function unionOffset(image: Image): number {
  return image.arch.wordSize;
}
