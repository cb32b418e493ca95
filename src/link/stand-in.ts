// What stands in for a kernel where a module is looked at alone: an image with what the module asks of one and nothing
// else. Keys hold what the module was built for, calls lead to functions that trap.
import type { Arch } from '../arch/arch.ts';
import { alignUp, largestOf } from '../bytes/integer.ts';
import { keyPrefix, trampolinePrefix } from '../bytes/static-call-names.ts';
import { ByteView } from '../bytes/view.ts';
import {
  ET_EXEC,
  PF_R,
  PF_W,
  PF_X,
  PT_LOAD,
  SHF_ALLOC,
  SHF_EXECINSTR,
  SHF_WRITE,
  SHT_NULL,
  SHT_PROGBITS,
  SHT_STRTAB,
  SHT_SYMTAB,
  STB_GLOBAL,
  STT_FUNC,
  STT_OBJECT,
} from '../elf/constants.ts';
import type { ElfFile } from '../elf/file.ts';
import { type OutputSection, writeElf } from '../elf/layout.ts';
import { identSize, Sym } from '../elf/records.ts';
import { StringAppender } from '../elf/string-appender.ts';
import { bannerPrefix } from '../image/kernel.ts';
import { trampolineKeys } from '../image/trampoline-keys.ts';
import { section } from './output.ts';

/** What a module asks of its kernel. */
export interface AskedOfKernel {
  /** The kernel's release, as the module's vermagic has it. */
  readonly release: string;
  /** Static keys in objects of the kernel: the value that each was built with, by symbol and offset. */
  readonly keys: ReadonlyMap<string, ReadonlyMap<number, boolean>>;
  /** Names of static calls. */
  readonly calls: ReadonlySet<string>;
  /** All other symbols. */
  readonly others: ReadonlySet<string>;
}

const returnThunk = '__x86_return_thunk';
const listedReturn = 'return.kernel';

/** Room of a function, and of an object that nobody looks into. */
const room = 16;
/** Where kernels of the file's machine would be too far away for the fields of modules, this is not. */
const base = 0x400000;

/** The ELF executable, for modules like `module`. */
export function standInKernel(module: ElfFile, arch: Arch, asked: AskedOfKernel): Uint8Array {
  const text = new Part(base);
  const { keys, calls, others } = asked;
  const { trampolineSize, wordSize } = arch;
  for (const name of others) text.add(name, room, STT_FUNC);
  for (const name of calls) text.add(`${name}.kernel`, room, STT_FUNC);
  for (const name of calls) text.add(trampolinePrefix + name, alignUp(trampolineSize, room), STT_FUNC);
  // Where the module returns through a thunk, the kernel lists returns that do (apply_returns of x86).
  const returns = others.has(returnThunk) ? [listedReturn] : [];
  for (const name of returns) text.add(name, alignUp(trampolineSize, room), STT_FUNC);
  const data = new Part(alignUp(text.end, arch.pageSize));
  for (const [name, offsets] of keys)
    data.add(name, alignUp(largestOf(offsets.keys()) + 2 * wordSize, room), STT_OBJECT);
  for (const name of calls) data.add(keyPrefix + name, 2 * wordSize, STT_OBJECT);
  const table = new Part(alignUp(data.end, room));
  const [[start, stop] = ['', '']] = trampolineKeys.bounds ?? [];
  table.add(start, 8 * calls.size, STT_OBJECT);
  table.add(stop, 0, STT_OBJECT);
  const sites = new Part(alignUp(table.end, room));
  sites.add('__return_sites', 4 * returns.length, STT_OBJECT);
  sites.add('__return_sites_end', 0, STT_OBJECT);
  const banner = Buffer.from(`${bannerPrefix}${asked.release} (a stand-in)\n\0`, 'latin1');
  const constants = new Part(alignUp(sites.end, room));
  constants.add('linux_banner', banner.length, STT_OBJECT);

  // From here on every address is final.
  const { little, flags } = module.header;
  const code = text.bytes(arch.trapFill(text.size));
  const words = new ByteView(data.bytes(), little);
  const pairs = new ByteView(table.bytes(), little);
  const setWord = (at: number, value: number) =>
    wordSize === 8 ? words.setS64(at, value) : words.setU32(at, value);
  for (const [name, offsets] of keys) {
    for (const [offset, isTrue] of offsets) {
      const at = data.addressOf(name) - data.address + offset;
      words.setU32(at, Number(isTrue));
      setWord(at + wordSize, Number(isTrue));
    }
  }
  let entry = 0;
  for (const name of calls) {
    const trampoline = text.addressOf(trampolinePrefix + name);
    const to = text.addressOf(`${name}.kernel`);
    const key = data.addressOf(keyPrefix + name);
    const made = arch.instructionsOf(trampoline).makeTrampoline?.(trampoline, to);
    if (made) code.set(made, trampoline - text.address);
    setWord(key - data.address, to);
    pairs.setU32(entry, (trampoline - (table.address + entry)) >>> 0);
    pairs.setU32(entry + 4, (key - (table.address + entry + 4)) >>> 0);
    entry += 8;
  }
  for (const name of returns) {
    const at = text.addressOf(name);
    const made = arch.instructionsOf(at).makeTrampoline?.(at, text.addressOf(returnThunk));
    if (made) code.set(made, at - text.address);
    new ByteView(sites.bytes(), little).setU32(0, (at - sites.address) >>> 0);
  }
  return written(module, arch, flags, [
    { part: text, name: '.text', flags: SHF_ALLOC | SHF_EXECINSTR, rights: PF_R | PF_X, bytes: code },
    { part: data, name: '.data', flags: SHF_ALLOC | SHF_WRITE, rights: PF_R | PF_W, bytes: data.bytes() },
    { part: table, name: trampolineKeys.name, flags: SHF_ALLOC, rights: PF_R, bytes: table.bytes() },
    { part: sites, name: '.return_sites', flags: SHF_ALLOC, rights: PF_R, bytes: sites.bytes() },
    { part: constants, name: '.rodata', flags: SHF_ALLOC, rights: PF_R, bytes: banner },
  ]);
}

