// What dump says of objects, of images linked in memory and by ld, and of archives: held against readelf and objdump,
// against the sources, and against committed text. TEXTPOKE_GOLDENS=1 writes the goldens anew.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import type { DumpedFile } from '../../src/dump/model.ts';
import { type DumpOptions, dumpFile } from '../../src/dump/passes.ts';
import { readElf } from '../../src/elf/read.ts';
import { TextpokeError } from '../../src/errors.ts';
import type { DumpedLock } from '../../src/kinds/lock-prefix/kind.ts';
import { type DumpedInstruction, type DumpedPlace, isDead, placeName } from '../../src/kinds/shown.ts';
import type { DumpedJumpEntry } from '../../src/kinds/static-branch/kind.ts';
import type { DumpedCallSite } from '../../src/kinds/static-call/kind.ts';
import { dumpJson, fileJson } from '../../src/output/dump.ts';
import { dumpText } from '../../src/output/dump-text.ts';
import { archiveOf } from '../elf/archives.ts';
import { annotated, linkedBytes, sampleBytes } from '../samples.ts';
import { run, scratch, toolTest } from '../tools.ts';

const goldens = fileURLToPath(new URL('../goldens', import.meta.url));
const objects = fileURLToPath(new URL('../../samples/objects', import.meta.url));

async function dump(bytes: Uint8Array, options: DumpOptions = {}, path = 'a.o'): Promise<DumpedFile[]> {
  const files: DumpedFile[] = [];
  for await (const file of dumpFile(path, bytes, options)) files.push(file);
  return files;
}

async function dumpOne(bytes: Uint8Array, options: DumpOptions = {}, path = 'a.o'): Promise<DumpedFile> {
  const files = await dump(bytes, options, path);
  assert.equal(files.length, 1);
  return files[0] as DumpedFile;
}

async function textOf(files: readonly DumpedFile[], color = false): Promise<string> {
  let text = '';
  for await (const piece of dumpText(files, { color })) text += piece;
  return text;
}

async function jsonOf(files: readonly DumpedFile[]): Promise<unknown> {
  let text = '';
  for await (const piece of dumpJson(files)) text += piece;
  return JSON.parse(text);
}

/** The entries of a table, each of which must have its places. */
function alive<Entry extends { readonly index: number }>(
  table:
    | { readonly entries: Iterable<Entry | { readonly index: number; readonly bytes: string }> }
    | undefined,
): Entry[] {
  assert.ok(table, 'the table is in the dump');
  return Array.from(table.entries, (entry) => {
    assert.ok(!isDead(entry as Entry), `entry ${entry.index} has no places`);
    return entry as Entry;
  });
}
const jumps = (file: DumpedFile) => alive<DumpedJumpEntry>(file.tables.jumpTable);
const calls = (file: DumpedFile) => alive<DumpedCallSite>(file.tables.staticCallSites);
const locks = (file: DumpedFile) => alive<DumpedLock>(file.tables.smpLocks);

/** A jump entry in one line, as the source would have it. */
const jumpLine = (e: DumpedJumpEntry) =>
  `${placeName(e.site)} ${placeName(e.key)} ${e.branch}${e.bit1 ? ' bit1' : ''} ${e.instruction?.kind}`;
const callLine = (e: DumpedCallSite) =>
  `${placeName(e.site)} ${placeName(e.key)}${e.tail ? ' tail' : ''}${e.init ? ' init' : ''} ${e.instruction?.text}`;

