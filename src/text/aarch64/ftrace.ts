// Function tracing on arm64 (arch/arm64/kernel/ftrace.c): NOPs at the start of each function, of which start-up makes an
// instruction that keeps the return address; a call behind it while somebody traces the function; and since 6.3 a pointer
// to who traces it in front of it.
import { sameBytes } from '../../bytes/integer.ts';
import type { Image } from '../../image/image.ts';
import { isFreed, kernelBanner } from '../../image/kernel.ts';
import { entrySize, entryWords } from '../../link/aarch64-loader.ts';
import { type FtraceTables, recordFlags } from '../../memory/kernel/ftrace.ts';
import type { KernelVariables } from '../../memory/kernel/variables.ts';
import type { ExpectedText, Texts } from '../expected.ts';
import { mcountSites, sitesAt } from '../mcount.ts';
import {
  brokenList,
  isGone,
  kernelOf,
  type PassNote,
  type PassResult,
  type TextPass,
  type TextSubject,
} from '../pass.ts';
import { findMcount } from './found-tables.ts';
import { branchDistance, branchWord, keepReturn, nop, size, wordAt, writeWord } from './words.ts';

/** How a compiler prepared the functions. */
type Form =
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
function textOf(texts: Texts, form: Form, place: number): ExpectedText | undefined {
  const first = form === 'ops' ? literalOf(place) : form === 'nops' ? place - size : place;
  return texts.holding(first, place + size - first);
}

/** Where the pointer of a place stands: ALIGN_DOWN(ip - 12, 8). */
const literalOf = (place: number): number => Math.floor((place - literalDistance) / 8) * 8;

function pointerBytes(address: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(address), true);
  return bytes;
}

/** Where a module has its entries that lead to the code of tracing. */
const tracingTable = (texts: Texts) => texts.all.find(({ name }) => name === '.text.ftrace_trampoline');

/** The functions of the kernel that such entries lead to, in their order (up to 6.2 there are two). */
const tracers = ['ftrace_caller', 'ftrace_regs_caller'] as const;

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
      words.forEach((word, n) => writeWord(table, at + n * size, word, 'ftrace'));
    });
    return { sites: targets.length, notes };
  },
};

/** What a call may lead to, by addresses of the running kernel. */
export interface HookTargets {
  /** Code that a place may call without ftrace_caller: of BPF, of a module, of the image. */
  isDirect(address: number): boolean;
  isFunction(address: number): boolean;
}

/** What the records of a running kernel demand of the places. */
export function ftraceHooks(
  kernel: KernelVariables,
  tables: FtraceTables | undefined,
  targets: HookTargets,
): TextPass<unknown> {
  return {
    kind: 'ftrace',
    name: 'ftrace hooks',
    run(subject): PassResult | undefined {
      const traced = tracedPlaces(subject);
      if (!traced) return undefined;
      if (!tables) {
        const message =
          'the memory does not tell which functions are traced (ftrace_pages_start, BTF); they are taken for not traced';
        return { sites: 0, notes: [{ severity: 'left', message, input: 'ftrace_pages_start' }] };
      }
      return new Hooks(kernel, tables, targets, subject).run(traced);
    },
  };
}

/** FTRACE_FL_CALL_OPS_EN: one ops traces the function, and the place's pointer leads to it. */
const callOpsEnabled = 1 << 21;

class Hooks {
  private readonly notes: PassNote[] = [];
  private readonly kernel: KernelVariables;
  private readonly tables: FtraceTables;
  private readonly targets: HookTargets;
  private readonly subject: TextSubject<unknown>;

  constructor(
    kernel: KernelVariables,
    tables: FtraceTables,
    targets: HookTargets,
    subject: TextSubject<unknown>,
  ) {
    this.kernel = kernel;
    this.tables = tables;
    this.targets = targets;
    this.subject = subject;
  }

