// What a running kernel says of its function tracing: a record for each place that may be hooked, the ops that hook them,
// and direct calls (kernel/trace/ftrace.c; include/linux/ftrace.h). Structures are had by BTF.
import { inOrder, orderOf } from '../../bytes/order.ts';
import {
  type Broken,
  brokenOf,
  impossible,
  type KernelVariables,
  lacking,
  type Walked,
  walkList,
} from './variables.ts';

/** Bits of dyn_ftrace.flags, which are the same from 5.10 to 7.3. `_EN` says what is written, the others what will be. */
export const recordFlags = {
  enabled: 1 << 31,
  regsEnabled: 1 << 29,
  trampolineEnabled: 1 << 27,
  directEnabled: 1 << 23,
} as const;

/** Bits of ftrace_ops.flags, which are the same too. */
export const opsFlags = {
  saveRegs: 1 << 2,
  recursion: 1 << 4,
  adding: 1 << 8,
  modifying: 1 << 10,
  allocatedTrampoline: 1 << 11,
  rcu: 1 << 14,
} as const;

/** `struct ftrace_ops`: who hooks functions. Addresses are the running kernel's. */
export interface FtraceOps {
  readonly at: number;
  readonly flags: number;
  readonly func: number;
  /** 0: it has none. */
  readonly trampoline: number;
  readonly trampolineSize: number;
  /** Whether a record calls its trampoline, if it is the only one there. */
  hooks(ip: number): boolean;
  /** Whether its filters have a place. */
  traces(ip: number): boolean;
}

export interface FtraceTables {
  /** Places of all records, ascending, and the lower half of each one's flags. */
  readonly ips: Float64Array;
  readonly flags: Int32Array;
  /** Those that hook something. */
  readonly ops: readonly FtraceOps[];
  /** Those for which a trampoline was made, which some keep when they hook nothing any more. */
  readonly withTrampoline: readonly FtraceOps[];
  /** Where direct calls lead, by the place; bit 0: a jump leads there (7.3). */
  readonly direct: ReadonlyMap<number, number>;
  /** What is wrong with the lists: the rest is what could be read. */
  readonly broken: readonly Broken[];
}

/** Groups of records, and all records: some 100,000 of a kernel with all its modules. */
const mostGroups = 1 << 16;
const mostRecords = 1 << 22;
const mostOps = 1 << 12;
/** Elements of all filters together. */
const mostFiltered = 1 << 22;

/** Undefined for a kernel without function tracing, or whose BTF does not tell of it. */
export function readFtrace(kernel: KernelVariables): FtraceTables | undefined {
  const broken: Broken[] = [];
  const records = readRecords(kernel, broken);
  if (!records) return undefined;
  const filters = new Filters(kernel, broken);
  return {
    ...records,
    ...readOps(kernel, filters, broken),
    direct: filters.entries(kernel.pointer('direct_functions')) ?? new Map(),
    broken,
  };
}

