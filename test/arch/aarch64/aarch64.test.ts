// AArch64: every encoding on both sides of its limits, against keystone and capstone over the range, decoding
// against objdump over Debian's cross libc, stubs, mapping symbols and the relocations of the in-memory link.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { aarch64, aarch64_be } from '../../../src/arch/aarch64/aarch64.ts';
import { aarch64RelocationName, applyAArch64Relocation } from '../../../src/arch/aarch64/relocations.ts';
import type { CallKind, CallTarget } from '../../../src/arch/arch.ts';
import type { CodeMap } from '../../../src/arch/code-map.ts';
import { archOf } from '../../../src/arch/registry.ts';
import { addressBits, hex, hexBytes } from '../../../src/bytes/integer.ts';
import { readArchive } from '../../../src/elf/archive.ts';
import { isElf } from '../../../src/elf/magic.ts';
import { readElf } from '../../../src/elf/read.ts';
import { loadAssembler } from '../../../src/engines/assembler.ts';
import { type Intent, loadCrossCheck } from '../../../src/engines/cross-check.ts';
import { loadDisassembler } from '../../../src/engines/disassembler.ts';
import { TextpokeError } from '../../../src/errors.ts';
import { objectCode } from '../../samples.ts';
import { seeded } from '../../seeded.ts';
import { run, scratch, toolTest } from '../../tools.ts';

/** Instruction words as they lie in memory. */
function words(...list: number[]): Uint8Array {
  const bytes = new Uint8Array(4 * list.length);
  const view = new DataView(bytes.buffer);
  for (const [i, word] of list.entries()) view.setUint32(4 * i, word, true);
  return bytes;
}
const wordOf = (bytes: Uint8Array | undefined) =>
  bytes && new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true).toString(16).padStart(8, '0');
const a64 = aarch64.instructionsOf(0);
const places = [0x401000, -0x3f_f7ff_f000]; // 0xffffffc008001000
const noSupport = { returnStub: undefined, returnThunk: undefined };

function encode(kind: CallKind, target: CallTarget, trampoline = 0x401100, veneers: number[] = []) {
  const current = words(0x94000001);
  const site = { address: 0x401000, kind, target, trampoline, veneers, current, support: noSupport };
  const encoded = a64.encodeCallSite(site);
  return encoded && `${wordOf(encoded.bytes)}${encoded.onTrampoline ? ' on its trampoline' : ''}`;
}
const to = (displacement: number): CallTarget => ({ kind: 'function', address: 0x401000 + displacement });

for (const [displacement, word] of [
  [-0x800_0000, '16000000'],
  [-0x800_0004, undefined],
  [0x7ff_fffc, '15ffffff'],
  [0x800_0000, undefined],
  [-4, '17ffffff'],
  [0, '14000000'],
  [4, '14000001'],
  [2, undefined],
  [-0x7ff_ffff, undefined],
] as const) {
  test(`b by ${displacement} is ${word ?? 'refused'}`, () => {
    assert.equal(wordOf(a64.jump(4, displacement)), word);
    const trampoline = a64.encodeTrampoline(0x401000, to(displacement), noSupport);
    assert.equal(wordOf(trampoline), word);
    if (word === undefined) return;
    const read = a64.readInstruction(words(Number.parseInt(word, 16)), 0);
    assert.deepEqual(read, { kind: 'jump', size: 4, displacement, short: false });
  });
}

test('a call site holds bl within 128 MiB, its trampoline beyond', () => {
  assert.equal(encode('call', to(-0x800_0000)), '96000000');
  assert.equal(encode('call', to(-0x800_0004)), '94000040 on its trampoline');
  assert.equal(encode('call', to(0x7ff_fffc)), '95ffffff');
  assert.equal(encode('call', to(0x800_0000)), '94000040 on its trampoline');
  assert.equal(encode('tail', to(0x800_0000)), '14000040 on its trampoline');
});

