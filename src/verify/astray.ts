// Entries at fault that name no site stand for one each: that site is not reported as unlisted as well.

/** Counts of what is excused, by what tells it apart: a key, a trampoline, a table. */
export class Astray<Key> {
  private readonly counts = new Map<Key, number>();

  /** Each of `keys` excuses one. */
  constructor(keys: Iterable<Key>) {
    for (const key of keys) this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
  }

  /** True for one that is excused; each excuse serves once. */
  takes(key: Key): boolean {
    const left = this.counts.get(key) ?? 0;
    if (left > 0) this.counts.set(key, left - 1);
    return left > 0;
  }
}

interface Gap {
  readonly after: number;
  readonly before: number;
}

/** The same where nothing but order tells: an entry stands for a place between those its neighbours list. */
export class AstrayInOrder {
  /** Gaps that begin later than what was asked of, the earliest last. */
  private readonly later: Gap[] = [];
  private readonly open: Gap[] = [];

  /** Places in the order of their entries; undefined for an entry that names none. */
  constructor(places: readonly (number | undefined)[]) {
    for (const [i, place] of places.entries()) {
      if (place !== undefined) continue;
      const after = places[i - 1] ?? Number.NEGATIVE_INFINITY;
      const before = places[i + 1] ?? Number.POSITIVE_INFINITY;
      this.later.push({ after, before });
    }
    this.later.sort((a, b) => (a.after === b.after ? 0 : b.after - a.after));
  }

  /** True for a place that is excused; asked of one place after the other, in order of address. */
  takes(address: number): boolean {
    const { later, open } = this;
    while ((later.at(-1)?.after ?? address) < address) open.push(later.pop() as Gap);
    while ((open.at(-1)?.before ?? Number.POSITIVE_INFINITY) <= address) open.pop();
    return open.pop() !== undefined;
  }
}
