// The symbol table of a rewritten object: new locals in front of all globals, new globals last (gABI: sh_info is
// the first non-local), and .symtab_shndx words beside the records.
import { ByteView } from '../bytes/view.ts';
import type { NewSymbol } from './change.ts';
import { SHN_LORESERVE, SHN_XINDEX, STB_GLOBAL, STB_LOCAL } from './constants.ts';
import type { ElfFile, Section } from './file.ts';
import { Sym } from './records.ts';
import type { StringAppender } from './string-appender.ts';

export interface RewrittenSymbols {
  readonly records: Uint8Array;
  /** Words of .symtab_shndx; undefined when neither the old nor the new table needs any. */
  readonly extended: Uint8Array | undefined;
  readonly firstGlobal: number;
}

/** `sectionNumber` maps section numbers as they stood to what they become. */
export function rewriteSymbols(
  file: ElfFile,
  symtab: Section,
  added: readonly NewSymbol[],
  names: StringAppender,
  sectionNumber: (section: number) => number,
): RewrittenSymbols {
  const { class: bits, little } = file.header;
  const format = Sym[bits];
  const old = file.data(symtab);
  const symbols = file.symbols(symtab);
  const total = symbols.count + added.length;
  const records = new Uint8Array(total * format.size);
  const view = new ByteView(records, little);
  const words = new Uint8Array(total * 4);
  const wordView = new ByteView(words, little);
  let needed = file.extendedNumbers(symtab) !== undefined;
  let next = 0;
  const putSection = (section: number) => {
    const far = section >= SHN_LORESERVE;
    view.setU16(next * format.size + format.offsets.shndx, far ? SHN_XINDEX : section);
    if (far) wordView.setU32(next * 4, section);
    needed ||= far;
  };
  const copy = (from: number, to: number) => {
    records.set(old.subarray(from * format.size, to * format.size), next * format.size);
    for (let i = from; i < to; i++, next++) {
      const section = symbols.section[i] as number;
      if (section > 0) putSection(sectionNumber(section));
    }
  };
  const add = (symbol: NewSymbol) => {
    format.write(view, next * format.size, {
      name: names.offsetOf(symbol.name),
      info: ((symbol.binding === 'local' ? STB_LOCAL : STB_GLOBAL) << 4) | symbol.type,
      other: 0,
      shndx: 0,
      value: symbol.value,
      size: 0,
    });
    putSection(sectionNumber(symbol.section));
    next++;
  };
  const locals = added.filter((s) => s.binding === 'local');
  copy(0, symtab.info);
  for (const symbol of locals) add(symbol);
  copy(symtab.info, symbols.count);
  for (const symbol of added) if (symbol.binding === 'global') add(symbol);
  return { records, extended: needed ? words : undefined, firstGlobal: symtab.info + locals.length };
}