test('a trampoline out of reach is called through the nearest veneer in reach', () => {
  const far = 0x2000_0000;
  assert.equal(encode('call', to(far), far, [far + 4, 0x401200]), '94000080 on its trampoline');
  assert.equal(encode('call', to(far), far), undefined, 'no branch reaches it');
});

test('NULL and RET0 need no target', () => {
  assert.equal(encode('call', { kind: 'null' }), 'd503201f'); // nop
  assert.equal(encode('tail', { kind: 'null' }), 'd65f03c0'); // ret
  assert.equal(encode('call', { kind: 'return 0', address: 0x500000 }), 'd2800000'); // mov x0, #0
  assert.equal(encode('tail', { kind: 'return 0', address: 0x401010 }), '14000004'); // b
  assert.equal(wordOf(a64.encodeTrampoline(0, { kind: 'null' }, noSupport)), 'd65f03c0');
});

for (const [word, kind, displacement] of [
  [0x97ffffff, 'call', -4],
  [0x54000041, 'conditional jump', 8], // b.ne
  [0x547fffe0, 'conditional jump', 0xf_fffc], // b.eq, farthest forwards
  [0x54800000, 'conditional jump', -0x10_0000], // b.eq, farthest backwards
  [0x54000050, 'conditional jump', 8], // bc.eq
  [0xb4000040, 'conditional jump', 8], // cbz x0
  [0x35ffffe0, 'conditional jump', -4], // cbnz w0
  [0x36180040, 'conditional jump', 8], // tbz w0, #3
  [0xb703ffe0, 'conditional jump', 0x7ffc], // tbnz x0, #32
  [0x37040000, 'conditional jump', -0x8000], // tbnz w0, #0
  [0xd503201f, 'nop', 0],
  [0xd65f03c0, 'return', 0],
  [0xd65f03a0, 'other', 0], // ret x29
  [0xd2800000, 'clear result', 0],
  [0xd61f0200, 'other', 0], // br x16
  [0x10000011, 'other', 0], // adr
  [0, 'other', 0],
] as const) {
  test(`${word.toString(16).padStart(8, '0')} reads as ${kind} ${displacement || ''}`, () => {
    const short = kind === 'conditional jump';
    assert.deepEqual(a64.readInstruction(words(word), 0), { kind, size: 4, displacement, short });
  });
}

test('half an instruction at the end of the code is none', () => {
  assert.equal(a64.readInstruction(words(0xd503201f).subarray(0, 3), 0).size, 0);
  assert.equal(a64.isTrampoline(words(0x14000000), 0), false);
});

test('which instructions may stand at a site', () => {
  const rows: [CallKind, number, boolean][] = [
    ['call', 0x94000000, true],
    ['call', 0xd503201f, true],
    ['call', 0xd2800000, true],
    ['call', 0x14000000, false],
    ['call', 0xd65f03c0, false],
    ['tail', 0x14000000, true],
    ['tail', 0xd65f03c0, true],
    ['tail', 0x94000000, false],
    ['tail', 0x54000001, false],
    ['conditional tail', 0x54000001, false],
  ];
  for (const [kind, word, may] of rows)
    assert.equal(a64.isCallSite(words(word), kind), may, `${kind} ${word}`);
});

test('a trampoline is b or ret with its signature behind it', () => {
  assert.equal(a64.isTrampoline(words(0x14000010, 0x4353), 0), true);
  assert.equal(a64.isTrampoline(words(0, 0xd65f03c0, 0x4353), 4), true);
  assert.equal(a64.isTrampoline(words(0x14000010, 0), 0), false);
  assert.equal(a64.isTrampoline(words(0x94000010, 0x4353), 0), false);
});

