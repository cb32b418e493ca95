// Which item of one build is which of the other, by likenesses from the strictest to the loosest.

/** An item of either build, or of both. */
export type Match<Item> =
  | readonly [before: Item, after: Item | undefined]
  | readonly [before: undefined, after: Item];

/**
 * Matches items one by one: all that are alike in the first way, then of those left over all that are alike in the
 * next, always the first with the first. In order of `before`, what only `after` has behind it. Time is linear.
 */
export function matchInOrder<Item>(
  before: readonly Item[],
  after: readonly Item[],
  likenesses: readonly ((item: Item) => string)[],
): Match<Item>[] {
  const partners = new Map<Item, Item>();
  const taken = new Set<Item>();
  for (const likeness of likenesses) {
    const waiting = new Map<string, Item[]>();
    // From the back, so that the first is what pop gives.
    for (const item of after.toReversed()) {
      if (taken.has(item)) continue;
      const like = likeness(item);
      const others = waiting.get(like);
      if (others) others.push(item);
      else waiting.set(like, [item]);
    }
    for (const item of before) {
      const partner = partners.has(item) ? undefined : waiting.get(likeness(item))?.pop();
      if (partner === undefined) continue;
      partners.set(item, partner);
      taken.add(partner);
    }
  }
  return [
    ...before.map((item): Match<Item> => [item, partners.get(item)]),
    ...after.filter((item) => !taken.has(item)).map((item): Match<Item> => [undefined, item]),
  ];
}
