// What the records of function tracing demand of an arm64 kernel's text: calls behind the instruction that start-up made, and the
// pointers in front of them.
import { sameBytes } from '../../bytes/integer.ts';
import { isFreed, kernelBanner } from '../../image/kernel.ts';
import { entrySize } from '../../link/aarch64-loader.ts';
import { type FtraceTables, recordFlags } from '../../memory/kernel/ftrace.ts';
import { isHeld, type KernelVariables } from '../../memory/kernel/variables.ts';
import type { ExpectedText } from '../expected.ts';
import { tracingUnknown } from '../mcount.ts';
import {
  brokenList,
  isGone,
  type PassNote,
  type PassResult,
  type TextPass,
  type TextSubject,
} from '../pass.ts';
import {
  type Form,
  literalOf,
  pointerBytes,
  type TracedPlaces,
  textOf,
  tracedPlaces,
  tracers,
  tracingTable,
} from './ftrace.ts';
import { branchDistance, branchWord, bytesOfWord, nop, size, wordAt, writeWord } from './words.ts';

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
  const change: Change = { isUnderWay: isHeld(kernel, 'ftrace_lock'), places: 0 };
  return {
    kind: 'ftrace',
    name: 'ftrace hooks',
    run(subject): PassResult | undefined {
      const traced = tracedPlaces(subject);
      if (!traced) return undefined;
      if (!tables) return tracingUnknown;
      return new Hooks(kernel, tables, targets, subject, change).run(traced);
    },
  };
}

/** FTRACE_FL_CALL_OPS_EN: one ops traces the function, and the place's pointer leads to it. */
const callOpsEnabled = 1 << 21;

/** What is known of a change of places that is under way. */
interface Change {
  /** Somebody holds ftrace_lock. */
  readonly isUnderWay: boolean;
  /** Places that hold what stood there before, of the kernel and all modules so far: one follows the other. */
  places: number;
}

const changing = 'functions were being traced, or not traced any more, when the memory was read';

class Hooks {
  private readonly notes: PassNote[] = [];
  private readonly kernel: KernelVariables;
  private readonly tables: FtraceTables;
  private readonly targets: HookTargets;
  private readonly subject: TextSubject<unknown>;
  private readonly change: Change;

  constructor(
    kernel: KernelVariables,
    tables: FtraceTables,
    targets: HookTargets,
    subject: TextSubject<unknown>,
    change: Change,
  ) {
    this.kernel = kernel;
    this.tables = tables;
    this.targets = targets;
    this.subject = subject;
    this.change = change;
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
    if (this.change.isUnderWay) this.acceptOld(form, places);
    for (const ip of records.keys()) {
      const address = ip - slide;
      if (image.codeAt(address) && !isFreed(image, address))
        this.wrong(address, 'has a record in ftrace_pages_start, and __mcount_loc does not list it');
    }
    if (kernelBanner(image) !== undefined) this.callbacks();
    // Lists are the kernel's; what is wrong with them is said once.
    if (!this.subject.kernel)
      for (const of of this.tables.broken) this.notes.push(brokenList(of, 'ftrace_pages_start'));
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
      else if (this.change.isUnderWay && this.isOps(this.pointerAt(place))) {
        ops = this.pointerAt(place);
        this.notes.push({ severity: 'left', message: changing });
      } else this.wrong(place, `is traced by one ftrace_ops, and ${tracing.length} have it in their filters`);
    }
    if (ops !== undefined) text.write(literalOf(place), pointerBytes(ops), 'ftrace');
  }

  /** What the pointer in front of a place leads to. */
  private pointerAt(place: number): number | undefined {
    return this.kernel.reader.word(literalOf(place) + this.subject.slide);
  }

  /** Whether an ftrace_ops lies at an address: one that has just come to the list, or gone from it. */
  private isOps(at: number | undefined): at is number {
    const func = this.kernel.offset('ftrace_ops', 'func');
    const to = at === undefined || func === undefined ? undefined : this.kernel.reader.word(at + func);
    return to !== undefined && this.targets.isFunction(to);
  }

  /**
   * A record says what comes when the place is changed next (ftrace_replace_code): the place, and the pointer in front of it,
   * may be older. That is so at one place at a time.
   */
  private acceptOld(form: Form, places: Float64Array): void {
    const { slide, texts } = this.subject;
    const { reader } = this.kernel;
    for (const place of places) {
      const text = textOf(texts, form, place);
      const word = text && reader.u32(place + slide);
      if (!text || word === undefined) continue;
      const pointer = form === 'ops' ? this.pointerAt(place) : undefined;
      const isSame =
        word === wordAt(text, place) &&
        (pointer === undefined || sameBytes(pointerBytes(pointer), text.at(literalOf(place), 8)));
      if (isSame || !this.isOldCall(word, place + slide)) continue;
      if (pointer !== undefined && !this.isOps(pointer)) continue;
      if (this.change.places++ > 0) return;
      const why = changing;
      text.accept({ address: place, bytes: bytesOfWord(word), kind: 'poke', why });
      if (pointer !== undefined)
        text.accept({ address: literalOf(place), bytes: pointerBytes(pointer), kind: 'poke', why });
      this.notes.push({ severity: 'left', message: changing });
    }
  }

  /** A NOP, or a call of the kernel's code for tracing or of code that may be called directly. */
  private isOldCall(word: number, ip: number): boolean {
    const distance = branchDistance(word);
    if (word === nop || distance === undefined) return word === nop;
    const callers = tracers.flatMap((name) => this.kernel.at(name) ?? []);
    return (
      callers.some((to) => word === this.callTo(ip, to)) ||
      (word === branchWord(true, ip, ip + distance) && this.targets.isDirect(ip + distance))
    );
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
