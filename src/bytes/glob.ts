// Patterns of names: `*` stands for any characters and `?` for one, ends of lines included.

/** True for a text that means all names of a pattern rather than one name. */
export function isPattern(text: string): boolean {
  return /[*?]/.test(text);
}

/**
 * Whether a text matches a pattern as a whole. Takes at most the pattern's length times the text's: only the last `*`
 * is ever tried again, for whatever an earlier one could take, the last one can take as well.
 */
export function globMatcher(pattern: string): (text: string) => boolean {
  return (text) => {
    let at = 0;
    let next = 0;
    /** The last `*` so far, and where in the text what is behind it is tried. */
    let star = -1;
    let retry = 0;
    while (at < text.length) {
      const wanted = pattern[next];
      if (wanted === '*') {
        star = next++;
        retry = at;
      } else if (wanted === '?' || wanted === text[at]) {
        next++;
        at++;
      } else if (star >= 0) {
        next = star + 1;
        at = ++retry;
      } else return false;
    }
    while (pattern[next] === '*') next++;
    return next === pattern.length;
  };
}
