// Every document that a command prints, held against its published schema; and the schemas against documents that
// are not as they have to be.
import assert from 'node:assert/strict';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ControlDocument } from '../../src/control/document.ts';
import { readElf } from '../../src/elf/read.ts';
import type { Image } from '../../src/image/image.ts';
import { tableKinds } from '../../src/kinds/registry.ts';
import { textTableKinds } from '../../src/kinds/text-tables.ts';
import { linkObjects } from '../../src/link/link.ts';
import { main } from '../../src/main.ts';
import { locateImage } from '../../src/memory/locate.ts';
import { openSnapshot } from '../../src/memory/open.ts';
import { memoryJson } from '../../src/output/memory.ts';
import { policyJson } from '../../src/output/policy.ts';
import { verifyJson } from '../../src/output/verify.ts';
import { verifyMemory } from '../../src/verify/memory.ts';
import { makeReport, type Report } from '../../src/verify/report.ts';
import { ruleIds, rules } from '../../src/verify/rules.ts';
import { archiveOf } from '../elf/archives.ts';
import { makeObject, named, words } from '../elf/objects.ts';
import { type Ran, runMain } from '../in-process.ts';
import { bzImageOf } from '../kernel-room/made-files.ts';
import { banner, core, kdump, kernelBytes, run } from '../memory/dumps.ts';
import { makeKernel } from '../memory/kernel/made.ts';
import { policy } from '../policy/made.ts';
import { annotated, imageOf, linkedBytes, programUnits, samplePath } from '../samples.ts';
import { flipped, seeded } from '../seeded.ts';
import { casesOf, isAll } from '../tools.ts';
import { richKernel, richMemory } from './rich-kernel.ts';

const root = join(import.meta.dirname, '..', '..');
const docs = join(root, 'docs');
const objects = join(root, 'samples', 'objects');
const parse = (path: string) => JSON.parse(readFileSync(path, 'utf8'));

interface Schema {
  readonly $id: string;
  readonly $defs: Readonly<Record<string, Schema>>;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly description?: string;
  readonly $ref?: string;
  readonly enum?: readonly string[];
  readonly const?: string;
}

/** By the name in `textpoke.NAME/VERSION`. */
const schemas = new Map<string, Schema>(
  readdirSync(docs)
    .filter((file) => file.endsWith('.schema.json'))
    .map((file) => [file.slice(0, -'.schema.json'.length), parse(join(docs, file))]),
);

/** What people write; the others are what commands print. */
const inputs = ['config', 'scenario'];
const outputs = [...schemas.keys()].filter((name) => !inputs.includes(name));

const validators = new Map<string, ValidateFunction>();

function validator(name: string): ValidateFunction {
  let found = validators.get(name);
  if (!found) {
    const schema = schemas.get(name);
    assert.ok(schema, `docs/${name}.schema.json is missing`);
    const ajv = new Ajv2020({ strict: true, strictRequired: false, strictTypes: false });
    if (name === 'dumpline') ajv.addSchema(schemas.get('dump') as Schema);
    found = ajv.compile(schema);
    validators.set(name, found);
  }
  return found;
}

type Fields = Record<string, unknown>;
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Adds the names of all fields of a document. */
function note(names: Set<string>, value: unknown): void {
  if (Array.isArray(value)) for (const item of value) note(names, item);
  else if (isFields(value)) {
    for (const [name, field] of Object.entries(value)) {
      names.add(name);
      note(names, field);
    }
  }
}

/** Runs a command line in this process. */
function textpoke(t: TestContext, ...args: string[]): Promise<Ran> {
  return runMain(t, main, args);
}

/** The document that a command line prints, held against its schema. */
async function document(t: TestContext, name: string, ...args: string[]): Promise<Fields> {
  const { status, text, errors } = await textpoke(t, ...args);
  const what = args.slice(0, 4).join(' ');
  assert.ok(status <= 1, `${what}: ${errors}`);
  const found: unknown = JSON.parse(text);
  assert.ok(isFields(found), `${what}: an object`);
  const conforms = validator(name);
  assert.equal(found.schema, schemas.get(name)?.$id);
  assert.ok(conforms(found), `${what}: ${JSON.stringify(conforms.errors?.slice(0, 4))}`);
  return found;
}

/** The lines that a command line prints, each held against its schema. */
async function lines(t: TestContext, name: string, ...args: string[]): Promise<Fields[]> {
  const { status, text, errors } = await textpoke(t, ...args);
  assert.ok(status <= 1, `${args.join(' ')}: ${errors}`);
  const conforms = validator(name);
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const found: unknown = JSON.parse(line);
      assert.ok(
        isFields(found) && conforms(found),
        `${line}: ${JSON.stringify(conforms.errors?.slice(0, 4))}`,
      );
      return found;
    });
}

const directory = mkdtempSync(join(tmpdir(), 'textpoke-schemas-'));
after(() => rmSync(directory, { recursive: true, force: true }));

