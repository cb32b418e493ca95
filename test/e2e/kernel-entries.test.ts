// Objects with the kernel's own __jump_table: the jumps that bit 1 marks become NOPs of their own size, as objtool's
// jump-label hack makes them, and a site that cannot be patched is refused.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, toolTest } from '../tools.ts';
import {
  annotated,
  assertVerified,
  fresh,
  namesOf,
  plain,
  readTables,
  sets,
  textpoke,
  workplace,
} from './programs.ts';

const tools = ['objdump', 'readelf'];

interface Row {
  readonly bytes: string;
  readonly text: string;
  readonly relocations: string[];
}

const listings = new Map<string, string>();

/** The instructions of one function, each with the relocations on it. */
function instructionsOf(file: string, symbol: string): Row[] {
  const rows: Row[] = [];
  const whole = listings.get(file) ?? run('objdump', ['-drw', file]);
  listings.set(file, whole);
  // Each symbol has a heading, and a section behind an empty line.
  const [, text = ''] = whole.split(new RegExp(`^[0-9a-f]+ <${symbol}>:$`, 'm'));
  for (const line of (text.split(/\n(?=\n|[0-9a-f]+ <)/)[0] as string).split('\n')) {
    const row = /^ *[0-9a-f]+:\t([0-9a-f ]+?) *\t(.*)$/.exec(line);
    const [instruction, ...relocations] = row ? row[2]!.split('\t').filter((s) => s !== '') : [];
    if (row) rows.push({ bytes: row[1]!.trim().replaceAll(' ', ''), text: instruction!.trim(), relocations });
  }
  return rows;
}

const withEntries = sets.filter((set) => namesOf(set).includes('kernel-entries'));

/** Functions with one site each, and what becomes of it. */
const sites = [
  { symbol: 'kernel_near_hack', becomes: 'NOP' },
  { symbol: 'kernel_far_hack', becomes: 'NOP' },
  { symbol: 'kernel_init', becomes: 'NOP' },
  { symbol: 'kernel_near_jump', becomes: 'same' },
  { symbol: 'kernel_far_jump', becomes: 'same' },
  { symbol: 'kernel_nop', becomes: 'same' },
] as const;

toolTest(
  'jumps that are to become NOPs become NOPs of their own size, others stay, and nothing else changes',
  tools,
  () => {
    assert.equal(withEntries.length, 6);
    const sizes = new Set<string>();
    for (const set of withEntries) {
      const [before, after] = [plain(set, 'kernel-entries'), annotated(set, 'kernel-entries')];
      for (const { symbol, becomes } of sites) {
        const [old, now] = [instructionsOf(before, symbol), instructionsOf(after, symbol)];
        if (becomes === 'same') {
          assert.deepEqual(now, old, `${set} ${symbol}`);
          continue;
        }
        assert.equal(old.length, now.length, `${set} ${symbol}`);
        const changed = old.flatMap((row, i) => (row.bytes === now[i]!.bytes ? [] : [i]));
        assert.equal(changed.length, 1, `${set} ${symbol}`);
        const [was, is] = [old[changed[0]!]!, now[changed[0]!]!];
        assert.match(was.bytes, /^(eb..|e9........)$/);
        assert.equal(is.bytes, was.bytes.length === 4 ? '6690' : '0f1f440000', `${set} ${symbol}`);
        sizes.add(`${symbol} ${is.bytes.length / 2}`);
      }
    }
    // clang -O0 writes every jump long.
    for (const seen of ['kernel_near_hack 2', 'kernel_near_hack 5', 'kernel_far_hack 5'])
      assert.ok(sizes.has(seen), seen);
  },
);

/** A jump whose target is in another section has a relocation, which would be applied over the NOP. */
const crossing = `
	.text
	.globl crossing
crossing:
1:	jmp away
	ret
	.section .text.unlikely, "ax", @progbits
away:	ret
	.data
	.globl crossing_key
	.balign 8
crossing_key: .quad 0, 0
	.section __jump_table, "aw"
	.balign 8
	.long 1b - .
	.long away - .
	.quad crossing_key + 2 - .
	.section .note.GNU-stack, "", @progbits
`;

