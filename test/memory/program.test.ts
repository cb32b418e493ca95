// Programs and libraries in dumps: found where they lie by what is there, or refused.
import assert from 'node:assert/strict';
import test from 'node:test';
import { readElf } from '../../src/elf/read.ts';
import { TextpokeError } from '../../src/errors.ts';
import { memorySource } from '../../src/files/source.ts';
import { Image } from '../../src/image/image.ts';
import { locateImage } from '../../src/memory/locate.ts';
import { readSnapshot } from '../../src/memory/open.ts';
import { type VerifiedMemory, verifyMemory } from '../../src/verify/memory.ts';
import {
  type CoreOptions,
  core,
  entryNote,
  filesNote,
  linkMapPage,
  type Page,
  pageSize,
  programWithId,
  run,
} from './dumps.ts';

const id = '00112233445566778899aabbccddeeff00112233';
const otherId = 'ff112233445566778899aabbccddeeff00112233';
const library = programWithId(id);
const slide = 0x7f12_3000_0000;
/** Where the sample program is linked. */
const linked = 0x400000;
const pages = run(library, slide);
const last = Math.max(...pages.map(({ virtual }) => virtual)) + pageSize;
const mapped = (name: string, start = linked + slide) => ({
  start,
  end: start + (last - linked - slide),
  name,
});
/** What a program has that is no part of the library. */
const program: Page = { virtual: 0x5555_5555_4000, physical: 0, bytes: new Uint8Array(pageSize).fill(0x90) };
const programFile = { start: program.virtual, end: program.virtual + pageSize, name: '/usr/bin/other' };
const entry = program.virtual + 0x100;

function verify(
  bytes: Uint8Array,
  memory: readonly Page[],
  options: Partial<CoreOptions> = {},
  given?: number,
): VerifiedMemory {
  const image = new Image(readElf('build/libwork.so', bytes));
  const dump = core(memory, { addresses: ['virtual'], ...options });
  const snapshot = readSnapshot('core', memorySource(dump), image, undefined);
  return verifyMemory(image, locateImage(image, snapshot, given), undefined);
}

function assertFound({ findings, tables, image }: VerifiedMemory, from: string, at = slide): void {
  assert.deepEqual(findings, []);
  assert.equal(image.place.slide, at);
  assert.equal(image.place.slideFrom, from);
  for (const { name, compared } of tables) assert.notEqual(compared, 0, name);
}

const refused = (pattern: RegExp) => (error: unknown) =>
  error instanceof TextpokeError && error.code === 'memory-mismatch' && pattern.test(error.message);

test('a library is found by NT_FILE, whatever its file is called now', () => {
  for (const name of ['/usr/lib/libwork.so', '/usr/lib/libwork.so (deleted)', '/usr/lib/libwork.so.1.2']) {
    const notes = [entryNote(entry), filesNote([programFile, mapped(name)])];
    assertFound(verify(library, [program, ...pages], { notes }), 'NT_FILE of the core');
  }
});

test('a library is found by the link map, also if its first page is not in the dump', () => {
  const at = program.virtual;
  const map = linkMapPage(at, [
    { slide: at, name: '' },
    { slide: 0x1000, name: '/lib/libc.so.6' },
    { slide, name: '/usr/lib/libwork.so' },
  ]);
  const notes = [entryNote(entry, [at + 0x40, 2])];
  // A page in front of the library: its header is then not the first of what is adjacent.
  const before = { ...program, virtual: linked + slide - pageSize };
  assertFound(verify(library, [map, before, ...pages], { notes }), 'the link map of the process');
  const { image } = verify(library, [map, ...pages.slice(1)], { notes });
  assert.equal(image.place.slideFrom, 'the link map of the process');
  // A chain that leads back to itself comes to an end.
  new DataView(map.bytes.buffer).setBigInt64(0x458, BigInt(at + 0x440), true);
  assert.throws(
    () => verify(library, [map, ...pages.slice(1)], { notes }),
    refused(/does not contain the image/),
  );
});

test('a library is found by its ELF header alone', () => {
  assertFound(verify(library, [program, ...pages]), 'an ELF header in the dump');
});

test('a program that may lie anywhere is found by where it started', () => {
  const notes = [entryNote(slide), filesNote([mapped('/usr/bin/work')])];
  assertFound(verify(library, pages, { notes }), 'AT_ENTRY of the core');
});

