// How many columns of a terminal a text takes, and names that are made shorter in the middle. Loaded when columns are laid
// out: what it knows of scripts and graphemes is nothing that other commands need.
import stringWidth from 'string-width';

const ascii = /^[\x20-\x7e]*$/;

/** Columns of printable text without colours. */
export function widthOf(text: string): number {
  return ascii.test(text) ? text.length : stringWidth(text);
}

/** Text with blanks behind it, up to a width. */
export function padEnd(text: string, width: number): string {
  return ascii.test(text) ? text.padEnd(width) : text + ' '.repeat(Math.max(0, width - widthOf(text)));
}

/** Stands where a name was cut: as in git, and the same in each character set. */
const cut = '..';
/** What is left of a name in front of and behind the cut, at the least. */
const leastName = 8;

/** What is never cut: an address as a whole, and behind a name its offset or line and what is said of it. */
const uncut = /(?:^0x[0-9a-f]+|[+-]0x[0-9a-f]+|:\d+)?(?: \([a-z]+\))?$/;

/** The width below which a name cannot be brought. */
export function leastWidth(name: string): number {
  const width = widthOf(name);
  // A name that ends in a letter has nothing behind it; most do.
  if (width <= leastName || /[g-z]$/.test(name)) return Math.min(width, leastName);
  const [tail = ''] = uncut.exec(name) ?? [];
  return tail.length === name.length ? width : Math.min(width, leastName + tail.length);
}

/** The name in at most `width` columns, cut in the middle; in front of its offset, line or remark. */
export function shortened(name: string, width: number): string {
  if (widthOf(name) <= width) return name;
  const [tail = ''] = uncut.exec(name) ?? [];
  const room = width - tail.length - cut.length;
  if (tail.length === name.length || room < 2) return name;
  const body = name.slice(0, name.length - tail.length);
  const behind = Math.floor(room / 2);
  return `${first(body, room - behind)}${cut}${last(body, behind)}${tail}`;
}

/** What fits into `width` columns at a text's start. */
function first(text: string, width: number): string {
  return ascii.test(text) ? text.slice(0, width) : fitting(graphemes(text), width).join('');
}

/** The same at its end. */
function last(text: string, width: number): string {
  if (ascii.test(text)) return text.slice(text.length - width);
  return fitting(graphemes(text).reverse(), width).reverse().join('');
}

let segmenter: Intl.Segmenter | undefined;

/** What a terminal shows as one: no mark is parted from its letter. */
function graphemes(text: string): string[] {
  segmenter ??= new Intl.Segmenter('en');
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

function fitting(parts: readonly string[], width: number): string[] {
  let used = 0;
  const beyond = parts.findIndex((part) => {
    used += widthOf(part);
    return used > width;
  });
  return parts.slice(0, beyond < 0 ? parts.length : beyond);
}
