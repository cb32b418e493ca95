// What the symbols of a kernel must say of themselves, whatever their form: a check of a form that fits by chance.
import { hex } from '../../bytes/integer.ts';

/** What the check asks for. */
interface Symbols {
  readonly addresses: Float64Array;
  find(wanted: ReadonlySet<string>): Map<string, number[]>;
}

/** Linker symbols at both ends of something (include/asm-generic/vmlinux.lds.h); an end never lies in front of its start. */
const bounds = [
  ['_text', '_etext'],
  ['_stext', '_etext'],
  ['_sinittext', '_einittext'],
  ['__start_rodata', '__end_rodata'],
  ['__start___jump_table', '__stop___jump_table'],
  ['__start_static_call_sites', '__stop_static_call_sites'],
  ['__start___ex_table', '__stop___ex_table'],
  ['__start_BTF', '__stop_BTF'],
  ['__smp_locks', '__smp_locks_end'],
  ['__init_begin', '__init_end'],
] as const;

/** kallsyms itself lies between these. */
const around = ['__start_rodata', '__end_rodata'] as const;

/** Where the kernel's text begins; one of them is in every kernel. */
const starts = ['_text', '_stext'] as const;

const wanted = new Set<string>([...bounds.flat(), ...starts]);

/**
 * Why these symbols are not those of the kernel whose names lie at `place`; undefined where nothing is wrong. Symbols that
 * a kernel leaves out (CONFIG_KALLSYMS_ALL) are not asked for.
 */
export function wrongSymbols(symbols: Symbols, place: number | undefined): string | undefined {
  const found = symbols.find(wanted);
  const addressOf = (name: string) => {
    const number = found.get(name)?.[0];
    return number === undefined ? undefined : (symbols.addresses[number] as number);
  };
  if (!starts.some((name) => addressOf(name) !== undefined)) return 'there is neither _text nor _stext';
  for (const [first, last] of bounds) {
    const [start, end] = [addressOf(first), addressOf(last)];
    if (start !== undefined && end !== undefined && end < start) return `${last} lies in front of ${first}`;
  }
  const [low, high] = [addressOf(around[0]), addressOf(around[1])];
  if (place !== undefined && low !== undefined && high !== undefined && (place < low || place >= high)) {
    return `the names lie at ${hex(place)}, not between ${around[0]} (${hex(low)}) and ${around[1]} (${hex(high)})`;
  }
  return undefined;
}

/** Where the kernel's text begins by its symbols; undefined where no symbol says so. */
export function textStart(symbols: Symbols): number | undefined {
  const found = symbols.find(new Set(starts));
  const number = (found.get('_text') ?? found.get('_stext'))?.[0];
  return number === undefined ? undefined : symbols.addresses[number];
}