test('a program of a 32-bit machine is found by the notes of its core', () => {
  const bytes = programWithId(id, { set: 'arm-gcc-O2' });
  const start = Number(readElf('a', bytes).segments[0]?.vaddr);
  const memory = run(bytes, 0x100000);
  const core = { class: 32, machine: 40 } as const;
  const notes = [
    entryNote(0x200100, undefined, 32),
    filesNote([{ ...mapped('/usr/lib/libwork.so'), start: start + 0x100000, end: start + 0x200000 }], 32),
  ];
  assertFound(verify(bytes, memory, { ...core, notes }), 'NT_FILE of the core', 0x100000);
});

test('another build of the image is refused, and both build ids are named', () => {
  const notes = [entryNote(entry), filesNote([programFile, mapped('/usr/lib/libwork.so')])];
  const both = refused(
    new RegExp(`NT_FILE of the core leads.*build id ${id}; the image has build id ${otherId}`),
  );
  assert.throws(() => verify(programWithId(otherId), [program, ...pages], { notes }), both);
});

test('a program at its link address is refused when its build id is another', () => {
  const bytes = programWithId(id, { type: 2 });
  assertFound(verify(bytes, run(bytes, 0)), 'the link address', 0);
  const other = programWithId(otherId, { type: 2 });
  assert.throws(() => verify(other, run(bytes, 0)), refused(/build id/));
});

test('without a build id, another program header table is another image', () => {
  const without = (vaddr: number) => {
    const bytes = programWithId(id, { type: 2 });
    new DataView(bytes.buffer).setUint32(64 + 3 * 56, 0, true); // PT_NULL
    new DataView(bytes.buffer).setUint32(64 + 3 * 56 + 16, vaddr, true);
    return bytes;
  };
  assertFound(verify(without(1), run(without(1), 0)), 'the link address', 0);
  assert.throws(() => verify(without(2), run(without(1), 0)), refused(/other bytes/));
});

test('a core of another program is refused, and the program is named', () => {
  const notes = [entryNote(entry), filesNote([programFile])];
  assert.throws(
    () => verify(library, [program], { notes }),
    refused(/does not contain the image; it is of "\/usr\/bin\/other".*build id 0011.*--slide/),
  );
});

test('a dump without the first page of an image is believed where it names the image, and nowhere else', () => {
  const some = [program, ...pages.slice(1)];
  const named = (name: string) => ({ notes: [entryNote(entry), filesNote([programFile, mapped(name)])] });
  const { image } = verify(library, some, named('/usr/lib/libwork.so'));
  assert.equal(image.place.slide, slide);
  assert.throws(
    () => verify(library, some, named('/usr/lib/libother.so')),
    refused(/does not contain the image/),
  );
  const executable = programWithId(id, { type: 2 });
  const rest = run(executable, 0).slice(1);
  assert.throws(
    () => verify(executable, rest, { notes: [entryNote(0x401000)] }),
    refused(/does not contain/),
  );
});

test('--slide is held against the build id, too', () => {
  assertFound(verify(library, pages, {}, slide), '--slide');
  assert.throws(() => verify(library, pages, {}, slide + pageSize), refused(/--slide leads/));
});

test('a dump without code compares nothing, which is an error and says how to have the code', () => {
  const code = linked + slide + pageSize;
  const data = pages.filter(({ virtual }) => virtual !== code);
  const { findings, tables } = verify(library, data, {
    notes: [entryNote(entry), filesNote([mapped('libwork.so')])],
  });
  const entries = tables.filter(({ name }) => name !== 'trampolines');
  assert.deepEqual(
    entries.map(({ compared, missing }) => [compared, missing > 0]),
    entries.map(() => [0, true]),
  );
  const own = findings.filter(({ rule }) => rule === 'TP029');
  assert.deepEqual(own.map(({ place }) => place).sort(), entries.map(({ name }) => name).sort());
  for (const { message } of own)
    assert.match(message, /is not in the dump; a core .* coredump_filter is 0x3f/);
});

test('an image without sites compares nothing, which is the error that verify has for it', () => {
  const bytes = programWithId(id);
  // Without section headers there are no names, neither of tables nor of symbols.
  const view = new DataView(bytes.buffer);
  view.setBigUint64(40, 0n, true);
  view.setUint32(60, 0, true);
  const { findings } = verify(bytes, run(bytes, slide));
  assert.deepEqual(
    findings.map(({ rule }) => rule),
    ['TP016'],
  );
});
