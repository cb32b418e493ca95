// The probes that a running kernel has set (kernel/kprobes.c, include/linux/kprobes.h), and the pages in which it keeps
// what it runs instead of the code under them.
import { type Broken, brokenOf, type KernelVariables, lacking, walkList } from './variables.ts';

/** Bits of kprobe.flags. */
export const probeFlags = { gone: 1, disabled: 2, optimized: 4, ftrace: 8 } as const;

/** Bytes that are kept of the code under a jump: what its distance overwrote. */
const keptBytes = 4;

/** A probe of the table. Addresses are the running kernel's. */
export interface Probe {
  readonly at: number;
  /** The place that is probed. */
  readonly address: number;
  readonly flags: number;
  /** The first byte of the code under it. */
  readonly opcode: number;
  /** Where the copied instruction lies; 0: nowhere. */
  readonly slot: number;
  /** Of a probe that may be a jump. */
  readonly optimized?: {
    /** Where the jump leads. */
    readonly detour: number;
    /** Bytes of the instructions that the jump replaces. */
    readonly size: number;
    /** Behind the first byte of the code under it: valid once it was a jump. */
    readonly kept: Uint8Array;
    /** It waits for being made a jump, or for being none any more. */
    readonly isQueued: boolean;
  };
}

/** A page of slots. */
export interface SlotPage {
  readonly start: number;
  /** For detours of optimised probes. */
  readonly isForDetours: boolean;
}

export interface Kprobes {
  readonly probes: readonly Probe[];
  readonly pages: readonly SlotPage[];
  /** No probe is armed (/sys/kernel/debug/kprobes/enabled). */
  readonly allDisarmed: boolean;
  readonly broken: readonly Broken[];
}

/** KPROBE_TABLE_SIZE. */
const buckets = 64;
const mostProbes = 1 << 18;
const mostPages = 1 << 16;

/** Undefined for a kernel without probes, or whose BTF does not tell of them. */
export function readKprobes(kernel: KernelVariables): Kprobes | undefined {
  const table = kernel.at('kprobe_table');
  const layout = kernel.offsets('kprobe', 'hlist', 'addr', 'opcode', 'flags', 'pre_handler');
  if (table === undefined || !layout) return undefined;
  const { reader } = kernel;
  const slotAt = kernel.offset('kprobe', 'ainsn.insn');
  const optimized = kernel.offsets(
    'optimized_kprobe',
    ...(['kp', 'list', 'optinsn.copied_insn', 'optinsn.insn', 'optinsn.size'] as const),
  );
  const aggregate = kernel.at('aggr_pre_handler');
  const broken: Broken[] = [];
  const probes: Probe[] = [];
  for (let i = 0; i < buckets; i++) {
    const first = reader.word(table + i * reader.wordSize);
    const chain = first === undefined ? undefined : walkList(reader, first, 0, mostProbes - probes.length);
    if (!chain || chain.broken !== undefined)
      broken.push(brokenOf('a list of kprobe_table', chain?.broken ?? lacking('is')));
    for (const link of chain?.elements ?? []) {
      const at = link - layout.hlist;
      const address = reader.word(at + layout.addr);
      const flags = reader.u32(at + layout.flags);
      const opcode = reader.bytes(at + layout.opcode, 1)?.[0];
      if (address === undefined || flags === undefined || opcode === undefined) {
        broken.push(lacking('a probe of kprobe_table is'));
        continue;
      }
      const slot = (slotAt === undefined ? undefined : reader.word(at + slotAt)) ?? 0;
      const isAggregate = aggregate !== undefined && reader.word(at + layout.pre_handler) === aggregate;
      probes.push({
        ...{ at, address, flags, opcode, slot },
        ...(isAggregate && optimized && jumpOf(kernel, optimized, at)),
      });
    }
  }
  const pages = [false, true].flatMap((isForDetours) => readPages(kernel, isForDetours, broken));
  const disarmed = kernel.at('kprobes_all_disarmed');
  const allDisarmed = disarmed !== undefined && reader.bytes(disarmed, 1)?.[0] === 1;
  return { probes, pages, allDisarmed, broken };
}

type OptimizedLayout = Readonly<
  Record<'kp' | 'list' | 'optinsn.copied_insn' | 'optinsn.insn' | 'optinsn.size', number>
>;

function jumpOf(
  { reader }: KernelVariables,
  layout: OptimizedLayout,
  probe: number,
): Pick<Probe, 'optimized'> {
  const at = probe - layout.kp;
  const detour = reader.word(at + layout['optinsn.insn']);
  const size = reader.u32(at + layout['optinsn.size']);
  const kept = reader.bytes(at + layout['optinsn.copied_insn'], keptBytes);
  const next = reader.word(at + layout.list);
  if (!detour || !size || !kept) return {};
  return { optimized: { detour, size, kept, isQueued: next !== at + layout.list } };
}

function readPages(kernel: KernelVariables, isForDetours: boolean, broken: Broken[]): SlotPage[] {
  const { reader } = kernel;
  const name = isForDetours ? 'kprobe_optinsn_slots' : 'kprobe_insn_slots';
  const cache = kernel.at(name);
  const pagesAt = kernel.offset('kprobe_insn_cache', 'pages');
  const layout = kernel.offsets('kprobe_insn_page', 'list', 'insns');
  if (cache === undefined || pagesAt === undefined || !layout) return [];
  const head = cache + pagesAt;
  const list = walkList(reader, reader.word(head), head, mostPages);
  if (list.broken !== undefined) broken.push(brokenOf(`the list of ${name}.pages`, list.broken));
  return list.elements.flatMap((link) => {
    const start = reader.word(link - layout.list + layout.insns);
    return start ? [{ start, isForDetours }] : [];
  });
}
