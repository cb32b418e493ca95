// The phases of an x86-64 kernel that follow from its processor: the passes of text/ over the code that start-up has made so
// far, each of their writes recorded. Static branches, static calls and locks are boot's own (passes.ts); a kernel that
// knows what it returns through patches its static calls again.
import type { CallSupport } from '../arch/arch.ts';
import { TextpokeError } from '../errors.ts';
import type { RelocationLists } from '../kernel/relocation-lists.ts';
import { btfOf } from '../memory/kernel/kernel.ts';
import { ExpectedText, Texts } from '../text/expected.ts';
import type { TextKind } from '../text/kind.ts';
import type { PassNote, TextPass, TextSubject } from '../text/pass.ts';
import { textsOf } from '../text/texts.ts';
import { countedEntryOf } from '../text/x86-64/call-thunks.ts';
import { ftraceNop } from '../text/x86-64/ftrace.ts';
import { type GivenX86, givenX86State } from '../text/x86-64/given.ts';
import { returnSupport } from '../text/x86-64/keyed.ts';
import { x86Passes } from '../text/x86-64/passes.ts';
import { relocation } from '../text/x86-64/relocation.ts';
import type { X86State } from '../text/x86-64/state.ts';
import type { BootPhase } from './passes.ts';
import type { Runtime } from './runtime.ts';
import { reinitStaticCalls } from './static-call.ts';

/** What is known of the machine. */
export interface CpuSource {
  readonly given: GivenX86;
  /** How far the loader moves the kernel, in bytes. */
  readonly slide: number;
  /** The places that it changes then. */
  readonly relocations: RelocationLists | undefined;
}

type Subject = TextSubject<X86State>;

/** The phases in the order of the kernel's version. Errors: `table-malformed`, `elf-malformed`. */
export function phasesForCpu(runtime: Runtime, { given, slide, relocations }: CpuSource): BootPhase[] {
  const { image } = runtime;
  const state = givenX86State(image, btfOf(image), given, slide);
  refuse(runtime, 'state', state.notes);
  let texts = new Texts([]);
  const subject: Subject = {
    ...{ image, slide, state },
    get texts() {
      return texts;
    },
  };
  const run = (pass: TextPass<X86State>) => {
    const poked = textsOf(image).all.map((text) => new PokedText(text, runtime, pass.name));
    texts = new Texts(poked);
    const result = pass.run(subject);
    if (!result) return undefined;
    refuse(runtime, pass.name, result.notes);
    for (const { severity, message } of result.notes) if (severity === 'left') runtime.log.note(message);
    return result.sites;
  };
  beginEarly(runtime, state);
  const marker = (kind: TextKind): TextPass<X86State> => ({ kind, name: kind, run: () => undefined });
  const own = {
    branches: marker('static-branch'),
    calls: marker('static-call'),
    trampolines: marker('trampoline'),
    locks: marker('lock'),
  };
  const phases: BootPhase[] = [
    ...(slide === 0 ? [] : [phaseOf(relocation(relocations), run)]),
    { name: 'jump_label_init' },
    { name: 'static_call_init' },
  ];
  for (const pass of x86Passes(image, state, own)) {
    if (pass === own.locks) phases.push({ name: 'SMP alternatives' });
    if (Object.values(own).includes(pass)) continue;
    if (pass.kind === 'return') {
      phases.push({
        name: pass.name,
        run: () => {
          knowReturns(runtime, subject);
          return run(pass);
        },
      });
    } else if (pass.kind === 'call-thunk') {
      phases.push({
        name: pass.name,
        run: () => {
          const sites = run(pass);
          const { program } = runtime;
          const countedEntry = countedEntryOf(subject);
          runtime.change({ program: { ...program, support: { ...program.support, countedEntry } } });
          return sites;
        },
      });
    } else phases.push(phaseOf(pass, run));
  }
  return phases;
}

function phaseOf(pass: TextPass<X86State>, run: (pass: TextPass<X86State>) => number | undefined): BootPhase {
  return { name: pass.name, run: () => run(pass) };
}

/** While the first static calls are patched, no mitigation has been chosen: functions return by ret, and nothing counts. */
function beginEarly(runtime: Runtime, state: X86State): void {
  const { program } = runtime;
  const { image } = program;
  const hasList = image.symbols.addressOf('ideal_nops') !== undefined;
  const early: CallSupport = {
    ...program.support,
    returnThunk: undefined,
    returnsInLowHalf: undefined,
    countedEntry: undefined,
    ...(hasList && { nop5: ftraceNop(image, state) }),
  };
  runtime.change({ program: { ...program, support: early } });
}

/** What functions return through is known from here on; kernels that have a second pass over static calls make it now. */
function knowReturns(runtime: Runtime, { image, state }: Subject): void {
  const { program } = runtime;
  const support = { ...program.support, ...returnSupport(image, state) };
  runtime.change({ program: { ...program, support } });
  if (support.returnThunk !== undefined && program.profile.forceReinit)
    reinitStaticCalls(runtime, program.support);
}

/** Error `table-malformed` where a pass finds what no kernel has. */
function refuse({ image }: Runtime, what: string, notes: readonly PassNote[]): void {
  const wrong = notes.filter(({ severity }) => severity === 'wrong');
  const [first] = wrong;
  if (!first) return;
  const at = first.address === undefined ? '' : `${image.describe(first.address)}: `;
  const of = first.input === undefined ? '' : ` (${first.input})`;
  const more = wrong.length > 1 ? `; and ${wrong.length - 1} more` : '';
  throw new TextpokeError('table-malformed', `${what}: ${at}${first.message}${of}${more}`, {
    file: image.file.path,
  });
}

/** A text whose writes go to the image, and into the record of boot. */
class PokedText extends ExpectedText {
  private readonly runtime: Runtime;
  private readonly reason: string;

  constructor(text: ExpectedText, runtime: Runtime, reason: string) {
    super(text.name, text.start, text.file);
    this.runtime = runtime;
    this.reason = reason;
  }

  override write(address: number, bytes: Uint8Array, kind: TextKind): void {
    const before = this.at(address, bytes.length);
    if (bytes.some((byte, i) => byte !== before[i]))
      this.runtime.poker.patched(address, bytes.slice(), this.reason);
    super.write(address, bytes, kind);
  }
}
