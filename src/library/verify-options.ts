// What verify is asked for: of an image, of a process, of a system that runs, of a snapshot.
import type { DumpOptions } from '../dump/passes.ts';
import type { Input } from '../files/input.ts';
import type { LockPolicy } from '../object/found.ts';
import type { ReportOptions } from './verify-report.ts';

/** What verify looks at, and how it tells it. */
export interface VerifyOptions extends ReportOptions, Pick<DumpOptions, 'expandLimit'> {
  /** The image before patching: nothing but sites, tables, keys and trampolines may differ. */
  readonly original?: Input | undefined;
  /** An earlier build: its sites must still be there. */
  readonly baseline?: Input | undefined;
  /** Which locks need an entry; undefined: `all` where the image has a lock table (`listed` in a kernel), else `none`. */
  readonly locks?: LockPolicy | undefined;
  /** The image is as the linker left it, not booted yet. */
  readonly linked?: boolean | undefined;
}

/** What is known of a process, and how the result is told. */
export interface VerifyProcessOptions extends ReportOptions {
  /** How far the system moved the image, in bytes; undefined: its memory tells. */
  readonly slide?: number | bigint | undefined;
  /** Bytes that a compressed image or module may expand to; undefined: 64 MiB, or 20 times its size if that is more. */
  readonly expandLimit?: number | undefined;
}

/** What is known of a running system, and how the result is told. */
export interface VerifyRunningOptions extends VerifyProcessOptions {
  /** The directory that has the files of a kernel's modules, such as `/lib/modules/VERSION`; undefined: they are named, and not compared. */
  readonly modules?: string | undefined;
}

/** What is known of a snapshot besides. */
export interface VerifyMemoryOptions extends VerifyRunningOptions {
  /** The snapshot is a raw image of a program's or a kernel's memory: the virtual address of its first byte. */
  readonly base?: number | bigint | undefined;
  /** The snapshot is a raw image of physical memory: where its parts lie, in order of the file; none: all from 0 on. */
  readonly physical?: readonly PhysicalPart[] | undefined;
}

/** A part of a raw image, up to the next one: the bytes from `offset` on are the physical memory from `address` on. */
export interface PhysicalPart {
  readonly address: number | bigint;
  /** Bytes in the file; 0 unless given. */
  readonly offset?: number | undefined;
}
