// The memory of a running system as a dump has it: bytes by address, as far as they are there. Formats are in
// core.ts and kdump.ts; what is searched for is in locate.ts.
import { TextpokeError } from '../errors.ts';
import type { PageTables } from './page-tables/format.ts';
import type { ProcessNotes } from './process.ts';

/** Whose addresses a dump is made by. */
export type AddressKind = 'virtual' | 'physical';

/** Runs of adjacent bytes in order of address: where each begins and ends. */
export interface Runs {
  readonly starts: Float64Array;
  readonly ends: Float64Array;
}

export interface Memory {
  /** What a person calls the format. */
  readonly format: string;
  /** What kind `read` takes. */
  readonly addresses: AddressKind;
  /** Bytes of the file that all of it comes from. */
  readonly fileSize: number;
  /** What is worth searching; a format may leave out bytes that stand in it several times. */
  readonly runs: Runs;
  /** Its bytes change while they are read. */
  readonly isLive?: true;
  /** Copies what there is of [address, address + into.length), and leaves the rest; true when all is there. */
  read(address: number, into: Uint8Array): boolean;
}

/** The same of a system that goes on: what cannot be read (any more) is missing. */
export function liveMemory(memory: Memory): Memory {
  return {
    ...memory,
    isLive: true,
    read(address, into) {
      try {
        return memory.read(address, into);
      } catch (error) {
        if (error instanceof TextpokeError && error.code === 'read-failed') return false;
        throw error;
      }
    },
  };
}

/** The memory that tables lead to: physical addresses, by the bytes that a dump has of them. */
export interface TableRoot {
  readonly physical: Memory;
  readonly tables: PageTables;
  /** Physical address of the first table. */
  readonly root: number;
  readonly little: boolean;
}

/** What a dump holds: memory by each kind of address that it has, and what it says of itself. */
export interface Snapshot {
  /** Virtual addresses first. */
  readonly memories: readonly Memory[];
  /** The text of its VMCOREINFO note. */
  readonly vmcoreinfo: string | undefined;
  /** What a program's core says of the process. */
  readonly process: ProcessNotes | undefined;
}

/** Where the dump has an image. */
export interface ImagePlace {
  readonly memory: Memory;
  /** What is linked at A lies at A + offset in the dump's addresses. */
  readonly offset: number;
  /** What is linked at A runs at A + slide. */
  readonly slide: number;
  /** How the slide was found. */
  readonly slideFrom: string;
  /**
   * The virtual memory of a running kernel: its image, modules, heap, by the addresses that it runs at; undefined where
   * it cannot be had. Looked for when it is asked for.
   */
  readonly kernelMemory: Memory | undefined;
  /** How that is read, or why it cannot be had: words for a note. */
  readonly kernelMemoryFrom: string;
  /** The page tables through which it is had; undefined where it is had in another way. */
  readonly kernelTables?: TableRoot | undefined;
}

/** The bytes at an address; undefined where not all of them are there. */
export function bytesAt(memory: Memory, address: number, length: number): Uint8Array | undefined {
  const bytes = new Uint8Array(length);
  return memory.read(address, bytes) ? bytes : undefined;
}

/** The bytes from an address on, as far as they are there without a gap; `most` at most. */
export function readUpTo(memory: Memory, address: number, most: number): Buffer {
  const step = 4096;
  const bytes = Buffer.alloc(most);
  let at = 0;
  while (at < most) {
    const inStep = address + at - Math.floor((address + at) / step) * step;
    const size = Math.min(step - inStep, most - at);
    if (!memory.read(address + at, bytes.subarray(at, at + size))) break;
    at += size;
  }
  return bytes.subarray(0, at);
}
