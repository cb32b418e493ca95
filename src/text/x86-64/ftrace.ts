// Function tracing: a call of __fentry__ in each function, which start-up makes a NOP (ftrace_init), and which is a call
// of a trampoline while somebody traces the function (kernel/trace/ftrace.c; arch/x86/kernel/ftrace.c).

import { hexBytes, sameBytes } from '../../bytes/integer.ts';
import { countUpTo } from '../../bytes/search.ts';
import type { Image } from '../../image/image.ts';
import { isFreed, kernelBanner } from '../../image/kernel.ts';
import { type FtraceTables, recordFlags } from '../../memory/kernel/ftrace.ts';
import type { KernelVariables } from '../../memory/kernel/variables.ts';
import type { ExpectedText } from '../expected.ts';
import { mcountSites, tracingUnknown } from '../mcount.ts';
import { brokenList, type PassNote, type PassResult, type TextPass, type TextSubject } from '../pass.ts';
import { jumpTo } from './jump.ts';
import type { X86State } from './state.ts';

/** Bytes of a site: MCOUNT_INSN_SIZE. */
export const siteSize = 5;
const CALL = 0xe8;
const JMP = 0xe9;
const nop5 = Uint8Array.of(0x0f, 0x1f, 0x44, 0x00, 0x00); // nopl 0(%rax,%rax,1)
/** K8_NOP5_ATOMIC: for some processors of kernels before 5.13. */
const k8Nop5 = Uint8Array.of(0x66, 0x66, 0x66, 0x66, 0x90);

/** The NOP of 5 bytes that a kernel writes at start-up; undefined where its memory says what cannot be. */
export function ftraceNop(image: Image, state: Pick<X86State, 'word'>): Uint8Array | undefined {
  const { symbols } = image;
  if (symbols.addressOf('ideal_nops') === undefined) return nop5;
  const chosen = state.word('ideal_nops');
  if (chosen === undefined) return undefined;
  if (symbols.addressesOf('p6_nops').includes(chosen)) return nop5;
  return symbols.addressesOf('k8_nops').includes(chosen) ? k8Nop5 : undefined;
}

/** The NOPs of 5 bytes that start-up can write, whatever memory says. */
export function atomicNops({ symbols }: Image): readonly Uint8Array[] {
  return symbols.addressOf('ideal_nops') === undefined ? [nop5] : [nop5, k8Nop5];
}

/** What start-up makes of the sites. */
export function ftraceNops(nop: Uint8Array | undefined): TextPass<unknown> {
  return {
    kind: 'ftrace',
    name: 'ftrace',
    run({ image, texts, kernel }) {
      const sites = mcountSites(image);
      if (!sites) return undefined;
      if (!nop) {
        const message = 'ideal_nops leads to no list of NOPs that a kernel has';
        return { sites: sites.length, notes: [{ severity: 'wrong', message, input: 'ideal_nops' }] };
      }
      const notes: PassNote[] = [];
      // What the text of an object has before its relocation leads nowhere.
      const callee =
        kernelBanner(kernel ?? image) === undefined
          ? undefined
          : (kernel ?? image).symbols.addressOf('__fentry__');
      for (const site of sites) {
        const text = texts.holding(site, siteSize);
        if (!text) continue;
        const found = text.at(site, siteSize);
        const isCall = found[0] === CALL && (callee === undefined || targetOf(found, site) === callee);
        if (isCall || sameBytes(found, nop5)) text.write(site, nop, 'ftrace');
        else
          notes.push({
            address: site,
            severity: 'wrong',
            message: `__mcount_loc lists what is no call of __fentry__: ${hexBytes(found)}`,
          });
      }
      return { sites: sites.length, notes };
    },
  };
}

function targetOf(bytes: Uint8Array, at: number): number {
  return at + siteSize + new DataView(bytes.buffer, bytes.byteOffset).getInt32(1, true);
}

/** What a call or a jump may lead to, by addresses of the running kernel. */
export interface HookTargets {
  /** Whether there is a trampoline that the kernel made for tracing, or one of its own. */
  isTrampoline(address: number): boolean;
  /** Whether code begins there that a site may call without a trampoline: of BPF, of a module, of the image. */
  isDirect(address: number): boolean;
  isFunction(address: number): boolean;
}

