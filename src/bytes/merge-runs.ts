// Sorting of what is sorted in part: symbol tables are, in a few runs.

/**
 * Sorts numbers by `compare`, equal ones in the order that they have; the array that is given is used up. One pass for
 * each doubling of the runs that are in order already, where the sort of typed arrays calls `compare` as if there were none.
 */
export function mergeRuns(
  numbers: Uint32Array<ArrayBuffer>,
  compare: (a: number, b: number) => number,
): Uint32Array {
  let from = numbers;
  let to = new Uint32Array(0);
  let starts = [0];
  for (let i = 1; i < from.length; i++)
    if (compare(from[i - 1] as number, from[i] as number) > 0) starts.push(i);
  while (starts.length > 1) {
    if (to.length === 0) to = new Uint32Array(from.length);
    const merged: number[] = [];
    for (let run = 0; run < starts.length; run += 2) {
      let left = starts[run] as number;
      merged.push(left);
      const middle = starts[run + 1] ?? from.length;
      const end = starts[run + 2] ?? from.length;
      let right = middle;
      for (let at = left; at < end; at++) {
        const isLeft =
          left < middle && (right === end || compare(from[left] as number, from[right] as number) <= 0);
        to[at] = from[isLeft ? left++ : right++] as number;
      }
    }
    [from, to] = [to, from];
    starts = merged;
  }
  return from;
}
