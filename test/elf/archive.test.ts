// Archives of GNU and BSD kind: members change size, everything else stays, and the symbol index follows.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { ByteView } from '../../src/bytes/view.ts';
import { type ArchiveMember, isArchive, readArchive, rewriteArchive } from '../../src/elf/archive.ts';
import { readElf } from '../../src/elf/read.ts';
import { rewriteObject } from '../../src/elf/rewrite.ts';
import { TextpokeError } from '../../src/errors.ts';
import { run, scratch, testOfTurn } from '../tools.ts';
import { archive, header, member } from './archives.ts';
import { changeEverything } from './objects.ts';

const latin1 = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'));

function content(bytes: Uint8Array, { offset, size }: ArchiveMember): string {
  return Buffer.from(bytes.subarray(offset, offset + size)).toString('latin1');
}

test('members of odd size are padded, the same name may come twice, spaces and slashes belong to names', () => {
  const bytes = archive(
    member('a.o/', 'abc'),
    member('a.o/', 'de'),
    member('a b.o/', ''),
    member('bsd.o', 'x'),
  );
  const members = readArchive(bytes);
  assert.deepEqual(
    members.map((m) => m.name),
    ['a.o', 'a.o', 'a b.o', 'bsd.o'],
  );
  assert.deepEqual(
    members.map((m) => content(bytes, m)),
    ['abc', 'de', '', 'x'],
  );
  assert.deepEqual(rewriteArchive(bytes, members, new Map()), bytes);
  const grown = rewriteArchive(
    bytes,
    members,
    new Map([
      [0, latin1('abcd')],
      [3, latin1('xyz')],
    ]),
  );
  const again = readArchive(grown);
  assert.deepEqual(
    again.map((m) => content(grown, m)),
    ['abcd', 'de', '', 'xyz'],
  );
  assert.equal(grown.length % 2, 0);
});

test('an archive whose last member has no pad byte keeps none', () => {
  const bytes = archive(member('a.o/', 'abc')).subarray(0, -1);
  const members = readArchive(bytes);
  assert.deepEqual(rewriteArchive(bytes, members, new Map()), bytes);
  assert.equal(rewriteArchive(bytes, members, new Map([[0, latin1('abcde')]])).length, bytes.length + 2);
  assert.equal(rewriteArchive(bytes, members, new Map([[0, latin1('abcd')]])).length, bytes.length + 1);
});

test('an empty archive, and one of nothing but an empty index, stay as they are', () => {
  for (const bytes of [
    archive(),
    archive(member('/', '\0\0\0\0')),
    archive(member('__.SYMDEF', '')),
    archive(member('//', '')),
  ]) {
    assert.equal(isArchive(bytes), true);
    assert.deepEqual(rewriteArchive(bytes, readArchive(bytes), new Map()), bytes);
  }
});

test('long names come from the name table, once read in the order of the file', () => {
  const table = 'a_name_of_more_than_fifteen.o/\nanother_name_that_is_long.o/\n';
  const bytes = archive(member('//', table), member('/31', 'b'), member('/0', 'a'));
  const members = readArchive(bytes);
  assert.deepEqual(
    members.map((m) => m.name),
    ['/', 'another_name_that_is_long.o', 'a_name_of_more_than_fifteen.o'],
  );
});

/** An index in one form of a member named `f.o`, whose header is at `at`. */
const indexes: readonly (readonly [string, string, (at: number) => string])[] = [
  ['GNU, 32 bits', '/', (at) => `${field(1, 4, false) + field(at, 4, false)}f\0`],
  ['GNU, 64 bits', '/SYM64/', (at) => `${field(1, 8, false) + field(at, 8, false)}f\0`],
  [
    'BSD, little-endian',
    '__.SYMDEF',
    (at) => `${field(8, 4, true) + field(0, 4, true) + field(at, 4, true) + field(2, 4, true)}f\0`,
  ],
  [
    'BSD, big-endian',
    '__.SYMDEF SORTED',
    (at) => `${field(8, 4, false) + field(0, 4, false) + field(at, 4, false) + field(2, 4, false)}f\0`,
  ],
  [
    'BSD, 64 bits',
    '__.SYMDEF_64',
    (at) => `${field(16, 8, true) + field(0, 8, true) + field(at, 8, true) + field(2, 8, true)}f\0`,
  ],
];
function field(value: number, width: 4 | 8, little: boolean): string {
  const view = new ByteView(new Uint8Array(width), little);
  if (width === 4) view.setU32(0, value);
  else view.setS64(0, value);
  return Buffer.from(view.bytes).toString('latin1');
}
for (const [form, name, index] of indexes) {
  test(`the symbol index follows a member that moves (${form})`, () => {
    const make = (first: string) => {
      const start = 8 + header('', 0).length + index(0).length + 60 + first.length + (first.length % 2);
      return archive(member(name, index(start)), member('first.o', first), member('f.o', 'code'));
    };
    const bytes = make('1234');
    const grown = rewriteArchive(bytes, readArchive(bytes), new Map([[1, latin1('123456789')]]));
    assert.deepEqual(grown, make('123456789'));
  });

  test(`an index that names no member, or does not fit, is refused (${form})`, () => {
    for (const text of [index(9), index(0xfffffff0), `\xff${index(8).slice(1)}`, index(8).slice(0, 7)]) {
      const bytes = archive(member(name, text), member('f.o', 'code'));
      fails(() => rewriteArchive(bytes, readArchive(bytes), new Map()), 'archive-malformed', undefined);
    }
  });
}

test('a member that is only named like an index is a member', () => {
  const bytes = archive(member('__.SYMDEF_x.o', 'no index'), member('#1/12', '__.SYMDEF\0\0\0\0\0\0\0'));
  assert.deepEqual(
    readArchive(bytes).map((m) => m.special),
    [undefined, 'bsd index'],
  );
});