test('the static branches of branch.c are those of the source', async () => {
  const byFunction = (lines: string[]) =>
    lines.map((line) => line.replace(/^(\w+)(\.cold)?(\+0x\w+)?/, '$1')).sort();
  const expected = [
    'array_false off_keys+0x20 unlikely nop',
    'array_true on_keys+0x10 likely nop',
    'cold_body off_key unlikely nop',
    'cold_jump on_key unlikely jump',
    'in_loop off_keys unlikely nop',
    'likely_false off_key likely jump',
    'likely_true on_key likely nop',
    'member_key device+0x8 unlikely nop',
    'nested off_key unlikely nop',
    'nested on_key likely nop',
    'nested on_key unlikely jump',
    'unlikely_false off_key unlikely nop',
    'unlikely_true on_key unlikely jump',
  ];
  for (const set of ['gcc-O2', 'gcc-O0', 'clang-O2', 'clang-Os', 'gcc-O2-fPIC', 'clang-O2-g']) {
    const file = await dumpOne(annotated(set, 'branch'));
    assert.deepEqual(byFunction(jumps(file).map(jumpLine)), expected, set);
    assert.deepEqual([calls(file).length, locks(file).length], [0, 0], set);
    const image = await dumpOne(linkedBytes(set, ['branch']), {}, 'image');
    assert.deepEqual(byFunction(jumps(image).map(jumpLine)), expected, `${set}, linked`);
  }
});

test('static calls show trampoline, key and how they are called', async () => {
  const file = await dumpOne(annotated('clang-Os', 'call'));
  assert.deepEqual(calls(file).map(callLine), [
    'call_plain+0x1 __SCK__math call __SCT__math',
    'call_tail+0x2 __SCK__math tail jmp __SCT__math',
    'call_cond+0x1 __SCK__notify call __SCT__notify',
    'call_cond_tail __SCK__notify tail jmp __SCT__notify',
    'call_ret0+0x1 __SCK__probe call __SCT__probe',
    'call_ret0_tail __SCK__probe tail jmp __SCT__probe',
    'call_if+0x2 __SCK__notify tail jcc __SCT__notify',
    'call_behind_branch+0xa __SCK__math tail jmp __SCT__math',
  ]);
  const [site] = calls(await dumpOne(annotated('clang-Os', 'call'), { disassemble: true })).slice(6);
  assert.equal(site?.instruction?.text, 'jne __SCT__notify');
  assert.equal(site?.instruction?.bytes, '0f8500000000');
  assert.equal(site?.instruction?.kind, 'conditional jump');
});

test('keys that another object defines are undefined symbols', async () => {
  const file = await dumpOne(annotated('gcc-O2', 'key-use'));
  assert.deepEqual(
    jumps(file).map(({ key }) => key),
    [
      { symbol: 'shared_true', symbolOffset: 0, undefined: true },
      { symbol: 'shared_false', symbolOffset: 0, undefined: true },
      { symbol: 'shared_keys', symbolOffset: 0x30, undefined: true },
    ],
  );
  assert.deepEqual(
    calls(file).map(({ key, instruction }) => [key, instruction?.text]),
    [
      [{ symbol: '__SCK__shared_call', symbolOffset: 0, undefined: true }, 'call __SCT__shared_call'],
      [{ symbol: '__SCK__shared_call', symbolOffset: 0, undefined: true }, 'call __SCT__shared_call'],
    ],
  );
  assert.match(await textOf([file]), /shared_keys\+0x30 \(undefined\) +unlikely/);
});

test('with --module the trampoline is the key', async () => {
  const file = await dumpOne(annotated('gcc-O2', 'key-use', { module: true }));
  assert.deepEqual(
    calls(file).map(({ key }) => placeName(key)),
    ['__SCT__shared_call', '__SCT__shared_call'],
  );
});

test('entries that the compiler wrote show their bit 1, before and after the rewrite', async () => {
  const before = jumps(await dumpOne(sampleBytes('gcc-O2', 'kernel-entries')));
  const after = jumps(await dumpOne(annotated('gcc-O2', 'kernel-entries')));
  const flags = (entries: DumpedJumpEntry[]) => entries.map((e) => [e.key.symbol, e.branch, e.bit1]);
  assert.deepEqual(flags(before), [
    ['kernel_false', 'unlikely', true],
    ['kernel_true', 'likely', true],
    ['kernel_false', 'likely', false],
    ['kernel_false', 'likely', false],
    ['kernel_false', 'unlikely', false],
    ['kernel_false', 'unlikely', true],
  ]);
  assert.deepEqual(flags(after), flags(before));
  const kinds = (entries: DumpedJumpEntry[]) => entries.map((e) => e.instruction?.kind);
  assert.deepEqual(kinds(before), ['jump', 'jump', 'jump', 'jump', 'nop', 'jump']);
  assert.deepEqual(kinds(after), ['nop', 'nop', 'jump', 'jump', 'nop', 'nop']);
  assert.equal(after[5]?.site.section, '.init.text');
});

