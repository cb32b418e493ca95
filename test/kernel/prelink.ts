// The tables of a linked kernel against the relocations of what it was linked from (vmlinux.o): every entry that dump
// shows must be where readelf's view of the relocations puts it, and no other. Only readelf is asked.
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { builtProgram } from '../built.ts';
import type { Report } from './report.ts';

const program = builtProgram();

interface Symbol {
  readonly name: string;
  readonly value: number;
  /** Number of the section, `UND` or `ABS`. */
  readonly section: string;
}

interface Relocation {
  readonly offset: number;
  readonly symbol: number;
  readonly addend: number;
}

function readelf(...args: readonly string[]): string[] {
  return execFileSync('readelf', ['-W', ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 30,
    stdio: ['ignore', 'pipe', 'ignore'],
  }).split('\n');
}

/** Address of a hexadecimal number, exact in both halves of the address space. */
const address = (digits: string): number => Number(BigInt.asIntN(64, BigInt(`0x${digits}`)));

function symbolsOf(path: string): Symbol[] {
  let file = '';
  return readelf('-s', path).flatMap((line) => {
    const m = /^\s*\d+: ([0-9a-f]+)\s+\S+ (\S+)\s+(\S+)\s+\S+\s+(\S+)(?: (.*))?$/.exec(line);
    if (!m) return [];
    const [, value, type, binding, section, name = ''] = m as unknown as string[];
    if (type === 'FILE') file = name;
    const full = binding === 'LOCAL' ? `${file}:${name}` : name;
    return [
      { name: type === 'SECTION' ? '' : full, value: address(value as string), section: section as string },
    ];
  });
}

/** Defined symbols by name; those of one name keep their order in a link. */
function byName(symbols: readonly Symbol[]): Map<string, Symbol[]> {
  const names = new Map<string, Symbol[]>();
  for (const symbol of symbols) {
    if (symbol.name === '' || !/^\d+$/.test(symbol.section)) continue;
    const known = names.get(symbol.name);
    if (known) known.push(symbol);
    else names.set(symbol.name, [symbol]);
  }
  return names;
}

/** How far each symbol of a section moved in the link, by offset in the section. */
type Moves = { readonly offset: number; readonly by: number }[];

function movesOf(
  before: readonly Symbol[],
  linked: ReadonlyMap<string, readonly Symbol[]>,
): Map<string, Moves> {
  const sections = new Map<string, Moves>();
  for (const [name, symbols] of byName(before)) {
    const ends = linked.get(name);
    if (ends?.length !== symbols.length) continue;
    symbols.forEach(({ section, value }, i) => {
      const moves = sections.get(section) ?? [];
      sections.set(section, moves);
      moves.push({ offset: value, by: (ends[i] as Symbol).value - value });
    });
  }
  for (const moves of sections.values()) moves.sort((a, b) => a.offset - b.offset);
  return sections;
}

/** Where an offset of a section lies after the link: it moves with the symbol in front of it. */
function moved(moves: Moves | undefined, offset: number): number | undefined {
  const next = moves?.findIndex((m) => m.offset > offset) ?? 0;
  const near = moves?.at(next < 0 ? -1 : Math.max(0, next - 1));
  return near && offset + near.by;
}

function relocationsOf(object: string, section: string): Relocation[] {
  const lines = readelf('-r', object);
  const first = lines.findIndex((line) => new RegExp(`^Relocation section '\\.rela?${section}'`).test(line));
  if (first < 0) return [];
  const relocations: Relocation[] = [];
  for (const line of lines.slice(first + 2)) {
    const m = /^([0-9a-f]+) +([0-9a-f]+) .*?(?: ([+-]) ([0-9a-f]+))?$/.exec(line);
    if (!m) break;
    const info = m[2] as string;
    relocations.push({
      offset: Number.parseInt(m[1] as string, 16),
      symbol: Number.parseInt(info.slice(0, info.length === 16 ? 8 : 6), 16),
      addend: m[4] ? address(m[4]) * (m[3] === '-' ? -1 : 1) : 0,
    });
  }
  return relocations;
}

