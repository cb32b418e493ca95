// The sweep over code sections and the search for lock prefixes: rows for what symbols and data do to it, and
// what objdump makes of the C library and of large programs.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import test from 'node:test';
import type { CodeMap } from '../../../src/arch/code-map.ts';
import { decodeInstruction, isLockable, lengthOf, lockPrefixOf } from '../../../src/arch/x86-64/length.ts';
import { findLockPrefixes, startsInstruction, sweep } from '../../../src/arch/x86-64/sweep.ts';
import { longTest, toolTest } from '../../tools.ts';
import { compare, noAgreement, summary } from '../agreement.ts';
import { disassemble } from '../objdump.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const codeMap = (starts: readonly number[] = [], data: readonly number[] = []): CodeMap => ({
  starts: Uint32Array.from(starts),
  data: Uint32Array.from(data),
  thumb: new Uint32Array(0),
});

function instructionsOf(code: Uint8Array, map: CodeMap): [offset: number, length: number][] {
  const found: [number, number][] = [];
  sweep(code, map, (offset, packed) => found.push([offset, lengthOf(packed)]));
  return found;
}

test('a sweep goes from instruction to instruction', () => {
  const code = hex('55 4889e5 f0ff07 5d c3'); // push, mov, lock incl (%rdi), pop, ret
  const visited: [number, number, number][] = [];
  const result = sweep(code, codeMap(), (offset, packed) =>
    visited.push([offset, lengthOf(packed), lockPrefixOf(packed)]),
  );
  assert.deepEqual(visited, [
    [0, 1, -1],
    [1, 3, -1],
    [4, 3, 0],
    [7, 1, -1],
    [8, 1, -1],
  ]);
  assert.deepEqual(result, { instructions: 5, undecodableBytes: 0, firstUndecodable: -1 });
});

test('a symbol in the middle of an instruction cuts it and starts another', () => {
  const code = hex('b8 01 02 03 04 c3'); // mov $0x4030201,%eax; ret
  assert.deepEqual(instructionsOf(code, codeMap()), [
    [0, 5],
    [5, 1],
  ]);
  // b8 and 01 lead up to the symbol undecodable; 02 03 is add (%rbx),%al; 04 c3 add $0xc3,%al.
  assert.deepEqual(instructionsOf(code, codeMap([2])), [
    [2, 2],
    [4, 2],
  ]);
  assert.deepEqual(
    sweep(code, codeMap([2]), () => {}),
    {
      instructions: 2,
      undecodableBytes: 2,
      firstUndecodable: 0,
    },
  );
});

test('data is skipped, and cuts the instruction before it', () => {
  const code = hex('90 b8 f0 ff 00 c3'); // nop; data; ret
  assert.deepEqual(instructionsOf(code, codeMap([], [1, 5])), [
    [0, 1],
    [5, 1],
  ]);
  assert.deepEqual(instructionsOf(code, codeMap([2], [1, 5])), [
    [0, 1],
    [5, 1],
  ]);
  assert.deepEqual(instructionsOf(code, codeMap([0, 5], [2, 5])), [
    [0, 1],
    [5, 1],
  ]);
  assert.deepEqual(instructionsOf(code, codeMap([], [0, 2, 2, 6])), []);
  assert.deepEqual([...findLockPrefixes(code, codeMap([], [1, 5]))], []);
  assert.deepEqual([...findLockPrefixes(code, codeMap([], [1, 2]))], [2]);
});

test('an undecodable byte is skipped by itself', () => {
  const code = hex('06 0f 04 c3'); // push %es is gone; 0f 04 never was; 04 c3 is add $0xc3,%al
  assert.deepEqual(instructionsOf(code, codeMap()), [[2, 2]]);
  assert.equal(sweep(hex('90 90 06 90 06'), codeMap(), () => {}).firstUndecodable, 2);
});

test('zeros are instructions', () => {
  assert.equal(sweep(new Uint8Array(32), codeMap(), () => {}).instructions, 16); // add %al,(%rax)
  assert.equal(sweep(new Uint8Array(33), codeMap(), () => {}).undecodableBytes, 1);
});

test('an empty section, and starts at or past its end, are no trouble', () => {
  assert.equal(sweep(hex(''), codeMap([0]), () => {}).instructions, 0);
  assert.equal(sweep(hex('90'), codeMap([0, 1, 2]), () => {}).instructions, 1);
  assert.deepEqual([...findLockPrefixes(hex(''), codeMap())], []);
  assert.deepEqual(instructionsOf(hex('90 c3'), codeMap([0], [1, 9])), [[0, 1]]);
});

