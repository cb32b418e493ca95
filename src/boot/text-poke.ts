// The one place that writes to an image: every write states what it replaces, a whole batch is checked before
// its first byte changes, and each write is recorded (kernel: text_poke_early, and text_poke_bp or since 6.16
// smp_text_poke_single).
import { sameBytes } from '../bytes/integer.ts';
import type { Patch } from '../demand/patch.ts';
import { type Mismatch, MismatchError, TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { kernelBanner } from '../image/kernel.ts';

/** The patches of sites, each made when it is its turn. */
export function* made<S>(sites: Iterable<S>, patchOf: (site: S) => Patch): Generator<Patch> {
  for (const site of sites) yield patchOf(site);
}

export interface PokeRecord {
  readonly phase: string;
  readonly address: number;
  /** `symbol+0x1c`. */
  readonly symbol: string;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  readonly reason: string;
  /** The key that decided; undefined where none did. */
  readonly key?: RecordedKey | undefined;
  /** One of the three writes of a live patch: the whole site before and after all of them. */
  readonly live?:
    | { readonly step: 1 | 2 | 3; readonly before: Uint8Array; readonly after: Uint8Array }
    | undefined;
  /** `text` for instructions, else the table, key or relocation that was stored. */
  readonly what: 'text' | 'data';
}

/** A key, by its name at the time: modules come and go. */
export interface RecordedKey {
  readonly address: number;
  /** `symbol+0x10`. */
  readonly name: string;
}

export class TextPoker {
  readonly records: PokeRecord[] = [];
  /** Name of the phase that writes are recorded under. */
  phase = 'load';
  /** True once the program runs: a write of more than one byte then goes breakpoint, tail, head. */
  live = false;
  private readonly image: Image;

  /** `image` must lie in memory of its own: it is written to. */
  constructor(image: Image) {
    this.image = image;
  }

  private record(
    address: number,
    after: Uint8Array,
    reason: string,
    what: PokeRecord['what'],
    key: number | undefined,
    live?: PokeRecord['live'],
  ): void {
    const { image, phase } = this;
    const before = image.read(address, after.length).slice();
    const common = { phase, address, before, after, reason, live, what };
    const keyNamed = () => (key === undefined ? undefined : { address: key, name: image.describe(key) });
    // A module may be gone when somebody asks; the names of an image stay, and of most writes nobody asks.
    if (image.guests.length > 0)
      this.records.push({ ...common, symbol: image.describe(address), key: keyNamed() });
    else {
      this.records.push({
        ...common,
        get symbol() {
          return image.describe(address);
        },
        get key() {
          return keyNamed();
        },
      });
    }
    image.write(address, after);
  }

  /** Takes back every write from the record of number `from` on. */
  rollBack(from: number): void {
    for (const { address, before } of this.records.splice(from).reverse()) this.image.write(address, before);
    this.image.forgetDynamic();
  }

  /** Writes those of `patches` that differ from what is there, after `check` has passed all of them. */
  poke(patches: Iterable<Patch>): void {
    for (const { address, bytes, reason, key } of this.check(patches)) {
      // Folded code has several entries for one site; the first of them has written it.
      if (!sameBytes(this.image.read(address, bytes.length), bytes)) this.write(address, bytes, reason, key);
    }
  }

  /**
   * Returns the patches that would change something. Errors: `site-mismatch` for all that find something else
   * than they allow, `store-refused`; nothing is written. Patches may be made one by one as they are asked for: what
   * needs no change is not kept.
   */
  check(patches: Iterable<Patch>): Patch[] {
    const mismatches: Mismatch[] = [];
    const writes: Patch[] = [];
    for (const patch of patches) {
      const found = this.image.readUpTo(patch.address, patch.bytes.length);
      if (sameBytes(found, patch.bytes)) continue;
      if (patch.allowed.some((a) => sameBytes(a.bytes, found))) writes.push(patch);
      else {
        mismatches.push({
          address: patch.address,
          name: this.image.describe(patch.address),
          found: found.slice(),
          allowed: [...patch.allowed, { bytes: patch.bytes, meaning: 'already patched' }],
          reason: patch.reason,
        });
      }
    }
    if (mismatches.length > 0) throw new MismatchError(mismatches, { file: this.image.file.path });
    for (const { address, bytes } of writes) this.requireStored(address, bytes.length, 'code');
    return writes;
  }

  private write(address: number, bytes: Uint8Array, reason: string, key: number | undefined): void {
    const { breakpoint } = this.image.arch;
    if (!this.live || bytes.length === 1 || breakpoint === undefined) {
      this.record(address, bytes, reason, 'text', key);
      return;
    }
    const head = breakpoint.length;
    const before = this.image.read(address, bytes.length).slice();
    const step = (number: 1 | 2 | 3, at: number, after: Uint8Array) => {
      this.record(address + at, after, reason, 'text', key, { step: number, before, after: bytes });
    };
    step(1, 0, breakpoint);
    step(2, head, bytes.subarray(head));
    step(3, 0, bytes.subarray(0, head));
  }

  /** Writes and records what somebody else has checked: a pass over all of the text, which runs once, at start-up. */
  patched(address: number, bytes: Uint8Array, reason: string): void {
    this.requireStored(address, bytes.length, 'code');
    this.record(address, bytes, reason, 'text', undefined);
  }

  /** Stores data (a table, a key's state, a dynamic relocation). Error `store-refused` where the file has no byte. */
  store(address: number, bytes: Uint8Array, reason: string, key?: number): void {
    if (sameBytes(this.image.read(address, bytes.length), bytes)) return;
    this.requireStored(address, bytes.length, reason);
    this.record(address, bytes, reason, 'data', key);
  }

  private requireStored(address: number, length: number, what: string): void {
    if (this.image.isStored(address, length)) return;
    // A kernel's keys lie wherever its authors put them: the file grows (patched-file.ts).
    if (this.image.contains(address, length) && kernelBanner(this.image) !== undefined) return;
    throw new TextpokeError(
      'store-refused',
      `${what}: ${this.image.describe(address)} is in .bss, so the file has no bytes to store the new value; ` +
        'put the key into an initialised section, as the headers do',
      { file: this.image.file.path },
    );
  }
}
