// Line tables made by hand: what no compiler here writes, with the lines that DWARF 5, section 6.2 gives them.
import assert from 'node:assert/strict';
import test from 'node:test';
import { linesOfAddresses, type SourceLine } from '../../src/dwarf/source-lines.ts';
import { fileOf, program, type Shape, table, uleb } from './tables.ts';

const lineAt = (bytes: Uint8Array | readonly Uint8Array[], address: number, little = true) =>
  linesOfAddresses(fileOf(bytes, little), [address]).lines[0];
const text = (line: SourceLine | undefined) => line && `${line.file}:${line.line}`;

// Special opcodes are 13 + 14 × address + (line + 5).
const special = (address: number, line: number) => 13 + 14 * address + line + 5;

const shapes: readonly (Shape & { readonly name: string })[] = [2, 3, 4, 5].flatMap((version) =>
  [true, false].flatMap((little) =>
    [true, false].flatMap((wide) =>
      [4, 8].map((addressSize) => ({
        ...{ version, little, wide, addressSize },
        name: `version ${version}, ${little ? 'little' : 'big'}-endian, ${wide ? 64 : 32}-bit, addresses of ${addressSize} bytes`,
      })),
    ),
  ),
);

for (const shape of shapes) {
  test(`a row covers its address up to the next row: ${shape.name}`, () => {
    const code = [special(0, 4), special(3, 1), 2, 4, special(0, 2), 2, 8];
    const bytes = table(shape, program(shape, 0x1000, code));
    const rows = [
      [0xfff, undefined],
      [0x1000, 'dir/a.c:5'],
      [0x1002, 'dir/a.c:5'],
      [0x1003, 'dir/a.c:6'],
      [0x1006, 'dir/a.c:6'],
      [0x1007, 'dir/a.c:8'],
      [0x100e, 'dir/a.c:8'],
      [0x100f, undefined],
    ] as const;
    for (const [address, line] of rows)
      assert.equal(text(lineAt(bytes, address, shape.little)), line, `${address}`);
  });
}

const plain: Shape = { version: 4, little: true, wide: false, addressSize: 8 };

test('all places of a question are answered in its order, those asked for twice too', () => {
  const bytes = table(plain, program(plain, 0x1000, [special(0, 1), special(4, 1), 2, 4]));
  const { lines, problem } = linesOfAddresses(fileOf(bytes), [
    0x1004,
    0x1000,
    0x2000,
    0x1004,
    0x1001,
    Number.NaN,
  ]);
  assert.deepEqual(lines.map(text), [
    'dir/a.c:3',
    'dir/a.c:2',
    undefined,
    'dir/a.c:3',
    'dir/a.c:2',
    undefined,
  ]);
  assert.equal(problem, undefined);
});

test('of several rows at one address the last counts', () => {
  const bytes = table(plain, program(plain, 0x1000, [special(0, 1), special(0, 7), special(0, 3), 2, 4]));
  assert.equal(text(lineAt(bytes, 0x1000)), 'dir/a.c:12');
});

test('code of line 0 has no line', () => {
  const bytes = table(plain, program(plain, 0x1000, [special(0, -1), special(4, 3), 2, 4]));
  assert.deepEqual([lineAt(bytes, 0x1000), text(lineAt(bytes, 0x1004))], [undefined, 'dir/a.c:3']);
});

test('lines of more than 16 bits, steps back, and long advances are exact', () => {
  const code = [3, ...uleb(99999), 1, 2, ...uleb(0x12345), 3, 0xa0, 0x7f, 1, 8, 1, 9, 0x34, 0x12, 1, 2, 1];
  const bytes = table(plain, program(plain, 0x1000, code));
  assert.equal(text(lineAt(bytes, 0x1000 + 0x12344)), 'dir/a.c:100000');
  assert.equal(text(lineAt(bytes, 0x1000 + 0x12345)), 'dir/a.c:99904');
  // const_add_pc: (255 - 13) / 14 = 17; fixed_advance_pc as it stands.
  assert.equal(text(lineAt(bytes, 0x1000 + 0x12345 + 17 + 0x1234)), 'dir/a.c:99904');
  assert.equal(lineAt(bytes, 0x1000 + 0x12345 + 17 + 0x1235), undefined);
});

