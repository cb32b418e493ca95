// The sample programs, annotated and linked once a process: which objects, which linkers, what they print, and what
// their tables list. Everything is read back with binutils, so that nothing here depends on the project's readers.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { builtProgram } from '../built.ts';
import { hasTool, run } from '../tools.ts';
import { runBuilt } from './warm.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const committed = join(root, 'samples', 'objects');

/** Runs the command line as it was built. */
export const textpoke = runBuilt;

/** Runs the command line, which must succeed and have nothing to say on stderr; returns stdout. */
export function done(args: readonly string[], cwd?: string): string {
  const result = textpoke(args, cwd);
  assert.equal(`${result.stderr}${result.status === 0 ? '' : result.stdout}`, '', args.join(' '));
  assert.equal(result.status, 0, args.join(' '));
  return result.stdout;
}

let work: string | undefined;

/** A directory of this process. */
export function workplace(): string {
  if (work === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'textpoke-e2e-'));
    process.on('exit', () => rmSync(made, { recursive: true, force: true }));
    work = made;
  }
  return work;
}

let counter = 0;

/** A path in the workplace that nothing uses yet. */
export function fresh(name: string): string {
  return join(workplace(), `${counter++}-${name}`);
}

const made = new Map<string, string>();

/** The path that `make` produced for this key, produced once. */
export function once(key: string, make: (path: string) => void): string {
  let path = made.get(key);
  if (path === undefined) {
    path = fresh(key.replace(/[^\w.-]+/g, '_').slice(-80));
    make(path);
    made.set(key, path);
  }
  return path;
}

/** Compilers and flags of the committed samples, of every machine and of x86-64. */
export const allSets = readdirSync(committed).filter((name) => name !== 'VERSIONS');
export const sets = allSets.filter((name) => /^(gcc|clang)-/.test(name));

/** Object names of one set, without those that annotate refuses and what is no object. */
export function namesOf(set: string): string[] {
  return readdirSync(join(committed, set))
    .filter((name) => name.endsWith('.o') && name !== 'short.o')
    .map((name) => name.slice(0, -2));
}

/** An object as the compiler made it. */
export function plain(set: string, name: string): string {
  return set.startsWith('demo') ? join(root, 'samples', set, `${name}.o`) : join(committed, set, `${name}.o`);
}

/** An object after annotate; the first call annotates all objects of its set in one run. */
export function annotated(set: string, name: string): string {
  const directory = once(`annotated ${set}`, (path) => {
    mkdirSync(path);
    const objects: string[] = [];
    for (const unit of set.startsWith('demo') ? ['main', 'work'] : namesOf(set)) {
      const object = join(path, `${unit}.o`);
      copyFileSync(plain(set, unit), object);
      objects.push(object);
    }
    assert.equal(done(['annotate', ...objects]), '');
  });
  return join(directory, `${name}.o`);
}

/** The units of the sample program. */
export const units = ['main', 'branch', 'call', 'lock', 'local', 'local2', 'key-def', 'key-use'];
export const comdatUnits = ['comdat-main', 'comdat', 'comdat2'];

export const linkers = ['bfd', 'lld'] as const;
export type Linker = (typeof linkers)[number];
export type Kind = 'no-pie' | 'static' | 'PIE' | 'shared';
export type Script = 'none' | 'ldscript' | 'ldscript --gc-sections';

export interface Link {
  readonly set: string;
  readonly linker: Linker;
  readonly kind: Kind;
  readonly script: Script;
  /** The linker that puts all objects (but main.o of a shared program) together with -r first. */
  readonly via?: Linker;
  /** Object names; the sample program when left out. Those of `main` are not part of a shared object. */
  readonly names?: readonly string[];
  /** Paths of further objects. */
  readonly more?: readonly string[];
  readonly flags?: readonly string[];
  /** Links the objects as the compiler made them. */
  readonly unannotated?: boolean;
}

export interface Linked {
  /** What to start. */
  readonly program: string;
  /** What holds the sites: the program, or the shared object beside it. */
  readonly image: string;
}

