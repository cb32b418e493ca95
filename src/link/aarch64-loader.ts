// The module loader of arm64 kernels (arch/arm64/kernel/module.c, module-plts.c). Modules lie up to 2 GiB away from the kernel,
// and a branch reaches 128 MiB: it goes to an entry of .plt then. And where Cortex-A53 may take a wrong address from an adrp
// (erratum 843419), another instruction stands there.
import { addressPair, branchRegister, branchWord } from '../arch/aarch64/encode.ts';
import { applyAArch64Relocation } from '../arch/aarch64/relocations.ts';
import type { LinkRelocation } from '../arch/arch.ts';
import { ByteView } from '../bytes/view.ts';
import { SHF_EXECINSTR, SHT_RELA } from '../elf/constants.ts';
import type { ElfFile, Section } from '../elf/file.ts';
import { TextpokeError } from '../errors.ts';
import type { CodeLoader, CodeLoaderOf } from './code-loader.ts';

const [JUMP26, CALL26] = [282, 283] as const;
const [PG_HI21, PG_HI21_NC] = [275, 276] as const;
const isBranch = (type: number) => type === JUMP26 || type === CALL26;
const isPage = (type: number) => type === PG_HI21 || type === PG_HI21_NC;

/** struct plt_entry: adrp, add, br. */
export const entrySize = 12;
/** x16, which no code keeps over a call. */
export const entryRegister = 16;
const word = 4;
const pageSize = 4096;

const veneers = '.plt';
const tracing = '.text.ftrace_trampoline';

/** What a kernel says of how its loader works. */
export interface Arm64Loading {
  /** The system has processors with the erratum 843419, and the kernel is built to get round it. */
  readonly hasErratum: boolean;
  /** Entries that lead to the code of function tracing (NR_FTRACE_PLTS). */
  readonly tracingEntries: number;
}

/** The words of an entry that goes on at an address; undefined where it does not reach. */
export function entryWords(from: number, to: number): readonly number[] | undefined {
  const pair = addressPair(entryRegister, from, to);
  return pair && [...pair, branchRegister(entryRegister)];
}

export const arm64Loader =
  (loading: Arm64Loading): CodeLoaderOf =>
  (file) =>
    new Arm64Loader(file, loading);

class Arm64Loader implements CodeLoader {
  private readonly file: ElfFile;
  private readonly loading: Arm64Loading;
  private readonly orders = new Map<number, Uint32Array>();
  private readonly size: number;
  private table: { readonly address: number; readonly bytes: ByteView } | undefined;
  private entries = 0;
  /** Where entries lead to that were made for branches. */
  private readonly targets: number[] = [];

  constructor(file: ElfFile, loading: Arm64Loading) {
    this.file = file;
    this.loading = loading;
    let count = 0;
    for (const table of file.sections) {
      const target = table.type === SHT_RELA ? file.sections[table.info] : undefined;
      if (!target || (target.flags & SHF_EXECINSTR) === 0 || target.name.startsWith('.init')) continue;
      count += this.countEntries(table, this.order(table));
    }
    this.size = (count + 1) * entrySize;
  }

  sizeOf({ name }: Section): number | undefined {
    if (name === veneers) return this.size;
    return name === tracing ? this.loading.tracingEntries * entrySize : undefined;
  }

  place({ name }: Section, address: number, bytes: Uint8Array): void {
    if (name === veneers) this.table = { address, bytes: new ByteView(bytes, true, { section: veneers }) };
  }

  /** partition_branch_plt_relas: branches to other sections come first, by type, symbol and addend. */
  order(table: Section): Uint32Array {
    const made = this.orders.get(table.index) ?? this.makeOrder(table);
    this.orders.set(table.index, made);
    return made;
  }

  private makeOrder(table: Section): Uint32Array {
    const { count, type, symbol, addend, target } = this.file.relocations(table);
    const symbols = this.file.symtab && this.file.symbols(this.file.symtab);
    const order = Uint32Array.from({ length: count }, (_, i) => i);
    const goesFirst = (i: number) =>
      isBranch(type[i] as number) && symbols?.section[symbol[i] as number] !== target;
    let [first, last] = [0, count - 1];
    while (first < last) {
      const [a, b] = [order[first] as number, order[last] as number];
      if (goesFirst(a)) first++;
      else if (goesFirst(b)) [order[first], order[last]] = [b, a];
      else last--;
    }
    const less = (a: number, b: number) =>
      (type[a] as number) - (type[b] as number) ||
      (symbol[a] as number) - (symbol[b] as number) ||
      (addend[a] as number) - (addend[b] as number);
    order.subarray(0, first).sort(less);
    return order;
  }

