// Two annotated versions of one x86-64 kernel object, held against each other. The reader here shares no code with
// textpoke's: it is the judge.
import { readFileSync } from 'node:fs';

interface Header {
  readonly name: string;
  readonly type: number;
  readonly flags: bigint;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
  readonly info: number;
}

interface Symbol {
  readonly name: string;
  readonly section: number;
  readonly value: number;
}

interface Relocation {
  readonly offset: number;
  readonly type: number;
  readonly symbol: number;
  readonly addend: number;
}

const SHT_PROGBITS = 1;
const SHT_SYMTAB = 2;
const SHT_RELA = 4;
const SHF_EXECINSTR = 4n;

class ObjectFile {
  private readonly bytes: Buffer;
  readonly headers: readonly Header[];
  private readonly symbols: Symbol[] = [];

  constructor(path: string) {
    this.bytes = readFileSync(path);
    const { bytes } = this;
    const table = Number(bytes.readBigUInt64LE(0x28));
    const at = (i: number, field: number) => table + 64 * i + field;
    const count = bytes.readUInt16LE(0x3c) || Number(bytes.readBigUInt64LE(at(0, 0x20)));
    const names = Number(bytes.readBigUInt64LE(at(bytes.readUInt16LE(0x3e), 0x18)));
    this.headers = Array.from({ length: count }, (_, i) => ({
      name: this.text(names + bytes.readUInt32LE(at(i, 0))),
      type: bytes.readUInt32LE(at(i, 4)),
      flags: bytes.readBigUInt64LE(at(i, 8)),
      offset: Number(bytes.readBigUInt64LE(at(i, 0x18))),
      size: Number(bytes.readBigUInt64LE(at(i, 0x20))),
      link: bytes.readUInt32LE(at(i, 0x28)),
      info: bytes.readUInt32LE(at(i, 0x2c)),
    }));
    const symtab = this.headers.find((h) => h.type === SHT_SYMTAB);
    for (let o = symtab?.offset ?? 0; symtab && o < symtab.offset + symtab.size; o += 24) {
      const strings = this.headers[symtab.link] as Header;
      this.symbols.push({
        name: this.text(strings.offset + bytes.readUInt32LE(o)),
        section: bytes.readUInt16LE(o + 6),
        value: Number(bytes.readBigUInt64LE(o + 8)),
      });
    }
  }

  private text(offset: number): string {
    return this.bytes.toString('latin1', offset, this.bytes.indexOf(0, offset));
  }

  /** A section's name, with its rank among those of one name: numbers differ between the two files. */
  private sectionName(index: number): string {
    const { name } = this.headers[index] as Header;
    return `${name}#${this.headers.slice(0, index).filter((h) => h.name === name).length}`;
  }

  private place(symbol: number, addend: number): string {
    const { name, section, value } = this.symbols[symbol] as Symbol;
    return section === 0 ? `${name}+${addend}` : `${this.sectionName(section)}+${value + addend}`;
  }

  private relocations({ offset, size }: Header): Relocation[] {
    const { bytes } = this;
    return Array.from({ length: size / 24 }, (_, i) => ({
      offset: Number(bytes.readBigUInt64LE(offset + 24 * i)),
      type: bytes.readUInt32LE(offset + 24 * i + 8),
      symbol: bytes.readUInt32LE(offset + 24 * i + 12),
      addend: Number(bytes.readBigInt64LE(offset + 24 * i + 16)),
    }));
  }

  /** Entries of `.static_call_sites`: site, key and flags, sorted. */
  callSites(): string[] {
    return this.headers
      .filter((h) => h.type === SHT_RELA && h.name === '.rela.static_call_sites')
      .flatMap((h) => {
        const fields = new Map(this.relocations(h).map((r) => [r.offset, r]));
        const { size } = this.headers[h.info] as Header;
        return Array.from({ length: size / 8 }, (_, i) => {
          const site = fields.get(8 * i) as Relocation;
          const key = fields.get(8 * i + 4) as Relocation;
          const flags = key.addend & 3;
          const { name } = this.symbols[key.symbol] as Symbol;
          // Keys go by name: one tool may add a symbol where the other has it, and a trampoline may stand for a key.
          const what = name.startsWith('__SC') ? name : this.place(key.symbol, key.addend - flags);
          return `${this.place(site.symbol, site.addend)} ${what} ${flags}`;
        });
      })
      .sort();
  }

  /** Code sections by name with their bytes, then every relocation of theirs. */
  code(): string[] {
    const isCode = (h: Header | undefined) => h?.type === SHT_PROGBITS && (h.flags & SHF_EXECINSTR) !== 0n;
    const contents = this.headers.filter(isCode).map((h) => {
      return `${h.name} ${this.bytes.toString('hex', h.offset, h.offset + h.size)}`;
    });
    const relocations = this.headers
      .filter((h) => h.type === SHT_RELA && isCode(this.headers[h.info]))
      .flatMap((h) =>
        this.relocations(h).map(
          (r) =>
            `${this.sectionName(h.info)}+${r.offset} type ${r.type} ${r.type === 0 ? '' : this.place(r.symbol, r.addend)}`,
        ),
      );
    return [...contents, ...relocations];
  }
}

export interface Compared {
  /** Static call sites of the first file. */
  readonly entries: number;
  /** What differs, in words; empty where nothing does. */
  readonly differences: readonly string[];
  /** True when the first file's code is not what `original` has: the jump-label pass had something to do. */
  readonly rewritten: boolean;
}

/** Compares what two tools made of `original`. */
export function compareObjects(theirs: string, ours: string, original: string): Compared {
  const [a, b, before] = [theirs, ours, original].map((path) => new ObjectFile(path)) as [
    ObjectFile,
    ObjectFile,
    ObjectFile,
  ];
  const differences: string[] = [];
  // Objtool from 6.15 on also lists calls that are only copied from. No kernel has one, but sections.S.
  const isRun = (line: string) => !line.startsWith('.altinstr_replacement#');
  const [sites, others] = [a.callSites().filter(isRun), b.callSites()];
  const first = (x: readonly string[], y: readonly string[]) => x.find((line) => !y.includes(line));
  if (sites.join('\n') !== others.join('\n')) {
    differences.push(
      `static calls: ${sites.length} and ${others.length}; only there: ${first(sites, others)}; only here: ${first(others, sites)}`,
    );
  }
  const [code, otherCode] = [a.code(), b.code()];
  const odd = code.findIndex((line, i) => line !== otherCode[i]);
  if (odd >= 0 || code.length !== otherCode.length)
    differences.push(`code: ${code[odd]?.slice(0, 80)} is not ${otherCode[odd]?.slice(0, 80)}`);
  return { entries: sites.length, differences, rewritten: code.join('\n') !== before.code().join('\n') };
}