/** A section's bytes, for addends and for fields that have no relocation. */
function contentsOf(object: string, section: string): Buffer {
  const digits = readelf('-x', section, object).flatMap((line) => {
    const m = /^ +0x[0-9a-f]+ ((?:[0-9a-f]{2,8} ){1,4})/.exec(line);
    return m ? [(m[1] as string).replaceAll(' ', '')] : [];
  });
  return Buffer.from(digits.join(''), 'hex');
}

const hex = (value: number): string => `0x${BigInt.asUintN(64, BigInt(value)).toString(16)}`;

/** One line an entry, sorted: `__jump_table` as code, target, key, flags; `.alt.smp.init` as site, instruction. */
export function entriesByReadelf(object: string, vmlinux: string, table: string): string[] {
  const symbols = symbolsOf(object);
  const linked = byName(symbolsOf(vmlinux));
  const sections = movesOf(symbols, linked);
  const addends = relocationsOf(object, table);
  const contents = contentsOf(object, table);
  const isRela = addends.some((r) => r.addend !== 0);
  const fields = new Map(
    addends.map(({ offset, symbol, addend }) => {
      const { name, section, value } = symbols[symbol] as Symbol;
      const by = isRela ? addend : contents.readInt32LE(offset);
      const end = /^\d+$/.test(section)
        ? moved(sections.get(section), value + by)
        : (linked.get(name)?.[0]?.value ?? Number.NaN) + by;
      if (end === undefined || Number.isNaN(end))
        throw new Error(`nothing tells where ${name || `section ${section}`} lies`);
      return [offset, end];
    }),
  );
  const field = (offset: number): number => {
    const value = fields.get(offset);
    if (value === undefined) throw new Error(`${table}+${offset} has no relocation`);
    return value;
  };
  const entries: string[] = [];
  if (table === '__jump_table') {
    const size = isRela ? 16 : 12;
    for (let at = 0; at < contents.length; at += size) {
      const key = field(at + 8);
      const flags = ((key % 4) + 4) % 4;
      entries.push(`${hex(field(at))} ${hex(field(at + 4))} ${hex(key - flags)} ${flags}`);
    }
  } else {
    for (let at = 0; at < contents.length; at += 8) {
      entries.push(`${hex(field(at))} ${contents.toString('hex', at + 4, at + 8)}`);
    }
  }
  return entries.sort();
}

interface Place {
  readonly address: string;
}

/** What `textpoke dump --json` says, in the same form. */
export function entriesByDump(json: string, table: string): string[] {
  const [file] = JSON.parse(json).files;
  if (table === '__jump_table') {
    return file.jumpTable
      .map((e: { site: Place; target: Place; key: Place; branch: string; bit1: boolean }) => {
        const flags = (e.branch === 'likely' ? 1 : 0) + (e.bit1 ? 2 : 0);
        return `${e.site.address} ${e.target.address} ${e.key.address} ${flags}`;
      })
      .sort();
  }
  return file.altSmp
    .map((e: { site: Place; replacement: { bytes: string } }) => `${e.site.address} ${e.replacement.bytes}`)
    .sort();
}

/** Each table of a built kernel, as dump shows it and as readelf's relocations of vmlinux.o have it. */
export function comparePrelink(report: Report, out: string, tables: readonly string[]): void {
  const [object, vmlinux] = [join(out, 'vmlinux.o'), join(out, 'vmlinux')];
  const dumped = spawnSync(process.execPath, [program, 'dump', '--json', vmlinux], {
    encoding: 'utf8',
    maxBuffer: 1 << 30,
  });
  report.expect(dumped.status === 0, 'dump of vmlinux finds nothing wrong');
  for (const table of tables) {
    const theirs = entriesByReadelf(object, vmlinux, table);
    const ours = entriesByDump(dumped.stdout, table);
    report.expect(
      theirs.length > 100 && theirs.join() === ours.join(),
      `${table}: ${ours.length} entries of dump, ${theirs.length} of readelf -r, all the same`,
    );
  }
}
