// Code that a running kernel has made itself, beside its image, its modules, ftrace and kprobes: programs of BPF and what
// calls them (kernel/bpf/core.c, trampoline.c), thunks against ITS (arch/x86/kernel/alternative.c), and the code in
// which processors start (arch/x86/realmode).
import type { Stretch } from './modules.ts';
import { type Broken, brokenOf, isListHead, type KernelVariables, walkList } from './variables.ts';

/** A program, a trampoline or a dispatcher of BPF. */
export interface BpfCode extends Stretch {
  readonly name: string;
}

/** Memory in which programs lie side by side, and which parts of it are free. */
export interface BpfPack {
  readonly start: number;
  /** A bit for each chunk: it is used. */
  readonly used: Uint8Array;
}

export interface GeneratedCode {
  readonly bpf: readonly BpfCode[];
  readonly packs: readonly BpfPack[];
  /** Pages of thunks of the image and of modules. */
  readonly thunks: readonly Stretch[];
  readonly realMode: Stretch | undefined;
  /** What is wrong with the lists: the rest is what could be read. */
  readonly broken: readonly Broken[];
}

/** Bytes that a bit of a pack stands for: BPF_PROG_CHUNK_SIZE. */
export const packChunk = 64;
const pageSize = 4096;
const packSize = 2 << 20;
/** Possible NUMA nodes, for each of which a pack has 2 MiB. */
const mostNodes = 1 << 10;
const mostPrograms = 1 << 18;
const mostPacks = 1 << 14;
const mostThunks = 1 << 16;
const longestName = 512;

export function readGenerated(kernel: KernelVariables, modules: readonly number[]): GeneratedCode {
  const broken: Broken[] = [];
  return {
    bpf: readPrograms(kernel, broken),
    packs: readPacks(kernel, broken),
    thunks: readThunks(kernel, modules),
    realMode: readRealMode(kernel),
    broken,
  };
}

function readPrograms(kernel: KernelVariables, broken: Broken[]): BpfCode[] {
  const { reader } = kernel;
  const head = kernel.at('bpf_kallsyms');
  const layout = kernel.offsets('bpf_ksym', 'start', 'end', 'name', 'lnode');
  if (head === undefined || !layout) return [];
  const list = walkList(reader, reader.word(head), head, mostPrograms);
  if (list.broken !== undefined) broken.push(brokenOf('the list of bpf_kallsyms', list.broken));
  return list.elements.flatMap((link) => {
    const at = link - layout.lnode;
    const start = reader.word(at + layout.start);
    const end = reader.word(at + layout.end);
    if (!start || !end || !(end > start)) return [];
    return [{ start, size: end - start, name: reader.text(at + layout.name, longestName) ?? '' }];
  });
}

function readPacks(kernel: KernelVariables, broken: Broken[]): BpfPack[] {
  const { reader } = kernel;
  const layout = kernel.offsets('bpf_prog_pack', 'list', 'ptr', 'bitmap');
  // Others may call something of theirs the same: a head of a list leads to what leads back to it.
  const head = kernel.image.symbols
    .addressesOf('pack_list')
    .map((at) => at + kernel.slide)
    .find((at) => isListHead(reader, at));
  if (head === undefined || !layout) return [];
  const list = walkList(reader, reader.word(head), head, mostPacks);
  if (list.broken !== undefined) broken.push(brokenOf('the list of pack_list', list.broken));
  const said = kernel.at('bpf_prog_pack_size');
  const nodes = kernel.at('nr_node_ids');
  const size =
    (said === undefined ? undefined : reader.u32(said)) ??
    packSize * Math.min((nodes === undefined ? undefined : reader.u32(nodes)) ?? 1, mostNodes);
  if (size <= 0 || size > packSize * mostNodes) return [];
  return list.elements.flatMap((link) => {
    const at = link - layout.list;
    const start = reader.word(at + layout.ptr);
    const used = reader.bytes(at + layout.bitmap, Math.ceil(size / packChunk / 8));
    return start && used ? [{ start, used: used.slice() }] : [];
  });
}

/** Since 6.16 (`struct its_array`) for the image too; stable kernels before keep those of modules alone. */
function readThunks(kernel: KernelVariables, modules: readonly number[]): Stretch[] {
  const { reader } = kernel;
  const arrays: { readonly pages: number | undefined; readonly count: number | undefined }[] = [];
  const array = kernel.offsets('its_array', 'pages', 'num');
  const own = kernel.at('its_pages');
  if (array && own !== undefined)
    arrays.push({ pages: reader.word(own + array.pages), count: reader.u32(own + array.num) });
  const inModule = kernel.offsets('module', 'arch.its_pages.pages', 'arch.its_pages.num');
  const before = kernel.offsets('module', 'its_page_array', 'its_num_pages');
  for (const at of modules) {
    const [pages, count] = inModule
      ? [inModule['arch.its_pages.pages'], inModule['arch.its_pages.num']]
      : [before?.its_page_array, before?.its_num_pages];
    if (pages !== undefined && count !== undefined)
      arrays.push({ pages: reader.word(at + pages), count: reader.u32(at + count) });
  }
  const thunks: Stretch[] = [];
  for (const { pages, count } of arrays) {
    for (let i = 0; pages && i < (count ?? 0) && thunks.length < mostThunks; i++) {
      const start = reader.word(pages + i * reader.wordSize);
      if (!start) break;
      thunks.push({ start, size: pageSize });
    }
  }
  return thunks;
}

/** Where processors start: a copy of real_mode_blob below 1 MiB, whose text is executable in the kernel's own mapping. */
function readRealMode(kernel: KernelVariables): Stretch | undefined {
  const start = kernel.pointer('real_mode_header');
  const [blob, end] = ['real_mode_blob', 'real_mode_blob_end'].map((name) => kernel.at(name));
  if (!start || blob === undefined || end === undefined || !(end > blob) || end - blob > 1 << 20)
    return undefined;
  return { start, size: end - blob };
}