function file(name: string, bytes: Uint8Array | string): string {
  const path = join(directory, name);
  writeFileSync(path, bytes);
  return path;
}

const sets = readdirSync(objects).filter((name) => name !== 'VERSIONS');
const unitsOf = (set: string) =>
  readdirSync(join(objects, set))
    .filter((name) => name.endsWith('.o'))
    .map((name) => name.slice(0, -2));

/** Copies of all samples of a set, to be annotated. */
function copies(set: string): string[] {
  mkdirSync(join(directory, set), { recursive: true });
  return unitsOf(set).map((unit) => {
    const path = join(directory, set, `${unit}.o`);
    copyFileSync(samplePath(set, unit), path);
    return path;
  });
}

/** Units that can be linked in memory; the jumps of main need veneers in one of the sets. */
const linkable = (set: string) =>
  programUnits.filter((unit) => unit !== 'main' && unitsOf(set).includes(unit));

const oneCpu = ['--cpus', '1', '--enable', 'off_*', '--disable', 'on_key'];

/** Everything that can be asked of an image. */
async function askAll(t: TestContext, image: string): Promise<void> {
  const up = `${image}.up`;
  const { files } = await document(t, 'dump', 'dump', '--json', '--disassemble', image);
  const [first, ...entries] = await lines(t, 'dumpline', 'dump', '--format', 'jsonl', '--disassemble', image);
  const dumped = (files as Fields[])[0]!;
  const known = tableKinds.flatMap(({ id }) => (dumped[id] as unknown[]).map((entry) => [id, entry]));
  assert.equal(first?.file, dumped.file);
  assert.deepEqual(
    entries.map(({ table, entry }) => [table, entry]),
    known,
    'the lines say what the document says',
  );
  await document(t, 'summary', 'dump', '--summary', '--json', image);
  await document(t, 'boot', 'boot', image, '-o', up, '--json', '--cpus', '1');
  await document(t, 'states', 'boot', image, '--states', '--cpus', '1');
  await document(t, 'verify', 'verify', image, '--linked', '--format', 'json');
  await document(t, 'verify', 'verify', up, '--original', image, '--cpus', '2', '--format', 'json');
  await document(t, 'diff', 'diff', '--format', 'json', image, up);
}

// All of them under npm run test:all, else those of the common options.
for (const set of sets.filter((name) => isAll || /-O2(-g)?$/.test(name))) {
  test(`what annotate, dump, boot, verify and diff print of ${set} is as the schemas have it`, async (t) => {
    const paths = copies(set);
    await document(t, 'annotate', 'annotate', '--dry-run', '--relative', '--json', ...paths);
    await document(t, 'annotate', 'annotate', '--smp-barriers', '--json', ...paths);
    await document(t, 'annotate', 'annotate', '--smp-barriers', '--json', ...paths);
    await document(t, 'dump', 'dump', '--json', ...paths);
    await document(t, 'summary', 'dump', '--by', 'key', '--json', ...paths);
    await document(t, 'dump', 'dump', '--json', '--disassemble', '--table', 'jump', ...paths);
    await document(t, 'diff', 'diff', '--format', 'json', paths[0]!, paths.at(-1)!);
    const units = linkable(set);
    if (units.length === 0) return;
    await askAll(t, file(`${set}.image`, linkedBytes(set, units)));
    const linked = units.map((unit) => join(directory, set, `${unit}.o`));
    await document(t, 'boot', 'boot', ...linked, ...(units.includes('branch') ? oneCpu : []), '--json');
    await document(t, 'states', 'boot', ...linked, '--states');
  });
}

test('JSON Lines are the document with its lists empty, then an item of them a line', async (t) => {
  const image = file('lines.image', linkedBytes('gcc-O2', ['branch', 'lock', 'call']));
  const up = file('lines.up', readFileSync(image));
  await textpoke(t, 'boot', image, '-o', up, '--cpus', '1');
  const rows = [
    ['boot', ['writes'], 'boot', image, '--cpus', '1'],
    ['states', ['places'], 'boot', image, '--states'],
    ['verify', ['findings', 'suppressed'], 'verify', up, '--cpus', '2'],
  ] as const;
  for (const [name, lists, ...command] of rows) {
    const whole = await document(t, name, ...command, '--format', 'json');
    const items = lists.flatMap((list) => whole[list] as unknown[]);
    assert.ok(items.length > 2, `${name} has items`);
    const { text } = await textpoke(t, ...command, '--format', 'jsonl');
    const printed = text
      .split('\n')
      .slice(0, -1)
      .map((line): unknown => JSON.parse(line));
    const empty = Object.fromEntries(lists.map((list) => [list, []]));
    assert.deepEqual(printed, [{ ...whole, ...empty }, ...items], name);
  }
});