test('an instruction starts at every fourth byte that is not data', () => {
  const code = words(1, 2, 3, 4);
  const map: CodeMap = { starts: new Uint32Array(0), data: Uint32Array.of(4, 12), thumb: new Uint32Array(0) };
  const starts = Array.from({ length: 18 }, (_, at) => at).filter((at) =>
    aarch64.startsInstruction(code, map, at),
  );
  assert.deepEqual(starts, [0, 12]);
  assert.equal(aarch64.startsInstruction(code, map, -4), false);
});

test('mapping symbols, with and without a suffix', () => {
  const of = aarch64.mappingSymbol as (name: string) => unknown;
  assert.deepEqual(
    ['$x', '$x.12', '$d', '$d.foo', '$xy', '$', '$a', '$t', 'x', '$X'].map((name) => of(name)),
    ['code', 'code', 'data', 'data', ...new Array(6).fill(undefined)],
  );
});

for (const [name, code, expected] of [
  ['a PLT entry', [0xb0000090, 0xf947d211, 0x913e8210, 0xd61f0220], { slot: 0x412fa0 }],
  ['one with bti c', [0xd503245f, 0xb0000090, 0xf947d211, 0x913e8210, 0xd61f0220], { slot: 0x412fa0 }],
  ['one with autia1716', [0xb0000090, 0xf947d211, 0x913e8210, 0xd503219f, 0xd61f0220], { slot: 0x412fa0 }],
  ['a near veneer', [0x900fe010, 0x91004210, 0xd61f0200], { target: 0x2000_1010 }],
  ['one backwards', [0x90f02010, 0x9102e210, 0xd61f0200], { target: 0x401000 - 0x1fc0_0000 + 0xb8 }],
  ["lld's thunk", [0x58000050, 0xd61f0200, 0x20000010, 3], { target: 0x3_2000_0010 }],
  [
    "GNU ld's stub",
    [0x58000090, 0x10000011, 0x8b110210, 0xd61f0200, 0xfffffff0, 0xffffffff],
    { target: 0x400ff4 },
  ],
  ['a function that begins with adrp', [0x900fe010, 0x91004210, 0xd65f03c0], undefined],
  ['a PLT header', [0xa9bf7bf0, 0xb0000090, 0xf947d211], undefined],
  ['a stub cut short', [0xb0000090, 0xf947d211], undefined],
] as const) {
  test(`${name} is seen through`, () => {
    assert.deepEqual(a64.readStub(words(...code), 0, 0x401000), expected);
  });
}

test('keystone assembles the same bytes and capstone reads the intent back, all over the range', async () => {
  const assembler = await loadAssembler(a64);
  const check = await loadCrossCheck(aarch64);
  assert.ok(check.encodings() > 60, `${check.encodings()} encodings`);
  const random = seeded(0xa64);
  const samples = Array.from({ length: 250 }, () => {
    const bits = 4 + Math.floor(random() * 22);
    return 4 * Math.floor((random() * 2 - 1) * 2 ** bits);
  });
  for (const at of places) {
    for (const displacement of [-0x800_0000, -0x7ff_fffc, -4, 0, 4, 0x7ff_fff8, 0x7ff_fffc, ...samples]) {
      const target = at + displacement;
      const value = { kind: 'function', address: target } as const;
      const site = (kind: CallKind) =>
        a64.encodeCallSite({
          ...{ address: at, kind, target: value, trampoline: at, current: words(0), support: noSupport },
        })?.bytes;
      const forms: [string, Uint8Array | undefined, Intent][] = [
        ['bl', site('call'), { kind: 'call', target }],
        ['b', site('tail'), { kind: 'jump', target }],
        ['b', a64.jump(4, displacement), { kind: 'jump', target }],
      ];
      for (const [mnemonic, bytes, intent] of forms) {
        const text = `${mnemonic} #0x${addressBits(target).toString(16)}`;
        const what = `${text} at ${hex(at)}`;
        assert.equal(wordOf(bytes), wordOf(assembler.assemble(text, at)), what);
        check.instructions([
          { instructions: a64, address: at, bytes: bytes as Uint8Array, intent, name: what },
        ]);
      }
    }
  }
});

