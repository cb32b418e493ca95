// The names that somebody may have meant: those that a slip of the fingers makes of what was written, and those that have
// it in them. The work is one pass over the names, with some dozen steps for those of about the right length.

/** Longer words are no slip of a name. */
const longestWord = 128;

/** How many slips a word may have. */
function mostSlips({ length }: string): number {
  return length < 4 ? 1 : length < 8 ? 2 : 3;
}

/** Most suggestions. */
const mostNames = 3;

/** The nearest of some names, nearest first, at most three; none where nothing is near. */
export function nearestNames(wanted: string, names: Iterable<string>): string[] {
  if (wanted === '' || wanted.length > longestWord) return [];
  const word = wanted.toLowerCase();
  const slips = mostSlips(word);
  const best: { readonly name: string; readonly away: number }[] = [];
  const row = new Slips(word, slips);
  for (const name of names) {
    const away = distance(name, word, row);
    const last = best[mostNames - 1];
    if (away === undefined || (last && away >= last.away) || best.some((of) => of.name === name)) continue;
    let at = best.length;
    while (at > 0 && (best[at - 1] as { away: number }).away > away) at--;
    best.splice(at, 0, { name, away });
    best.length = Math.min(best.length, mostNames);
  }
  return best.map(({ name }) => name);
}

/** `; did you mean a, b or c?`; nothing where nothing is near. */
export function didYouMean(wanted: string, names: Iterable<string>): string {
  const near = nearestNames(wanted, names);
  const last = near.pop();
  if (last === undefined) return '';
  return `; did you mean ${near.length > 0 ? `${near.join(', ')} or ` : ''}${last}?`;
}

/** How far a name is: slips first, then names that have the word in them, the shortest first. */
function distance(name: string, word: string, row: Slips): number | undefined {
  const { most } = row;
  const more = name.length - word.length;
  if (more < -most || name.length > 4 * longestWord) return undefined;
  const lower = name.toLowerCase();
  if (more <= most) {
    const slips = row.to(lower);
    if (slips <= most) return slips;
  }
  // A short word is in too many names to mean one of them.
  return word.length >= 3 && lower.includes(word) ? most + 1 + more / (8 * longestWord) : undefined;
}

/** Counts slips between one word and others: a letter too many, too few or another, or two that changed places. */
class Slips {
  readonly most: number;
  private readonly word: string;
  private rows: [Uint16Array, Uint16Array, Uint16Array];

  constructor(word: string, most: number) {
    this.word = word;
    this.most = most;
    const row = () => new Uint16Array(word.length + 1);
    this.rows = [row(), row(), row()];
  }

  /** The number of slips, or more than `most` where there are more; the lengths differ by no more. */
  to(name: string): number {
    const { word, most } = this;
    let [two, one, row] = this.rows;
    for (let j = 0; j <= word.length; j++) one[j] = j;
    for (let i = 1; i <= name.length; i++) {
      // Only near the diagonal can be few slips.
      const from = Math.max(1, i - most);
      const to = Math.min(word.length, i + most);
      row.fill(most + 1);
      if (i <= most) row[0] = i;
      let least = row[0] as number;
      for (let j = from; j <= to; j++) {
        const isSame = name[i - 1] === word[j - 1];
        let slips = Math.min(
          (one[j - 1] as number) + Number(!isSame),
          (one[j] as number) + 1,
          (row[j - 1] as number) + 1,
        );
        if (i > 1 && j > 1 && name[i - 1] === word[j - 2] && name[i - 2] === word[j - 1])
          slips = Math.min(slips, (two[j - 2] as number) + 1);
        row[j] = slips;
        if (slips < least) least = slips;
      }
      if (least > most) return most + 1;
      [two, one, row] = [one, row, two];
    }
    this.rows = [two, one, row];
    return Math.min(one[word.length] as number, most + 1);
  }
}
