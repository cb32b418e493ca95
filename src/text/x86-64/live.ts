// What goes on changing the text of an x86-64 kernel while it runs, as its memory tells: functions that are traced, probes,
// and the code that the kernel makes for them and for BPF. And what each of its executable pages is.
import type { Image } from '../../image/image.ts';
import { readEfi } from '../../memory/kernel/efi.ts';
import { readFtrace } from '../../memory/kernel/ftrace.ts';
import { type GeneratedCode, packChunk, readGenerated } from '../../memory/kernel/generated.ts';
import type { RunningKernel } from '../../memory/kernel/kernel.ts';
import { readKprobes } from '../../memory/kernel/kprobes.ts';
import { readPokes } from '../../memory/kernel/pokes.ts';
import { KernelVariables } from '../../memory/kernel/variables.ts';
import { executableMemory } from '../../memory/page-tables/executable.ts';
import { PageWalk } from '../../memory/page-tables/walk.ts';
import { type CodeKind, isIn, type KnownCode, namePages } from '../executable.ts';
import { type ExecutablePages, type LiveText, type WrongCode, wrongPacks } from '../live.ts';
import { brokenList, type PassNote } from '../pass.ts';
import { callUpdate } from './call-update.ts';
import { efiPages } from './efi.ts';
import { ftraceHooks, type HookTargets } from './ftrace.ts';
import { wrongTrampoline } from './ftrace-trampoline.ts';
import { isBpfPage, isThunkPage } from './generated-forms.ts';
import { kprobes } from './kprobes.ts';
import { pokes } from './pokes.ts';
import type { X86State } from './state.ts';

export interface LiveOptions {
  /** What the kernel writes for a return at an address of the running kernel; undefined: either form is right. */
  readonly returnAt?: (address: number) => Uint8Array | undefined;
}

const pageSize = 4096;
/** What free parts of packs are filled by: int3 (bpf_arch_text_invalidate). */
const isTrap = (byte: number) => byte === 0xcc;
/** VSYSCALL_ADDR. */
const vsyscall = -10 << 20;
/** A half of a page: older kernels (5.10) change between two halves of a BPF trampoline's page. */
const half = pageSize / 2;

/** Undefined for a kernel without BTF, whose structures are not known. Error `memory-malformed`. */
export function readLiveText(
  image: Image,
  running: RunningKernel,
  state: Pick<X86State, 'has'>,
  { returnAt }: LiveOptions = {},
): LiveText | undefined {
  const { place, reader, btf, list } = running;
  if (!btf || !place.kernelMemory) return undefined;
  const kernel = new KernelVariables(image, place.slide, reader, btf);
  const modules = list?.modules ?? [];
  const tracing = readFtrace(kernel);
  const probes = readKprobes(kernel);
  const generated = readGenerated(
    kernel,
    modules.map(({ at }) => at),
  );
  const texts = modules.flatMap(({ name, text }) =>
    text.map(({ start, size }): KnownCode => ({ kind: 'module', name, start, size })),
  );
  const isFunction = (address: number) =>
    beginsFunction(image, address - place.slide) ||
    isIn(texts, address) ||
    generated.bpf.some(({ start }) => start === address);
  const made = tracing?.withTrampoline ?? [];
  const targets: HookTargets = {
    isFunction,
    isTrampoline: (address) =>
      made.some(({ trampoline }) => trampoline === address) ||
      ['ftrace_caller', 'ftrace_regs_caller', 'ftrace_graph_caller'].some(
        (name) => kernel.at(name) === address,
      ),
    isDirect: (address) =>
      generated.bpf.some(({ start }) => address === start || address === start + half) || isFunction(address),
  };
  const wrong: WrongCode[] = [];
  for (const ops of made) {
    const why = wrongTrampoline(kernel, ops, isFunction, returnAt);
    if (why === undefined) continue;
    const message = `the trampoline for functions that are traced is not what the kernel makes: ${why}`;
    wrong.push({ address: ops.trampoline, kind: 'ftrace', message });
  }
  for (const one of wrongPacks(kernel, generated, isTrap)) wrong.push(one);
  const known = [
    ...imageText(kernel),
    ...texts,
    ...made.map(
      ({ trampoline, trampolineSize }): KnownCode => ({
        ...{ kind: 'ftrace', name: 'ftrace trampoline' },
        ...{ start: trampoline, size: trampolineSize },
      }),
    ),
    ...(probes?.pages ?? []).map(
      ({ start }): KnownCode => ({ kind: 'kprobe', name: 'kprobe slots', start, size: pageSize }),
    ),
    ...generatedCode(kernel, generated),
  ];
  const isCode = (address: number) => isIn(known, address);
  const passes = [
    ftraceHooks(kernel, tracing, targets),
    kprobes(kernel, probes, state.has),
    pokes(readPokes(kernel), reader, isCode),
    callUpdate(kernel, isCode),
  ];
  const counted = generated.bpf.map(
    ({ name, start, size }): KnownCode => ({ kind: 'bpf', name, start, size }),
  );
  const notes = generated.broken.map((of) => brokenList(of, 'bpf_kallsyms'));
  return { passes, wrong, counted, notes, executable: namedPages(running, kernel, known, notes) };
}

