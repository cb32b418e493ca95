// Debug files of stripped programs, objects and modules: found by build id, by name and CRC, by path, as gdb and
// elfutils find them; what is of another build is told and not taken.
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { crc32 } from '../../src/bytes/crc32.ts';
import { type DebugPlaces, debugPlacesOf } from '../../src/dwarf/debug-files.ts';
import { linesOfAddresses, type SourceLines } from '../../src/dwarf/source-lines.ts';
import { readElf, readElfFrom } from '../../src/elf/read.ts';
import { fileSource } from '../../src/files/source.ts';
import { makeObject } from '../elf/objects.ts';
import { scratch } from '../tools.ts';
import {
  byId,
  debugFile,
  id,
  imageWith,
  lines,
  link,
  note,
  type Parts,
  shape,
  withoutId,
} from './made-debug-files.ts';
import { program, type Shape, table } from './tables.ts';

test('the checksum is that of gzip, in one piece and in several', () => {
  const bytes = Buffer.from('123456789');
  assert.equal(crc32(bytes), 0xcbf43926);
  assert.equal(crc32(bytes.subarray(4), crc32(bytes.subarray(0, 4))), 0xcbf43926);
  assert.equal(crc32(new Uint8Array(0)), 0);
});

const other = [...id.slice(0, 5), 9];

function write(directory: string, files: Readonly<Record<string, Uint8Array>>): void {
  for (const [name, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), bytes);
  }
}

/** What the program bin/p of a directory is said to have at 0x1000; debug files may be in `debug` and `more` there. */
function ask(directory: string, path = join(directory, 'bin/p')): SourceLines {
  const directories = ['more', 'debug'].map((name) => join(directory, name));
  const source = fileSource(path);
  try {
    return linesOfAddresses(readElfFrom(path, source), [0x1000], { directories, path });
  } finally {
    source.close();
  }
}

const found = { lines: [{ file: 'dir/a.c', line: 2 }], problem: undefined };
const none = { lines: [undefined], problem: undefined };

/** Where a debug file lies that is taken; `@` stands for the path of the test's directory. */
const taken: readonly { name: string; p: Parts; at: string; bytes?: Uint8Array }[] = [
  { name: 'by build id', p: { id }, at: `debug/${byId}` },
  {
    name: 'by build id, with a link besides',
    p: { id, link: link('p.debug', debugFile) },
    at: `debug/${byId}`,
  },
  {
    name: 'beside the program, as it is linked',
    p: { link: link('q', withoutId) },
    at: 'bin/q',
    bytes: withoutId,
  },
  { name: 'in .debug', p: { link: link('q', withoutId) }, at: 'bin/.debug/q', bytes: withoutId },
  { name: 'in the directory', p: { link: link('q', withoutId) }, at: 'debug/@/bin/q', bytes: withoutId },
  {
    name: 'by a link whose CRC is another, since the build ids agree',
    p: { id, link: link('q', debugFile, 1) },
    at: 'bin/q',
  },
  { name: 'by its path with .debug', p: { id }, at: 'debug/@/bin/p.debug' },
  { name: 'by its path alone', p: { id }, at: 'debug/@/bin/p' },
  { name: 'beside the program with .debug', p: { id }, at: 'bin/p.debug' },
  { name: 'in .debug with .debug', p: { id }, at: 'bin/.debug/p.debug' },
];
for (const { name, p, at, bytes = debugFile } of taken) {
  test(`a debug file is found ${name}`, (t) => {
    const directory = scratch(t);
    write(directory, { 'bin/p': imageWith(p) });
    assert.deepEqual(ask(directory), none);
    write(directory, { [at.replace('@', directory)]: bytes });
    assert.deepEqual(ask(directory), found);
  });
}

