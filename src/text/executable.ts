// What every executable page of a running kernel is: text of the image or of a module, code that the kernel made itself,
// filling, or nobody's. Addresses are those of the running kernel.
import type { Memory } from '../memory/memory.ts';
import type { ExecutableMemory } from '../memory/page-tables/executable.ts';

/** Words for what pages are, in the order in which they are told. */
export const codeKinds = [
  'image',
  'module',
  'ftrace',
  'kprobe',
  'bpf',
  'its',
  'real-mode',
  'efi',
  'hypercall',
  'vsyscall',
  'entry',
  'idmap',
  'filling',
] as const;
export type CodeKind = (typeof codeKinds)[number];

/** A stretch of memory that is known to be code. */
export interface KnownCode {
  readonly kind: CodeKind;
  /** Of the module, the program and the like. */
  readonly name: string;
  readonly start: number;
  /** Bytes. */
  readonly size: number;
}

/** Adjacent executable pages of one thing. */
export interface NamedPages {
  /** Undefined: nobody's. */
  readonly kind: CodeKind | undefined;
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly isWritable: boolean;
}

const pageSize = 4096;
/** Pages of nobody whose bytes are looked at. */
const mostLooks = 1 << 14;

/**
 * Names the pages of a walk; `formOf` says what a page that is on no list is by its bytes, and `isTrap` of a byte by its
 * place in an instruction or a page that it fills free memory.
 */
export function namePages(
  { stretches }: ExecutableMemory,
  known: readonly KnownCode[],
  memory: Memory,
  formOf: (page: Uint8Array) => CodeKind | undefined,
  isTrap: (byte: number, place: number) => boolean,
): NamedPages[] {
  const order = known
    .map(({ kind, name, start, size }) => ({
      ...{ kind, name },
      start: Math.floor(start / pageSize) * pageSize,
      end: Math.ceil((start + size) / pageSize) * pageSize,
    }))
    .filter(({ start, end }) => end > start)
    .sort((a, b) => a.start - b.start || b.end - a.end);
  const named: NamedPages[] = [];
  const page = new Uint8Array(pageSize);
  let looks = 0;
  const look = (start: number): CodeKind | undefined => {
    if (looks++ >= mostLooks || !memory.read(start, page)) return undefined;
    return page.every((byte, i) => isTrap(byte, i)) ? 'filling' : formOf(page);
  };
  const put = (one: NamedPages): void => {
    const last = named.at(-1);
    const goesOn =
      last?.end === one.start &&
      last.kind === one.kind &&
      last.name === one.name &&
      last.isWritable === one.isWritable;
    if (goesOn) named[named.length - 1] = { ...last, end: one.end };
    else named.push(one);
  };
  let next = 0;
  /** How far what was passed reaches: something large may lie around something small. */
  const open: (typeof order)[number][] = [];
  for (const { start, end, isWritable } of stretches) {
    let at = start;
    while (at < end) {
      while (next < order.length && (order[next] as (typeof order)[number]).start <= at)
        open.push(order[next++] as (typeof order)[number]);
      while (open.length > 0 && (open.at(-1) as (typeof order)[number]).end <= at) open.pop();
      const here = open.at(-1);
      const after = order[next]?.start ?? Number.POSITIVE_INFINITY;
      if (here) {
        const to = Math.min(here.end, end, after);
        put({ kind: here.kind, name: here.name, start: at, end: to, isWritable });
        at = to;
        continue;
      }
      put({ kind: look(at), name: '', start: at, end: at + pageSize, isWritable });
      at += pageSize;
    }
  }
  return named;
}

/** Bytes of pages by what they are; `undefined` stands for nobody's. */
export function pagesByKind(pages: readonly NamedPages[]): Map<CodeKind | undefined, number> {
  const bytes = new Map<CodeKind | undefined, number>();
  for (const { kind, start, end } of pages) bytes.set(kind, (bytes.get(kind) ?? 0) + end - start);
  return bytes;
}

/** Whether an address lies in one of them. */
export function isIn(stretches: readonly Pick<KnownCode, 'start' | 'size'>[], address: number): boolean {
  return stretches.some(({ start, size }) => address >= start && address < start + size);
}