test('capstone shows words, names targets, and shows what does not decode as a word', async () => {
  const disassembler = await loadDisassembler(a64);
  const code = words(0x94000001, 0xb4000040, 0x4353, 0x54000001, 0x36180040);
  const lines = disassembler.lines(code, 0x1000, (target) => `<${hex(target)}>`);
  assert.deepEqual(
    lines.map((line) => line.text),
    ['bl <0x1004>', 'cbz x0, <0x100c>', '.inst 0x00004353', 'b.ne <0x100c>', 'tbz w0, #3, <0x1018>'],
  );
});

/** Runs one relocation over a word; the error's text, or the word (or bytes) that comes out. */
function relocate(type: number, word: number, symbol: number, place: number, addend = 0): string {
  const bytes = words(word, 0);
  const error = applyAArch64Relocation({
    type,
    symbol,
    thumb: false,
    addend,
    place,
    offset: 0,
    bytes,
    little: true,
    slot: () => 0x412fa8,
    got: 0x412f00,
  });
  return error ?? (type === 257 || type === 260 ? hexBytes(bytes) : (wordOf(bytes) as string));
}

/** Number, instruction, S, P, what comes out; every limit from both sides. */
const refused = /is out of its range/;
const relocations: [type: number, word: number, s: number, p: number, out: string | RegExp][] = [
  [0, 5, 1, 0, '00000005'],
  [256, 5, 1, 0, '00000005'],
  [257, 0, -0x3f_f7ff_f000, 0, '00100008c0ffffff'], // ABS64
  [258, 0, 0xffff_ffff, 0, 'ffffffff'], // ABS32
  [258, 0, 0x1_0000_0000, 0, refused],
  [258, 0, -0x8000_0000, 0, '80000000'],
  [258, 0, -0x8000_0001, 0, refused],
  [259, 0, 0xffff, 0, '0000ffff'], // ABS16
  [259, 0, 0x1_0000, 0, refused],
  [260, 0, 0x1000, 0x2000, '00f0ffffffffffff'], // PREL64
  [261, 0, 0x7fff_ffff, 0, '7fffffff'], // PREL32
  [261, 0, 0x8000_0000, 0, refused],
  [261, 0, 0, 0x8000_0000, '80000000'],
  [261, 0, 0, 0x8000_0001, refused],
  [262, 0, 0x7fff, 0, '00007fff'], // PREL16
  [262, 0, 0x8000, 0, refused],
  [314, 0, 0x401000, 0x401004, 'fffffffc'], // PLT32
  [263, 0xd2800000, 0xffff, 0, 'd29fffe0'], // MOVW_UABS_G0
  [263, 0xd2800000, 0x1_0000, 0, refused],
  [264, 0xf2800000, 0x1_2345, 0, 'f28468a0'], // _NC
  [265, 0xd2a00000, 0x1234_5678, 0, 'd2a24680'], // G1
  [265, 0xd2a00000, 0x1_0000_0000, 0, refused],
  [267, 0xd2c00000, 0xffff_0000_0000, 0, 'd2dfffe0'], // G2
  [267, 0xd2c00000, 0x1_0000_0000_0000, 0, refused],
  [269, 0xd2e00000, -0x1000, 0, 'd2ffffe0'], // G3
  [270, 0xd2800000, 0xffff, 0, 'd29fffe0'], // MOVW_SABS_G0: movz
  [270, 0xd2800000, -1, 0, '92800000'], // movn x0, #0
  [270, 0xd2800000, -0x1_0001, 0, refused],
  [274, 0x10000000, 0xf_ffff, 0, '707fffe0'], // ADR_PREL_LO21
  [274, 0x10000000, 0x10_0000, 0, refused],
  [274, 0x10000000, 0, 0x10_0000, '10800000'],
  [275, 0x90000000, 0xffff_ffff, 0xfff, 'f07fffe0'], // ADR_PREL_PG_HI21
  [275, 0x90000000, 0x1_0000_0000, 0, refused],
  [275, 0x90000000, 0x1000, 0x1_0000_1fff, '90800000'],
  [275, 0x90000000, 0x1000, 0x1_0000_2000, refused],
  [276, 0x90000000, 0x1_0000_0000, 0, '90800000'], // _NC wraps
  [277, 0x91000000, 0x40_1fff, 0, '913ffc00'], // ADD_ABS_LO12_NC
  [278, 0x39400000, 0x40_1fff, 0, '397ffc00'], // LDST8
  [284, 0x79400000, 0x40_1ffe, 0, '795ffc00'], // LDST16
  [284, 0x79400000, 0x40_1fff, 0, /not a multiple of 2/],
  [285, 0xb9400000, 0x40_1ffc, 0, 'b94ffc00'], // LDST32
  [286, 0xf9400000, 0x40_1ff8, 0, 'f947fc00'], // LDST64
  [286, 0xf9400000, 0x40_1ffc, 0, /not a multiple of 8/],
  [299, 0x3dc00000, 0x40_1ff0, 0, '3dc3fc00'], // LDST128
  [273, 0x58000000, 0xf_fffc, 0, '587fffe0'], // LD_PREL_LO19
  [273, 0x58000000, 0x10_0000, 0, refused],
  [279, 0x36000000, 0x9ffc, 0x2000, '3603ffe0'], // TSTBR14
  [279, 0x36000000, 0xa000, 0x2000, refused],
  [279, 0x36000000, 0x1000, 0x9000, '36040000'],
  [279, 0x36000000, 0x1000, 0x9004, refused],
  [280, 0x54000001, 0x10_0ffc, 0x1000, '547fffe1'], // CONDBR19
  [280, 0x54000001, 0x10_1000, 0x1000, refused],
  [282, 0x14000000, 0x800_0ffc, 0x1000, '15ffffff'], // JUMP26
  [282, 0x14000000, 0x800_1000, 0x1000, refused],
  [283, 0x94000000, 0x1000, 0x800_1000, '96000000'], // CALL26
  [283, 0x94000000, 0x1000, 0x800_1004, refused],
  [283, 0x94000000, 0x1002, 0x1000, /not a multiple of 4/],
  [283, 0x94000000, 0, 0x4000_0000, '94000001'], // a weak symbol that nobody defines
  [311, 0x90000000, 0, 0x401000, 'b0000080'], // ADR_GOT_PAGE
  [312, 0xf9400000, 0, 0, 'f947d400'], // LD64_GOT_LO12_NC
  [309, 0x58000000, 0, 0x412000, '58007d40'], // GOT_LD_PREL19
  [313, 0xf9400000, 0, 0, 'f947d400'], // LD64_GOTPAGE_LO15: of 0x412fa8 - 0x412000
  [310, 0xf9400000, 0, 0, /R_AARCH64_LD64_GOTOFF_LO15 is not supported/],
  [549, 0x91400000, 0, 0, /R_AARCH64_TLSLE_ADD_TPREL_HI12 is not supported/],
  [9999, 0, 0, 0, /relocation type 9999 is not supported/],
];
for (const [type, word, symbol, place, out] of relocations) {
  test(`${aarch64RelocationName(type)} of ${hex(symbol)} at ${hex(place)} gives ${out}`, () => {
    const found = relocate(type, word, symbol, place);
    if (typeof out === 'string') assert.equal(found, out);
    else assert.match(found, out);
  });
}