test('what verify --memory prints of a kernel with a module is as the schema has it', async (t) => {
  const made = makeKernel('6.6');
  const kernel = file('made.vmlinux', made.kernel);
  const dump = file('made.core', made.dump());
  const modules = join(directory, 'made-modules');
  mkdirSync(modules, { recursive: true });
  const verify = ['verify', kernel, '--format', 'json', '--memory', dump];
  await document(t, 'memory', ...verify);
  await document(t, 'memory', ...verify, '--modules', modules);
  writeFileSync(join(modules, 'key-use.ko'), made.module);
  await document(t, 'memory', ...verify, '--modules', modules);
});

/** A kernel and the memory of a system that runs it. */
function memoryOf(set: string, units: readonly string[], slide: number) {
  const bytes = kernelBytes(set, banner, units);
  const kernel = file(`${set}.vmlinux`, bytes);
  const { class: bits, little, machine } = imageOf(bytes).file.header;
  return { kernel, pages: run(bytes, slide), options: { class: bits, little, machine } };
}

for (const set of [
  'gcc-O2',
  'clang-O2',
  'aarch64-gcc-O2',
  'aarch64_be-gcc-O2',
  'arm-gcc-O2',
  'thumb-gcc-O2',
]) {
  test(`what verify --memory prints of ${set} is as the schema has it`, async (t) => {
    const slide = /^(arm|thumb)/.test(set) ? 0 : 0x200000;
    const { kernel, pages, options } = memoryOf(set, linkable(set), slide);
    const dump = file(`${set}.core`, core(pages, { ...options, addresses: ['virtual'] }));
    const verify = ['verify', kernel, '--format', 'json', '--memory'];
    await document(t, 'memory', ...verify, dump);
    await document(t, 'memory', ...verify, dump, '--cpus', '1');
    const physical = file(`${set}.physical`, core(pages, { ...options, addresses: ['physical'] }));
    await document(t, 'memory', ...verify, physical);
    if (!options.little) return;
    await document(t, 'memory', ...verify, file(`${set}.kdump`, kdump(pages, { class: options.class })));
    const torn = core(
      pages.filter((_, i) => i !== 1),
      { ...options, addresses: ['virtual'] },
    );
    await document(t, 'memory', ...verify, file(`${set}.torn`, torn), '--slide', String(slide));
  });
}

test('what explain prints of all rules, and of each, is as the schema has it', async (t) => {
  const all = await document(t, 'explain', 'explain', '--json');
  assert.deepEqual(
    (all.rules as Fields[]).map(({ id }) => id),
    ruleIds,
  );
  for (const id of ruleIds) {
    const { rules: found } = await document(t, 'explain', 'explain', '--json', rules[id].name);
    assert.deepEqual(found, [{ id, ...rules[id] }]);
  }
  assert.equal((await textpoke(t, 'explain', '--json', 'TP000')).status, 2);
});

test('what explain prints of a site or a key is as the schema has it', async (t) => {
  const path = file('explained.o', annotated('clang-O2-g', 'branch'));
  const { files } = await document(t, 'explain-place', 'explain', '--json', 'off_key', path);
  const [{ keys, sites }] = files as [{ keys: Fields[]; sites: Fields[] }];
  assert.equal(keys.length, 1);
  assert.equal(sites.length, keys[0]?.sites);
  assert.equal((await textpoke(t, 'explain', '--json', 'no_such_key', path)).status, 2);
});

// Names of the samples, and what a file may have in their place: quotes, line ends, escapes, no UTF-8.
const hostileNames: readonly (readonly [name: string, bytes: string])[] = [
  ['math', '"\n\xff\x1b'],
  ['off_key', 'o\\"\xed\xa0\x80]'],
  ['branch.c', '</a>\r\n\t\x7f'],
  ['likely_', '__proto'],
];

/** The bytes with all those names replaced. */
function renamed(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes).toString('latin1');
  const other = hostileNames.reduce((all, [name, made]) => all.replaceAll(name, made), text);
  assert.equal(other.length, bytes.length);
  return Uint8Array.from(Buffer.from(other, 'latin1'));
}

const hostileFile = 'a<b>&"c"\' ]]>%0A::error::\n\r\t\x1b[31m\ufffe é𝄞';

