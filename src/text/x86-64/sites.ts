// Tables of places that objtool makes (tools/objtool/check.c): 32-bit distances from the entry to an instruction. And the
// walk of a pass over such places.
import { ByteView } from '../../bytes/view.ts';
import { TextpokeError } from '../../errors.ts';
import type { Image } from '../../image/image.ts';
import type { ExpectedText } from '../expected.ts';
import { isGone, type PassNote, type TextSubject } from '../pass.ts';

/** Section, and the symbols around it in a kernel (arch/x86/kernel/vmlinux.lds.S). */
const tables = {
  retpoline: ['.retpoline_sites', '__retpoline_sites', '__retpoline_sites_end'],
  return: ['.return_sites', '__return_sites', '__return_sites_end'],
  call: ['.call_sites', '__call_sites', '__call_sites_end'],
  endbr: ['.ibt_endbr_seal', '__ibt_endbr_seal', '__ibt_endbr_seal_end'],
  cfi: ['.cfi_sites', '__cfi_sites', '__cfi_sites_end'],
} as const;
export type SiteTableName = keyof typeof tables;

const entrySize = 4;

/**
 * The places that a table names, in its order, which is the kernel's; undefined where the image has no such table. Error
 * `table-malformed`: it is no whole number of entries, or not in the file.
 */
export function readSites(image: Image, name: SiteTableName): Float64Array | undefined {
  const [section, first, last] = tables[name];
  const range = rangeOf(image, section, first, last);
  if (!range || range.size === 0) return undefined;
  const { start, size } = range;
  if (!(size > 0) || size % entrySize !== 0 || image.fileOffset(start, size) === undefined) {
    throw new TextpokeError(
      'table-malformed',
      `the table has ${size} bytes; a whole number of entries of ${entrySize} bytes in the file is required`,
      { file: image.file.path, section },
    );
  }
  const entries = new ByteView(image.read(start, size), image.file.header.little).table(0, size);
  const sites = new Float64Array(size / entrySize);
  for (let i = 0; i < sites.length; i++) {
    const at = i * entrySize;
    sites[i] = start + at + entries.getInt32(at, image.file.header.little);
  }
  return sites;
}

function rangeOf(image: Image, section: string, first: string, last: string) {
  const found = image.file.sections.find(
    ({ name, addr, size }) => name === section && addr !== 0 && size > 0,
  );
  if (found) return { start: found.addr, size: found.size };
  const [start, end] = [image.symbols.addressOf(first), image.symbols.addressOf(last)];
  return start === undefined || end === undefined ? undefined : { start, size: end - start };
}

/** As many notes as a person reads; the rest is a number. */
const mostNotes = 1000;

/** What a pass finds, which may be something at each place. */
export class Notes {
  private readonly kept: PassNote[] = [];
  private left = 0;

  add(note: PassNote): void {
    if (this.kept.length < mostNotes) this.kept.push(note);
    else this.left++;
  }

  wrong(address: number, message: string): void {
    this.add({ address, severity: 'wrong', message });
  }

  get all(): readonly PassNote[] {
    if (this.left === 0) return this.kept;
    return [...this.kept, { severity: 'wrong', message: `${this.left} more places like these` }];
  }
}

/** Finds the text of one place after the other: places that follow each other mostly lie in the same. */
export class TextFinder {
  private readonly subject: TextSubject<unknown>;
  private last: ExpectedText | undefined;

  constructor(subject: TextSubject<unknown>) {
    this.subject = subject;
  }

  /** The text that has all of [address, address + length); undefined where none has. */
  holding(address: number, length: number): ExpectedText | undefined {
    if (!this.last?.has(address, length)) this.last = this.subject.texts.holding(address, length);
    return this.last;
  }

  /**
   * The same for a place that a table names. One in code that is not looked at (init text that is gone) is passed over; one
   * that lies in no code is noted.
   */
  site(address: number, length: number, notes: Notes): ExpectedText | undefined {
    const text = this.holding(address, length);
    if (!text && !isCode(this.subject, address)) notes.wrong(address, 'the table names what is no code');
    return text;
  }
}

/** Code of the image, or where some was that a module gave back. */
function isCode(subject: TextSubject<unknown>, address: number): boolean {
  return subject.image.codeAt(address) !== undefined || isGone(subject, address);
}