function fails(body: () => unknown, code: string, offset: number | undefined): void {
  assert.throws(body, (error: unknown) => {
    assert.ok(error instanceof TextpokeError, String(error));
    assert.equal(error.code, code, error.message);
    if (offset !== undefined) assert.equal(error.place.offset, offset, error.message);
    return true;
  });
}

const bad: readonly (readonly [string, Uint8Array, number])[] = [
  ['no magic', latin1('!<arch>'), 0],
  ['a truncated header', archive(header('a.o/', 0).slice(0, 59)), 8],
  ['a wrong terminator', archive(header('a.o/', 0).replace('\x60', 'x')), 8 + 58],
  ['a size that is no number', archive(header('a.o/', '12x')), 8 + 48],
  ['a negative size', archive(header('a.o/', '-1')), 8 + 48],
  ['no size', archive(header('a.o/', '')), 8 + 48],
  ['a member that is too large', archive(header('a.o/', 1)), 8 + 48],
  [
    'a second member that is too large',
    archive(member('a.o/', 'xy'), header('b.o/', 9999999999)),
    8 + 62 + 48,
  ],
  ['a long name without a table', archive(member('/0', '')), 8],
  ['a long name in the middle of another', archive(member('//', 'name.o/\n'), member('/3', '')), 8 + 68],
  ['a long name past the table', archive(member('//', 'name.o/\n'), member('/8', '')), 8 + 68],
  ['a BSD name longer than its member', archive(member('#1/20', 'short')), 8],
];
for (const [what, bytes, offset] of bad) {
  test(`${what}: refused, and byte ${offset} named`, () =>
    fails(() => readArchive(bytes), 'archive-malformed', offset));
}

test('a thin archive is refused with its own code', () => {
  fails(() => readArchive(latin1('!<thin>\n')), 'archive-thin', undefined);
});

const sources: Readonly<Record<string, string>> = {
  'one.c': 'int two(void); int three(void); int one(void) { return two() + three(); }',
  'a_second_member_with_a_long_name.c': 'int two(void) { return 2; }',
  'three.c': 'int three(void) { return 3; } const char odd[7] = "odd";',
  'main.c': 'int one(void); int main(void) { return one() - 5; }',
};

for (const [turn, [format, tool, args, index]] of (
  [
    ['GNU', 'ar', ['rcs'], ['nm', '-s']],
    ['GNU with offsets of 64 bits', 'llvm-ar', ['--format=gnu', 'rcs'], ['nm', '-s']],
    ['BSD', 'llvm-ar', ['--format=bsd', 'rcs'], ['llvm-nm', '--print-armap']],
  ] as const
).entries()) {
  testOfTurn(turn, 3)(
    `a ${format} archive with grown members lists, extracts, is indexed and links as before`,
    [tool, index[0], 'clang', 'ld.lld', 'llvm-ar', 'cmp'],
    (t) => {
      const dir = scratch(t);
      for (const [name, text] of Object.entries(sources)) writeFileSync(join(dir, name), text);
      run('clang', ['-O2', '-c', ...Object.keys(sources)], dir);
      const objects = Object.keys(sources)
        .filter((n) => n !== 'main.c')
        .map((n) => n.replace('.c', '.o'));
      const env64 = format.includes('64') ? ['env', 'SYM64_THRESHOLD=0'] : [];
      const command = [...env64, tool, ...args, 'before.a', ...objects, 'one.o'];
      run(command[0] as string, command.slice(1), dir);
      const bytes = new Uint8Array(readFileSync(join(dir, 'before.a')));
      const members = readArchive(bytes);
      if (format.includes('64')) assert.equal(members[0]?.special, 'gnu index 64');
      assert.deepEqual(rewriteArchive(bytes, members, new Map()), bytes);
      const contents = new Map<number, Uint8Array>();
      members.forEach((m, i) => {
        if (m.special) return;
        const file = readElf(m.name, bytes.slice(m.offset, m.offset + m.size));
        contents.set(i, rewriteObject(file, { ...changeEverything(file), groups: [], sections: [] }));
      });
      assert.ok(contents.size >= 3, `${contents.size} objects`);
      const after = rewriteArchive(bytes, members, contents);
      writeFileSync(join(dir, 'after.a'), after);
      assert.equal(run('llvm-ar', ['t', 'after.a'], dir), run('llvm-ar', ['t', 'before.a'], dir));
      const armap = (path: string) =>
        run(index[0], [...index.slice(1), path], dir)
          .split(/\n\n/)
          .find((part) => /^Archive (index|map)/i.test(part.trim()));
      assert.notEqual(armap('before.a'), undefined);
      assert.equal(armap('after.a'), armap('before.a'));
      // The index names the right members, or nothing would be found.
      const missing = /undefined (symbol|reference)/;
      for (const ld of format === 'BSD' ? ['lld'] : ['lld', 'bfd']) {
        // GNU ld does not take LLVM's BSD form
        const linked = run(
          'clang',
          [`-fuse-ld=${ld}`, 'main.o', 'after.a', '-Wl,--unresolved-symbols=ignore-all', '-o', `out-${ld}`],
          dir,
        );
        assert.doesNotMatch(linked, missing);
        assert.equal(run('sh', ['-c', `./out-${ld} && echo returned zero`], dir), 'returned zero\n');
      }
      run('mkdir', ['x'], dir);
      run('llvm-ar', ['x', '../after.a'], join(dir, 'x'));
      for (const [i, m] of members.entries()) {
        const made = contents.get(i);
        if (made) assert.deepEqual(new Uint8Array(readFileSync(join(dir, 'x', m.name))), made, m.name);
      }
    },
  );
}