for (const set of ['gcc-O2-g', 'aarch64-gcc-O2-g', 'arm-clang-O2-g', 'thumb-gcc-O2-g', 'armeb-gcc-O2']) {
  test(`hostile names of files, symbols, sources and members do not break what is printed of ${set}`, async (t) => {
    const units = ['branch', 'call', 'hand'];
    const objects = units.map((unit) => renamed(annotated(set, unit, { smpBarriers: true })));
    const paths = objects.map((bytes, i) => file(`${i}${set}${hostileFile}`, bytes));
    await document(t, 'annotate', 'annotate', '--dry-run', '--json', ...paths);
    await document(t, 'dump', 'dump', '--json', ...paths);
    const image = linkObjects(objects.slice(0, 2).map((bytes, i) => readElf(units[i]!, bytes))).bytes;
    await askAll(t, file(`${set}${hostileFile}`, image));
    const member = (name: string) => archiveOf(objects.map((bytes, i) => [`${i}${name}`, bytes] as const));
    const archive = file(`${set}${hostileFile}.a`, member('a"\\\n\xff\x1b.o'));
    const other = file(`${set}${hostileFile}2.a`, member('a(b)(c.o'));
    await document(t, 'dump', 'dump', '--json', archive, other);
    await document(t, 'summary', 'dump', '--summary', '--json', archive, other);
    await lines(t, 'dumpline', 'dump', '--format', 'jsonl', archive, other);
    await document(t, 'annotate', 'annotate', '--dry-run', '--json', archive, other);
    await document(t, 'diff', 'diff', '--format', 'json', archive, other);
  });
}

test('what is printed of broken objects and images is as the schemas have it', async (t) => {
  const rounds = casesOf(200);
  const random = seeded(5);
  const counts: Record<string, number> = {};
  const ask = async (name: string, ...args: string[]) => {
    const { status, text } = await textpoke(t, ...args);
    assert.notEqual(status, 70, args.join(' '));
    if (text === '') return;
    counts[name] = (counts[name] ?? 0) + 1;
    const conforms = validator(name);
    assert.ok(conforms(JSON.parse(text)), `${args.join(' ')}: ${JSON.stringify(conforms.errors)}\n${text}`);
  };
  const of = ['gcc-O2', 'aarch64-gcc-O2', 'arm-gcc-O2', 'thumb-clang-O2', 'aarch64_be-gcc-O2'];
  const good = of.map((set) => ({
    object: annotated(set, 'branch'),
    image: linkedBytes(set, ['branch', 'call', 'lock']),
  }));
  for (let i = 0; i < rounds; i++) {
    const { object, image } = good[i % good.length]!;
    const path = file('flipped', flipped(object, random));
    await ask('annotate', 'annotate', '--dry-run', '--json', path);
    await ask('dump', 'dump', '--json', path);
    await ask('summary', 'dump', '--summary', '--json', path);
    const program = file('image', flipped(image, random));
    await ask('dump', 'dump', '--json', program);
    await ask('summary', 'dump', '--by', 'function', '--json', program);
    await ask('boot', 'boot', '--json', program);
    await ask('states', 'boot', '--states', program);
    await ask('verify', 'verify', '--format', 'json', program);
    await ask('diff', 'diff', '--format', 'json', path, program);
  }
  t.diagnostic(JSON.stringify(counts));
  for (const [name, count] of Object.entries(counts))
    assert.ok(count > rounds / 2, `${count} documents of ${name}`);
});

/** Sets 32-bit words at file offsets, little-endian. */
function poked(
  bytes: Uint8Array,
  ...pokes: readonly (readonly [offset: number, word: number])[]
): Uint8Array {
  const copy = bytes.slice();
  for (const [offset, word] of pokes) copy.set(words(true, word), offset);
  return copy;
}

/** An object whose jump table is torn, has entries that cannot be read, one that was discarded and one that strays. */
function tornObject(): Uint8Array {
  const bytes = annotated('gcc-O2-g', 'branch');
  const elf = readElf('a.o', bytes);
  const table = named(elf, '__jump_table');
  const relocations = named(elf, '.rela__jump_table');
  const { offset } = elf.relocations(relocations);
  const at = (place: number) => relocations.offset + 24 * offset.indexOf(place);
  return poked(
    bytes,
    [elf.header.shoff + 64 * table.index + 32, table.size - 4],
    ...[20, 64, 68, 72].map((place) => [at(place) + 8, 0] as const), // R_X86_64_NONE
    [at(80) + 16, 0x10_0000],
  );
}

/** An object whose keys are in no section of it: a common symbol, and a number. */
function homelessKeys(): Uint8Array {
  const bytes = annotated('gcc-O2', 'key-use').slice();
  const elf = readElf('a.o', bytes);
  const { offset } = named(elf, '.symtab');
  const table = elf.symbols(named(elf, '.symtab'));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let next = 0;
  for (let i = 1; i < table.count; i++)
    if (table.section[i] === 0) view.setUint16(offset + 24 * i + 6, next++ % 2 === 0 ? 0xfff2 : 0xfff1, true);
  return bytes;
}

/** An object with the table that no sample has, whose keys are in no section of it. */
function trampolineObject(): Uint8Array {
  const symbols = [1, 0, 0xfff2, 0xfff1].map((shndx, i) => ({
    name: `${hostileFile}${i}`,
    shndx,
    value: 4 * i,
    info: 0x10,
  }));
  const relocations = [1, 2, 1, 3, 1, 4].flatMap((symbol, i) => [4 * i, 0, 2, symbol, 0, 0]);
  return makeObject({
    sections: [
      { name: '.text', flags: 6, data: new Uint8Array(16).fill(0xc3) },
      { name: '.static_call_tramp_key', flags: 2, data: new Uint8Array(32) },
      {
        name: '.rela.static_call_tramp_key',
        type: 4,
        data: words(true, ...relocations),
        link: 4,
        info: 2,
        entsize: 24,
      },
    ],
    symbols,
  });
}

