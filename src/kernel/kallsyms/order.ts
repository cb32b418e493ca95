// kallsyms_seqs_of_names: the numbers of all names in the order of their texts, the highest byte first whatever the
// machine's byte order (kernel/kallsyms.c: get_symbol_seq).

/** Bytes of a number. */
export const sequenceWidth = 3;

/** True when the `count` numbers at byte `at` are 0 to count - 1, each once. */
export function isPermutation(bytes: Uint8Array, at: number, count: number): boolean {
  if (at < 0 || at + sequenceWidth * count > bytes.length) return false;
  const seen = new Uint8Array(count);
  for (let i = 0, place = at; i < count; i++, place += sequenceWidth) {
    const number =
      ((bytes[place] as number) << 16) | ((bytes[place + 1] as number) << 8) | (bytes[place + 2] as number);
    if (number >= count || seen[number] === 1) return false;
    seen[number] = 1;
  }
  return true;
}
