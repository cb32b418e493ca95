// kallsyms_seqs_of_names: the numbers of all names in the order of their texts, three bytes each, the highest first
// whatever the machine's byte order; four bytes in the machine's order in the change that brought it.

/** True when the `count` numbers of `width` bytes at `at` are 0 to count - 1, each once. */
export function isPermutation(
  bytes: Uint8Array,
  little: boolean,
  at: number,
  width: number,
  count: number,
): boolean {
  if (at < 0 || at + width * count > bytes.length) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const seen = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const place = at + width * i;
    const number =
      width === 4 ? view.getUint32(place, little) : (view.getUint16(place) << 8) | view.getUint8(place + 2);
    if (number >= count || seen[number] === 1) return false;
    seen[number] = 1;
  }
  return true;
}