/** Files that have everything that dump tells of one, but for the tables of a kernel's text. */
function dumpedFiles(): string[] {
  return [
    file('torn.o', tornObject()),
    file('trampoline.o', trampolineObject()),
    file('barriers.o', annotated('arm-gcc-O2', 'lock', { smpBarriers: true })),
    file('locks.o', annotated('gcc-O2', 'lock')),
    file('calls.o', annotated('gcc-O2', 'key-use')),
    file('vmlinuz', bzImageOf(gzipSync(linkedBytes('gcc-O2', ['branch', 'call', 'lock'])))),
    file('owner.o', annotated('gcc-O2', 'branch')),
    samplePath('arm-gcc-O2', 'alt-smp-absolute'),
  ];
}

/** An image with a key that is on twice. */
function oftenEnabled(): Uint8Array {
  const bytes = linkedBytes('gcc-O2', ['branch']);
  const image = imageOf(bytes);
  const key = image.symbols.addressOf('off_key');
  return poked(bytes, [image.fileOffset(key as never, 4) as number, 2]);
}

/** Findings as no image that is linked in memory gives them: with source lines, and all that a finding may have. */
function reportOf(image: Image): Report {
  const found = Uint8Array.of(0xcc, 0x90);
  const finding = { rule: 'TP007', address: -0x7f00_0000, place: hostileFile, message: hostileFile } as const;
  const full = {
    ...finding,
    found,
    expected: found,
    entry: 0x40_0000,
    source: { file: hostileFile, line: 1 },
  };
  const report = makeReport(hostileFile, image, [full], {});
  const findings = [full, { ...finding, address: undefined }];
  return {
    ...report,
    findings,
    suppressed: findings.map((accepted) => ({ finding: accepted, reason: hostileFile })),
    linesProblem: hostileFile,
    explanation: { what: hostileFile, command: hostileFile, explained: 2, left: 1, isExplained: () => false },
  };
}

/** A kernel with tables of text, and what its memory tells of the processor, each a file. */
async function richFiles(t: TestContext): Promise<{ kernel: string; cpu: string; document: Fields }> {
  const bytes = richKernel(['main', 'branch', 'call', 'lock', 'local', 'local2', 'key-def']);
  const kernel = file('rich.vmlinux', bytes);
  const memory = file('rich.core', richMemory(bytes));
  const found = await document(t, 'cpu', 'dump', kernel, '--cpu-features', memory);
  return { kernel, cpu: file('cpu.json', JSON.stringify(found)), document: found };
}