test('the JSON document has the shape that the design states', async () => {
  const file = await dumpOne(annotated('clang-Os', 'call'), { disassemble: true });
  const document = (await jsonOf([file])) as {
    schema: string;
    files: Record<'file' | 'class' | 'machine' | 'type' | 'jumpTable', unknown>[];
  };
  assert.equal(document.schema, 'textpoke.dump/2');
  const [json] = document.files;
  assert.ok(json, 'the document has a file');
  assert.deepEqual(Object.keys(json), [
    'file',
    'class',
    'machine',
    'type',
    'jumpTable',
    'staticCallSites',
    'smpLocks',
    'keptLocks',
    'smpBarriers',
    'altSmp',
    'trampolineKeys',
  ]);
  assert.deepEqual([json.file, json.class, json.machine, json.type], ['a.o', 64, 'x86-64', 'rel']);
  const place = (offset: number, symbol: string, symbolOffset: number, section = '.text') => ({
    address: `0x${offset.toString(16)}`,
    section,
    offset,
    symbol,
    symbolOffset,
  });
  const [branch] = jumps(file);
  assert.ok(branch, 'the table has an entry');
  assert.deepEqual(json.jumpTable, [
    {
      index: 0,
      site: place(branch.site.offset ?? -1, 'call_behind_branch', 2),
      target: place(branch.target.offset ?? -1, 'call_behind_branch', 8),
      key: place(0, 'call_key', 0, branch.key.section),
      branch: 'unlikely',
      bit1: false,
      init: false,
      instruction: { bytes: '0f1f440000', kind: 'nop', text: 'nop dword ptr [rax + rax]' },
    },
  ]);
  assert.deepEqual(await jsonOf([]), { schema: 'textpoke.dump/2', files: [] });
  assert.equal(((await jsonOf([file, file])) as typeof document).files.length, 2);
});

test('--table and --key choose tables and entries', async () => {
  const bytes = linkedBytes('gcc-O2', ['branch', 'call', 'lock']);
  const all = await dumpOne(bytes);
  const tablesOf = async (table: string) => Object.keys((await dumpOne(bytes, { table })).tables);
  for (const name of ['__jump_table', 'jump', 'jumpTable'])
    assert.deepEqual(await tablesOf(name), ['jumpTable']);
  for (const name of ['.static_call_sites', 'call'])
    assert.deepEqual(await tablesOf(name), ['staticCallSites']);
  for (const name of ['.smp_locks', 'lock']) assert.deepEqual(await tablesOf(name), ['smpLocks']);
  await assert.rejects(tablesOf('.text'), (error: unknown) => {
    assert.ok(error instanceof TextpokeError, String(error));
    assert.equal(error.code, 'usage');
    assert.match(
      error.message,
      /unknown table "\.text"; known tables: __jump_table \(jump\), \.static_call_sites \(call\)/,
    );
    return true;
  });
  const keysOf = async (key: string) => {
    const file = await dumpOne(bytes, { key });
    assert.equal(file.tables.smpLocks, undefined, 'locks have no keys');
    assert.equal(file.tables.jumpTable?.total, jumps(all).length);
    return [
      ...new Set([...jumps(file).map((e) => placeName(e.key)), ...calls(file).map((e) => placeName(e.key))]),
    ].sort();
  };
  assert.deepEqual(await keysOf('on_key'), ['on_key']);
  assert.deepEqual(await keysOf('o?_key'), ['on_key']);
  assert.deepEqual(await keysOf('*_keys'), ['off_keys', 'off_keys+0x20', 'on_keys+0x10']);
  assert.deepEqual(await keysOf('off_keys+0x20'), ['off_keys+0x20']);
  assert.deepEqual(await keysOf('math'), ['__SCK__math']);
  assert.deepEqual(await keysOf('__SCK__m*'), ['__SCK__math']);
  assert.deepEqual(await keysOf('on.key'), [], 'a dot is a dot');
  const two = await dumpOne(bytes, { table: 'jump', key: 'on_keys' });
  assert.match(await textOf([two]), /__jump_table: 1 of 14 entries at 0x/);
});

