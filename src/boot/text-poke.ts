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

/** Why something is written, in words that may be made when somebody asks for them, and the key that decides. */
type Reasoned = Pick<PokeRecord, 'reason'> & { readonly key?: number | undefined };

/** Bytes of a piece of memory that records keep their bytes in: an array of its own takes 200 bytes for five. */
const poolSize = 0x10000;

/** A record that keeps nothing but numbers and bytes: the names of an image stay, and of most writes nobody asks. */
class NamedLater implements PokeRecord {
  readonly phase: string;
  readonly address: number;
  readonly what: PokeRecord['what'];
  readonly live: PokeRecord['live'];
  private readonly image: Image;
  private readonly reasoned: Reasoned;
  private readonly pool: Uint8Array;
  private readonly at: number;
  private readonly length: number;

  /** `pool` has at a place the bytes before the write, and behind them as many after it. */
  constructor(
    image: Image,
    { phase, address, what, live }: Pick<PokeRecord, 'phase' | 'address' | 'what' | 'live'>,
    reasoned: Reasoned,
    [pool, at, length]: readonly [Uint8Array, number, number],
  ) {
    this.phase = phase;
    this.address = address;
    this.what = what;
    this.live = live;
    this.image = image;
    this.reasoned = reasoned;
    this.pool = pool;
    this.at = at;
    this.length = length;
  }

  get before(): Uint8Array {
    return this.pool.subarray(this.at, this.at + this.length);
  }
  get after(): Uint8Array {
    return this.pool.subarray(this.at + this.length, this.at + 2 * this.length);
  }
  get symbol(): string {
    return this.image.describe(this.address);
  }
  get reason(): string {
    return this.reasoned.reason;
  }
  get key(): RecordedKey | undefined {
    const address = this.reasoned.key;
    return address === undefined ? undefined : { address, name: this.image.describe(address) };
  }
}

/** The same with its words made. */
function namedNow({
  phase,
  address,
  symbol,
  before,
  after,
  reason,
  key,
  live,
  what,
}: PokeRecord): PokeRecord {
  return { phase, address, symbol, before, after, reason, key, live, what };
}

export class TextPoker {
  readonly records: PokeRecord[] = [];
  /** Name of the phase that writes are recorded under. */
  phase = 'load';
  /** True once the program runs: a write of more than one byte then goes breakpoint, tail, head. */
  live = false;
  private readonly image: Image;
  private pool = new Uint8Array(0);
  private pooled = 0;

  /** `image` must lie in memory of its own: it is written to. */
  constructor(image: Image) {
    this.image = image;
  }

  /** Room for so many bytes in the memory that records share. */
  private room(length: number): readonly [pool: Uint8Array, at: number] {
    if (this.pooled + length > this.pool.length) {
      this.pool = new Uint8Array(Math.max(poolSize, length));
      this.pooled = 0;
    }
    const at = this.pooled;
    this.pooled += length;
    return [this.pool, at];
  }

  private record(
    address: number,
    after: Uint8Array,
    reasoned: Reasoned,
    what: PokeRecord['what'],
    live?: PokeRecord['live'],
  ): void {
    const { image, phase } = this;
    const { length } = after;
    const [pool, at] = this.room(2 * length);
    pool.set(image.read(address, length), at);
    pool.set(after, at + length);
    const record = new NamedLater(image, { phase, address, what, live }, reasoned, [pool, at, length]);
    // A module may be gone when somebody asks, and its names with it.
    this.records.push(image.guests.length > 0 ? namedNow(record) : record);
    image.write(address, after);
  }

  /** Takes back every write from the record of number `from` on. */
  rollBack(from: number): void {
    for (const { address, before } of this.records.splice(from).reverse()) this.image.write(address, before);
    this.image.forgetDynamic();
  }

  /** Writes those of `patches` that differ from what is there, after `check` has passed all of them. */
  poke(patches: Iterable<Patch>): void {
    for (const patch of this.check(patches)) {
      const { address, bytes } = patch;
      // Folded code has several entries for one site; the first of them has written it.
      if (!sameBytes(this.image.read(address, bytes.length), bytes)) this.write(address, bytes, patch);
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

  private write(address: number, bytes: Uint8Array, reasoned: Reasoned): void {
    const { breakpoint } = this.image.arch;
    if (!this.live || bytes.length === 1 || breakpoint === undefined) {
      this.record(address, bytes, reasoned, 'text');
      return;
    }
    const head = breakpoint.length;
    const before = this.image.read(address, bytes.length).slice();
    const step = (number: 1 | 2 | 3, at: number, after: Uint8Array) => {
      this.record(address + at, after, reasoned, 'text', { step: number, before, after: bytes });
    };
    step(1, 0, breakpoint);
    step(2, head, bytes.subarray(head));
    step(3, 0, bytes.subarray(0, head));
  }

  /** Writes and records what somebody else has checked: a pass over all of the text, which runs once, at start-up. */
  patched(address: number, bytes: Uint8Array, reason: string): void {
    this.requireStored(address, bytes.length, 'code');
    this.record(address, bytes, { reason }, 'text');
  }

  /** Stores data (a table, a key's state, a dynamic relocation). Error `store-refused` where the file has no byte. */
  store(address: number, bytes: Uint8Array, reason: string, key?: number): void {
    if (sameBytes(this.image.read(address, bytes.length), bytes)) return;
    this.requireStored(address, bytes.length, reason);
    this.record(address, bytes, { reason, key }, 'data');
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
