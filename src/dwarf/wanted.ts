// The places whose lines are asked for, in ascending order, as a sequence of rows walks past them.
import { countUpTo } from '../bytes/search.ts';

/** The places of one section of an object, or the addresses of an image. */
export class WantedPlaces {
  /** Ascending, with Infinity behind the last. */
  readonly offsets: Float64Array;
  /** Who asked for each of them. */
  readonly askers: Uint32Array;
  /** For each place itself, or one in front of the next that no sequence has covered. */
  private readonly skip: Uint32Array;

  /** `offsetOf` gives the offset or address that an asker wants to know about. */
  constructor(askers: readonly number[], offsetOf: (asker: number) => number) {
    this.askers = Uint32Array.from(askers).sort((a, b) => offsetOf(a) - offsetOf(b));
    this.offsets = new Float64Array(askers.length + 1).fill(Number.POSITIVE_INFINITY);
    this.askers.forEach((asker, i) => {
      this.offsets[i] = offsetOf(asker);
    });
    this.skip = Uint32Array.from(this.offsets.keys());
  }

  /** The first place at or behind `address` that is still without an answer. */
  from(address: number): number {
    return this.open(countUpTo(this.offsets, address - 1));
  }

  /** Closes a place, so that the first sequence that covers it is the one that counts; returns the next open one. */
  close(place: number): number {
    this.skip[place] = place + 1;
    return this.open(place + 1);
  }

  private open(place: number): number {
    const { skip } = this;
    let at = place;
    while (skip[at] !== at) {
      skip[at] = skip[skip[at] as number] as number;
      at = skip[at] as number;
    }
    return at;
  }
}
