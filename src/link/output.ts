// Writes an in-memory link as an ELF executable with sections, segments and symbols.
import { ByteView } from '../bytes/view.ts';
import {
  ET_EXEC,
  SHN_ABS,
  SHT_NOBITS,
  SHT_NULL,
  SHT_STRTAB,
  SHT_SYMTAB,
  STB_GLOBAL,
  STT_FILE,
  STT_SECTION,
} from '../elf/constants.ts';
import type { Segment } from '../elf/file.ts';
import { type OutputSection, writeElf } from '../elf/layout.ts';
import { identSize, Sym } from '../elf/records.ts';
import { StringAppender } from '../elf/string-appender.ts';
import { sectionAbsolute } from '../elf/symbols.ts';
import type { LinkInput, LinkObject, Output } from './input.ts';
import type { OffsetTable } from './layout.ts';
import { type LinkSymbols, stubSection } from './symbols.ts';

function contentOf(input: LinkInput, got: OffsetTable, output: Output): Uint8Array {
  if (output.type === SHT_NOBITS) return new Uint8Array(0);
  if (output === got.output) return got.bytes();
  const bytes = output.name === stubSection ? input.arch.trapFill(output.size) : new Uint8Array(output.size);
  for (const piece of output.pieces) bytes.set(piece.bytes, piece.offset);
  return bytes;
}

/** A section of a new file, with what most of them have. */
export function section(
  nameOffset: number,
  type: number,
  data: Uint8Array,
  more: Partial<OutputSection>,
): OutputSection {
  return {
    nameOffset,
    type,
    flags: 0,
    addr: 0,
    link: 0,
    info: 0,
    addralign: 1,
    entsize: 0,
    data,
    size: data.length,
    ...more,
  };
}

/** The whole file; `order` and `segments` are those of the layout, relocations are carried out. */
export function writeImage(
  input: LinkInput,
  symbols: LinkSymbols,
  got: OffsetTable,
  order: readonly Output[],
  segments: readonly Segment[],
): Uint8Array {
  const bits = input.arch.class;
  const names = new StringAppender(new Uint8Array(1));
  const sections = [section(0, SHT_NULL, new Uint8Array(0), { addralign: 0 })];
  const present = order.filter((o) => o.size > 0 || o.pieces.length > 0);
  const numbers = new Map(present.map((output, i) => [output, i + 1]));
  for (const output of present) {
    sections.push(
      section(names.offsetOf(output.name), output.type, contentOf(input, got, output), {
        flags: output.flags,
        addr: output.address,
        addralign: output.align,
        size: output.size,
        oldOffset: output.fileOffset,
      }),
    );
  }
  const strings = new StringAppender(new Uint8Array(1));
  const { records, locals } = symbolTable(input, symbols, numbers, strings);
  sections.push(
    section(names.offsetOf('.symtab'), SHT_SYMTAB, records, {
      link: sections.length + 1,
      info: locals,
      addralign: input.arch.wordSize,
      entsize: Sym[bits].size,
    }),
    section(names.offsetOf('.strtab'), SHT_STRTAB, strings.bytes(), {}),
  );
  const nameOffset = names.offsetOf('.shstrtab');
  sections.push(section(nameOffset, SHT_STRTAB, names.bytes(), {}));
  const start = symbols.globals.get('_start');
  const first = (input.objects[0] as LinkObject).file;
  return writeElf(
    {
      class: bits,
      little: input.little,
      ident: first.source.read(0, identSize).slice(),
      type: ET_EXEC,
      machine: input.arch.machine,
      flags: first.header.flags,
      entry: (start && symbols.addressOf(start.object, start.symbol)) ?? 0,
      shstrndx: sections.length - 1,
    },
    sections,
    undefined,
    segments,
  );
}

/** Locals of each object behind its STT_FILE symbol, then globals. */
function symbolTable(
  input: LinkInput,
  symbols: LinkSymbols,
  numbers: ReadonlyMap<Output, number>,
  strings: StringAppender,
): { records: Uint8Array; locals: number } {
  const bits = input.arch.class;
  const format = Sym[bits];
  const rows: { name: string; info: number; other: number; shndx: number; value: number; size: number }[] = [
    { name: '', info: 0, other: 0, shndx: 0, value: 0, size: 0 },
  ];
  const add = (object: LinkObject, symbol: number) => {
    const own = object.symbols;
    const section = own.section[symbol] as number;
    const piece = object.pieces.get(section);
    const isFile = own.type(symbol) === STT_FILE;
    if (!piece && !isFile && section !== sectionAbsolute) return;
    const value = piece ? (symbols.addressOf(object, symbol) as number) : (own.value[symbol] as number);
    const size = own.size[symbol] as number;
    if (!Number.isSafeInteger(value) || !Number.isSafeInteger(size)) return; // names no place of the image
    rows.push({
      name: own.name(symbol),
      info: own.info[symbol] as number,
      other: own.other[symbol] as number,
      shndx: piece && piece.output.placed !== 'apart' ? (numbers.get(piece.output) as number) : SHN_ABS,
      value,
      size,
    });
  };
  for (const object of input.objects) {
    for (let i = 1; i < object.symbols.firstGlobal; i++)
      if (object.symbols.type(i) !== STT_SECTION) add(object, i);
  }
  const locals = rows.length;
  for (const [name, { object, symbol }] of symbols.globals) if (!symbols.made.has(name)) add(object, symbol);
  for (const [name, made] of symbols.made) {
    const shndx = numbers.get(made.output);
    if (shndx === undefined) continue;
    rows.push({
      name,
      info: (STB_GLOBAL << 4) | made.type,
      other: 0,
      shndx,
      value: made.output.address + made.offset,
      size: made.size,
    });
  }
  const records = new Uint8Array(rows.length * format.size);
  const view = new ByteView(records, input.little);
  rows.forEach((row, i) => {
    const common = { name: strings.offsetOf(row.name), info: row.info, other: row.other, shndx: row.shndx };
    const at = i * format.size;
    if (bits === 64) Sym[64].write(view, at, { ...common, value: BigInt(row.value), size: BigInt(row.size) });
    else Sym[32].write(view, at, { ...common, value: row.value, size: row.size });
  });
  return { records, locals };
}