function namedPages(
  { place }: RunningKernel,
  kernel: KernelVariables,
  known: readonly KnownCode[],
  notes: PassNote[],
): ExecutablePages | undefined {
  const { kernelTables: tables, kernelMemory: memory } = place;
  if (!tables || !memory) return undefined;
  const walked = executableMemory(tables, tables.tables.start, tables.tables.end, true);
  // Only kernels that keep no packs have programs of BPF on no list at all.
  const hasPacks = known.some(({ kind, name }) => kind === 'bpf' && name === 'pack');
  const formOf = (page: Uint8Array): CodeKind | undefined => {
    if (isThunkPage(page)) return 'its';
    return !hasPacks && isBpfPage(page) ? 'bpf' : undefined;
  };
  const efi = readEfi(kernel, tables);
  if (efi?.broken) notes.push(brokenList(efi.broken, 'efi.memmap'));
  const [text] = imageText(kernel);
  const physical = text && new PageWalk(tables).translate(text.start);
  const ofImage = text && physical !== undefined ? { physical, size: text.size } : undefined;
  return {
    walked,
    pages: namePages(walked, known, memory, formOf, isTrap),
    efi: efi && !efi.broken?.isMissing ? efiPages(efi, walked.stretches, ofImage) : undefined,
  };
}

function beginsFunction(image: Image, address: number): boolean {
  return image.codeAt(address) !== undefined && image.symbolAt(address)?.offset === 0;
}

function imageText(kernel: KernelVariables): KnownCode[] {
  const [start, end] = [kernel.at('_text') ?? kernel.at('_stext'), kernel.at('_etext')];
  if (start === undefined || end === undefined || end <= start) return [];
  return [{ kind: 'image', name: 'text', start, size: end - start }];
}

function generatedCode(
  kernel: KernelVariables,
  { bpf, packs, thunks, realMode }: GeneratedCode,
): KnownCode[] {
  const code: KnownCode[] = bpf.map(({ name, start, size }) => ({ kind: 'bpf', name, start, size }));
  for (const { start, used } of packs)
    code.push({ kind: 'bpf', name: 'pack', start, size: used.length * 8 * packChunk });
  for (const { start, size } of thunks) code.push({ kind: 'its', name: 'ITS thunks', start, size });
  if (realMode) code.push({ kind: 'real-mode', name: 'real-mode code', ...realMode });
  const hypercall = kernel.pointer('hv_hypercall_pg');
  if (hypercall) code.push({ kind: 'hypercall', name: 'hypercall page', start: hypercall, size: pageSize });
  code.push({ kind: 'vsyscall', name: 'vsyscall', start: vsyscall, size: pageSize });
  return code;
}