/** What the records of a running kernel demand of the sites, and its common trampolines of themselves. */
export function ftraceHooks(
  kernel: KernelVariables,
  tables: FtraceTables | undefined,
  targets: HookTargets,
): TextPass<unknown> {
  return {
    kind: 'ftrace',
    name: 'ftrace hooks',
    run(subject) {
      const sites = mcountSites(subject.image);
      if (!sites) return undefined;
      if (!tables) return tracingUnknown;
      const hooks = new Hooks(kernel, tables, targets, subject);
      return hooks.run(sites);
    },
  };
}

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

  run(sites: Float64Array): PassResult {
    const { image, slide, texts } = this.subject;
    const { ips, flags } = this.tables;
    let hooked = 0;
    let at = countUpTo(ips, (texts.all[0]?.start ?? 0) + slide - 1);
    for (let i = 0; i < sites.length; i++) {
      const site = sites[i] as number;
      if (i > 0 && site === sites[i - 1]) continue;
      const ip = site + slide;
      // Between two sites no other record may lie in the same text.
      for (; at < ips.length && (ips[at] as number) < ip; at++) this.requireOutside(ips[at] as number);
      const text = texts.holding(site, siteSize);
      if (ips[at] !== ip) {
        if (text && !isFreed(image, site))
          this.wrong(site, 'has no record in ftrace_pages_start, though it may be traced');
        continue;
      }
      const flag = flags[at++] as number;
      if (ips[at] === ip) this.wrong(site, 'has two records in ftrace_pages_start');
      while (ips[at] === ip) at++;
      if ((flag & recordFlags.enabled) === 0 || !text) continue;
      hooked++;
      const code = this.codeOf(site, ip, flag);
      if (code) text.write(site, code, 'ftrace');
    }
    const end = (texts.all.at(-1)?.end ?? 0) + slide;
    for (; at < ips.length && (ips[at] as number) < end; at++) this.requireOutside(ips[at] as number);
    if (kernelBanner(image) !== undefined) this.callbacks();
    // Lists are the kernel's; what is wrong with them is said once.
    if (!this.subject.kernel)
      for (const of of this.tables.broken) this.notes.push(brokenList(of, 'ftrace_pages_start'));
    return { sites: hooked, notes: this.notes };
  }

  private requireOutside(ip: number): void {
    const { image, slide, texts } = this.subject;
    const address = ip - slide;
    if (texts.holding(address) && image.codeAt(address) && !isFreed(image, address))
      this.wrong(address, 'has a record in ftrace_pages_start, and __mcount_loc does not list it');
  }

  private wrong(address: number, what: string): void {
    const message = `${this.subject.image.describe(address)} ${what}`;
    this.notes.push({ address, severity: 'wrong', message, input: 'ftrace_pages_start' });
  }

  /** The call that a record demands; ftrace_get_addr_curr. */
  private codeOf(site: number, ip: number, flag: number): Uint8Array | undefined {
    const { ops, direct } = this.tables;
    const { targets } = this;
    if ((flag & recordFlags.directEnabled) !== 0) {
      const to = direct.get(ip);
      if (to === undefined) {
        this.wrong(site, 'is said to call directly, and direct_functions does not say what');
        return undefined;
      }
      // Bit 0 says that it is a jump (ftrace_is_jmp).
      const isJump = to % 2 !== 0;
      const target = isJump ? to - 1 : to;
      if (!targets.isDirect(target))
        this.wrong(site, 'is to call code that is no function and no program of BPF (direct_functions)');
      return jumpTo(isJump ? JMP : CALL, ip, target);
    }
    if ((flag & recordFlags.trampolineEnabled) !== 0) {
      const one = ops.find((each) => each.hooks(ip));
      if (!one) {
        this.wrong(site, 'is said to call a trampoline, and no ftrace_ops of it traces the function');
        return undefined;
      }
      if (!targets.isTrampoline(one.trampoline))
        this.wrong(site, 'is to call a trampoline that the kernel did not make (ftrace_ops.trampoline)');
      return jumpTo(CALL, ip, one.trampoline);
    }
    const name = (flag & recordFlags.regsEnabled) !== 0 ? 'ftrace_regs_caller' : 'ftrace_caller';
    const target = this.kernel.at(name);
    if (target === undefined) this.wrong(site, `is to call ${name}, which the kernel does not have`);
    return target === undefined ? undefined : jumpTo(CALL, ip, target);
  }

  /**
   * The calls in the common trampolines (ftrace_update_ftrace_func), and before 5.18 the jump behind them to where graphs
   * are traced (ftrace_enable_ftrace_graph_caller).
   */
  private callbacks(): void {
    const { kernel } = this;
    const { image, slide, texts } = this.subject;
    const func = kernel.pointer('ftrace_trace_function');
    const stub = kernel.at('ftrace_stub');
    for (const name of ['ftrace_call', 'ftrace_regs_call']) {
      const at = image.symbols.addressOf(name);
      const text = at === undefined ? undefined : texts.holding(at, siteSize);
      if (at === undefined || !text || func === undefined) continue;
      if (!this.targets.isFunction(func))
        this.notes.push({
          address: at,
          severity: 'wrong',
          message: 'ftrace_trace_function leads to no function',
          input: 'ftrace_trace_function',
        });
      const code = jumpTo(CALL, at + slide, func);
      if (!code) continue;
      // Before somebody traced, the file's call stands there, as other passes left it.
      if (func === stub) acceptOther(text, at, code, 'the call before and after functions were traced');
      else text.write(at, code, 'ftrace');
    }
    const graph = image.symbols.addressOf('ftrace_graph_call');
    const text = graph === undefined ? undefined : texts.holding(graph, siteSize);
    const active = kernel.at('ftrace_graph_active');
    if (graph === undefined || !text || active === undefined) return;
    const isOn = (kernel.reader.u32(active) ?? 0) !== 0;
    const to = kernel.at(isOn ? 'ftrace_graph_caller' : 'ftrace_stub');
    const code = to === undefined ? undefined : jumpTo(JMP, graph + slide, to);
    if (code) text.write(graph, code, 'ftrace');
  }
}

function acceptOther(text: ExpectedText, address: number, bytes: Uint8Array, why: string): void {
  if (!sameBytes(text.at(address, bytes.length), bytes)) text.accept({ address, bytes, kind: 'ftrace', why });
}
