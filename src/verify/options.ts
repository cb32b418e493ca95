// What verify is asked to look at.
import type { Image } from '../image/image.ts';

/** Which locks need an entry: all, none but those listed, or locks are not looked at. */
export type LockCheck = 'all' | 'listed' | 'none';

export interface VerifyOptions {
  /** `linked`: as the linker left it, sites still on their trampolines. `booted` (default): patched and sorted. */
  readonly state?: 'linked' | 'booted' | undefined;
  /** Number of CPUs the locks must fit; undefined: all in one state, whichever. */
  readonly cpus?: number | undefined;
  /** Undefined: `all` where the image has a lock table (`listed` in a kernel), else `none`. */
  readonly locks?: LockCheck | undefined;
  /** The image before patching: nothing but sites, tables, keys and trampolines may differ. */
  readonly original?: Image | undefined;
}
