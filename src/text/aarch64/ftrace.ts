// Function tracing on arm64 (arch/arm64/kernel/ftrace.c): NOPs at the start of each function, of which start-up makes an
// instruction that keeps the return address; a call behind it while somebody traces the function (ftrace-hooks.ts); and since
// 6.3 a pointer to who traces it in front of it.
import type { Image } from '../../image/image.ts';
import { entrySize, entryWords } from '../../link/aarch64-loader.ts';
import type { ExpectedText, Texts } from '../expected.ts';
import { mcountSites, sitesAt } from '../mcount.ts';
import { kernelOf, type PassNote, type PassResult, type TextPass, type TextSubject } from '../pass.ts';
import { findMcount } from './found-tables.ts';
import { branchDistance, keepReturn, nop, size, wordAt, writeWord } from './words.ts';

/** How a compiler prepared the functions. */
export type Form =
  /** A call of _mcount at the place itself. */
  | 'mcount'
  /** Two NOPs at the start of the function. */
  | 'nops'
  /** Two NOPs there, and two in front of it for a pointer (DYNAMIC_FTRACE_WITH_CALL_OPS). */
  | 'ops';

const btiC = 0xd503245f;
const btiJc = 0xd50324df;
const isBti = (word: number) => word === btiC || word === btiJc;
/** Bytes in front of the call that the pointer begins at, before it is aligned to 8 bytes. */
const literalDistance = 12;

/** Places of the calls, as linked and ascending, and their form; undefined where the image has no table of them. */
export interface TracedPlaces {
  readonly form: Form;
  readonly places: Float64Array;
}

const known = new WeakMap<Image, TracedPlaces>();

/** `kernel`: what a module is loaded into, which says what form its places have. */
export function tracedPlaces({ image, kernel }: Subject): TracedPlaces | undefined {
  const made = known.get(image) ?? readPlaces(image, kernel);
  if (made) known.set(image, made);
  return made;
}

type Subject = Pick<TextSubject<unknown>, 'image' | 'kernel'>;

function readPlaces(image: Image, kernel: Image | undefined): TracedPlaces | undefined {
  const sites = mcountSites(image) ?? (kernel ? undefined : foundSites(image));
  if (!sites || sites.length === 0) return undefined;
  const form = kernel ? tracedPlaces({ image: kernel })?.form : formOf(image, sites);
  if (form === undefined) return undefined;
  if (form === 'mcount') return { form, places: sites };
  const places = sites.map((site) => {
    if (form === 'nops') return site + size;
    const start = site + 2 * size;
    return isBti(readWord(image, start)) ? start + 2 * size : start + size;
  });
  return { form, places };
}

function foundSites(image: Image): Float64Array | undefined {
  const range = findMcount(image);
  return range && sitesAt(image, range.start, range.size);
}

/** Enough places tell which form all have. */
const asked = 64;

function formOf(image: Image, sites: Float64Array): Form {
  let ops = 0;
  let calls = 0;
  const count = Math.min(asked, sites.length);
  for (let i = 0; i < count; i++) {
    const site = sites[i] as number;
    const first = readWord(image, site);
    if (first !== nop) calls++;
    else if (site % 8 === 0 && image.symbolAt(site)?.offset !== 0 && image.symbolAt(site + 8)?.offset === 0)
      ops++;
  }
  return calls > count / 2 ? 'mcount' : ops > count / 2 ? 'ops' : 'nops';
}

function readWord(image: Image, address: number): number {
  return image.contains(address, size) ? image.readS32(address) >>> 0 : 0;
}

/** What start-up makes of the places. */
export const ftraceNops: TextPass<unknown> = {
  kind: 'ftrace',
  name: 'ftrace',
  run(subject): PassResult | undefined {
    const { image, slide, texts } = subject;
    const traced = tracedPlaces(subject);
    if (!traced) return undefined;
    const { form, places } = traced;
    const notes: PassNote[] = [];
    const ops = kernelOf(subject).symbols.addressOf('ftrace_nop_ops');
    if (form === 'ops' && ops === undefined)
      notes.push({ severity: 'wrong', message: 'the kernel has no ftrace_nop_ops', input: 'ftrace_nop_ops' });
    const pointer = ops === undefined ? undefined : pointerBytes(ops + slide);
    for (const place of places) {
      const text = textOf(texts, form, place);
      if (!text) continue;
      const at = wordAt(text, place);
      const isCall = form === 'mcount' && branchDistance(at) !== undefined;
      const isNops = form !== 'mcount' && wordAt(text, place - size) === nop && at === nop;
      if (!isCall && !isNops) {
        const message = `__mcount_loc lists what is no place for tracing: ${image.describe(place)}`;
        notes.push({ address: place, severity: 'wrong', message });
        continue;
      }
      if (isCall) writeWord(text, place, nop, 'ftrace');
      else writeWord(text, place - size, keepReturn, 'ftrace');
      if (form === 'ops' && pointer) text.write(literalOf(place), pointer, 'ftrace');
    }
    return { sites: places.length, notes };
  },
};

/** The text that has all that is written for a place. */
export function textOf(texts: Texts, form: Form, place: number): ExpectedText | undefined {
  const first = form === 'ops' ? literalOf(place) : form === 'nops' ? place - size : place;
  return texts.holding(first, place + size - first);
}

/** Where the pointer of a place stands: ALIGN_DOWN(ip - 12, 8). */
export const literalOf = (place: number): number => Math.floor((place - literalDistance) / 8) * 8;

export function pointerBytes(address: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(address), true);
  return bytes;
}

/** Where a module has its entries that lead to the code of tracing. */
export const tracingTable = (texts: Texts) =>
  texts.all.find(({ name }) => name === '.text.ftrace_trampoline');

/** The functions of the kernel that such entries lead to, in their order (up to 6.2 there are two). */
export const tracers = ['ftrace_caller', 'ftrace_regs_caller'] as const;

/** How many there are (NR_FTRACE_PLTS). */
export const tracingEntries = ({ symbols }: Image): number =>
  tracers.filter((name) => symbols.addressOf(name) !== undefined).length;

/** The entries of a module through which its calls reach the code of tracing (module_init_ftrace_plt). */
export const ftraceEntries: TextPass<unknown> = {
  kind: 'ftrace',
  name: 'ftrace entries',
  run(subject): PassResult | undefined {
    const table = tracingTable(subject.texts);
    if (!table) return undefined;
    const targets = tracers.flatMap((name) => kernelOf(subject).symbols.addressOf(name) ?? []);
    const notes: PassNote[] = [];
    targets.forEach((target, i) => {
      const at = table.start + i * entrySize;
      const words = entryWords(at + subject.slide, target + subject.slide);
      if (!words || !table.has(at, entrySize)) {
        const message = `${table.name} of the module cannot lead to ${tracers[i]}`;
        notes.push({ address: at, severity: 'wrong', message });
        return;
      }
      for (const [n, word] of words.entries()) writeWord(table, at + n * size, word, 'ftrace');
    });
    return { sites: targets.length, notes };
  },
};
