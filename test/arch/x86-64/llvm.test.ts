// The x86-64 length decoder against LLVM, which knows the instructions that binutils 2.40 does not: APX, AVX10, AMX, MSR
// immediates. Each opcode of each map, and what clang makes of a program with every feature it has.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeInstruction, lengthOf } from '../../../src/arch/x86-64/length.ts';
import { longTest, run, scratch, toolTest, tryRun } from '../../tools.ts';

const slotSize = 16;

/** What follows an opcode: ModRM, SIB, displacement and immediate of any length. */
const tails = [
  [0xc1, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08],
  [0x44, 0x88, 0x11, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07],
];

/** Everything in front of an opcode, and what an opcode may be. */
function* opcodes(): Generator<readonly number[]> {
  for (let opcode = 0; opcode < 0x100; opcode++) {
    for (const head of [[], [0x66], [0x0f], [0x0f, 0x38], [0x0f, 0x3a], [0x66, 0x0f]])
      yield [...head, opcode];
    for (const payload of [0x00, 0x18, 0xd0]) yield [0xd5, payload, opcode];
    yield [0x66, 0xd5, 0x10, opcode];
    yield [0xc5, 0xf9, opcode];
    for (const map of [1, 2, 3, 5, 7])
      for (const last of [0x7b, 0xf9]) yield [0xc4, 0xe0 | map, last, opcode];
    for (const map of [1, 2, 3, 4, 5, 6, 7]) {
      for (const last of [0x7c, 0x7d, 0xfd]) yield [0x62, 0xf0 | map, last, map === 4 ? 0x18 : 0x48, opcode];
      yield [0x62, 0xf8 | map, 0x79, 0x08, opcode]; // r16 and above
    }
  }
}

/** Names of prefixes alone: LLVM has a line of its own for a prefix that the instruction does not take. */
const isPrefix = /^(lock|rep(n?[ez])?|rex\S*|[c-gs]s|addr32|data16|wait|x(acquire|release))$/;
const legacyPrefix = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]);

/**
 * What LLVM 19 reads that is no instruction: the escapes and rows of opcodes that REX2 does not have (Intel APX,
 * 3.1.1.1); vmread with prefixes, which are AMD's extrq and insertq; and a call behind 66, which is one of AMD's rel16.
 */
function isQuirk(code: Uint8Array): boolean {
  const at = code[0] === 0x66 ? 1 : 0;
  if (code[at] === 0xd5) {
    const [payload, opcode] = [code[at + 1] as number, code[at + 2] as number];
    const row = opcode >> 4;
    return payload >= 0x80
      ? row === 3 || row === 8
      : row === 4 || row === 7 || row >= 14 || row === 10 || legacyPrefix.has(opcode) || opcode === 0x0f;
  }
  return at === 1 && (code[1] === 0xe8 || (code[1] === 0x0f && code[2] === 0x78));
}

longTest("lengths are LLVM's for every opcode of every map", ['clang-19', 'llvm-objdump-19'], (t) => {
  const directory = scratch(t);
  const slots: Uint8Array[] = [];
  for (const head of opcodes()) {
    for (const tail of tails) {
      const slot = new Uint8Array(slotSize).fill(0x90);
      slot.set([...head, ...tail]);
      slots.push(slot);
    }
  }
  const labels = slots.map((_, i) => `s${i} = code + ${i * slotSize}`).join('\n');
  writeFileSync(join(directory, 'code.bin'), Buffer.concat(slots));
  writeFileSync(join(directory, 'code.s'), `.text\ncode: .incbin "code.bin"\n${labels}\n`);
  run('clang-19', ['-c', 'code.s', '-o', 'code.o'], directory);
  let compared = 0;
  const wrong: string[] = [];
  const listing = run('llvm-objdump-19', ['-d', 'code.o'], directory);
  for (const { address, length, text } of linesOf(listing)) {
    const code = slots[address / slotSize];
    if (!code || text === '<unknown>' || isPrefix.test(text) || isQuirk(code)) continue;
    compared++;
    const ours = lengthOf(decodeInstruction(code, 0, slotSize));
    if (ours !== length)
      wrong.push(`${Buffer.from(code.subarray(0, 16)).toString('hex')}: ${text}: ${length}, not ${ours}`);
  }
  assert.deepEqual(wrong, []);
  assert.ok(compared > 5000, `${compared} instructions of ${slots.length}`);
});

