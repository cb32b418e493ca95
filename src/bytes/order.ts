// The order of what is sorted in part: symbols and tables are, in a few runs.

/**
 * The places of `keys` in ascending order, equal ones as they stand. One pass for each time that the runs that are in order
 * already can be halved; the sort of typed arrays would call a function for each comparison, and as many times as for none.
 */
export function orderOf(keys: Float64Array): Uint32Array {
  const count = keys.length;
  let from = new Uint32Array(count);
  let starts = [0];
  for (let i = 0; i < count; i++) {
    from[i] = i;
    if (i > 0 && (keys[i - 1] as number) > (keys[i] as number)) starts.push(i);
  }
  let to = new Uint32Array(starts.length > 1 ? count : 0);
  while (starts.length > 1) {
    const merged: number[] = [];
    for (let run = 0; run < starts.length; run += 2) {
      let left = starts[run] as number;
      merged.push(left);
      const middle = starts[run + 1] ?? count;
      const end = starts[run + 2] ?? count;
      let right = middle;
      for (let at = left; at < end; at++) {
        const isLeft =
          left < middle &&
          (right === end ||
            (keys[from[left] as number] as number) <= (keys[from[right] as number] as number));
        to[at] = from[isLeft ? left++ : right++] as number;
      }
    }
    [from, to] = [to, from];
    starts = merged;
  }
  return from;
}

/** The values in that order. */
export function inOrder<T extends Float64Array | Int32Array | Uint32Array>(values: T, order: Uint32Array): T {
  const ordered = values.slice() as T;
  for (let i = 0; i < order.length; i++) ordered[i] = values[order[i] as number] as number;
  return ordered;
}
