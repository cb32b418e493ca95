// The record of boot as changes of places: the writes of a live patch belong together, and what they write stands once for
// each byte string, since it does not depend on the place.

import type { PokeRecord } from '../boot/text-poke.ts';
import { TextpokeError } from '../errors.ts';
import type { PlaceNumber } from './data.ts';
import type { Pools } from './pools.ts';

/** A place that was changed, or a word of data that was stored. */
export type Change =
  | {
      readonly what: 'place';
      readonly place: PlaceNumber;
      readonly bytes: Uint8Array;
      readonly reason: string;
    }
  | {
      readonly what: 'word';
      readonly address: number;
      readonly before: Uint8Array;
      readonly bytes: Uint8Array;
      readonly reason: string;
    };

/** How the record is read: places by their address, and the writes that make a byte string, by its number. */
export class ChangeReader {
  /** As `BootData.live`. */
  readonly live: Record<number, readonly number[]> = {};
  private readonly placeAt: ReadonlyMap<number, PlaceNumber>;
  private readonly pools: Pools;

  constructor(placeAt: ReadonlyMap<number, PlaceNumber>, pools: Pools) {
    this.placeAt = placeAt;
    this.pools = pools;
  }

  /** The changes that writes make, in their order. `isLive`: the program runs. */
  read(records: readonly PokeRecord[], isLive: boolean): Change[] {
    const changes: Change[] = [];
    for (let at = 0; at < records.length; at++) {
      const record = records[at] as PokeRecord;
      const { address, before, after, reason, live, what } = record;
      if (what === 'data') {
        changes.push({ what: 'word', address, before, bytes: after, reason });
        continue;
      }
      const steps = live ? records.slice(at, at + 3) : [record];
      at += steps.length - 1;
      const bytes = live?.after ?? after;
      if (isLive) this.remember(bytes, address, steps);
      changes.push({ what: 'place', place: this.numberOf(address), bytes, reason });
    }
    return changes;
  }

  private numberOf(address: number): PlaceNumber {
    const place = this.placeAt.get(address);
    if (place !== undefined) return place;
    throw new TextpokeError('defect', `boot wrote to 0x${address.toString(16)}, which no table lists`);
  }

  private remember(bytes: Uint8Array, from: number, steps: readonly PokeRecord[]): void {
    const number = this.pools.bytes(bytes);
    this.live[number] ??= steps.flatMap(({ address, after, live }) => [
      live?.step ?? 0,
      address - from,
      this.pools.bytes(after),
    ]);
  }
}
