// Changes of text that an x86-64 kernel was making when its memory was read: it writes a breakpoint to each place of a batch,
// then what is behind it, then the first byte (arch/x86/kernel/alternative.c: text_poke_bp_batch; smp_text_poke_batch_finish
// since 6.16). Structures are had by BTF.
import type { KernelVariables } from './variables.ts';

/** A place that is being changed. */
export interface Poke {
  /** In the running kernel. */
  readonly address: number;
  /** What will stand there. */
  readonly bytes: Uint8Array;
  /** The first byte of what stood there; it says nothing before the breakpoint is written. */
  readonly old: number;
}

export interface Pokes {
  readonly pokes: readonly Poke[];
  /** What of the batch cannot be. */
  readonly broken: string | undefined;
}

/** TP_VEC_MAX: as many as fit a page. */
const pageSize = 4096;
/** A conditional jump (0f 8x), whose first byte the batch leaves out. */
export const conditionalSize = 6;
const mostKept = 5;

/** Undefined where no batch was under way, or the kernel does not tell. */
export function readPokes(kernel: KernelVariables): Pokes | undefined {
  const batch = batchOf(kernel);
  if (!batch) return undefined;
  const { reader, btf } = kernel;
  const { struct, first, count } = batch;
  const size = btf.structSize(struct);
  const fields = kernel.offsets(struct, 'rel_addr', 'len', 'text', 'old');
  const start = kernel.at('_stext');
  if (!size || !fields || start === undefined) return undefined;
  if (count > pageSize / size)
    return { pokes: [], broken: `a batch of ${count} changes is more than there can be` };
  const all = reader.bytes(first, count * size);
  if (!all) return { pokes: [], broken: 'the batch of changes is not in the dump' };
  const view = new DataView(all.buffer, all.byteOffset, all.length);
  const pokes: Poke[] = [];
  for (let at = 0; at < all.length; at += size) {
    const length = all[at + fields.len] as number;
    const kept = all.slice(at + fields.text, at + fields.text + mostKept);
    if (length < 1 || length > conditionalSize)
      return { pokes, broken: `a change of ${length} bytes is none that the kernel makes` };
    pokes.push({
      address: start + view.getInt32(at + fields.rel_addr, true),
      bytes: length === conditionalSize ? Uint8Array.of(0x0f, ...kept) : kept.slice(0, length),
      old: all[at + fields.old] as number,
    });
  }
  return { pokes, broken: undefined };
}

/** Where the entries of the batch are, and how many. */
function batchOf(
  kernel: KernelVariables,
): { readonly struct: string; readonly first: number; readonly count: number } | undefined {
  const { reader } = kernel;
  const array = kernel.at('text_poke_array');
  if (array !== undefined) {
    const offsets = kernel.offsets('smp_text_poke_array', 'vec', 'nr_entries');
    const count = offsets && reader.u32(array + offsets.nr_entries);
    if (count) return { struct: 'smp_text_poke_loc', first: array + offsets.vec, count };
  }
  const at = kernel.at('bp_desc');
  const offsets = kernel.offsets('bp_patching_desc', 'vec', 'nr_entries', 'refs');
  if (at === undefined || !offsets || !reader.u32(at + offsets.refs)) return undefined;
  const first = reader.word(at + offsets.vec);
  const count = reader.u32(at + offsets.nr_entries);
  return first && count ? { struct: 'text_poke_loc', first, count } : undefined;
}