  /** count_plts: how many entries the code of a section may need. */
  private countEntries(table: Section, order: Uint32Array): number {
    const { type, symbol, addend, offset, target } = this.file.relocations(table);
    const symbols = this.file.symtab && this.file.symbols(this.file.symtab);
    let count = 0;
    order.forEach((i, n) => {
      if (isBranch(type[i] as number)) {
        if (symbols?.section[symbol[i] as number] === target) return;
        const before = n > 0 ? (order[n - 1] as number) : -1;
        const isAgain =
          before >= 0 &&
          type[before] === type[i] &&
          symbol[before] === symbol[i] &&
          addend[before] === addend[i];
        if (addend[i] !== 0 || !isAgain) count++;
      } else if (this.loading.hasErratum && isPage(type[i] as number) && mayFault(offset[i] as number)) {
        count++;
      }
    });
    return this.loading.hasErratum ? count + Math.ceil(count / Math.floor(pageSize / entrySize)) : count;
  }

  apply(relocation: LinkRelocation): string | undefined {
    const { type, symbol, addend, place } = relocation;
    const to = symbol + addend;
    if (isBranch(type) && branchWord(type === CALL26, place, to) === undefined) {
      const entry = this.emitEntry(to);
      return applyAArch64Relocation({ ...relocation, symbol: entry as typeof symbol, addend: 0 });
    }
    if (isPage(type) && this.isForbidden(place)) return this.emitAddress(relocation, to);
    return applyAArch64Relocation(relocation);
  }

  /** is_forbidden_offset_for_adrp */
  private isForbidden(place: number): boolean {
    return this.loading.hasErratum && (place & (pageSize - 1)) >= pageSize - 2 * word;
  }

  /** module_emit_plt_entry. The entry behind the last one is written to even where it is not kept. */
  private emitEntry(to: number): number {
    const last = this.entries - 1;
    let next = this.entries;
    if (this.isForbidden(this.entryAt(next))) next++;
    const words = entryWords(this.entryAt(next), to);
    if (!words) throw new TextpokeError('link-failed', 'an entry of .plt does not reach what it leads to');
    this.write(next, words);
    // plt_entries_equal
    if (last >= 0 && this.targets[last] === to) return this.entryAt(last);
    this.targets[next] = to;
    this.entries = next + 1;
    return this.entryAt(next);
  }

  /** reloc_insn_adrp: adr where it reaches, or a branch to an adrp elsewhere. */
  private emitAddress({ bytes, offset, place }: LinkRelocation, to: number): string | undefined {
    const view = new ByteView(bytes, true);
    const register = view.u32(offset) & 31;
    const page = Math.floor(to / pageSize) * pageSize;
    const distance = page - place;
    if (distance >= -(1 << 20) && distance < 1 << 20) {
      const field = ((distance & 3) << 29) | (((distance >> 2) & 0x7ffff) << 5);
      view.setU32(offset, (0x1000_0000 | field | register) >>> 0);
      return undefined;
    }
    let next = this.entries++;
    if (this.isForbidden(this.entryAt(next))) next = this.entries++;
    const at = this.entryAt(next);
    const pair = addressPair(register, at, page);
    const back = branchWord(false, at + 2 * word, place + word);
    const there = branchWord(false, place, at);
    if (!pair || back === undefined || there === undefined) return 'the code for an address is out of reach';
    this.write(next, [...pair, back]);
    view.setU32(offset, there);
    return undefined;
  }

  private entryAt(number: number): number {
    return (this.table?.address ?? 0) + number * entrySize;
  }

  private write(number: number, words: readonly number[]): void {
    const { table } = this;
    if (!table || (number + 1) * entrySize > this.size)
      throw new TextpokeError('link-failed', 'the module needs more entries of .plt than its loader counts');
    for (const [i, one] of words.entries()) table.bytes.setU32(number * entrySize + i * word, one);
  }
}

/** Whether code at this offset of its section may lie at the end of a page, however the section is aligned. */
function mayFault(offset: number): boolean {
  // The lowest bit that is not set, of 7 and above: the section is aligned to twice its value, to 4096 bytes at most.
  let bit = 8;
  while ((offset & bit) !== 0) bit *= 2;
  return 2 * bit > pageSize;
}