export function scriptPath(script: Script): string {
  return once(script, (path) =>
    run('sh', [
      '-c',
      'exec "$0" "$@" > "$OUT"'.replace('$OUT', path),
      process.execPath,
      builtProgram(),
      ...script.split(' '),
    ]),
  );
}

const linkFlags: Record<Kind, string[]> = {
  'no-pie': ['-no-pie'],
  static: ['-static'],
  PIE: ['-pie'],
  shared: ['-shared'],
};

/** Links a program, once for the same request. */
export function link(request: Link): Linked {
  const { set, linker, kind, script } = request;
  const names = request.names ?? units;
  const object = request.unannotated ? plain : annotated;
  const driver = `${set.split('-')[0]}${names.some((n) => n.startsWith('comdat')) ? '++' : ''}`.replace(
    'gcc++',
    'g++',
  );
  const directory = once(JSON.stringify(request), (path) => {
    mkdirSync(path);
    const isMain = (name: string) => kind === 'shared' && name.includes('main');
    let inputs = [...names.filter((n) => !isMain(n)).map((n) => object(set, n)), ...(request.more ?? [])];
    if (request.via) {
      const together = join(path, 'together.o');
      run(`ld.${request.via}`, ['-r', ...inputs, '-o', together]);
      inputs = [together];
    }
    const all = [
      `-fuse-ld=${linker}`,
      ...(script === 'none' ? [] : [`-Wl,-T,${scriptPath(script)}`]),
      ...(request.flags ?? []),
    ];
    const output = join(path, kind === 'shared' ? 'library.so' : 'program');
    run(driver, [...linkFlags[kind], ...all, ...inputs, '-o', output]);
    if (kind !== 'shared') return;
    const mains = names.filter(isMain).map((n) => object(set, n));
    run(driver, [
      '-pie',
      `-fuse-ld=${linker}`,
      ...mains,
      `-L${path}`,
      '-l:library.so',
      '-Wl,-rpath,$ORIGIN',
      '-o',
      join(path, 'program'),
    ]);
  });
  return {
    program: join(directory, 'program'),
    image: join(directory, kind === 'shared' ? 'library.so' : 'program'),
  };
}

/** Runs a linked program, with another image in place of the one that was linked. */
export function output(linked: Linked, image = linked.image): string {
  if (image === linked.image) return run(linked.program, []);
  if (linked.program === linked.image) return run(image, []);
  return run('env', [`LD_LIBRARY_PATH=${aside(image)}`, linked.program]);
}

/** The shared object by its own name in a directory that the loader searches first. */
function aside(image: string): string {
  const directory = fresh('library');
  mkdirSync(directory);
  copyFileSync(image, join(directory, 'library.so'));
  return directory;
}

/** `textpoke boot` of an image to a new one, which must succeed; returns the new image. */
export function boot(image: string, args: readonly string[] = []): string {
  const booted = fresh(basename(image));
  const result = textpoke(['boot', image, ...args, '-o', booted]);
  assert.equal(result.status, 0, `${args.join(' ')}: ${result.stderr}`);
  return booted;
}

/** Parts of what readelf prints of an image. */
export type Part = 'sections' | 'segments' | 'symbols';

const read = new Map<string, Readonly<Record<Part, string>>>();
const mostRead = 64; // of static programs each is some 200 KB

/** A part of what readelf prints of an image, which is asked once for all parts of the same file. */
export function readelf(part: Part, file: string): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
  const key = [file, dev, ino, size, mtimeNs, ctimeNs].join(' ');
  let parts = read.get(key);
  if (parts === undefined) {
    const text = run('readelf', ['-SlsW', file]);
    const at = (heading: RegExp) => {
      const found = text.search(heading);
      return found < 0 ? text.length : found;
    };
    const symbols = at(/^Symbol table '/m);
    const segments = Math.min(
      at(/^(Elf file type is|Program Headers:|There are no program headers)/m),
      symbols,
    );
    parts = {
      sections: text.slice(0, segments),
      segments: text.slice(segments, symbols),
      symbols: text.slice(symbols),
    };
    if (read.size >= mostRead) read.clear();
    read.set(key, parts);
  }
  return parts[part];
}

