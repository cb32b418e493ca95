// What goes on changing the text of an arm64 kernel while it runs, as its memory tells: functions that are traced and probes.
// And what each of its executable pages is.
import type { Program } from '../../demand/program.ts';
import type { Image } from '../../image/image.ts';
import { readFtrace } from '../../memory/kernel/ftrace.ts';
import { type GeneratedCode, packChunk, readGenerated } from '../../memory/kernel/generated.ts';
import type { RunningKernel } from '../../memory/kernel/kernel.ts';
import { readKprobes } from '../../memory/kernel/kprobes.ts';
import { KernelVariables } from '../../memory/kernel/variables.ts';
import type { TableRoot } from '../../memory/memory.ts';
import { arm64Identity } from '../../memory/page-tables/arm64.ts';
import { executableMemory } from '../../memory/page-tables/executable.ts';
import { PageWalk } from '../../memory/page-tables/walk.ts';
import { type CodeKind, isIn, type KnownCode, type NamedPages, namePages } from '../executable.ts';
import { type ExecutablePages, type LiveText, type WrongCode, wrongPacks } from '../live.ts';
import { brokenList, type TextPass } from '../pass.ts';
import { keyUpdate } from './changes.ts';
import { type DataText, isEntryPage } from './data-text.ts';
import { ftraceHooks } from './ftrace-hooks.ts';
import { isBpfPage, isTrap } from './generated-forms.ts';
import { kprobes } from './kprobes.ts';
import { variableFinder } from './variables.ts';

/** Variables that no symbol names are found in the code. */
class FoundVariables extends KernelVariables {
  private readonly find = variableFinder(this.image, this.slide);

  override at(name: string): number | undefined {
    return this.find(name);
  }
}

const pageSize = 4096;

/** What is known in front of the replay; which pages are what is asked when all code is as it must be. */
export interface LiveArm64 extends Omit<LiveText, 'executable'> {
  /** What comes behind all other passes over the image or a module, whose sites `program` has. */
  updates(program: Program): readonly TextPass<unknown>[];
  /** `entries` is the code that is mapped again. Undefined where the dump does not lead to page tables. */
  executable(entries: DataText | undefined): ExecutablePages | undefined;
}

/** Undefined for a kernel without BTF, whose structures are not known. Error `memory-malformed`. */
export function readLiveText(image: Image, running: RunningKernel): LiveArm64 | undefined {
  const { place, reader, btf, list } = running;
  if (!btf || !place.kernelMemory) return undefined;
  const kernel = new FoundVariables(image, place.slide, reader, btf);
  const modules = list?.modules ?? [];
  const generated = readGenerated(
    kernel,
    modules.map(({ at }) => at),
  );
  const texts = modules.flatMap(({ name, text }) =>
    text.map(({ start, size }): KnownCode => ({ kind: 'module', name, start, size })),
  );
  const isFunction = (address: number) => {
    const linked = address - place.slide;
    if (image.codeAt(linked)) return image.symbolAt(linked)?.offset === 0;
    return isIn(texts, address) || generated.bpf.some(({ start }) => start === address);
  };
  const probes = readKprobes(kernel);
  const counted = generated.bpf.map(
    ({ name, start, size }): KnownCode => ({ kind: 'bpf', name, start, size }),
  );
  const known = [
    ...imageText(kernel),
    ...texts,
    ...(probes?.pages ?? []).map(
      ({ start }): KnownCode => ({ kind: 'kprobe', name: 'kprobe slots', start, size: pageSize }),
    ),
    ...counted,
    ...packs(generated),
  ];
  const wrong: WrongCode[] = [...wrongPacks(kernel, generated, isTrap)];
  return {
    passes: [
      ftraceHooks(kernel, readFtrace(kernel), { isFunction, isDirect: isFunction }),
      kprobes(kernel, probes),
    ],
    updates: (program) => [keyUpdate(kernel, program)],
    ...{ wrong, counted, notes: generated.broken.map((of) => brokenList(of, 'bpf_kallsyms')) },
    executable: (entries) => namedPages(kernel, running, known, entries),
  };
}

function namedPages(
  kernel: KernelVariables,
  { place }: RunningKernel,
  known: readonly KnownCode[],
  entries: DataText | undefined,
): ExecutablePages | undefined {
  const { kernelTables: tables, kernelMemory: memory } = place;
  if (!tables || !memory) return undefined;
  const walked = executableMemory(tables, tables.tables.start, tables.tables.end);
  // Only kernels that keep no packs have programs of BPF on no list at all.
  const hasPacks = known.some(({ kind, name }) => kind === 'bpf' && name === 'pack');
  const formOf = (page: Uint8Array): CodeKind | undefined => {
    if (entries && isEntryPage(entries, page)) return 'entry';
    return !hasPacks && isBpfPage(page) ? 'bpf' : undefined;
  };
  const pages = namePages(walked, known, memory, formOf, isTrap);
  for (const page of identityPages(kernel, tables, entries)) pages.push(page);
  return { walked, pages };
}

/**
 * The pages that can be executed where they lie in physical memory (idmap_pg_dir): of the text, or of the code among read-only
 * data, both of which are compared. Their addresses are physical.
 */
function identityPages(
  kernel: KernelVariables,
  { tables, physical, root: swapper, little }: TableRoot,
  entries: DataText | undefined,
): NamedPages[] {
  const walk = new PageWalk({ tables, physical, root: swapper, little });
  const at = kernel.at('idmap_pg_dir');
  const root = at === undefined ? undefined : walk.translate(at);
  // Tables of other granules have other levels.
  if (root === undefined || !tables.levels.some(({ shift }) => shift === 12)) return [];
  const walked = executableMemory({ tables: arm64Identity, physical, root, little }, 0, arm64Identity.end);
  const code: KnownCode[] = [];
  const add = (from: number, size: number) => {
    const start = walk.translate(from);
    if (start !== undefined) code.push({ kind: 'idmap', name: 'identity mapping', start, size });
  };
  for (const { start, size } of imageText(kernel)) add(start, size);
  if (entries) add(entries.text.start + kernel.slide, entries.text.file.length);
  return namePages(walked, code, physical, () => undefined, isTrap);
}

function imageText(kernel: KernelVariables): KnownCode[] {
  const [start, end] = [kernel.at('_stext'), kernel.at('_etext')];
  if (start === undefined || end === undefined || end <= start) return [];
  return [{ kind: 'image', name: 'text', start, size: end - start }];
}

function packs({ packs }: GeneratedCode): KnownCode[] {
  return packs.map(({ start, used }) => ({
    ...{ kind: 'bpf', name: 'pack' },
    ...{ start, size: used.length * 8 * packChunk },
  }));
}
