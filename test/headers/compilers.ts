// How the tests of the headers call the compilers, and what they read back from objects: through readelf, so that
// nothing here depends on the project's own reader.
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { once } from '../e2e/programs.ts';
import { run, tryRun } from '../tools.ts';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const sampleSources = join(root, 'samples', 'src');
const include = join(root, 'include');

export const strictWarnings = ['-Wall', '-Wextra', '-pedantic', '-Werror'];

export interface Language {
  readonly name: string;
  readonly compiler: string;
  /** What makes the compiler take a .c file as this language. */
  readonly flags: readonly string[];
}

export const languages: readonly Language[] = [
  { name: 'gcc C11', compiler: 'gcc', flags: ['-x', 'c', '-std=c11'] },
  { name: 'clang C11', compiler: 'clang', flags: ['-x', 'c', '-std=c11'] },
  { name: 'g++ C++17', compiler: 'g++', flags: ['-x', 'c++', '-std=c++17'] },
  { name: 'clang++ C++17', compiler: 'clang++', flags: ['-x', 'c++', '-std=c++17'] },
];

export const everyCompiler = ['gcc', 'g++', 'clang', 'clang++'];

/** Compiles `sources` (paths) into `directory`, one object each, with no warning allowed. */
export function compile(
  language: Language,
  flags: readonly string[],
  sources: readonly string[],
  directory: string,
): void {
  run(
    language.compiler,
    [...language.flags, ...strictWarnings, ...flags, `-I${include}`, '-c', ...sources],
    directory,
  );
}

/**
 * The objects of some samples (names of sources), with no warning allowed: each is compiled once in a file of tests,
 * those that are new by one call.
 */
export function sampleObjects(
  language: Language,
  flags: readonly string[],
  sources: readonly string[],
): string[] {
  const directory = once(JSON.stringify([language, flags]), mkdirSync);
  const objectOf = (source: string) => join(directory, source.replace(/\.c(pp)?$/, '.o'));
  const missing = sources.filter((source) => !existsSync(objectOf(source)));
  if (missing.length > 0) {
    const paths = missing.map((source) => join(sampleSources, source));
    compile(language, flags, paths, directory);
  }
  return sources.map(objectOf);
}

/** The compiler's diagnostics for a piece of source that includes every header; null when it is accepted. */
export function complaint(
  language: Language,
  flags: readonly string[],
  sourceFile: string,
  directory: string,
): string | null {
  const result = tryRun(
    language.compiler,
    [...language.flags, ...flags, `-I${include}`, '-c', sourceFile, '-o', `${sourceFile}.o`],
    directory,
  );
  return result.status === 0 ? null : result.stderr;
}

const read = { file: '', sections: '', relocations: '', symbols: '' };