/** Sets `width` bytes at a file offset, little-endian. */
function poke(bytes: Uint8Array, offset: number, width: number, value: number | bigint): void {
  let rest = BigInt.asUintN(64, BigInt(value));
  for (let i = 0; i < width; i++, rest >>= 8n) bytes[offset + i] = Number(rest & 0xffn);
}

/** File offset of the relocation that fills byte `place` of a section. */
function relocationAt(bytes: Uint8Array, section: string, place: number): number {
  const file = readElf('a.o', bytes);
  for (const table of file.sections.filter((s) => s.name === `.rela${section}`)) {
    const relocations = file.relocations(table);
    const index = relocations.offset.indexOf(place);
    if (index >= 0) return table.offset + index * 24;
  }
  throw new Error(`${section} has no relocation at ${place}`);
}

test('an entry that cannot be read is shown, and so are all others', async () => {
  const bytes = annotated('gcc-O2', 'branch').slice();
  // Entry 1 loses its target's relocation (R_X86_64_NONE), entry 2 gets one of another kind for its key.
  poke(bytes, relocationAt(bytes, '__jump_table', 16 + 4) + 8, 4, 0);
  poke(bytes, relocationAt(bytes, '__jump_table', 32 + 8) + 8, 4, 1);
  // All of entry 4 goes, as lld -r leaves it behind a discarded function.
  for (const field of [0, 4, 8]) poke(bytes, relocationAt(bytes, '__jump_table', 64 + field) + 8, 4, 0);
  // Entry 5 names a place behind the end of .text.
  poke(bytes, relocationAt(bytes, '__jump_table', 80) + 16, 8, 0x10_0000);
  const file = await dumpOne(bytes);
  const entries = [...(file.tables.jumpTable?.entries ?? [])];
  assert.equal(entries.length, 13);
  assert.deepEqual(
    entries.map((e) => e.index),
    [...Array(13).keys()],
  );
  assert.deepEqual(entries.slice(1, 3), [
    {
      index: 1,
      bytes: '00'.repeat(16),
      problem: 'field target of entry 1 has no relocation; R_X86_64_PC32 is required',
    },
    {
      index: 2,
      bytes: '00'.repeat(16),
      problem: 'field key of entry 2 has R_X86_64_64; R_X86_64_PC64 is required',
    },
  ]);
  assert.deepEqual(entries[4], { index: 4, bytes: '00'.repeat(16), discarded: true });
  const stray = entries[5] as DumpedJumpEntry;
  assert.equal(stray.problem, 'the site is not in code');
  assert.equal(stray.instruction, undefined);
  const text = await textOf([file]);
  assert.match(text, /^ +1 +malformed: field target of entry 1 has no relocation/m);
  assert.match(text, /^ +4 +discarded: /m);
  assert.match(text, /malformed: the site is not in code$/m);
  assert.equal(jumps(await dumpOne(bytes, { key: 'on_keys' })).length, 0, 'entry 4 was the one of on_keys');
});