/** A document that has every field of its schema, or several that have them together. */
const rich: Readonly<Record<string, (t: TestContext) => Promise<Fields | readonly Fields[]>>> = {
  cpu: async (t) => (await richFiles(t)).document,
  explain: (t) => document(t, 'explain', 'explain', '--json'),
  'explain-place': async (t) => {
    const units = ['main', 'branch', 'call', 'lock', 'local', 'local2', 'key-def'];
    const inlined = annotated('clang-O2-g', 'comdat');
    const asked = [
      ['*', file('explained', linkedBytes('gcc-O2', units))],
      ['lock_all', file('explained-lock.o', annotated('gcc-O2', 'lock'))],
      ['*', file('explained.a', archiveOf([['comdat.o', inlined]]))],
      ['*', file('explained-split.o', annotated('clang-O2-gsplit-dwarf', 'call'))],
      ['*', file('explained-torn.o', tornObject())],
      ['*', file('explained-calls.o', annotated('gcc-O2', 'key-use'))],
      ['*', file('explained-homeless.o', homelessKeys())],
    ] as const;
    const documents: Fields[] = [];
    for (const [what, path] of asked)
      documents.push(await document(t, 'explain-place', 'explain', '--json', what, path));
    return documents;
  },
  annotate: (t) =>
    document(t, 'annotate', 'annotate', '--dry-run', '--json', samplePath('gcc-O2', 'key-use')),
  dump: async (t) => {
    const dump = ['dump', '--json', '--disassemble'];
    const documents = [await document(t, 'dump', ...dump, ...dumpedFiles())];
    const inlined = file('inlined.o', annotated('clang-O2-g', 'comdat'));
    documents.push(await document(t, 'dump', ...dump, '--inlines', inlined));
    const { kernel } = await richFiles(t);
    for (const { id } of textTableKinds)
      documents.push(await document(t, 'dump', ...dump, '--table', id, kernel));
    return documents;
  },
  dumpline: async (t) => {
    const { kernel } = await richFiles(t);
    const dump = ['dump', '--format', 'jsonl', '--disassemble'];
    const found = await lines(t, 'dumpline', ...dump, ...dumpedFiles());
    for (const { id } of textTableKinds)
      found.push(...(await lines(t, 'dumpline', ...dump, '--table', id, kernel)));
    return found;
  },
  summary: async (t) => {
    const members = [['torn.o', tornObject()] as const, ['call.o', annotated('clang-Os', 'call')] as const];
    const paths = [...dumpedFiles(), file('torn.a', archiveOf(members)), file('often', oftenEnabled())];
    const { kernel } = await richFiles(t);
    return [
      await document(t, 'summary', 'dump', '--summary', '--json', ...paths),
      await document(t, 'summary', 'dump', '--by', 'section', '--table', 'return', '--json', kernel),
    ];
  },
  boot: async (t) => {
    const units = ['main', 'branch', 'call', 'lock', 'local', 'local2', 'key-def'];
    const paths = units.map((unit) => file(`boot-${unit}.o`, annotated('gcc-O2', unit)));
    file('key-use.ko', annotated('gcc-O2', 'key-use'));
    const steps = [
      { queryReserved: { start: 'main' } },
      { dec: 'off_key' },
      { dec: 'off_key' },
      { load: 'key-use.ko' },
      { unload: 'key_use' },
      { enable: 'shared_true' },
      { load: 'key-use.ko' },
    ];
    const scenario = file('scenario.json', JSON.stringify({ schema: 'textpoke.scenario/1', steps }));
    const args = ['--cpus', '1', '--enable', 'off_key', '--update', 'math=NULL', '--scenario', scenario];
    const { kernel, cpu } = await richFiles(t);
    const booted = await document(t, 'boot', 'boot', ...paths, ...args, '--json');
    const [write] = booted.writes as Fields[];
    // What a link in memory has no lines for.
    const withSource = { ...write, source: { file: hostileFile, line: 1 } };
    return [
      { ...booted, linesProblem: hostileFile, writes: [withSource] },
      booted,
      await document(t, 'boot', 'boot', kernel, '--cpu-features', cpu, '--json'),
    ];
  },
  states: (t) =>
    document(t, 'states', 'boot', file('a', linkedBytes('gcc-O2', ['branch', 'lock', 'call'])), '--states'),
  control: async () => asJson(control),
  policy: async () => JSON.parse([...policyJson(hostileFile, policy)].join('')) as Fields,
  diff: (t) => {
    const archive = (name: string, ...members: (readonly [unit: string, set: string])[]) =>
      file(name, archiveOf(members.map(([unit, set]) => [unit, annotated(set, unit)] as const)));
    const old = archive('old.a', ['branch', 'gcc-O2-g'], ['call', 'clang-Os']);
    const now = archive('new.a', ['call', 'gcc-O0'], ['lock', 'gcc-O2']);
    return document(t, 'diff', 'diff', '--format', 'json', old, now);
  },
  verify: async () =>
    asJson(
      verifyJson(reportOf(imageOf(linkedBytes('gcc-O2', ['branch']))), {
        branches: 1,
        calls: 2,
        locks: 3,
        barriers: 4,
      }),
    ),
  memory: async () => {
    const { kernel, pages, options } = memoryOf('gcc-O2', ['branch', 'call', 'lock'], 0);
    const image = imageOf(readFileSync(kernel));
    const dump = openSnapshot(
      file('a.core', core(pages, { ...options, addresses: ['virtual'] })),
      image,
      undefined,
    );
    const verified = verifyMemory(image, locateImage(image, dump, undefined), undefined);
    const table = { name: '__jump_table', compared: 3, init: 1, missing: 0, mismatches: 0 };
    const linked = { table: '__jump_table', compared: 3, sealed: 1, lists: 1, init: 0, missing: 0, wrong: 0 };
    const count = { bytes: 7, missing: 0, differ: 5, unexplained: 0 };
    const text = {
      ...count,
      kinds: [{ kind: 'return', bytes: 4, others: 1, sites: 2 }],
      left: [{ what: 'a program of BPF', count: 1 }],
    };
    const texts = { ...text, compared: 1, loaded: 2, filling: 3, stray: 0 };
    const module = { name: 'a', address: '0xffffffffc0000000', state: 'live', tables: [table] };
    return asJson({
      ...memoryJson(reportOf(verified.image), hostileFile, verified),
      linkage: [linked],
      text: { ...text, modules: texts },
      modules: [
        {
          ...{ ...module, file: 'a.ko', buildId: '00ff', notCompared: 'no file of this name' },
          ...{ text: { ...count, stray: 0 }, textNotCompared: 'its table of alternatives is torn' },
        },
      ],
    });
  },
};

const asJson = (value: unknown): Fields => JSON.parse(JSON.stringify(value));

