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

/** A write of an image whose names stay: they are looked up when somebody asks, and of most writes nobody does. */
class Recorded implements PokeRecord {
  readonly phase: string;
  readonly address: number;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  readonly reason: string;
  readonly live: PokeRecord['live'];
  readonly what: PokeRecord['what'];
  private readonly image: Image;
  private readonly keyAt: number | undefined;

  constructor(
    image: Image,
    { phase, address, before, after, reason, live, what }: Omit<PokeRecord, 'symbol' | 'key'>,
    keyAt: number | undefined,
  ) {
    this.phase = phase;
    this.address = address;
    this.before = before;
    this.after = after;
    this.reason = reason;
    this.live = live;
    this.what = what;
    this.image = image;
    this.keyAt = keyAt;
  }

  get symbol(): string {
    return this.image.describe(this.address);
  }

  get key(): RecordedKey | undefined {
    return this.keyAt === undefined
      ? undefined
      : { address: this.keyAt, name: this.image.describe(this.keyAt) };
  }
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

  /** Writes, and records what stood there: `before`, where somebody holds a copy of it. */
  private record(
    address: number,
    after: Uint8Array,
    reason: string,
    what: PokeRecord['what'],
    key: number | undefined,
    { live, before = this.image.read(address, after.length).slice() }: Partial<PokeRecord> = {},
  ): void {
    const { image, phase } = this;
    const record = new Recorded(image, { phase, address, before, after, reason, live, what }, key);
    // A module may be gone when somebody asks.
    if (image.guests.length > 0) {
      const { symbol, key: named } = record;
      this.records.push({ phase, address, symbol, before, after, reason, key: named, live, what });
    } else this.records.push(record);
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
    const step = (number: 1 | 2 | 3, at: number, found: Uint8Array, after: Uint8Array) => {
      const live = { step: number, before, after: bytes };
      this.record(address + at, after, reason, 'text', key, { live, before: found });
    };
    step(1, 0, before.subarray(0, head), breakpoint);
    step(2, head, before.subarray(head), bytes.subarray(head));
    step(3, 0, breakpoint, bytes.subarray(0, head));
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