test('a torn table in an object gives its whole entries and a problem', async () => {
  const bytes = annotated('gcc-O2', 'branch').slice();
  const elf = readElf('a.o', bytes);
  const table = elf.named('__jump_table');
  assert.ok(table, 'the object has a jump table');
  poke(bytes, elf.header.shoff + 64 * table.index + 32, 8, table.size - 4);
  const file = await dumpOne(bytes);
  assert.equal(jumps(file).length, 12);
  assert.deepEqual(file.tables.jumpTable?.problems, [
    'the table has 204 bytes; a multiple of 16 is required',
  ]);
  assert.match(await textOf([file]), /__jump_table: 12 entries .*\n {2}problem: the table has 204 bytes/);
  const json = (await jsonOf([file])) as { files: { problems: unknown }[] };
  assert.deepEqual(json.files[0]?.problems, { jumpTable: file.tables.jumpTable?.problems });
});

test('discarded and stray entries of an image are named, a torn table is a problem of its own', async () => {
  const bytes = linkedBytes('gcc-O2', ['branch', 'call']).slice();
  const elf = readElf('image', bytes);
  const table = elf.named('__jump_table');
  const symtab = elf.symtab;
  assert.ok(table && symtab, 'the object has a jump table and symbols');
  bytes.fill(0, table.offset + 16, table.offset + 32);
  poke(bytes, table.offset + 32, 4, 0x7000_0000);
  const file = await dumpOne(bytes, { disassemble: true }, 'image');
  const entries = [...(file.tables.jumpTable?.entries ?? [])];
  assert.deepEqual(entries[1], { index: 1, bytes: '00'.repeat(16), discarded: true });
  assert.equal(entries[2]?.problem, 'the site is not in code');
  assert.equal((entries[2] as DumpedJumpEntry).site.symbol, undefined, 'no symbol is near');
  assert.equal(entries.length, 14);
  assert.equal(entries.filter((e) => e.problem === undefined).length, 13);

  const symbols = elf.symbols(symtab);
  for (let i = 0; i < symbols.count; i++) {
    if (symbols.name(i) !== '__stop___jump_table') continue;
    poke(bytes, symtab.offset + 24 * i + 8, 8, (symbols.value[i] as number) - 1);
  }
  const torn = await dumpOne(bytes, {}, 'image');
  assert.match(
    torn.tables.jumpTable?.problems[0] ?? '',
    /spans 223 bytes; a whole number of 16-byte entries/,
  );
  assert.equal(calls(torn).length, 8);
  assert.match(await textOf([torn]), /__jump_table: 0 entries\n {2}problem: .*spans 223 bytes/);
});

test('a site that holds something else is shown with what it holds', async () => {
  const bytes = linkedBytes('gcc-O2', ['branch']).slice();
  const [first] = jumps(await dumpOne(bytes, {}, 'image'));
  const elf = readElf('image', bytes);
  const text = elf.named('.text');
  assert.ok(first && text, 'the image has an entry and a .text');
  bytes.set([0x48, 0x89, 0xe5], text.offset + (first.site.offset ?? 0)); // mov %rsp, %rbp
  const of = async (disassemble: boolean): Promise<DumpedInstruction | undefined> =>
    jumps(await dumpOne(bytes, { disassemble }, 'image'))[0]?.instruction;
  assert.deepEqual(await of(true), { bytes: '4889e5', kind: 'other', text: 'mov rbp, rsp' });
  assert.equal((await of(false))?.text, 'other');
});

test('files that hold no table, no symbols or no program say so', async () => {
  assert.match(
    await textOf([await dumpOne(annotated('gcc-O2', 'key-def'))]),
    /ELF64 x86-64, relocatable object\n {2}no tables\n$/,
  );
  const core = sampleBytes('gcc-O2', 'call').slice();
  core[16] = 4; // ET_CORE
  await assert.rejects(
    dump(core),
    (error: unknown) => error instanceof TextpokeError && error.code === 'not-an-image',
  );
  await assert.rejects(
    dump(new TextEncoder().encode('#!/bin/sh\n'), {}, 'script'),
    (error: unknown) =>
      error instanceof TextpokeError && error.code === 'not-elf' && error.place.file === 'script',
  );
});