test('min_inst_length scales every advance but the fixed one', () => {
  const shape = { ...plain, minInstruction: 4 };
  const bytes = table(
    shape,
    program(shape, 0x1000, [special(0, 1), special(2, 1), 9, 2, 0, special(0, 1), 2, 1]),
  );
  assert.deepEqual(
    [0x1007, 0x1008, 0x1009, 0x100a, 0x100d, 0x100e].map((address) => text(lineAt(bytes, address))),
    ['dir/a.c:2', 'dir/a.c:3', 'dir/a.c:3', 'dir/a.c:4', 'dir/a.c:4', undefined],
  );
});

test('operations of a very long instruction word share its address', () => {
  const shape = { ...plain, minInstruction: 16, maxOperations: 3 };
  const bytes = table(shape, program(shape, 0x1000, [special(0, 1), special(2, 1), special(2, 1), 2, 2]));
  assert.deepEqual(
    [0x1000, 0x100f, 0x1010, 0x101f, 0x1020].map((address) => text(lineAt(bytes, address))),
    ['dir/a.c:3', 'dir/a.c:3', 'dir/a.c:4', 'dir/a.c:4', undefined],
  );
});

test('unknown standard and extended opcodes are passed over by their lengths', () => {
  const shape = { ...plain, operands: [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 2, 0] };
  const code = [13, ...uleb(300), ...uleb(5), 14, 0, 3, 0x80, 1, 1, 10, 11, 12, 3, 3, 4, 1, 2, 4];
  const bytes = table(shape, program(shape, 0x1000, code));
  assert.equal(text(lineAt(bytes, 0x1003)), 'dir/a.c:5');
});

test('a header with fewer standard opcodes has more special ones', () => {
  // opcode_base 4: DW_LNS_set_file would be 4, and is special here.
  const shape = { ...plain, operands: [0, 1, 1] };
  const bytes = table(shape, program(shape, 0x1000, [4 + 5 + 2, 4 + 14 + 5 + 1, 2, 4]));
  assert.deepEqual([text(lineAt(bytes, 0x1000)), text(lineAt(bytes, 0x1001))], ['dir/a.c:3', 'dir/a.c:4']);
});

test('a program may define a file of its own', () => {
  const define = [...new TextEncoder().encode('own.h\0'), 1, 0, 0];
  const code = [0, define.length + 1, 3, ...define, 4, 4, special(0, 1), 2, 4];
  assert.equal(text(lineAt(table(plain, program(plain, 0x1000, code)), 0x1000)), 'dir/own.h:2');
});

test('names are joined without . and empty parts; relative ones stay relative', () => {
  const code = program(plain, 0x1000, [special(0, 1), 2, 4]);
  const names = (file: string, directory: number) =>
    lineAt(table({ ...plain, directories: ['./dir//sub/', '/abs'], file, directory }, code), 0x1000)?.file;
  assert.equal(names('./a.c', 0), 'a.c');
  assert.equal(names('a.c', 1), 'dir/sub/a.c');
  assert.equal(names('../x/./a.c', 1), 'dir/sub/../x/a.c');
  assert.equal(names('a.c', 2), '/abs/a.c');
  assert.equal(names('/usr//include/a.h', 1), '/usr/include/a.h');
  assert.equal(names('a.c', 9), 'a.c');
});

test('forms of version 5 that are no names are passed over', () => {
  const shape: Shape = { ...plain, version: 5 };
  // path, directory as data2, size as data4, MD5 as data16, a vendor's block and inline string.
  const format = [1, 0x08, 2, 0x05, 4, 0x06, 5, 0x1e, 0x2001, 0x09, 0x2002, 0x08].flatMap(uleb);
  const entry = (name: string) => [
    ...new TextEncoder().encode(`${name}\0`),
    ...[1, 0, 9, 9, 9, 9],
    ...new Array(16).fill(7),
    ...[3, 1, 2, 3],
    ...new TextEncoder().encode('source\0'),
  ];
  const directories = [1, 1, 0x08, 2, ...new TextEncoder().encode('/where\0sub\0')];
  const files = [6, ...format, 2, ...entry('zero.c'), ...entry('one.c')];
  const tables = [...directories, ...files];
  const code = program(shape, 0x1000, [special(0, 1), 4, 0, special(1, 1), 2, 4]);
  const bytes = table({ ...shape, tables }, code);
  assert.deepEqual(
    [text(lineAt(bytes, 0x1000)), text(lineAt(bytes, 0x1001))],
    ['sub/one.c:2', 'sub/zero.c:3'],
  );
});