test('lock prefixes are found where a sweep finds them', () => {
  const rows: readonly [code: string, locks: readonly number[], starts?: readonly number[]][] = [
    ['f0 ff 07', [0]],
    ['90 66 f0 0f b1 0f', [2]],
    ['f0 f0 ff 07 f0 ff 07', [0, 4]], // the first of two
    ['89 f0 ff 07', []], // mov %esi,%eax; incl (%rdi)
    ['89 f0 ff 07', [1], [1]], // a symbol at the f0
    ['8b 45 f0 ff 07', []], // mov -0x10(%rbp),%eax; incl (%rdi)
    ['e8 f0 ff ff ff', []], // call
    ['f0 ff ff ff', []], // no instruction
    ['f0 ff', []], // cut short by the end
    ['f0 89 07', []], // mov cannot be locked
    ['f0 ff c0', []], // nor can a register be incremented so
    ['f0 3e 48 0f c1 02', [0]], // with more prefixes behind it
    [`${'f0 '.repeat(12)}ff 07`, [0]],
    [`${'f0 '.repeat(14)}ff 07`, [1]], // 16 bytes are none, the last 15 of them are one
    ['f0 ff 07', [], [1]], // cut short by a symbol
    ['f0 ff 07', [], [2]],
  ];
  for (const [code, locks, starts] of rows) {
    assert.deepEqual([...findLockPrefixes(hex(code), codeMap(starts))], locks, `${code}, starts ${starts}`);
  }
});

test('the search and the sweep agree on random bytes, where code is hardest to find', () => {
  let state = 0x1234;
  const random = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 8;
  };
  for (let round = 0; round < 60; round++) {
    // Many f0 bytes and prefixes; and in some rounds little else, so that walks take long to meet.
    const favourites = [0xf0, 0x66, 0x48, 0xf0, 0xff, 0x00, 0x2e, 0x0f];
    const code = Uint8Array.from({ length: 1 + (random() % 3000) }, () =>
      random() % 6 < round % 7 ? favourites[random() % 8]! : random() & 0xff,
    );
    const points = Array.from({ length: round % 5 ? random() % 20 : 0 }, () => random() % code.length);
    const ascending = [...new Set(points)].sort((a, b) => a - b);
    const map = codeMap(
      ascending.filter((_, i) => i % 3 === 0),
      ascending.length < 4 ? [] : ascending.slice(2, 4),
    );
    const swept: number[] = [];
    const starts = new Set<number>();
    sweep(code, map, (offset, packed) => {
      starts.add(offset);
      const at = offset + lockPrefixOf(packed);
      if (at >= offset && isLockable(decodeInstruction(code, at, code.length))) swept.push(at);
    });
    assert.deepEqual([...findLockPrefixes(code, map)], swept, `round ${round}`);
    for (let offset = 0; offset < code.length; offset++) {
      assert.equal(
        startsInstruction(code, map, offset),
        starts.has(offset),
        `round ${round}, offset ${offset}`,
      );
    }
  }
});

const LIBC_A = '/usr/lib/x86_64-linux-gnu/libc.a';

toolTest("lock prefixes are objdump's in every object of libc.a", ['objdump', LIBC_A], async (t) => {
  const agreement = noAgreement();
  for await (const listing of disassemble([LIBC_A])) compare(listing, agreement);
  assert.deepEqual(agreement.unexplained, []);
  assert.deepEqual([...agreement.differences], []);
  assert.ok(agreement.locks > 400, `${agreement.locks} lock prefixes`);
  t.diagnostic(summary(agreement));
});

// Large programs that are there wherever gcc and node are, and others in case they are not. libcrypto and node
// have tables between their functions, which no symbol tells from code.
const LARGE = [
  '/usr/lib/gcc/x86_64-linux-gnu/12/cc1',
  process.execPath,
  '/lib/x86_64-linux-gnu/libc.so.6',
  '/usr/lib/x86_64-linux-gnu/libcrypto.so.3',
  '/usr/libexec/gcc/x86_64-linux-gnu/13/cc1',
  '/usr/libexec/gcc/x86_64-linux-gnu/14/cc1',
  '/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1',
  '/usr/lib/x86_64-linux-gnu/libclang-cpp.so.14',
  '/usr/bin/git',
  '/usr/bin/gdb',
];
const ENOUGH = 6_000_000;

longTest(
  "lengths and lock prefixes are objdump's over five million instructions of large programs",
  ['objdump'],
  async (t) => {
    const total = noAgreement();
    let programs = 0;
    for (const file of LARGE.filter((file) => existsSync(file))) {
      if (programs >= 4 && total.instructions > ENOUGH) break;
      const agreement = noAgreement();
      for await (const listing of disassemble(['-j', '.text', file])) compare(listing, agreement);
      assert.deepEqual(agreement.unexplained, [], file);
      t.diagnostic(`${file}: ${summary(agreement)}`);
      total.instructions += agreement.instructions;
      programs++;
    }
    assert.ok(programs >= 3, `${programs} programs`);
    assert.ok(total.instructions > 5_000_000, `${total.instructions} instructions`);
  },
);