const control: ControlDocument = {
  schema: 'textpoke.control/1',
  pid: 1,
  keys: [{ key: 'tracing+0x10', file: hostileFile, address: '0x7f0000001000', enabled: -1, sites: 1 }],
  calls: [{ call: 'greet', file: hostileFile, address: '0x7f0000002000', function: 'NULL', sites: 0 }],
  refused: [{ file: hostileFile, message: 'a breakpoint stands at a site' }],
};

/** The documents of a schema that have all its fields. */
const richOf = async (t: TestContext, name: string): Promise<readonly Fields[]> =>
  [await rich[name]!(t)].flat();

/**
 * Fields that may be absent, by their names or the ends of the ways to them; every other one has to be there. A star: any
 * field of an object that has names of its own.
 */
const optional: Readonly<Record<string, readonly string[]>> = {
  explain: ['needs'],
  'explain-place': [
    'member',
    'owner',
    'value',
    'key',
    'flags',
    'target',
    'instruction',
    'problem',
    'states',
    'statesProblem',
    'linesProblem',
    'mask',
    'text',
    'isRight',
    'function',
    'absolute',
    'inlined',
  ],
  annotate: [],
  cpu: ['variables.*', 'keys.*', 'calls.*'],
  dump: [
    'unpacked',
    ...[...tableKinds, ...textTableKinds].map(({ id }) => id),
    'absolute',
    'problems',
    'problem',
    'instruction',
    'altSmp.replacement',
    'byte',
    'owner',
    'function',
    'inlined',
  ],
  dumpline: [
    'unpacked',
    'absolute',
    'entry.problem',
    'instruction',
    'entry.replacement',
    'entry.byte',
    'owner',
  ],
  summary: [
    'unpacked',
    'members',
    'member',
    'address',
    'keys',
    'functions',
    'files',
    'sections',
    'enabled',
    'function',
    'states.*',
    'keys.tables.*',
    'functions.tables.*',
    'files.tables.*',
    'sections.tables.*',
    'problems',
  ],
  boot: [
    'linesProblem',
    'writes.step',
    'writes.key',
    'writes.source',
    'warnings.step',
    'phases',
    'phases.sites',
  ],
  states: ['key', 'mask'],
  control: [],
  policy: ['buildId', 'fields', 'added', 'taken', 'address', 'pointer', 'cache'],
  diff: ['member', 'key', 'flags', 'source', 'static branch', 'static call', 'lock', 'kept lock'],
  verify: ['address', 'source', 'entry', 'found', 'expected', 'linesProblem', 'explanation'],
  memory: [
    'address',
    'source',
    'entry',
    'found',
    'expected',
    'cpus',
    'modules',
    'linkage',
    'text',
    'file',
    'buildId',
    'notCompared',
    'textNotCompared',
    'explanation',
  ],
};

type Place = readonly (string | number)[];

/** The row of `optional` that a field is one of. */
function optionalRow(name: string, place: Place): string | undefined {
  const way = place.filter((part) => typeof part === 'string');
  return optional[name]!.find((row) => {
    const parts = row.split('.');
    return parts.every((part, i) => part === '*' || part === way.at(i - parts.length));
  });
}

/**
 * Every field and item of a document, by the way to it; of the like ones, in holders with the same fields, the first.
 * `known` are those that were told.
 */
function* placesIn(value: unknown, known: Set<string>, way: Place = []): Generator<Place> {
  if (typeof value !== 'object' || value === null) return;
  const holder = Array.isArray(value) ? '' : Object.keys(value).join();
  for (const [name, field] of Object.entries(value)) {
    const at = [...way, Array.isArray(value) ? Number(name) : name];
    const path = at.map((part) => (typeof part === 'number' ? '*' : part)).join('.');
    const kind = `${path} ${typeof field} ${holder}`;
    if (!known.has(kind)) {
      known.add(kind);
      yield at;
    }
    yield* placesIn(field, known, at);
  }
}

type Holder = Record<string | number, unknown>;

/** A copy of a document in which the holder of a place was changed. */
function changed(document: Fields, place: Place, change: (holder: Holder, name: string | number) => void) {
  const copy = structuredClone(document);
  let holder = copy as Holder;
  for (const part of place.slice(0, -1)) holder = holder[part] as Holder;
  change(holder, place.at(-1)!);
  return copy;
}

/** Values of other types. */
function* othersFor(value: unknown): Generator<unknown> {
  yield null;
  if (typeof value !== 'string') yield 'text';
  if (typeof value !== 'number') yield 7;
  if (typeof value !== 'boolean') yield false;
  if (!Array.isArray(value)) yield [];
  if (!isFields(value)) yield {};
}