test('an archive gives one result a member, and members that are no ELF files none', async () => {
  const call = annotated('gcc-O2', 'call');
  const archive = archiveOf([
    ['call.o', call],
    ['README', new TextEncoder().encode('not an object')],
    ['branch.o', annotated('gcc-O2', 'branch')],
  ]);
  const files = await dump(archive, {}, 'lib.a');
  assert.deepEqual(
    files.map((file) => [file.file, file.member, calls(file).length, jumps(file).length]),
    [
      ['lib.a(call.o)', 'call.o', 8, 1],
      ['lib.a(branch.o)', 'branch.o', 0, 13],
    ],
  );
  const alone = fileJson(await dumpOne(call, {}, 'call.o'));
  assert.deepEqual({ ...fileJson(files[0] as DumpedFile), file: 'call.o' }, alone);
});

test('colour is only in what it is asked for, and never in the words', async () => {
  const files = await dump(annotated('gcc-O2', 'call'));
  const plain = await textOf(files);
  const coloured = await textOf(files, true);
  const escapes = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g');
  assert.doesNotMatch(plain, escapes);
  assert.match(coloured, escapes);
  assert.equal(coloured.replace(escapes, ''), plain);
});

for (const [set, name] of [
  ['gcc-O2', 'kernel-entries'],
  ['clang-Os', 'call'],
  ['gcc-O2', 'lock'],
] as const) {
  test(`the text for ${set}/${name}.o is the committed one`, async () => {
    const golden = join(goldens, `dump-${set}-${name}.txt`);
    const text = await textOf(await dump(annotated(set, name), { disassemble: true }, `${name}.o`));
    if (process.env.TEXTPOKE_GOLDENS === '1') writeFileSync(golden, text);
    assert.equal(text, readFileSync(golden, 'utf8'));
  });
}

/** One relocation as readelf prints it. */
interface ReadelfRow {
  readonly offset: number;
  readonly type: string;
  readonly value: number;
  readonly symbol: string;
  readonly addend: number;
}

/** readelf's relocations of every section with that name, section by section. */
function readelfRows(listing: string, section: string): ReadelfRow[][] {
  return listing
    .split(/^Relocation section /m)
    .filter((part) => part.startsWith(`'.rela${section}'`))
    .map((part) =>
      [...part.matchAll(/^([0-9a-f]+) +[0-9a-f]+ (R_\w+) +([0-9a-f]+) (\S+) ([+-]) ([0-9a-f]+)$/gm)].map(
        (m) => ({
          offset: Number.parseInt(m[1] as string, 16),
          type: m[2] as string,
          value: Number.parseInt(m[3] as string, 16),
          symbol: m[4] as string,
          addend: Number.parseInt(m[6] as string, 16) * (m[5] === '-' ? -1 : 1),
        }),
      ),
    );
}

/** Holds a place of ours against readelf's symbol and addend; `flags` are in the addend of a key field. */
function assertPlace(place: DumpedPlace, row: ReadelfRow, flags: number, what: string): void {
  if (place.undefined) {
    assert.equal(place.symbol, row.symbol, what);
    assert.equal(place.symbolOffset, row.addend - flags, what);
    return;
  }
  assert.equal(place.offset, row.value + row.addend - flags, what);
  if (row.symbol.startsWith('.')) assert.equal(place.section, row.symbol, what);
  else assert.equal(place.symbol, row.symbol, what);
}

/** Every sample of an x86-64 compiler, annotated. */
function everySample(): { set: string; name: string }[] {
  return readdirSync(objects, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name: set }) =>
      readdirSync(join(objects, set))
        .filter((file) => file.endsWith('.o') && file !== 'short.o')
        .map((file) => ({ set, name: file.slice(0, -2) })),
    )
    .filter(({ set, name }) => sampleBytes(set, name)[18] === 62);
}