test('either byte order of AArch64 is known, and 32-bit AArch64 is refused by its name', () => {
  const header = { machine: 183, class: 64, little: true, flags: 0 } as const;
  assert.equal(archOf(header), aarch64);
  assert.equal(archOf({ ...header, little: false }), aarch64_be);
  assert.throws(
    () => archOf({ ...header, class: 32 }),
    (error) =>
      error instanceof TextpokeError &&
      error.code === 'machine-unsupported' &&
      /ELF32 little-endian for AArch64 .*; supported: .*AArch64 \(ELF64 little-endian\)/.test(error.message),
  );
});

toolTest('code of an aarch64_be object reads as any other', ['clang'], (t) => {
  const dir = scratch(t);
  writeFileSync(join(dir, 'a.c'), 'void g(void); void f(void) { g(); g(); }\n');
  run('clang', ['--target=aarch64_be-linux-gnu', '-O2', '-c', 'a.c', '-o', 'a.o'], dir);
  const object = objectCode(new Uint8Array(readFileSync(join(dir, 'a.o'))));
  assert.equal(object.arch, aarch64_be);
  const kinds: string[] = [];
  for (const { section, code } of object.codeSections)
    aarch64_be.forEachBranch(code, object.codeMap(section), (_at, _to, kind) => kinds.push(kind));
  assert.deepEqual(kinds, ['call', 'jump']);
});

