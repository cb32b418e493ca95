// Code that lies among a kernel's read-only data (.rodata.text, arch/arm64/kernel/vmlinux.lds.S), and runs elsewhere: where
// programs enter the kernel, it is mapped again; where the memory's tables are changed, it is mapped where it lies in physical
// memory; and some of it is copied. What it must be follows from the same passes as all text.
import type { Image } from '../../image/image.ts';
import { ExpectedText } from '../expected.ts';
import type { GeneratedPage } from '../pass.ts';

/** Its parts in their order; kernels since 6.2 have the last one here. */
const parts = ['entry_tramp_text', 'hibernate_exit_text', 'relocate_new_kernel', 'idmap_text'];
const pageSize = 4096;
/** A few pages. */
const longest = 1 << 20;

export interface DataText {
  readonly text: ExpectedText;
  /** Bytes from its start on that programs enter the kernel through. */
  readonly entryBytes: number;
}

/** `at` says where a symbol lies, as linked; undefined where the kernel has no such code, or nothing names it. */
export function dataText(image: Image, at: (name: string) => number | undefined): DataText | undefined {
  const start = at('__entry_tramp_text_start');
  const ends = parts.flatMap((part) => at(`__${part}_end`) ?? []);
  const entryEnd = at('__entry_tramp_text_end');
  if (start === undefined || entryEnd === undefined || start % pageSize !== 0) return undefined;
  const end = Math.ceil(ends.reduce((last, one) => Math.max(last, one), entryEnd) / pageSize) * pageSize;
  const length = end - start;
  if (entryEnd <= start || length > longest || image.fileOffset(start, length) === undefined)
    return undefined;
  const text = new ExpectedText('.rodata.text', start, image.read(start, length));
  return { text, entryBytes: Math.ceil((entryEnd - start) / pageSize) * pageSize };
}

/** Its pages as they must be by now. */
export function dataTextPages({ text }: DataText, slide: number): GeneratedPage[] {
  return Array.from({ length: text.file.length / pageSize }, (_, i) => ({
    address: text.start + i * pageSize + slide,
    bytes: text.at(text.start + i * pageSize, pageSize),
    what: text.name,
  }));
}

/** Whether a page is one of those through which programs enter the kernel (map_entry_trampoline), as they must be. */
export function isEntryPage({ text, entryBytes }: DataText, page: Uint8Array): boolean {
  for (let at = 0; at < entryBytes; at += pageSize)
    if (text.at(text.start + at, pageSize).every((byte, i) => byte === page[i])) return true;
  return false;
}