test('sequences of discarded code, at 0, -1 or -2, say nothing about code', () => {
  for (const address of [0, 1, -1, -2]) {
    const dead = program(plain, address, [special(0, 50), 2, ...uleb(0x2000)]);
    const alive = program(plain, 0x1000, [special(0, 1), 2, 4]);
    assert.equal(text(lineAt(table(plain, [...dead, ...alive]), 0x1000)), 'dir/a.c:2', `${address}`);
  }
});

test('the first sequence that covers a place is the one that counts', () => {
  const first = program(plain, 0x1000, [special(0, 1), 2, 4]);
  const folded = program(plain, 0x1000, [special(0, 2), 2, 8]);
  const bytes = table(plain, [...first, ...folded]);
  assert.deepEqual([text(lineAt(bytes, 0x1003)), text(lineAt(bytes, 0x1004))], ['dir/a.c:2', 'dir/a.c:3']);
});

test('a unit that cannot be read costs its own lines, and is named once', () => {
  const good = table(plain, program(plain, 0x1000, [special(0, 1), 2, 4]));
  const bad = [
    {
      what: /the version is 77/,
      bytes: table({ ...plain, version: 77 }, program(plain, 0x1100, [special(0, 1), 2, 4])),
    },
    { what: /in the middle of an instruction/, bytes: table(plain, [0, 200, 1]) },
    { what: /has 3 bytes/, bytes: table(plain, [0, 4, 2, 1, 2, 3]) },
    { what: /is 0/, bytes: table({ ...plain, lineRange: 0 }, []) },
  ];
  for (const { what, bytes } of bad) {
    const { lines, problem } = linesOfAddresses(fileOf(join(bytes, bytes, good)), [0x1000]);
    assert.equal(text(lines[0]), 'dir/a.c:2');
    assert.match(problem ?? '', what);
    assert.match(
      problem ?? '',
      /^source lines are missing: the unit at byte 0x0 of \.debug_line: .* \(and 1 more\)$/,
    );
  }
});

test('padding between units is passed over, and a unit that ends nowhere ends the search', () => {
  const good = table(plain, program(plain, 0x1000, [special(0, 1), 2, 4]));
  const padded = linesOfAddresses(fileOf(join(new Uint8Array(8), good, new Uint8Array(4))), [0x1000]);
  assert.deepEqual([text(padded.lines[0]), padded.problem], ['dir/a.c:2', undefined]);
  const endless = linesOfAddresses(fileOf(join(good, Uint8Array.of(255, 255, 0, 0, 1))), [0x1000]);
  assert.equal(text(endless.lines[0]), 'dir/a.c:2');
  assert.match(endless.problem ?? '', /65535 bytes are needed/);
});

test('every section of the name counts', () => {
  const one = table(plain, program(plain, 0x1000, [special(0, 1), 2, 4]));
  const two = table(plain, program(plain, 0x1004, [special(0, 2), 2, 4]));
  const file = fileOf([one, two]);
  assert.deepEqual(linesOfAddresses(file, [0x1000, 0x1004]).lines.map(text), ['dir/a.c:2', 'dir/a.c:3']);
});

test('tables that claim more entries than they have bytes are refused at once', () => {
  const shape: Shape = { ...plain, version: 5 };
  const code = program(shape, 0x1000, [special(0, 1), 2, 4]);
  const huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
  for (const tables of [
    [0, ...huge],
    [1, 1, 0x08, ...huge],
    [1, 1, 0x09, ...huge, ...huge],
  ]) {
    const { lines, problem } = linesOfAddresses(fileOf(table({ ...shape, tables }, code)), [0x1000]);
    assert.equal(lines[0], undefined);
    assert.notEqual(problem, undefined);
  }
});

function join(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
