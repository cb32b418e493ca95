// Search in ascending numbers.

/** How many of the ascending numbers are not above `limit`: the index of the first that is. */
export function countUpTo(
  ascending: Uint32Array | Int32Array | Float64Array | readonly number[],
  limit: number,
): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] as number) <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}
