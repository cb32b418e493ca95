// __mcount_loc: the places that a compiler leaves for function tracing (kernel/trace/ftrace.c). In modules of arm64 they are
// where the compiler lists them, in __patchable_function_entries (include/asm-generic/vmlinux.lds.h, MCOUNT_REC).
import { EM_AARCH64 } from '../elf/constants.ts';
import type { Image } from '../image/image.ts';
import type { PassResult } from './pass.ts';
import { sectionRange, tableRange } from './tables.ts';

const known = new WeakMap<Image, Float64Array>();

/** The places that an image lists, ascending and as linked; undefined where it has no such table. */
export function mcountSites(image: Image): Float64Array | undefined {
  const sites = known.get(image) ?? readSites(image);
  if (sites) known.set(image, sites);
  return sites;
}

function readSites(image: Image): Float64Array | undefined {
  // On x86 that section lists the padding in front of functions, which is another matter.
  const isListed = image.file.header.machine === EM_AARCH64;
  const range =
    tableRange(image, '__mcount_loc', '__start_mcount_loc', '__stop_mcount_loc') ??
    (isListed ? sectionRange(image, '__patchable_function_entries') : undefined);
  if (!range || image.fileOffset(range.start, range.size) === undefined) return undefined;
  return sitesAt(image, range.start, range.size);
}

/** The same for a table that lies at an address. */
export function sitesAt(image: Image, start: number, size: number): Float64Array {
  const { wordSize } = image.arch;
  const { little } = image.file.header;
  const bytes = image.read(start, size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const sites = new Float64Array(Math.floor(size / wordSize));
  let count = 0;
  for (let at = 0; at + wordSize <= size; at += wordSize) {
    const low = view.getUint32(wordSize === 8 && !little ? at + 4 : at, little);
    const site = wordSize === 4 ? low : view.getInt32(little ? at + 4 : at, little) * 2 ** 32 + low;
    // Zeros are functions that the linker dropped; the kernel passes over what is not code, too.
    if (site !== 0 && image.codeAt(site)) sites[count++] = site;
  }
  return sites.subarray(0, count).sort();
}

/** What comes of traced places where no records say which of them are. */
export const tracingUnknown: PassResult = {
  sites: 0,
  notes: [
    {
      severity: 'left',
      message:
        'the memory does not tell which functions are traced (ftrace_pages_start, BTF); they are taken for not traced',
      input: 'ftrace_pages_start',
    },
  ],
};