/** For images with code that nobody annotated: every lock of a static C library is one that no entry lists. */
export const onlyListed = ['--locks', 'listed'];

/** Every lock of a program has an entry, but not those of a C library linked into it. */
export function lockPolicyFor(image: string): readonly string[] {
  if (!hasTool('readelf')) return []; // then nothing was linked with a C library either
  return readelf('segments', image).includes('INTERP') ||
    !readelf('symbols', image).includes('__libc_start_main')
    ? []
    : onlyListed;
}

export interface Finding {
  readonly rule: string;
  readonly severity: string;
  readonly address: string;
  readonly place: string;
  readonly message: string;
}

/** What `textpoke verify` finds. */
export function findings(image: string, args: readonly string[] = []): Finding[] {
  const result = textpoke(['verify', image, ...args, '--format', 'json']);
  const noted = result.stderr.replace(/^textpoke: .*: without a symbol table verify cannot find .*\n/, '');
  assert.equal(noted, '', `verify ${args.join(' ')}`);
  const document = JSON.parse(result.stdout) as { schema: string; findings: Finding[] };
  assert.equal(document.schema, 'textpoke.verify/1');
  assert.equal(result.status, document.findings.some((f) => f.severity === 'error') ? 1 : 0);
  return document.findings;
}

/** What a unit by itself may be told: it defines calls that only others use. */
export const alone = ['TP024'];

/** `verify` passes, but for rules that are `allowed`. */
export function assertVerified(
  image: string,
  args: readonly string[] = [],
  what = '',
  allowed: readonly string[] = [],
): void {
  const found = findings(image, [...lockPolicyFor(image), ...args]).filter((f) => !allowed.includes(f.rule));
  assert.deepEqual(
    found.map((f) => `${f.rule} ${f.place}: ${f.message}`),
    [],
    what,
  );
}

/** What the sample program prints: one line a check. */
const lines: Readonly<Record<string, number>> = {
  'likely true': 1,
  'likely false': 0,
  'unlikely true': 1,
  'unlikely false': 0,
  'array true': 1,
  'array false': 0,
  member: 0,
  nested: 2,
  loop: 6,
  'cold body': 2,
  'cold jump': 1001,
  call: 42,
  'tail call': 22,
  'cond call': 1,
  'cond tail call': 1,
  'cond jump': 1,
  'ret0 call': 5,
  'ret0 tail call': 0,
  'call behind branch': 40,
  'query add_one': 1,
  locks: 719,
  'locks again': 483,
  'kept lock': 30,
  'local branch': 2,
  'local call': 6,
  'local2 branch': 3,
  'local2 call': 10,
  'shared key': 1,
  'shared call': 203,
};

export const comdatOutput = 'first 2004\nsecond 2005\n';

/** The sample program's output, with other values in some lines. */
export function expected(changes: Readonly<Record<string, number>> = {}): string {
  for (const name of Object.keys(changes)) assert.ok(name in lines, name);
  return Object.entries({ ...lines, ...changes })
    .map(([name, value]) => `${name} ${value}\n`)
    .join('');
}

export interface ImageSection {
  readonly name: string;
  readonly type: string;
  readonly address: number;
  readonly offset: number;
  readonly size: number;
  readonly flags: string;
}

/** Section headers of an image, as `readelf -SW` prints them. */
export function imageSections(file: string): ImageSection[] {
  const row =
    /^ *\[ *\d+\] (\S+) +([A-Z_]\S*) +([0-9a-f]{8,16}) ([0-9a-f]+) ([0-9a-f]+) [0-9a-f]{2} +([A-Za-z]*) /gm;
  return [...readelf('sections', file).matchAll(row)].map((m) => ({
    name: m[1]!,
    type: m[2]!,
    address: Number.parseInt(m[3]!, 16),
    offset: Number.parseInt(m[4]!, 16),
    size: Number.parseInt(m[5]!, 16),
    flags: m[6]!,
  }));
}