  run({ form, places }: TracedPlaces): PassResult {
    const { image, slide, texts } = this.subject;
    const { ips, flags } = this.tables;
    const records = new Map<number, number>();
    for (let i = 0; i < ips.length; i++) {
      const ip = ips[i] as number;
      if (!texts.holding(ip - slide)) continue;
      if (records.has(ip)) this.wrong(ip - slide, 'has two records in ftrace_pages_start');
      records.set(ip, flags[i] as number);
    }
    let hooked = 0;
    for (const place of places) {
      const ip = place + slide;
      const flag = records.get(ip);
      records.delete(ip);
      const text = textOf(texts, form, place);
      if (flag === undefined) {
        if (text && !isFreed(image, place) && !isGone(this.subject, place))
          this.wrong(place, 'has no record in ftrace_pages_start, though it may be traced');
        continue;
      }
      if ((flag & recordFlags.enabled) === 0 || !text) continue;
      hooked++;
      const target = this.targetOf(place, ip, flag);
      const word = target === undefined ? undefined : this.callTo(ip, target);
      if (word !== undefined) writeWord(text, place, word, 'ftrace');
      if (form === 'ops') this.writeOps(text, place, ip, flag);
    }
    for (const ip of records.keys()) {
      const address = ip - slide;
      if (image.codeAt(address) && !isFreed(image, address))
        this.wrong(address, 'has a record in ftrace_pages_start, and __mcount_loc does not list it');
    }
    if (kernelBanner(image) !== undefined) this.callbacks();
    for (const message of this.tables.broken) this.notes.push(brokenList(message, 'ftrace_pages_start'));
    return { sites: hooked, notes: this.notes };
  }

  /** A call, through the module's own entry where its target is out of reach (ftrace_find_callable_addr). */
  private callTo(ip: number, target: number): number | undefined {
    const direct = branchWord(true, ip, target);
    const table = direct === undefined ? tracingTable(this.subject.texts) : undefined;
    if (!table) return direct;
    const isRegs = target === this.kernel.at('ftrace_regs_caller');
    return branchWord(true, ip, table.start + this.subject.slide + (isRegs ? entrySize : 0));
  }

  private wrong(address: number, what: string): void {
    const message = `${this.subject.image.describe(address)} ${what}`;
    this.notes.push({ address, severity: 'wrong', message, input: 'ftrace_pages_start' });
  }

  /** ftrace_get_addr_curr, and ftrace_find_callable_addr for what is out of reach. */
  private targetOf(place: number, ip: number, flag: number): number | undefined {
    const { kernel } = this;
    const caller = kernel.at('ftrace_caller');
    if ((flag & recordFlags.directEnabled) !== 0) {
      const to = this.tables.direct.get(ip);
      if (to === undefined) {
        this.wrong(place, 'is said to call directly, and direct_functions does not say what');
        return undefined;
      }
      if (!this.targets.isDirect(to))
        this.wrong(place, 'is to call code that is no function and no program of BPF (direct_functions)');
      return branchWord(true, ip, to) === undefined ? caller : to;
    }
    const name = (flag & recordFlags.regsEnabled) !== 0 ? 'ftrace_regs_caller' : 'ftrace_caller';
    // With arguments kept for all (6.3), one trampoline serves both.
    const target = kernel.at(name) ?? caller;
    if (target === undefined) this.wrong(place, `is to call ${name}, which the kernel does not have`);
    return target;
  }

  /** ftrace_rec_update_ops: the one ops that traces the function, or the one that asks all. */
  private writeOps(text: ExpectedText, place: number, ip: number, flag: number): void {
    const list = this.kernel.at('ftrace_list_ops');
    let ops = list;
    if ((flag & callOpsEnabled) !== 0) {
      const tracing = this.tables.ops.filter((one) => one.traces(ip));
      if (tracing.length === 1) ops = tracing[0]?.at;
      else this.wrong(place, `is traced by one ftrace_ops, and ${tracing.length} have it in their filters`);
    }
    if (ops !== undefined) text.write(literalOf(place), pointerBytes(ops), 'ftrace');
  }

  /** Where ftrace_caller calls who traces (ftrace_update_ftrace_func), up to 6.2, and where graphs are traced. */
  private callbacks(): void {
    const { kernel } = this;
    const { image, slide, texts } = this.subject;
    const at = image.symbols.addressOf('ftrace_call');
    const text = at === undefined ? undefined : texts.holding(at, size);
    const func = kernel.pointer('ftrace_trace_function');
    if (at === undefined || !text || func === undefined) return;
    if (!this.targets.isFunction(func)) {
      const message = 'ftrace_trace_function leads to no function';
      this.notes.push({ address: at, severity: 'wrong', message, input: 'ftrace_trace_function' });
    }
    const word = branchWord(true, at + slide, func);
    if (word === undefined) return;
    const isIdle = func === kernel.at('ftrace_stub');
    const before = text.at(at, size).slice();
    writeWord(text, at, word, 'ftrace');
    // Before somebody traced, the file's call stands there.
    if (isIdle && !sameBytes(before, text.at(at, size)))
      text.accept({
        address: at,
        bytes: before,
        kind: 'ftrace',
        why: 'the call before functions were traced',
      });
  }
}
