// Holds recorded writes against the policy of the kernel's file: all of them are allowed, and changed ones are not.
import { closeSync, openSync, readSync } from 'node:fs';
import { type Refused, WriteChecker } from '../../../src/policy/checker.ts';
import type { Policy } from '../../../src/policy/policy.ts';
import {
  type RecordedKernel,
  type RecordedLine,
  type Recording,
  recordedLines,
  type TextWrite,
} from './writes.ts';

/** A write with numbers. */
export interface ReadWrite {
  /** As linked. */
  readonly address: number;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

export const readWrite = ({ address, before, after }: TextWrite): ReadWrite => ({
  address: Number(BigInt.asIntN(64, BigInt(address))),
  before: Uint8Array.from(Buffer.from(before, 'hex')),
  after: Uint8Array.from(Buffer.from(after, 'hex')),
});

/** When a write is made. */
export interface Moment {
  readonly hasStarted: boolean;
  /** Whether a probe was announced at an address. */
  readonly isAnnounced: (address: number) => boolean;
}

export interface Replayed {
  readonly writes: number;
  readonly allowed: number;
  /** Writes by kind and step. */
  readonly kinds: ReadonlyMap<string, number>;
  readonly refused: readonly (ReadWrite & Refused)[];
}

/** What a snapshot holds of a variable, or of the code where the variable was left out and does not lead to a cache. */
function variableOf(recording: Recording, kernel: RecordedKernel) {
  return (name: string, address: number | undefined, size: number): Uint8Array | undefined => {
    const place = name.endsWith('_cache') ? undefined : kernel.nameless.get(name);
    const linked = address === undefined ? place : BigInt.asUintN(64, BigInt(address - recording.slide));
    const at = linked === undefined ? -1 : Number(linked - kernel.start);
    if (at < 0 || at + size > kernel.all) return undefined;
    const bytes = Buffer.alloc(size);
    const file = openSync(recording.booted, 'r');
    const got = readSync(file, bytes, 0, size, at);
    closeSync(file);
    return got === size ? bytes : undefined;
  };
}

/** What was kept of the memory. */
function memoryOf({ memory }: Recording) {
  const kept = new Map(memory.map(([address, bytes]) => [Number(BigInt.asIntN(64, BigInt(address))), bytes]));
  return (address: number, size: number): Uint8Array | undefined => {
    const bytes = kept.get(address);
    return bytes === undefined ? undefined : Uint8Array.from(Buffer.from(bytes, 'hex').subarray(0, size));
  };
}

/** Replays a recording; `each` sees the checker in front of each write, and the text as it is. */
export function replayWrites(
  policy: Policy,
  kernel: RecordedKernel,
  recording: Recording,
  lines: Iterable<RecordedLine> = recordedLines(recording.file),
  each: (checker: WriteChecker, write: ReadWrite, moment: Moment) => void = () => undefined,
): Replayed {
  const { slide } = recording;
  const checker = new WriteChecker(policy, {
    slide,
    readVariable: variableOf(recording, kernel),
    readMemory: memoryOf(recording),
  });
  const kinds = new Map<string, number>();
  const refused: (ReadWrite & Refused)[] = [];
  const probes = new Set(recording.probes);
  const announced = new Set<number>();
  let allowed = 0;
  let writes = 0;
  let hasStarted = false;
  for (const line of lines) {
    if ('event' in line) {
      checker.endStartUp();
      hasStarted = true;
    }
    if (!('address' in line)) continue;
    const write = readWrite(line);
    writes++;
    // Whoever sets a probe tells the monitor.
    if (hasStarted && probes.delete(write.address)) {
      announced.add(write.address);
      checker.allowProbe(write.address + slide, codeAt(recording, kernel, write));
    }
    each(checker, write, { hasStarted, isAnnounced: (address) => announced.has(address) });
    const verdict = checker.checkWrite(write.address + slide, write.before, write.after);
    if (verdict.allowed) {
      allowed++;
      const what = `${verdict.kind} ${verdict.step}`;
      kinds.set(what, (kinds.get(what) ?? 0) + 1);
    } else refused.push({ ...write, ...verdict });
  }
  return { writes, allowed, kinds, refused };
}

/** The code at the place of a probe: the snapshot's, as start-up left it. */
function codeAt({ booted }: Recording, kernel: RecordedKernel, { address }: ReadWrite): Uint8Array {
  const bytes = Buffer.alloc(5);
  const file = openSync(booted, 'r');
  readSync(file, bytes, 0, 5, Number(BigInt.asUintN(64, BigInt(address)) - kernel.start));
  closeSync(file);
  return bytes;
}