for (const name of outputs) {
  test(`the schema of ${name} takes no document with a field taken away, one added, or one of another type`, async (t) => {
    const conforms = validator(name);
    let changes = 0;
    const spared = new Set<string>();
    const refuses = (other: Fields, what: string) => {
      changes++;
      assert.ok(!conforms(other), what);
    };
    const known = new Set<string>();
    for (const good of await richOf(t, name)) {
      assert.ok(conforms(good), JSON.stringify(conforms.errors));
      for (const place of placesIn({ ...good }, known)) {
        const what = place.join('.');
        const field = place.at(-1)!;
        if (typeof field === 'string') {
          const without = changed(good, place, (holder) => delete holder[field]);
          const row = optionalRow(name, place);
          if (row === undefined) refuses(without, `without ${what}`);
          else if (conforms(without)) spared.add(row);
        }
        changed(good, place, (holder) => {
          const value = holder[field];
          for (const other of othersFor(value)) {
            const document = changed(good, place, (copy) => {
              copy[field] = other;
            });
            refuses(document, `${what} is ${JSON.stringify(other)}`);
          }
          if (!isFields(value)) return;
          const more = changed(good, [...place, 'more'], (copy) => {
            copy.more = 1;
          });
          refuses(more, `${what} has more`);
        });
      }
      refuses({ ...good, more: 1 }, 'the document has more');
    }
    assert.deepEqual([...spared].sort(), [...optional[name]!].sort(), 'what may be absent');
    t.diagnostic(`${changes} changes`);
  });
}

/** The properties that a schema names, each with its own schema, by the way to it. */
function* propertiesOf(schema: unknown, way = ''): Generator<{ way: string; name: string; schema: Schema }> {
  if (typeof schema !== 'object' || schema === null) return;
  for (const [key, value] of Object.entries(schema)) {
    if (key === 'properties' && !way.endsWith('.oneOf')) {
      for (const [name, own] of Object.entries(value as Record<string, Schema>)) {
        if (typeof own === 'object') yield { way, name, schema: own };
      }
    }
    yield* propertiesOf(value, Array.isArray(schema) ? way : `${way}.${key}`);
  }
}

for (const name of outputs) {
  test(`${name}: real documents have every property that the schema names`, async (t) => {
    const names = new Set<string>();
    note(names, await richOf(t, name));
    const missing = [...propertiesOf(schemas.get(name))].filter((property) => !names.has(property.name));
    assert.deepEqual(
      missing.map((property) => `${property.way}.${property.name}`),
      [],
    );
  });
}

for (const name of outputs.filter((output) => output !== 'verify')) {
  test(`${name}: each property is described in one line`, () => {
    const schema = schemas.get(name)!;
    for (const { way, name: property, schema: own } of propertiesOf(schema)) {
      if (way.endsWith('.oneOf')) continue;
      const ref = own.$ref?.split('/').at(-1);
      const text = own.description ?? (ref === undefined ? undefined : schema.$defs[ref]?.description);
      assert.match(text ?? '', /^\S.{2,}[^.\s]$/, `${way}.${property}`);
    }
  });
}

test('each schema is exported by the package, under its own name', () => {
  const { exports } = parse(join(root, 'package.json')) as { exports: Record<string, unknown> };
  const exported = Object.entries(exports).filter(([name]) => name.endsWith('.schema.json'));
  assert.deepEqual(
    exported.sort(),
    [...schemas.keys()].map((name) => [`./${name}.schema.json`, `./docs/${name}.schema.json`]).sort(),
  );
});

test('each form that the sources name has its schema, and each schema its form', () => {
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readFileSync(join(root, 'src', path), 'utf8'));
  const forms = sources.flatMap((text) => text.match(/(?<=')textpoke\.[a-z-]+\/\d+(?=')/g) ?? []);
  assert.deepEqual([...new Set(forms)].sort(), [...schemas.values()].map(({ $id }) => $id).sort());
  for (const [name, { $id, properties }] of schemas) {
    assert.equal($id, `textpoke.${name}/${name === 'dump' ? 2 : 1}`);
    assert.deepEqual(properties?.schema?.const, $id);
  }
});

test("the schema of dump has textpoke's tables, in their order", () => {
  const { tables, tableName } = schemas.get('dump')!.$defs;
  const ids = [...tableKinds, ...textTableKinds].map(({ id }) => id);
  assert.deepEqual(Object.keys(tables!.properties!), ids);
  assert.deepEqual(tableName!.enum, ids);
});

/** A schema without what it says to people. */
function bare(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(bare);
  if (!isFields(schema)) return schema;
  return Object.fromEntries(
    Object.entries(schema).flatMap(([key, value]) =>
      key === 'description' && typeof value === 'string' ? [] : [[key, bare(value)]],
    ),
  );
}

test('what several schemas define under one name is the same in all of them', () => {
  const first = new Map<string, unknown>();
  for (const shared of ['count', 'address', 'bytes', 'finding']) {
    for (const name of outputs) {
      const own = schemas.get(name)!.$defs[shared];
      if (own === undefined) continue;
      if (!first.has(shared)) first.set(shared, bare(own));
      assert.deepEqual(bare(own), first.get(shared), `${shared} of ${name}`);
    }
  }
});