/** A line of `llvm-objdump -d`, its mnemonic and operands as one text. */
function* linesOf(
  listing: string,
): Generator<{ address: number; length: number; bytes: number[]; text: string }> {
  for (const line of listing.split('\n')) {
    const [, address, hex, text] = /^\s*([0-9a-f]+): ((?:[0-9a-f]{2}[ \t])+)\s*(.*)$/.exec(line) ?? [];
    if (address === undefined || hex === undefined || text === undefined) continue;
    const bytes = hex
      .trim()
      .split(' ')
      .map((byte) => Number.parseInt(byte, 16));
    yield { address: Number.parseInt(address, 16), length: bytes.length, bytes, text: text.trim() };
  }
}

const program = `
#include <stdatomic.h>
typedef long lanes __attribute__((vector_size(64)));
extern void use(void *, ...);
atomic_long counter; atomic_int small; atomic_char tiny;
long mix(long a, long b, long c, long d, long e, long f) {
  long r[24];
  for (int i = 0; i < 24; i++) use(&r[i], a + i, b ^ i, c * i, d - i, e | i, f & i);
  for (int i = 0; i < 24; i++) {
    long x = r[i], y = r[(i * 7 + 1) % 24];
    counter += x; small ^= (int)y; tiny |= (char)x;
    r[i] = x * 124576495 + (y << (x & 31)) + (x > y ? x : y) + __builtin_popcountl(x) + __builtin_ctzl(y | 1) +
           __builtin_bswap64(x) + (x > 5 && y < 7 || a == x) + (long)((unsigned __int128)x * y >> 64);
  }
  long s = 0;
  for (int i = 0; i < 24; i++) s += r[i] * r[23 - i];
  return s;
}
void vectors(float *restrict x, const float *restrict y, const short *restrict h, int *restrict n, lanes *l) {
  for (int i = 0; i < 4096; i++) x[i] = x[i] * y[i] + (float)h[i];
  for (int i = 0; i < 4096; i++) n[i] = n[i] * h[i] + (n[i] > 7 ? h[i] & 5 : __builtin_clz(n[i] | 1));
  for (int i = 0; i < 64; i++) l[i] = (l[i] << 3) * l[63 - i] ^ (l[i] >> 5);
}
_Float16 half(_Float16 *p, int n) { _Float16 s = 0; for (int i = 0; i < n; i++) s += p[i] * p[n - i]; return s; }
`;

toolTest(
  "lengths are LLVM's in code for every feature that clang has",
  ['clang-19', 'llc-19', 'llvm-objdump-19'],
  (t) => {
    const directory = scratch(t);
    writeFileSync(join(directory, 'p.c'), program);
    const help = tryRun('llc-19', ['-march=x86-64', '-mattr=help'], directory).stderr;
    const [, features = ''] = help.split('Available features for this target:');
    const names = [...features.matchAll(/^\s+(\S+)\s+- /gm)].map(([, name]) => name as string);
    // What is no instruction set of 64-bit code, or takes code away.
    const others = /^(\d+bit-mode|soft-float|x87|.*retpoline.*|seses|lvi-.*|harden-.*|widekl|kl|.*-?seses)$/;
    const kept = names.filter((name) => !others.test(name));
    assert.ok(kept.includes('egpr') && kept.includes('avx10.1-512') && kept.includes('ccmp'), names.join());
    const flags = kept.flatMap((name) => ['-Xclang', '-target-feature', '-Xclang', `+${name}`]);
    let instructions = 0;
    for (const level of ['-O1', '-O3']) {
      run('clang-19', ['-w', level, ...flags, '-c', 'p.c', '-o', 'p.o'], directory);
      for (const { bytes, text } of linesOf(run('llvm-objdump-19', ['-d', 'p.o'], directory))) {
        assert.notEqual(text, '<unknown>');
        if (isPrefix.test(text)) continue;
        assert.equal(
          lengthOf(decodeInstruction(Uint8Array.from(bytes), 0, bytes.length)),
          bytes.length,
          text,
        );
        instructions++;
      }
    }
    assert.ok(instructions > 500, `${instructions} instructions`);
  },
);
