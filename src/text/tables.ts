// Where a table of an image lies: its section, or between the symbols that a linker script puts around it.
import type { Image } from '../image/image.ts';

export interface TableRange {
  readonly start: number;
  /** Bytes. */
  readonly size: number;
}

/** Undefined where the image has no such table, or an empty one. */
export function tableRange(
  image: Image,
  section: string,
  first: string,
  last: string,
): TableRange | undefined {
  const found = sectionRange(image, section);
  if (found) return found;
  const [start, end] = [image.symbols.addressOf(first), image.symbols.addressOf(last)];
  return start === undefined || end === undefined || end <= start ? undefined : { start, size: end - start };
}

/** Undefined where the image has no such section, or an empty one. */
export function sectionRange(image: Image, section: string): TableRange | undefined {
  const found = image.file.sections.find(
    ({ name, addr, size }) => name === section && addr !== 0 && size > 0,
  );
  return found && { start: found.addr, size: found.size };
}