function readRecords(
  kernel: KernelVariables,
  broken: Broken[],
): Pick<FtraceTables, 'ips' | 'flags'> | undefined {
  const { reader, btf } = kernel;
  const page = kernel.offsets('ftrace_page', 'next', 'records', 'index');
  const record = kernel.offsets('dyn_ftrace', 'ip', 'flags');
  const size = btf.structSize('dyn_ftrace');
  const first = kernel.pointer('ftrace_pages_start');
  if (!page || !record || !size || first === undefined) return undefined;
  const groups: { ips: Float64Array; flags: Int32Array }[] = [];
  let count = 0;
  // `next` comes first in every version.
  const list = walkList(reader, first + page.next, 0, mostGroups);
  if (list.broken !== undefined) broken.push(brokenOf('the list of ftrace_pages_start', list.broken));
  for (const at of list.elements) {
    const start = reader.word(at - page.next + page.records);
    const length = reader.u32(at - page.next + page.index);
    const isThere = start && length !== undefined;
    if (!isThere || count + length > mostRecords) {
      const what = 'a group of records of ftrace_pages_start is';
      broken.push(isThere ? impossible(`${what} larger than any is`) : lacking(what));
      continue;
    }
    const bytes = reader.bytes(start, length * size);
    if (!bytes) {
      broken.push(lacking(`${length} records of ftrace_pages_start are`));
      continue;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const ips = new Float64Array(length);
    const flags = new Int32Array(length);
    for (let i = 0; i < length; i++) {
      const from = i * size;
      ips[i] = view.getInt32(from + record.ip + 4, true) * 2 ** 32 + view.getUint32(from + record.ip, true);
      flags[i] = view.getInt32(from + record.flags, true);
    }
    groups.push({ ips, flags });
    count += length;
  }
  return sorted(groups, count);
}

/** Records in order of their places. Each group is in order by itself, unless somebody changed it. */
function sorted(
  groups: readonly { readonly ips: Float64Array; readonly flags: Int32Array }[],
  count: number,
): Pick<FtraceTables, 'ips' | 'flags'> {
  const all = new Float64Array(count);
  const flags = new Int32Array(count);
  let at = 0;
  for (const group of groups) {
    all.set(group.ips, at);
    flags.set(group.flags, at);
    at += group.ips.length;
  }
  const order = orderOf(all);
  return {
    ips: inOrder(all, order),
    flags: inOrder(flags, order),
  };
}

function readOps(
  kernel: KernelVariables,
  filters: Filters,
  broken: Broken[],
): Pick<FtraceTables, 'ops' | 'withTrampoline'> {
  const { reader } = kernel;
  const layout = kernel.offsets(
    'ftrace_ops',
    ...(['func', 'next', 'flags', 'func_hash', 'old_hash', 'trampoline', 'trampoline_size'] as const),
  );
  const hashes = kernel.offsets('ftrace_ops_hash', 'notrace_hash', 'filter_hash');
  const end = kernel.at('ftrace_list_end');
  if (!layout || !hashes || end === undefined) return { ops: [], withTrampoline: [] };
  const filter = (pointer: number | undefined) => {
    if (!pointer) return () => true;
    const [only, never] = [hashes.filter_hash, hashes.notrace_hash].map((member) =>
      filters.entries(reader.word(pointer + member)),
    );
    return (ip: number) => (!only || only.has(ip)) && !never?.has(ip);
  };
  const read = (at: number): FtraceOps | undefined => {
    const flags = reader.u32(at + layout.flags);
    const [func, trampoline, trampolineSize, hash] = (
      ['func', 'trampoline', 'trampoline_size', 'func_hash'] as const
    ).map((name) => reader.word(at + layout[name]));
    if (flags === undefined || func === undefined || trampoline === undefined || trampolineSize === undefined)
      return undefined;
    const isNow = filter(hash);
    const wasBefore = (flags & opsFlags.modifying) !== 0 ? filter(at + layout.old_hash) : () => false;
    const hooks = (ip: number) =>
      trampoline !== 0 && (flags & opsFlags.adding) === 0 && (wasBefore(ip) || isNow(ip));
    return { at, flags, func, trampoline, trampolineSize, hooks, traces: isNow };
  };
  const known = new Map<number, FtraceOps | undefined>();
  const readAll = (list: Walked, name: string, member: number): FtraceOps[] => {
    if (list.broken !== undefined) broken.push(brokenOf(`the list of ${name}`, list.broken));
    return list.elements.flatMap((link) => {
      const at = link - member;
      if (!known.has(at)) known.set(at, read(at));
      const one = known.get(at);
      if (!one) broken.push(lacking(`an element of ${name} is`));
      return one ? [one] : [];
    });
  };
  // The end has a `next` of its own, which leads nowhere.
  const first = kernel.pointer('ftrace_ops_list');
  const hooking = walkList(reader, first, end, mostOps, layout.next);
  const ops = readAll(hooking, 'ftrace_ops_list', 0);
  const link = kernel.offset('ftrace_ops', 'list');
  const head = kernel.at('ftrace_ops_trampoline_list');
  const listed =
    link === undefined || head === undefined
      ? []
      : readAll(walkList(reader, reader.word(head), head, mostOps), 'ftrace_ops_trampoline_list', link);
  const withTrampoline = [...new Set([...ops, ...listed])].filter(
    ({ flags }) => (flags & opsFlags.allocatedTrampoline) !== 0,
  );
  return { ops, withTrampoline };
}

/** Reads `struct ftrace_hash`: places, and what is said of each. */
class Filters {
  private left = mostFiltered;
  private readonly known = new Map<number, ReadonlyMap<number, number> | undefined>();
  private readonly kernel: KernelVariables;
  private readonly broken: Broken[];
  private readonly hash: Readonly<Record<'size_bits' | 'buckets' | 'count', number>> | undefined;
  private readonly entry: Readonly<Record<'hlist' | 'ip' | 'direct', number>> | undefined;

  constructor(kernel: KernelVariables, broken: Broken[]) {
    this.kernel = kernel;
    this.broken = broken;
    this.hash = kernel.offsets('ftrace_hash', 'size_bits', 'buckets', 'count');
    this.entry = kernel.offsets('ftrace_func_entry', 'hlist', 'ip', 'direct');
  }

  /** Undefined for an empty one: such a filter lets every place through. */
  entries(at: number | undefined): ReadonlyMap<number, number> | undefined {
    if (!at) return undefined;
    if (this.known.has(at)) return this.known.get(at);
    const entries = this.read(at);
    this.known.set(at, entries);
    return entries;
  }

  private read(at: number): ReadonlyMap<number, number> | undefined {
    const { hash, entry } = this;
    const { reader } = this.kernel;
    if (!hash || !entry) return undefined;
    const bits = reader.u32(at + hash.size_bits);
    const buckets = reader.word(at + hash.buckets);
    const count = reader.u32(at + hash.count);
    if (count === 0) return undefined;
    const entries = new Map<number, number>();
    const isThere = bits !== undefined && buckets && count !== undefined;
    if (!isThere || bits > 20 || count > this.left) {
      this.broken.push(
        isThere ? impossible('a filter of ftrace is larger than any is') : lacking('a filter of ftrace is'),
      );
      return entries;
    }
    this.left -= count + 2 ** bits;
    for (let i = 0; i < 2 ** bits; i++) {
      const first = reader.word(buckets + i * reader.wordSize);
      const chain = first === undefined ? undefined : walkList(reader, first, 0, count);
      if (!chain || chain.broken !== undefined)
        this.broken.push(brokenOf('a filter of ftrace', chain?.broken ?? lacking('is')));
      for (const link of chain?.elements ?? []) {
        const ip = reader.word(link - entry.hlist + entry.ip);
        const direct = reader.tagged(link - entry.hlist + entry.direct, 1);
        if (ip !== undefined) entries.set(ip, direct ? direct.pointer + direct.bits : 0);
      }
      if (entries.size > count) break;
    }
    return entries;
  }
}
