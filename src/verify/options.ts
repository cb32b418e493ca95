// What verify is asked to look at.
import type { Image } from '../image/image.ts';
import type { LockPolicy } from '../object/found.ts';

export interface VerifyOptions {
  /** `linked`: as the linker left it, sites still on their trampolines. `booted` (default): patched and sorted. */
  readonly state?: 'linked' | 'booted' | undefined;
  /** Number of CPUs the locks must fit; undefined: all in one state, whichever. */
  readonly cpus?: number | undefined;
  /** Which locks need an entry: all, only those listed, or none is looked at. Undefined: `all` where the image has a lock table (`listed` in a kernel), else `none`. */
  readonly locks?: LockPolicy | undefined;
  /** The image before patching: nothing but sites, tables, keys and trampolines may differ. */
  readonly original?: Image | undefined;
}