/** File offset of an address of an image. */
export function fileOffset(file: string, address: number): number {
  const home = imageSections(file).find(
    (s) =>
      s.flags.includes('A') && s.type !== 'NOBITS' && address >= s.address && address < s.address + s.size,
  );
  assert.ok(home, `${file}: nothing at 0x${address.toString(16)}`);
  return home.offset + address - home.address;
}

/** Bytes at an address of an image, in hexadecimal. */
export function bytesAt(file: string, address: number, length: number): string {
  const at = fileOffset(file, address);
  return readFileSync(file)
    .subarray(at, at + length)
    .toString('hex');
}

export interface ImageTables {
  readonly branches: {
    readonly entry: number;
    readonly code: number;
    readonly target: number;
    readonly key: number;
  }[];
  readonly calls: { readonly entry: number; readonly site: number; readonly key: number }[];
  readonly locks: { readonly entry: number; readonly lock: number }[];
}

/** The tables of an image, decoded from its sections; keys keep their flag bits. */
export function readTables(file: string): ImageTables {
  const bytes = readFileSync(file);
  const sections = imageSections(file);
  const entries = <T>(name: string, size: number, make: (at: number, address: number) => T): T[] =>
    sections
      .filter((s) => s.name === name)
      .flatMap((s) => {
        assert.equal(s.size % size, 0, `${file}: ${name}`);
        return Array.from({ length: s.size / size }, (_, i) =>
          make(s.offset + i * size, s.address + i * size),
        );
      });
  const s32 = (at: number) => bytes.readInt32LE(at);
  const is64 = bytes[4] === 2; // ELFCLASS64
  return {
    branches: entries('__jump_table', is64 ? 16 : 12, (at, address) => ({
      entry: address,
      code: address + s32(at),
      target: address + 4 + s32(at + 4),
      key: address + 8 + (is64 ? Number(bytes.readBigInt64LE(at + 8)) : s32(at + 8)),
    })),
    calls: entries('.static_call_sites', 8, (at, address) => ({
      entry: address,
      site: address + s32(at),
      key: address + 4 + s32(at + 4),
    })),
    locks: entries('.smp_locks', 4, (at, address) => ({ entry: address, lock: address + s32(at) })),
  };
}

/** How many entries the tables hold: branches, calls, locks. */
export function countEntries(file: string): [branches: number, calls: number, locks: number] {
  const { branches, calls, locks } = readTables(file);
  return [branches.length, calls.length, locks.length];
}

export interface ImageSymbol {
  readonly name: string;
  readonly value: number;
  readonly size: number;
  /** The source file behind whose STT_FILE symbol a local one stands. */
  readonly source: string;
}

/** Defined symbols of an image, with the source files of the local ones. */
export function imageSymbols(file: string): ImageSymbol[] {
  const row = /^ *\d+: ([0-9a-f]+) +(\d+|0x[0-9a-f]+) (\S+) +(\S+) +\S+ +(\S+) ?(\S*)$/gm;
  const symbols: ImageSymbol[] = [];
  let source = '';
  for (const m of readelf('symbols', file).matchAll(row)) {
    if (m[3] === 'FILE') source = m[6]!;
    else if (m[5] !== 'UND')
      symbols.push({
        name: m[6]!,
        value: Number.parseInt(m[1]!, 16),
        size: Number(m[2]),
        source: m[4] === 'LOCAL' ? source : '',
      });
  }
  return symbols;
}

/** The address of a symbol; `source` chooses among file-local ones. */
export function addressOf(file: string, name: string | RegExp, source?: string): number {
  const found = imageSymbols(file).find(
    (s) =>
      (typeof name === 'string' ? s.name === name : name.test(s.name)) &&
      (source === undefined || s.source === source),
  );
  assert.ok(found, `${file}: ${name} ${source ?? ''}`);
  return found.value;
}

export const hex = (address: number): string => `0x${address.toString(16)}`;

/** Asserts that a file has the bytes of another. */
export function assertSameFile(actual: string, expected: string, what = ''): void {
  assert.ok(readFileSync(actual).equals(readFileSync(expected)), `${actual} is not ${expected}: ${what}`);
}