const libraries = '/usr/aarch64-linux-gnu/lib';
for (const [library, least] of [
  ['libc.a', 50_000],
  ['libm.a', 5_000],
] as const)
  toolTest(
    `every direct branch of Debian's cross ${library} is objdump's: kind and target, none more, none less`,
    ['aarch64-linux-gnu-objdump', `${libraries}/${library}`],
    () => {
      const libc = `${libraries}/${library}`;
      // A branch that has a relocation goes to itself until the link; objdump shows something of the symbol.
      const show = (target: number, from: number) =>
        target === from ? '0' : addressBits(target).toString(16);
      const bytes = new Uint8Array(readFileSync(libc));
      const ours = new Map<string, string[]>();
      for (const member of readArchive(bytes)) {
        const content = bytes.subarray(member.offset, member.offset + member.size);
        if (member.special || !isElf(content)) continue;
        if (!readElf(member.name, content).symtab) continue;
        const object = objectCode(content);
        for (const { section, code } of object.codeSections) {
          const list: string[] = [];
          aarch64.forEachBranch(code, object.codeMap(section), (offset, target, kind) => {
            list.push(`${offset.toString(16)} ${kind} ${show(target, offset)}`);
          });
          const key = `${member.name} ${section.name}`;
          assert.ok(!ours.has(key), key);
          ours.set(key, list);
        }
      }
      let count = 0;
      let resolved = 0;
      let name = '';
      let theirs: string[] = [];
      const compare = () => {
        if (name === '') return;
        const own = ours.get(name) ?? [];
        assert.deepEqual(
          theirs.map((line, i) => (own[i]?.endsWith(' 0') ? line.replace(/\S+$/, '0') : line)),
          own,
          name,
        );
        count += own.length;
        resolved += own.filter((line) => !line.endsWith(' 0')).length;
      };
      let member = '';
      const kinds: Record<string, string> = { bl: 'call', b: 'jump' };
      for (const line of run('aarch64-linux-gnu-objdump', ['-dz', libc]).split('\n')) {
        member = /^(\S+): +file format/.exec(line)?.[1] ?? member;
        const section = /^Disassembly of section (.*):$/.exec(line)?.[1];
        if (section !== undefined) {
          compare();
          name = `${member} ${section}`;
          theirs = [];
          continue;
        }
        const m = /^ *([0-9a-f]+):\t[0-9a-f]{8} \t(bl?|b\.[a-z]+|cbn?z|tbn?z)\t(?:.*, )?([0-9a-f]+) </.exec(
          line,
        );
        if (m) theirs.push(`${m[1]} ${kinds[m[2] as string] ?? 'conditional jump'} ${m[3]}`);
      }
      compare();
      assert.ok(count > least && resolved > least / 2, `${count} branches, ${resolved} without relocation`);
    },
  );
