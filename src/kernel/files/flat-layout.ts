// Where the parts of a flat kernel lie: sections by the symbols of its linker script (arch/arm64/kernel/vmlinux.lds.S,
// arch/arm/kernel/vmlinux.lds.S), and what lies between them.
import { SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS, SHT_PROGBITS } from '../../elf/constants.ts';

/** A section of the ELF file that is made; addresses of its first byte and of the byte behind its last. */
export interface FlatSection {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly start: number;
  readonly end: number;
}

/** Where a flat kernel lies: its bytes from `start` to `fileEnd`, zeros from there to `end`. */
export interface FlatExtent {
  readonly start: number;
  readonly fileEnd: number;
  readonly end: number;
}

const code = SHF_ALLOC | SHF_EXECINSTR;
const data = SHF_ALLOC | SHF_WRITE;

/** Sections by the symbols at their ends; of several rows with one name the first counts whose symbols are there. */
const rows: readonly (readonly [name: string, flags: number, start: string, end: string])[] = [
  ['.head.text', code, '_text', '_stext'],
  ['.text', code, '_stext', '_etext'],
  ['.rodata', SHF_ALLOC, '__start_rodata', '__end_rodata'],
  ['.init.text', code, '_sinittext', '_einittext'],
  ['.exit.text', code, '__exittext_begin', '__exittext_end'],
  ['.data', data, '_sdata', '_edata'],
];

/** Names whose addresses say where sections lie. */
export const layoutNames: ReadonlySet<string> = new Set(rows.flatMap(([, , start, end]) => [start, end]));

/** The sections of a flat kernel in order of address, gaps included. `addressOf` gives a symbol's address. */
export function sectionsOf(
  { start, fileEnd, end }: FlatExtent,
  addressOf: (name: string) => number | undefined,
): FlatSection[] {
  const known: FlatSection[] = [];
  const named = new Set<string>();
  for (const [name, flags, first, last] of rows) {
    const from = first === '_text' ? start : addressOf(first);
    const to = addressOf(last);
    if (
      from === undefined ||
      to === undefined ||
      from >= to ||
      from < start ||
      to > fileEnd ||
      named.has(name)
    )
      continue;
    known.push({ name, type: SHT_PROGBITS, flags, start: from, end: to });
    named.add(name);
  }
  known.sort((a, b) => a.start - b.start);
  const sections: FlatSection[] = [];
  const text = known.find(({ name }) => name === '.text');
  let at = start;
  // A gap has data: read-only in front of init text, else to be written.
  const init = addressOf('_sinittext') ?? fileEnd;
  const fill = (to: number) => {
    if (at >= to) return;
    const name = text && at < text.start ? '.head.text' : at < init ? '.rodata' : '.data';
    const flags = name === '.head.text' ? code : name === '.rodata' ? SHF_ALLOC : data;
    sections.push({ name, type: SHT_PROGBITS, flags, start: at, end: to });
  };
  for (const section of known) {
    if (section.start < at) continue; // overlaps what is there
    fill(section.start);
    sections.push(section);
    at = section.end;
  }
  fill(fileEnd);
  if (fileEnd < end) sections.push({ name: '.bss', type: SHT_NOBITS, flags: data, start: fileEnd, end });
  return sections;
}