toolTest(
  'the relocation of a jump that became a NOP is R_X86_64_NONE, so the linker leaves the NOP alone',
  ['gcc', 'ld.bfd', 'ld.lld', ...tools],
  () => {
    const directory = mkdtempSync(join(workplace(), 'crossing-'));
    const object = join(directory, 'crossing.o');
    run('sh', ['-c', 'printf "%s" "$1" | gcc -x assembler -c - -o "$2"', 'sh', crossing, object]);
    assert.match(run('objdump', ['-dr', object]), /e9 00 00 00 00 +\tjmp[^\n]*\n[^\n]*R_X86_64_P(C|LT)32/);
    const result = textpoke(['annotate', object, '--stats']);
    assert.equal(result.status, 0, result.stderr);
    assert.match(result.stdout, /1 jumps? became NOPs?/);
    assert.match(run('objdump', ['-dr', object]), /0f 1f 44 00 00 +\tnopl[^\n]*\n[^\n]*1: R_X86_64_NONE/);
    for (const linker of ['bfd', 'lld']) {
      const image = join(directory, linker);
      run(`ld.${linker}`, [object, '-e', 'crossing', '-o', image]);
      assert.match(run('objdump', ['-d', '--disassemble=crossing', image]), /0f 1f 44 00 00 +\tnopl/);
      const booted = fresh('crossing');
      assert.equal(textpoke(['boot', image, '-o', booted]).status, 0);
      assertVerified(booted, ['--original', image]);
      const on = textpoke(['boot', image, '--enable', 'crossing_key', '-o', booted]);
      assert.equal(on.status, 0);
      assert.match(
        run('objdump', ['-d', '--disassemble=crossing', booted]),
        /e9 [^\n]*jmp +[0-9a-f]+ <away>/,
      );
    }
  },
);

toolTest('booting kernel entries sorts them, and gives bit 1 the meaning of init text', tools, () => {
  for (const set of withEntries) {
    const image = fresh('kernel');
    assert.equal(textpoke(['boot', annotated(set, 'kernel-entries'), '-o', image]).status, 0);
    assertVerified(image);
    const { branches } = readTables(image);
    assert.equal(branches.length, 6);
    const init = branches.filter((b) => (b.key & 2) !== 0);
    assert.equal(init.length, 1);
    const order = branches.map((b) => [b.key & ~3, b.code] as const);
    const sorted = [...order].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    assert.deepEqual(order, sorted);
  }
});

toolTest(
  'a call to a trampoline by a short jump is refused: site-unpatchable, status 1, the object untouched',
  [],
  () => {
    for (const set of ['gcc-O2', 'clang-O2']) {
      const directory = mkdtempSync(join(workplace(), 'short-'));
      const object = join(directory, 'short.o');
      copyFileSync(plain(set, 'short'), object);
      for (const args of [
        ['annotate', object],
        ['annotate', object, '-o', join(directory, 'out.o')],
        ['annotate', object, '--dry-run'],
      ]) {
        const result = textpoke(args);
        assert.equal(result.status, 1);
        assert.match(
          result.stderr,
          /short\.o: \.text\+0x[0-9a-f]+: short_\w+\+0x[0-9a-f]+: .*rel32 \[site-unpatchable\]/,
        );
        assert.equal(result.stdout, '');
        assert.deepEqual(readdirSync(directory), ['short.o']);
        assert.deepEqual(readFileSync(object), readFileSync(plain(set, 'short')));
      }
      // Without static calls it has nothing to be refused for, and nothing to be done.
      assert.equal(textpoke(['annotate', object, '--static-branch']).status, 0);
      assert.deepEqual(readFileSync(object), readFileSync(plain(set, 'short')));
    }
  },
);