/** A section while its symbols are laid out. */
class Part {
  readonly address: number;
  readonly symbols: {
    readonly name: string;
    readonly at: number;
    readonly size: number;
    readonly type: number;
  }[] = [];
  size = 0;
  private readonly places = new Map<string, number>();
  private content: Uint8Array | undefined;

  constructor(address: number) {
    this.address = address;
  }

  get end(): number {
    return this.address + this.size;
  }

  add(name: string, size: number, type: number): void {
    const at = this.end;
    this.symbols.push({ name, at, size, type });
    this.places.set(name, at);
    this.size += size;
  }

  addressOf(name: string): number {
    return this.places.get(name) as number;
  }

  /** The bytes to fill, the same each time. */
  bytes(first?: Uint8Array): Uint8Array {
    this.content ??= first ?? new Uint8Array(this.size);
    return this.content;
  }
}

interface Written {
  readonly part: Part;
  readonly name: string;
  readonly flags: number;
  readonly rights: number;
  readonly bytes: Uint8Array;
}

function written(module: ElfFile, arch: Arch, flags: number, parts: readonly Written[]): Uint8Array {
  const { class: bits, little } = module.header;
  const names = new StringAppender(new Uint8Array(1));
  const strings = new StringAppender(new Uint8Array(1));
  const named = (name: string, type: number, data: Uint8Array, more: Partial<OutputSection>): OutputSection =>
    section(names.offsetOf(name), type, data, more);
  const format = Sym[bits];
  const count = parts.reduce((sum, { part }) => sum + part.symbols.length, 1);
  const records = new Uint8Array(count * format.size);
  const view = new ByteView(records, little);
  let number = 0;
  for (const [i, { part }] of parts.entries()) {
    for (const { name, at, size, type } of part.symbols) {
      const info = STB_GLOBAL * 16 + type;
      const place = bits === 64 ? { value: BigInt(at), size: BigInt(size) } : { value: at, size };
      const fields = { name: strings.offsetOf(name), info, other: 0, shndx: i + 1, ...place };
      format.write(view, ++number * format.size, fields as never);
    }
  }
  let offset = arch.pageSize;
  const sections = [named('', SHT_NULL, new Uint8Array(0), { addralign: 0 })];
  const segments = parts.map(({ part, name, flags: kind, rights, bytes }) => {
    offset = alignUp(offset, room);
    const own = { flags: kind, addr: part.address, addralign: room, oldOffset: offset };
    sections.push(named(name, SHT_PROGBITS, bytes, own));
    const segment = { type: PT_LOAD, flags: rights, offset, vaddr: part.address, paddr: part.address };
    offset += bytes.length;
    return { ...segment, filesz: bytes.length, memsz: bytes.length, align: 1 };
  });
  const link = sections.length + 1;
  const table = { link, info: 1, addralign: arch.wordSize, entsize: format.size };
  sections.push(named('.symtab', SHT_SYMTAB, records, table));
  sections.push(named('.strtab', SHT_STRTAB, strings.bytes(), {}));
  const nameOffset = names.offsetOf('.shstrtab');
  sections.push({ ...named('.shstrtab', SHT_STRTAB, names.bytes(), {}), nameOffset });
  const ident = module.source.read(0, identSize).slice();
  const { machine } = arch;
  const shstrndx = sections.length - 1;
  return writeElf(
    { class: bits, little, ident, type: ET_EXEC, machine, flags, entry: 0, shstrndx },
    sections,
    undefined,
    segments,
  );
}