/** What is there and not taken, and the reason that is given. */
const refused: readonly {
  name: string;
  p: Parts;
  files: Readonly<Record<string, Uint8Array>>;
  problem: RegExp;
}[] = [
  {
    name: 'another build id',
    p: { id },
    files: { [`debug/${byId}`]: imageWith({ id: other, lines }) },
    problem: /cdef010203\.debug: its build id is abcdef010209; abcdef010203 is required$/,
  },
  {
    name: 'another build id behind a link, though the CRC is right',
    p: { id, link: link('q', imageWith({ id: other, lines })) },
    files: { 'bin/q': imageWith({ id: other, lines }) },
    problem: /bin\/q: its build id is abcdef010209; abcdef010203 is required$/,
  },
  {
    name: 'another CRC',
    p: { link: link('q', withoutId, 1) },
    files: { 'bin/q': withoutId },
    problem: /bin\/q: its CRC is 0x[0-9a-f]{8}; 0x[0-9a-f]{8} is required$/,
  },
  {
    name: 'no build id where one is asked for',
    p: { id },
    files: { 'bin/p.debug': withoutId },
    problem: /bin\/p\.debug: it has no build id; abcdef010203 is required$/,
  },
  {
    name: 'code at another address',
    p: { id },
    files: { 'bin/p.debug': imageWith({ id, lines, addr: 0x2000 }) },
    problem: /bin\/p\.debug: its section \.text has another address or size$/,
  },
  {
    name: 'code of another size',
    p: { id },
    files: { 'bin/p.debug': imageWith({ id, lines, size: 20 }) },
    problem: /bin\/p\.debug: its section \.text has another address or size$/,
  },
  {
    name: 'another type of file',
    p: { id },
    files: { 'bin/p.debug': imageWith({ id, lines, type: 3 }) },
    problem: /bin\/p\.debug: it is of another machine or type of file$/,
  },
  {
    name: 'no ELF file',
    p: { id },
    files: { [`debug/${byId}`]: Buffer.from('nothing of the kind') },
    problem: /cdef010203\.debug: .*ELF/,
  },
  {
    name: 'a file that ends too early',
    p: { id },
    files: { [`debug/${byId}`]: debugFile.subarray(0, 100) },
    problem: /cdef010203\.debug: /,
  },
  {
    name: 'a link with a directory in it',
    p: { link: link('../bin/q', withoutId) },
    files: { 'bin/q': withoutId },
    problem: /\.gnu_debuglink names \.\.\/bin\/q; a name without a directory is required$/,
  },
  {
    name: 'a link without an end',
    p: { link: new Uint8Array(8).fill(0x71) },
    files: {},
    problem: /\.gnu_debuglink has no zero-terminated name$/,
  },
  {
    name: 'a link without a CRC',
    p: { link: Buffer.from('q\0\0\0') },
    files: { 'bin/q': withoutId },
    problem: /4 bytes are needed here/,
  },
  {
    name: 'a link of 9000 bytes',
    p: { link: link('q'.repeat(9000), withoutId) },
    files: {},
    problem: /\.gnu_debuglink has 9008 bytes; at most 8192 are supported$/,
  },
];
for (const { name, p, files, problem } of refused) {
  test(`what is there is not taken, and it is said why: ${name}`, (t) => {
    const directory = scratch(t);
    write(directory, { 'bin/p': imageWith(p), ...files });
    const answer = ask(directory);
    assert.deepEqual(answer.lines, [undefined]);
    assert.match(answer.problem ?? '', /^source lines are missing: /);
    assert.match(answer.problem ?? '', problem);
  });
}

test('the first debug file that fits counts, and what did not fit is forgotten', (t) => {
  const directory = scratch(t);
  write(directory, {
    'bin/p': imageWith({ id }),
    [`more/${byId}`]: imageWith({ id: other, lines }),
    [`debug/${byId}`]: debugFile,
  });
  assert.deepEqual(ask(directory), found);
});

test('a program with line tables, or without anything that could agree, has no debug file', (t) => {
  const directory = scratch(t);
  const own = table({ ...shape, file: 'own.c' }, program(shape, 0x1000, [1, 2, 16]));
  write(directory, {
    'bin/p': imageWith({ id, lines: own }),
    [`debug/${byId}`]: debugFile,
    'bin/p.debug': debugFile,
  });
  assert.deepEqual(ask(directory).lines, [{ file: 'dir/own.c', line: 1 }]);
  write(directory, { 'bin/p': imageWith({}) });
  assert.deepEqual(ask(directory), none);
  const long = Array.from({ length: 65 }, (_, i) => i);
  write(directory, { 'bin/p': imageWith({ id: long }), 'bin/p.debug': imageWith({ id: long, lines }) });
  assert.deepEqual(ask(directory), none, 'a build id of 65 bytes is none');
});

test('a link that names the program itself leads nowhere', (t) => {
  const directory = scratch(t);
  write(directory, { 'bin/p': imageWith({ id, link: link('p', debugFile) }) });
  assert.deepEqual(ask(directory), none);
});

test('what is no regular file is not opened', (t) => {
  const directory = scratch(t);
  write(directory, { 'bin/p': imageWith({ id }) });
  mkdirSync(join(directory, 'bin/p.debug'));
  assert.match(ask(directory).problem ?? '', /bin\/p\.debug: cannot read: is a directory$/);
  mkdirSync(join(directory, 'more/.build-id/ab'), { recursive: true });
  symlinkSync('cdef010203.debug', join(directory, `more/${byId}`));
  assert.match(ask(directory).problem ?? '', /more\/\.build-id\/ab\/cdef010203\.debug: ELOOP/);
});

test('through a link of the system, the debug file lies where the program really is', (t) => {
  const directory = scratch(t);
  write(directory, { 'bin/p': imageWith({ id }), [`debug${directory}/bin/p.debug`]: debugFile });
  symlinkSync('bin', join(directory, 'usual'));
  assert.deepEqual(ask(directory, join(directory, 'usual/p')), found);
});