toolTest('readelf finds the same entries in every sample object', ['readelf'], async (t) => {
  const directory = scratch(t);
  const counts = { objects: 0, jumps: 0, calls: 0, locks: 0 };
  const samples = everySample().map(({ set, name }) => {
    const path = join(directory, `${set}-${name}.o`);
    const bytes = annotated(set, name);
    writeFileSync(path, bytes);
    return { set, name, bytes, path };
  });
  const listings = run('readelf', ['-rW', ...samples.map(({ path }) => path)])
    .split(/^File: .*$/m)
    .slice(1);
  assert.equal(listings.length, samples.length);
  for (const [i, { set, name, bytes }] of samples.entries()) {
    const listing = listings[i] as string;
    const file = await dumpOne(bytes);
    const what = `${set}/${name}.o`;
    const jumpRows = readelfRows(listing, '__jump_table').flat();
    assert.equal(jumps(file).length * 3, jumpRows.length, what);
    jumps(file).forEach((entry, i) => {
      const [code, target, key] = jumpRows.slice(3 * i, 3 * i + 3) as [ReadelfRow, ReadelfRow, ReadelfRow];
      assertPlace(entry.site, code, 0, `${what} jump ${i} code`);
      assertPlace(entry.target, target, 0, `${what} jump ${i} target`);
      const flags = (entry.branch === 'likely' ? 1 : 0) + (entry.bit1 ? 2 : 0);
      assertPlace(entry.key, key, flags, `${what} jump ${i} key`);
    });
    const callRows = readelfRows(listing, '.static_call_sites').flat();
    assert.equal(calls(file).length * 2, callRows.length, what);
    calls(file).forEach((entry, i) => {
      const [site, key] = callRows.slice(2 * i, 2 * i + 2) as [ReadelfRow, ReadelfRow];
      assertPlace(entry.site, site, 0, `${what} call ${i} site`);
      assertPlace(entry.key, key, (entry.tail ? 1 : 0) + (entry.init ? 2 : 0), `${what} call ${i} key`);
    });
    const lockRows = readelfRows(listing, '.smp_locks').flat();
    assert.equal(locks(file).length, lockRows.length, what);
    locks(file).forEach((entry, i) => {
      assertPlace(entry.site, lockRows[i] as ReadelfRow, 0, `${what} lock ${i}`);
      assert.equal(entry.byte, 'f0', what);
    });
    const trampolineRows = readelfRows(listing, '.static_call_tramp_key').flat();
    assert.equal((file.tables.trampolineKeys?.entries.length ?? 0) * 2, trampolineRows.length, what);
    counts.objects++;
    counts.jumps += jumps(file).length;
    counts.calls += calls(file).length;
    counts.locks += locks(file).length;
  }
  t.diagnostic(JSON.stringify(counts));
  assert.ok(counts.jumps > 150 && counts.calls > 150 && counts.locks > 100, JSON.stringify(counts));
});

/** objdump's bytes and mnemonics by address. */
function objdumpLines(path: string): Map<string, { bytes: string; mnemonic: string }> {
  const lines = new Map<string, { bytes: string; mnemonic: string }>();
  for (const m of run('objdump', ['-d', '-w', '-M', 'intel', path]).matchAll(
    /^ *([0-9a-f]+):\t((?:[0-9a-f]{2} )+) *\t(\S+)/gm,
  )) {
    lines.set(`0x${m[1]}`, { bytes: (m[2] as string).replaceAll(' ', ''), mnemonic: m[3] as string });
  }
  return lines;
}

/** Address of every symbol by nm; of file-local names the last. */
function nmAddresses(path: string): Map<string, string> {
  return new Map(
    [...run('nm', [path]).matchAll(/^([0-9a-f]+) \w (\S+)$/gm)].map((m) => [
      m[2] as string,
      `0x${Number.parseInt(m[1] as string, 16).toString(16)}`,
    ]),
  );
}