/** What readelf prints of a file, in parts; the last file's is kept, for it is asked for all of them. */
function readelf(file: string): typeof read {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
  const key = [file, dev, ino, size, mtimeNs, ctimeNs].join(' ');
  if (read.file !== key) {
    const text = run('readelf', ['-SrsW', file]);
    const at = (heading: RegExp) => {
      const found = text.search(heading);
      return found < 0 ? text.length : found;
    };
    const symbols = at(/^Symbol table '/m);
    const relocations = Math.min(at(/^Relocation section '/m), symbols);
    const parts = [text.slice(0, relocations), text.slice(relocations, symbols), text.slice(symbols)];
    [read.sections, read.relocations, read.symbols] = parts as [string, string, string];
    read.file = key;
  }
  return read;
}

export interface Section {
  readonly index: number;
  readonly name: string;
  readonly type: string;
  readonly offset: number;
  readonly size: number;
  readonly flags: string;
}

/** The section headers of an object or image, as `readelf -SW` prints them. */
export function readSections(file: string): Section[] {
  const row =
    /^ *\[ *(\d+)\] (\S*) +([A-Z_]\S*) +[0-9a-f]{8,16} ([0-9a-f]+) ([0-9a-f]+) [0-9a-f]{2} +([A-Za-z]*) /gm;
  return [...readelf(file).sections.matchAll(row)].map((m) => ({
    index: Number(m[1]),
    name: m[2]!,
    type: m[3]!,
    offset: Number.parseInt(m[4]!, 16),
    size: Number.parseInt(m[5]!, 16),
    flags: m[6]!,
  }));
}

export interface Symbol {
  readonly name: string;
  readonly value: number;
  readonly size: number;
  readonly type: string;
  readonly binding: string;
  readonly visibility: string;
  /** Section index, or UND, ABS. */
  readonly section: string;
}

/** A symbol table, as `readelf -sW` prints it; `dynamic` asks for the dynamic one alone. */
export function readSymbols(file: string, dynamic = false): Symbol[] {
  const row =
    /^ *\d+: ([0-9a-f]+) +(\d+|0x[0-9a-f]+) (\S+) +(\S+) +(\S+) +(?:\[[^\]]*\] )?(\S+) (\S*)(?:@\S+)?(?: \(\d+\))?$/gm;
  const table = dynamic ? run('readelf', ['--dyn-syms', '-W', file]) : readelf(file).symbols;
  return [...table.matchAll(row)].map((m) => ({
    value: Number.parseInt(m[1]!, 16),
    size: Number(m[2]),
    type: m[3]!,
    binding: m[4]!,
    visibility: m[5]!,
    section: m[6]!,
    name: m[7]!,
  }));
}

export interface Relocation {
  /** Name of the section that is relocated. */
  readonly section: string;
  readonly offset: number;
  readonly type: string;
  readonly symbol: string;
  /** 0 where it stands in the field (REL). */
  readonly addend: number;
}

/** Every relocation of an object, as `readelf -rW` prints them; a section symbol goes by its section's name. */
export function readRelocations(file: string): Relocation[] {
  const relocations: Relocation[] = [];
  let section = '';
  for (const line of readelf(file).relocations.split('\n')) {
    const heading = /^Relocation section '\.rela?(\.\S+)'/.exec(line);
    if (heading) section = heading[1]!;
    const row = /^([0-9a-f]{16}) +[0-9a-f]+ (R_\S+) +(?:[0-9a-f]{16} (\S+) ([+-]) )?([0-9a-f]+)$/.exec(line);
    if (row) {
      relocations.push({
        section,
        offset: Number.parseInt(row[1]!, 16),
        type: row[2]!,
        symbol: row[3] ?? '',
        addend: Number.parseInt(row[5]!, 16) * (row[4] === '-' ? -1 : 1),
      });
    }
    const rel = /^([0-9a-f]{8}) +[0-9a-f]+ (R_\S+) +[0-9a-f]{8} +(\S+)$/.exec(line);
    if (rel)
      relocations.push({
        section,
        offset: Number.parseInt(rel[1]!, 16),
        type: rel[2]!,
        symbol: rel[3]!,
        addend: 0,
      });
  }
  return relocations;
}

export interface Marker {
  readonly section: string;
  /** Section-relative offset of the instruction. */
  readonly site: number;
  readonly branch: 'likely' | 'unlikely';
  /** The key as a person writes it: symbol, or symbol+offset. */
  readonly key: string;
  readonly bytes: Buffer;
}

/** Every static branch that a marker pair describes; throws where a marker has no partner. */
export function readMarkers(file: string): Marker[] {
  const contents = readFileSync(file);
  const sections = readSections(file);
  const symbols = readSymbols(file);
  const all = readRelocations(file);
  const none = all.filter(
    (r) =>
      /^R_(X86_64|AARCH64|ARM)_NONE$/.test(r.type) &&
      r.symbol !== '__textpoke_keep_lock' &&
      !r.section.startsWith('.ARM.exidx'), // which name the unwinder that they need
  );
  const keyWords = readKeyWords(contents, sections, symbols, all);
  const markers: Marker[] = [];
  // Sites do not overlap, so in order of offset targets and keys alternate; a site may follow 5 bytes after another,
  // which distances between markers alone would not tell apart.
  none.sort((a, b) => (a.section === b.section ? a.offset - b.offset : a.section < b.section ? -1 : 1));
  for (let i = 0; i < none.length; i += 2) {
    const target = none[i]!;
    const key = none[i + 1];
    const distance = key && key.section === target.section ? key.offset - target.offset : -1;
    if (key === undefined || (distance !== 2 && distance !== 3)) {
      throw new Error(`${file}: ${target.section}+${target.offset}: a marker without a partner`);
    }
    const home = sections.find((s) => s.name === target.section && s.size > target.offset)!;
    const start = home.offset + target.offset;
    markers.push({
      section: target.section,
      site: target.offset,
      branch: distance === 2 ? 'unlikely' : 'likely',
      key: nameOfPlace(keyWords?.get(`${target.section}+${target.offset}`) ?? key, sections, symbols),
      bytes: contents.subarray(start, start + 5),
    });
  }
  if (keyWords && keyWords.size !== markers.length)
    throw new Error(`${file}: ${keyWords.size} key words for ${markers.length} sites`);
  return markers;
}

/** Where markers have no addends: the keys that .textpoke.keys names, by their sites. */
function readKeyWords(
  contents: Buffer,
  sections: readonly Section[],
  symbols: readonly Symbol[],
  relocations: readonly Relocation[],
): Map<string, Relocation> | undefined {
  const groups = sections.filter((s) => s.name === '.textpoke.keys');
  const words = relocations.filter((r) => r.section === '.textpoke.keys' && r.type === 'R_ARM_ABS32');
  if (words.length === 0) return undefined;
  const found = new Map<string, Relocation>();
  // Sections of one name come in the order of their relocation sections; each of those starts at 0 again.
  let group = -1;
  for (let i = 0; i + 1 < words.length; i += 2) {
    const [site, key] = [words[i]!, words[i + 1]!];
    if (site.offset === 0) group++;
    const { offset } = groups[group]!;
    const field = (r: Relocation) => contents.readInt32LE(offset + r.offset);
    const symbol = symbols.find((s) => s.name === site.symbol && s.type !== 'SECTION');
    const section = symbol ? sections.find((s) => String(s.index) === symbol.section)!.name : site.symbol;
    found.set(`${section}+${((symbol?.value ?? 0) & ~1) + field(site)}`, { ...key, addend: field(key) });
  }
  return found;
}

/** clang names a local key by its section; the symbol there is what the source calls it. */
function nameOfPlace(place: Relocation, sections: readonly Section[], symbols: readonly Symbol[]): string {
  let name = place.symbol;
  let offset = place.addend;
  const section = sections.find((s) => s.name === place.symbol);
  if (section) {
    const object = symbols.find(
      (s) =>
        s.section === String(section.index) &&
        s.type === 'OBJECT' &&
        s.value <= offset &&
        offset < s.value + s.size,
    )!;
    name = object.name;
    offset -= object.value;
  }
  return offset === 0 ? name : `${name}+${offset}`;
}