test('the kernel that lies in a vmlinuz has its lines in vmlinux', (t) => {
  for (const at of ['boot/vmlinux-6.1.0-9-amd64', 'lib/modules/6.1.0-9-amd64/vmlinux']) {
    const directory = scratch(t);
    const name = join(directory, 'boot/vmlinuz-6.1.0-9-amd64');
    write(directory, {
      'boot/vmlinuz-6.1.0-9-amd64': imageWith({ id }),
      [at.startsWith('lib') ? `debug/${at}` : `debug/${directory}/${at}`]: debugFile,
    });
    assert.deepEqual(ask(directory, name), found, at);
  }
});

test('a packed kernel is not taken for its own debug file', (t) => {
  const directory = scratch(t);
  write(directory, { 'boot/vmlinuz': Buffer.from('packed') });
  const places = debugPlacesOf(join(directory, 'boot/vmlinuz'), { debugDirectories: [] });
  assert.deepEqual(linesOfAddresses(readElf('p', imageWith({ id })), [0x1000], places), none);
});

test('bytes in memory have a debug file by build id alone, and no question opens none', (t) => {
  const directory = scratch(t);
  const files = { [`debug/${byId}`]: debugFile };
  write(directory, files);
  const places: DebugPlaces = debugPlacesOf(undefined, { debugDirectories: [join(directory, 'debug')] });
  const stripped = readElf('p', imageWith({ id }));
  assert.deepEqual(linesOfAddresses(stripped, [0x1000], places), found);
  assert.deepEqual(linesOfAddresses(stripped, [0x1000]), none, 'without places nothing is looked for');
  write(directory, { [`debug/${byId}`]: Buffer.from('damaged') });
  assert.deepEqual(linesOfAddresses(stripped, [], places), { lines: [], problem: undefined });
  assert.deepEqual(linesOfAddresses(stripped, [Number.NaN], places), none);
});

test('a directory of debug files that is missing is told', (t) => {
  const directory = scratch(t);
  write(directory, { file: new Uint8Array(1) });
  for (const name of ['missing', 'file', 'a\0b'])
    assert.throws(() => debugPlacesOf(undefined, { debugDirectories: [join(directory, name)] }), {
      code: 'usage',
    });
  assert.deepEqual(debugPlacesOf('p', {}), { directories: ['/usr/lib/debug'], path: 'p' });
});

/** A table of version 5 whose file name stands at byte 1 of a supplementary file's .debug_str. */
function supplemented(form: number): Uint8Array {
  const v5: Shape = { ...shape, version: 5 };
  const formBytes = form < 0x80 ? [form] : [(form & 0x7f) | 0x80, form >> 7];
  const tables = [1, 1, 0x08, 1, 0x2f, 0x63, 0, 1, 1, ...formBytes, 2, 1, 0, 0, 0, 1, 0, 0, 0];
  return table({ ...v5, tables }, program(v5, 0x1000, [13 + 6, 2, 16]));
}

const supId = [0x99, 0x88, 0x77];
const supplement = makeObject({
  type: 2,
  sections: [
    { name: '.note.gnu.build-id', type: 7, data: note(supId), addralign: 4 },
    { name: '.debug_str', type: 1, data: Buffer.from('\0shared.c\0') },
  ],
});

for (const form of [0x1d, 0x1f21]) {
  test(`names of form 0x${form.toString(16)} are in the supplementary file, if it is there`, (t) => {
    const directory = scratch(t);
    const altLink = Buffer.from('../../.dwz/sup\0\x99\x88\x77', 'latin1');
    const debug = makeObject({
      type: 2,
      sections: [
        { name: '.text', type: 8, flags: 6, addr: 0x1000, size: 16, data: new Uint8Array(0), addralign: 4 },
        { name: '.note.gnu.build-id', type: 7, flags: 2, data: note(id), addralign: 4 },
        { name: '.gnu_debugaltlink', type: 1, data: altLink },
        { name: '.debug_line', type: 1, data: supplemented(form) },
      ],
    });
    write(directory, { 'bin/p': imageWith({ id }), [`debug/${byId}`]: debug });
    assert.match(ask(directory).problem ?? '', /the supplementary file \.\.\/\.\.\/\.dwz\/sup is missing$/);
    write(directory, { 'debug/.dwz/sup': imageWith({ id: [1, 2, 3] }) });
    assert.match(ask(directory).problem ?? '', /\.dwz\/sup: its build id is 010203; 998877 is required/);
    write(directory, { 'more/.build-id/99/8877.debug': supplement });
    assert.deepEqual(ask(directory).lines, [{ file: 'shared.c', line: 2 }]);
    write(directory, { 'debug/.dwz/sup': supplement, 'more/.build-id/99/8877.debug': new Uint8Array(3) });
    assert.deepEqual(ask(directory), { lines: [{ file: 'shared.c', line: 2 }], problem: undefined });
  });
}