for (const [set, flags] of [
  ['gcc-O2', ['-no-pie']],
  ['clang-O2-fPIC', ['-pie']],
  ['gcc-O2-fPIC', ['-shared', '-Wl,-z,undefs']],
  ['clang-O2-ffunction-sections', ['-pie', '-Wl,--gc-sections']],
] as const) {
  toolTest(
    `an image that gcc ${flags.join(' ')} links of ${set} holds what its objects hold, where objdump has it`,
    ['gcc', 'objdump', 'nm'],
    async (t) => {
      const directory = scratch(t);
      const names = ['main', 'branch', 'call', 'lock', 'local', 'local2', 'key-def', 'key-use'];
      const sites: string[] = [];
      const withFile = (file: DumpedFile) => [
        ...jumps(file).map(
          (e) => `jump ${placeName(e.site)} ${placeName(e.target)} ${placeName(e.key)} ${e.branch} ${e.bit1}`,
        ),
        ...calls(file).map(
          (e) => `call ${placeName(e.site)} ${placeName(e.key)} ${e.tail} ${e.instruction?.text}`,
        ),
        ...locks(file).map((e) => `lock ${placeName(e.site)} ${e.byte}`),
      ];
      for (const name of names) {
        const bytes = annotated(set, name);
        writeFileSync(join(directory, `${name}.o`), bytes);
        sites.push(...withFile(await dumpOne(bytes, { disassemble: true })));
      }
      run('gcc', [...flags, '-o', 'image', ...names.map((name) => `${name}.o`)], directory);
      const path = join(directory, 'image');
      const image = await dumpOne(readFileSync(path), { disassemble: true }, path);
      assert.equal(image.type, flags[0] === '-no-pie' ? 'exec' : 'dyn');
      assert.deepEqual(withFile(image).sort(), sites.sort());

      const listing = objdumpLines(path);
      for (const { address, instruction } of [
        ...jumps(image).map((e) => ({ address: e.site.address, instruction: e.instruction })),
        ...calls(image).map((e) => ({ address: e.site.address, instruction: e.instruction })),
      ]) {
        const line = listing.get(address ?? '');
        assert.equal(instruction?.bytes, line?.bytes, address);
        assert.equal(instruction?.text.split(' ')[0], line?.mnemonic, address);
      }
      for (const { site } of locks(image)) {
        assert.ok(
          [0, 1].some((back) => listing.get(`0x${(Number(site.address) - back).toString(16)}`)),
          site.address,
        );
      }
      const addresses = nmAddresses(path);
      for (const { key } of [...jumps(image), ...calls(image)]) {
        if (/local|inner/.test(key.symbol ?? '')) continue; // two of each name
        const base = addresses.get(key.symbol ?? '');
        assert.equal(Number(key.address), Number(base) + (key.symbolOffset ?? 0), placeName(key));
      }
    },
  );
}

toolTest('kernel addresses are right in every column', ['ld'], async (t) => {
  const directory = scratch(t);
  const path = join(directory, 'vmlinux');
  writeFileSync(join(directory, 'a.o'), annotated('gcc-O2', 'kernel-entries'));
  const at = ['-Ttext=0xffffffff81000000', '-Tdata=0xffffffff82000000'];
  run(
    'ld',
    ['-e', 'kernel_nop', ...at, '--section-start=.init.text=0xffffffff83000000', 'a.o', '-o', path],
    directory,
  );
  const file = await dumpOne(readFileSync(path), { disassemble: true }, path);
  assert.deepEqual(
    jumps(file).map(
      (e) => `${e.site.address} ${placeName(e.site)} ${placeName(e.key)} ${e.instruction?.text}`,
    ),
    [
      '0xffffffff81000000 kernel_near_hack kernel_false nop',
      '0xffffffff81000020 kernel_far_hack kernel_true nop dword ptr [rax + rax]',
      '0xffffffff81000100 kernel_near_jump kernel_false jmp kernel_near_jump+0xc',
      '0xffffffff81000120 kernel_far_jump kernel_false jmp kernel_far_jump+0xd7',
      '0xffffffff81000200 kernel_nop kernel_false nop dword ptr [rax + rax]',
      '0xffffffff83000000 kernel_init kernel_false nop',
    ],
  );
  assert.match(await textOf([file]), /__jump_table: 6 entries at 0xffffffff8\w+\n/);
});
