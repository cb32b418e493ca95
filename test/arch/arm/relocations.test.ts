// 32-bit ARM in an in-memory link: every relocation on both sides of its limits, in every byte order, and against
// what GNU ld makes of the same object; and what either linker puts between branches and their targets.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { arm } from '../../../src/arch/arm/arm.ts';
import { applyArmRelocation, armRelocationName } from '../../../src/arch/arm/relocations.ts';
import { placeOf } from '../../../src/arch/code-pointer.ts';
import { archOf } from '../../../src/arch/registry.ts';
import { hex } from '../../../src/bytes/integer.ts';
import { SHF_ALLOC, SHT_NOBITS, SHT_REL } from '../../../src/elf/constants.ts';
import { readElf } from '../../../src/elf/read.ts';
import { run, scratch, toolTest } from '../../tools.ts';

const slot = 0x5000;
const got = 0x4000;

/** What a field holds, as listings show it: a word (8 digits), or one or two halfwords (4 digits each). */
function toBytes(text: string, little: boolean): Uint8Array {
  return Uint8Array.from(
    text.split(' ').flatMap((digits) => {
      const bytes = [...Buffer.from(digits, 'hex')];
      return little ? bytes.reverse() : bytes;
    }),
  );
}
function toText(bytes: Uint8Array, like: string, little: boolean): string {
  let at = 0;
  const groups = like.split(' ').map((digits) => {
    const group = Buffer.from(bytes.subarray(at, at + digits.length / 2));
    at += digits.length / 2;
    return (little ? group.reverse() : group).toString('hex');
  });
  return groups.join(' ');
}

/** Runs one relocation; the error's text, or what comes out. `thumb`: S is a function in Thumb state. */
function relocate(
  type: number,
  field: string,
  [symbol, thumb]: readonly [number, boolean],
  place: number,
  little = true,
): string {
  const bytes = toBytes(field, little);
  const relocation = { type, symbol, thumb, addend: 0, place, offset: 0, bytes, little, got };
  const error = applyArmRelocation({ ...relocation, slot: () => slot }, little);
  return error ?? toText(bytes, field, little);
}

const range = /is out of its range/;
const state = /would change state, which needs a veneer; link with ld$/;
const held = /which the branch cannot encode$/;
const A = (address: number) => [address, false] as const;
const T = (address: number) => [address, true] as const;
const weak = A(0);

for (const [type, field, symbol, place, out] of [
  [0, '12345678', A(0x1000), 0, '12345678'],
  [40, 'e12fff1e', A(0x1000), 0, 'e12fff1e'], // V4BX
  [2, '00000004', A(0x1000), 0, '00001004'], // ABS32
  [2, '00000004', T(0x1000), 0, '00001005'],
  [2, 'fffffffc', A(0x0), 0, 'fffffffc'],
  [2, '7fffffff', A(0xffff_ffff), 0, '7ffffffe'], // wraps
  [38, '00000000', T(0x1000), 0, '00001001'], // TARGET1
  [3, '00000000', A(0x1000), 0x2000, 'fffff000'], // REL32
  [3, '00000000', T(0x1000), 0x2000, 'fffff001'],
  [3, '00000000', A(0x8000_0000), 0, '80000000'],
  [55, '00000004', T(0x1000), 0, '00001004'], // ABS32_NOI
  [56, '00000000', T(0x2000), 0x1000, '00001000'], // REL32_NOI
  [5, '0000', A(0xffff), 0, 'ffff'], // ABS16
  [5, '0000', A(0x1_0000), 0, range],
  [5, '8000', A(0), 0, '8000'],
  [5, '8000', A(0xffff_ffff), 0, range],
  [8, '00', A(0xff), 0, 'ff'], // ABS8
  [8, '00', A(0x100), 0, range],
  [8, '80', A(0), 0, '80'],
  [8, '80', A(0xffff_ffff), 0, range],
  [42, '80000000', A(0x3fff_ffff), 0, 'bfffffff'], // PREL31 keeps bit 31
  [42, '80000000', A(0x4000_0000), 0, range],
  [42, '00000000', A(0), 0x4000_0000, '40000000'],
  [42, '00000000', A(0), 0x4000_0001, range],
  [42, '7ffffffc', T(0x2000), 0x1000, '00000ffd'],
  [24, '00000000', T(0x5000), 0, '00001001'], // GOTOFF32
  [25, '00000000', A(0), 0x1000, '00003000'], // BASE_PREL
  [26, '00000000', A(0x9000), 0, '00001000'], // GOT_BREL
  [41, '00000000', A(0x9000), 0x1000, '00004000'], // TARGET2
  [96, 'fffffff8', A(0x9000), 0x1000, '00003ff8'], // GOT_PREL
  [43, 'e3000000', A(0x1234_5678), 0, 'e3050678'], // MOVW_ABS_NC
  [43, 'e300c001', T(0x1234_5678), 0, 'e305c679'],
  [43, 'e30f0fff', A(0x1000), 0, 'e3000fff'], // its addend is signed
  [44, 'e3400000', A(0x1234_5678), 0, 'e3410234'], // MOVT_ABS
  [44, 'e34f0fff', A(0x1_0000), 0, 'e3400000'],
  [45, 'e3000000', T(0x2000), 0x1000, 'e3010001'], // MOVW_PREL_NC
  [46, 'e3400000', A(0x1000), 0x2000, 'e34f0fff'], // MOVT_PREL
  [47, 'f240 0000', A(0x1234_5e78), 0, 'f645 6078'], // THM_MOVW_ABS_NC
  [47, 'f240 0c00', T(0x1234_5678), 0, 'f245 6c79'],
  [48, 'f2c0 0000', A(0x1234_5678), 0, 'f2c1 2034'], // THM_MOVT_ABS
  [49, 'f240 0000', T(0x2000), 0x1000, 'f241 0001'], // THM_MOVW_PREL_NC
  [50, 'f2c0 0000', A(0x1000), 0x2000, 'f6cf 70ff'], // THM_MOVT_PREL
  [28, 'ebfffffe', A(0x200_1004), 0x1000, 'eb7fffff'], // CALL
  [28, 'ebfffffe', A(0x200_1008), 0x1000, range],
  [28, 'ebfffffe', A(0x1008), 0x200_1000, 'eb800000'],
  [28, 'ebfffffe', A(0x1004), 0x200_1000, range],
  [28, 'ebfffffe', A(0x1102), 0x1000, held],
  [28, 'ebfffffe', T(0x200_1006), 0x1000, 'fb7fffff'],
  [28, 'ebfffffe', T(0x200_1008), 0x1000, range],
  [28, 'ebfffffe', T(0x1100), 0x1000, 'fa00003e'],
  [28, 'fafffffe', A(0x1100), 0x1000, 'eb00003e'],
  [28, 'fafffffe', T(0x1102), 0x1000, 'fb00003e'],
  [28, '1bfffffe', A(0x1100), 0x1000, '1b00003e'],
  [28, '1bfffffe', T(0x1100), 0x1000, state],
  [28, 'ebfffffe', weak, 0x4000_0000, 'ebffffff'],
  [29, 'eafffffe', A(0x1100), 0x1000, 'ea00003e'], // JUMP24
  [29, '0afffffe', A(0x1100), 0x1000, '0a00003e'],
  [29, 'eafffffe', T(0x1100), 0x1000, state],
  [29, 'eafffffe', weak, 0x4000_0000, 'eaffffff'],
  [1, 'eafffffe', T(0x1100), 0x1000, state], // PC24
  [1, 'ebfffffe', T(0x1100), 0x1000, 'fa00003e'],
  [27, 'ebfffffe', A(0x1100), 0x1000, 'eb00003e'], // PLT32
  [28, 'ebfffffe', A(0x0fff_fff8), 0xffff_fffc, range],
  [28, 'ebfffffe', A(0x100), 0xffff_fff0, 'eb000042'], // over the end of the address space
  [10, 'f7ff fffe', T(0x100_1002), 0x1000, 'f3ff d7ff'], // THM_CALL
  [10, 'f7ff fffe', T(0x100_1004), 0x1000, range],
  [10, 'f7ff fffe', T(0x1004), 0x100_1000, 'f400 d000'],
  [10, 'f7ff fffe', T(0x1002), 0x100_1000, range],
  [10, 'f7ff fffe', A(0x1100), 0x1000, 'f000 e87e'],
  [10, 'f7ff fffe', A(0x1100), 0x1002, 'f000 e87e'],
  [10, 'f7ff fffe', A(0x1102), 0x1002, held],
  [10, 'f7ff effe', T(0x1102), 0x1002, 'f000 f87e'],
  [10, 'f7ff effe', A(0x100_1000), 0x1002, 'f3ff c7fe'],
  [10, 'f7ff effe', A(0x100_1004), 0x1002, held],
  [10, 'f7ff fffe', weak, 0x4000_0000, 'f000 f800'],
  [10, 'f7ff effe', weak, 0x4000_0002, 'f000 f800'],
  [16, 'f7ff effe', A(0x1100), 0x1000, 'f000 e87e'], // THM_XPC22
  [30, 'f7ff bffe', T(0x1100), 0x1000, 'f000 b87e'], // THM_JUMP24
  [30, 'f7ff bffe', A(0x1100), 0x1000, state],
  [30, 'f7ff bffe', weak, 0x4000_0000, 'f000 b800'],
  [30, 'f3af 8000', T(0x1100), 0x1000, /is not at a b\.w, bl or blx instruction$/],
  [51, 'f43f affe', T(0x10_1002), 0x1000, 'f03f afff'], // THM_JUMP19
  [51, 'f43f affe', T(0x10_1004), 0x1000, range],
  [51, 'f43f affe', T(0x1004), 0x10_1000, 'f400 8000'],
  [51, 'f43f affe', T(0x1002), 0x10_1000, range],
  [51, 'f47f affe', A(0x1100), 0x1000, state],
  [102, 'e7fe', T(0x1802), 0x1000, 'e3ff'], // THM_JUMP11
  [102, 'e7fe', T(0x1804), 0x1000, range],
  [102, 'e7fe', T(0x1004), 0x1800, 'e400'],
  [102, 'e7fe', T(0x1002), 0x1800, range],
  [102, 'e7fe', weak, 0x1800, 'e7ff'],
  [103, 'd0fe', T(0x1102), 0x1000, 'd07f'], // THM_JUMP8
  [103, 'd0fe', T(0x1104), 0x1000, range],
  [103, 'd1fe', T(0x1004), 0x1100, 'd180'],
  [103, 'd1fe', T(0x1002), 0x1100, range],
  [107, '00000000', A(0), 0, /^R_ARM_TLS_IE32 is not supported by the in-memory link; link with ld/],
  [6, '00000000', A(0), 0, /^R_ARM_ABS12 is not supported/],
  [250, '00000000', A(0), 0, /^relocation type 250 is not supported/],
] as const) {
  const name = `${armRelocationName(type)} on ${field} of ${hex(symbol[0])}${symbol[1] ? ' (Thumb)' : ''}`;
  test(`${name} at ${hex(place)} gives ${out}`, () => {
    for (const little of [true, false]) {
      const found = relocate(type, field, symbol, place, little);
      if (typeof out === 'string') assert.equal(found, out);
      else assert.match(found, out);
    }
  });
}

test('in BE8 and BE32 files data go by the byte order of the file and instructions by their own', () => {
  const bytes = Uint8Array.of(0, 0, 0, 4, 0xfe, 0xff, 0xff, 0xeb);
  const r = { symbol: 0x1100, thumb: false, addend: 0, place: 0x1000, little: false, got, slot: () => slot };
  assert.equal(applyArmRelocation({ ...r, type: 2, offset: 0, bytes }, true), undefined);
  assert.equal(applyArmRelocation({ ...r, type: 28, offset: 4, bytes }, true), undefined);
  assert.deepEqual(bytes, Uint8Array.of(0, 0, 0x11, 4, 0x3e, 0, 0, 0xeb));
});

const near = `
  .syntax unified
  .arch armv7-a
  .text
  .arm
  .type a, %function
a: bl f
  bl t
  blx t
  blne f
  b f
  beq f
  bl w
  b w
  ldr r0, [r1]
  movw r0, #:lower16:t
  movt r0, #:upper16:t
  movw r0, #:lower16:(d - .)
  movt r0, #:upper16:(d - .)
  .thumb
  .type b, %function
b: bl f
  bl t
  blx f
  nop
  bl f
  bl t
  b.w t
  beq.w t
  bl w
  b.w w
  b t
  bne t
  movw r7, #:lower16:t
  movt r7, #:upper16:t
  movw r7, #:lower16:(d - .)
  movt r7, #:upper16:(d - .)
  .balign 4
  .weak w
  .section .text.other, "ax", %progbits
  .arm
  .globl f
  .type f, %function
f: bx lr
  .thumb
  .globl t
  .type t, %function
t: bx lr
  .balign 4
  .data
d: .word f, t, d + 8, t + 4
  .word f - ., t - ., d - .
  .word f(TARGET1)
  .reloc ., R_ARM_PREL31, t
  .word 0x80000000
  .short s
  .byte s
  .set s, 0x7f
  .globl s
`;

toolTest(
  'the in-memory link computes what GNU ld does, for every relocation of an object',
  ['arm-linux-gnueabihf-as', 'arm-linux-gnueabihf-ld'],
  (t) => {
    const dir = scratch(t);
    writeFileSync(join(dir, 'a.s'), near);
    run('arm-linux-gnueabihf-as', ['a.s', '-o', 'a.o'], dir);
    const at: Record<string, number> = { '.text': 0x10000, '.text.other': 0x10100, '.data': 0x20000 };
    const script = Object.entries(at).map(([name, address]) => `${name} ${address} : { *(${name}) }`);
    writeFileSync(join(dir, 'a.lds'), `SECTIONS { ${script.join(' ')} }`);
    run('arm-linux-gnueabihf-ld', ['-T', 'a.lds', 'a.o', '-o', 'a.exe', '-e', '0x10000'], dir);
    const object = readElf('a.o', new Uint8Array(readFileSync(join(dir, 'a.o'))));
    const image = readElf('a.exe', new Uint8Array(readFileSync(join(dir, 'a.exe'))));
    const symbols = object.symbols(object.symtab!);
    const types = new Set<number>();
    for (const table of object.sections.filter((s) => s.type === SHT_REL)) {
      const section = object.sections[table.info]!;
      const place = at[section.name];
      if (place === undefined || section.type === SHT_NOBITS || (section.flags & SHF_ALLOC) === 0) continue;
      const bytes = object.data(section).slice();
      const linked = image.data(image.sections.find((s) => s.name === section.name)!);
      const relocations = object.relocations(table);
      for (let i = 0; i < relocations.count; i++) {
        const [type, symbol, offset] = [relocations.type[i]!, relocations.symbol[i]!, relocations.offset[i]!];
        const defined = object.sections[symbols.section[symbol]!]?.name ?? '';
        const value = symbols.value[symbol]! + (at[defined] ?? 0);
        const thumb = at[defined] !== undefined && value % 2 === 1;
        const error = arm.applyRelocation({
          ...{
            type,
            symbol: thumb ? value - 1 : value,
            thumb,
            addend: 0,
            place: place + offset,
            offset,
            bytes,
          },
          ...{ little: true, got, slot: () => slot },
        });
        assert.equal(error, undefined);
        const name = `${armRelocationName(type)} of ${symbols.name(symbol)} at ${section.name}+${hex(offset)}`;
        const end = offset + (type === 102 || type === 103 || type === 5 ? 2 : type === 8 ? 1 : 4);
        let expected = Buffer.from(linked.subarray(offset, end)).toString('hex');
        // GNU ld makes NOPs of branches to weak symbols; aaelf32 allows either.
        const nops = { '00f020e3': 'ff', '0000a0e1': 'ff', aff30080: '00f0' } as Record<string, string>;
        const found = Buffer.from(bytes.subarray(offset, end)).toString('hex');
        if (symbols.name(symbol) === 'w' && nops[expected] !== undefined) expected = found;
        assert.equal(found, expected, name);
        types.add(type);
      }
    }
    t.diagnostic(`${types.size} types of relocations: ${[...types].map(armRelocationName).join(', ')}`);
    assert.ok(types.size >= 19, `${types.size} types`);
  },
);

const callers = `
  .syntax unified
  .text
  .arm
  .globl _start
  .type _start, %function
_start: bl farm
  bl fthumb
  b farm
  b fthumb
  beq farm
  blne fthumb
  b nthumb
  .thumb
  .type athumb, %function
athumb: bl farm
  bl fthumb
  b.w farm
  b.w fthumb
  beq.w farm
  beq.w fthumb
  b.w narm
  .arm
  .globl narm
  .type narm, %function
narm: bx lr
  .thumb
  .globl nthumb
  .type nthumb, %function
nthumb: bx lr
  .balign 4
`;
const order = ['farm', 'fthumb', 'farm', 'fthumb', 'farm', 'fthumb', 'nthumb'];
const thumbOrder = ['farm', 'fthumb', 'farm', 'fthumb', 'farm', 'fthumb', 'narm'];
const callees = (section: string) => `
  .syntax unified
  .section ${section}, "ax", %progbits
  .arm
  .globl farm
  .type farm, %function
farm: bx lr
  .thumb
  .globl fthumb
  .type fthumb, %function
fthumb: bx lr
  .balign 4
`;

for (const [name, linker, args, as] of [
  ['GNU ld', 'arm-linux-gnueabihf-ld', [], ['-march=armv7-a']],
  ['GNU ld, PIC', 'arm-linux-gnueabihf-ld', ['--pic-veneer'], ['-march=armv7-a']],
  ['GNU ld for ARMv4T', 'arm-linux-gnueabihf-ld', [], ['-march=armv4t']],
  ['GNU ld for ARMv4T, PIC', 'arm-linux-gnueabihf-ld', ['--pic-veneer'], ['-march=armv4t']],
  ['GNU ld for ARMv5T', 'arm-linux-gnueabihf-ld', [], ['-march=armv5t']],
  ['GNU ld, BE8', 'arm-linux-gnueabihf-ld', ['-EB', '--be8'], ['-march=armv7-a', '-EB']],
  ['GNU ld, BE32', 'arm-linux-gnueabihf-ld', ['-EB', '--pic-veneer'], ['-march=armv5t', '-EB']],
  ['lld', 'ld.lld', [], ['-march=armv7-a']],
  ['lld, PIC', 'ld.lld', ['-pie'], ['-march=armv7-a']],
  ['lld for ARMv5T', 'ld.lld', [], ['-march=armv5t']],
  ['lld for ARMv5T, PIC', 'ld.lld', ['-pie'], ['-march=armv5t']],
] as const) {
  toolTest(
    `far branches and branches to the other state lead to their targets through the veneers of ${name}`,
    ['arm-linux-gnueabihf-as', linker],
    (t) => {
      const dir = scratch(t);
      // Without Thumb-2 the branches that only it has are left out.
      const old = as[0] !== '-march=armv7-a';
      writeFileSync(join(dir, 'a.s'), old ? callers.replace(/^ {2}b(eq)?\.w.*\n/gm, '') : callers);
      writeFileSync(join(dir, 'b.s'), callees('.far'));
      for (const unit of ['a', 'b'])
        run('arm-linux-gnueabihf-as', [...as, `${unit}.s`, '-o', `${unit}.o`], dir);
      // 48 MiB away, where no branch reaches; lld writes all that lies between.
      const places = ['-Ttext=0x10000', '--section-start=.far=0x3000000'];
      run(linker, [...args, ...places, 'a.o', 'b.o', '-o', 'a.exe'], dir);
      const image = readElf('a.exe', new Uint8Array(readFileSync(join(dir, 'a.exe'))));
      const arch = archOf(image.header);
      const text = image.sections.find((s) => s.name === '.text')!;
      const bytes = image.data(text);
      const start = text.addr;
      const symbols = image.symbols(image.symtab!);
      const values = new Map(
        Array.from({ length: symbols.count }, (_, i) => [symbols.name(i), symbols.value[i]!]),
      );
      const veneers = new Set<string>();
      const follow = (pointer: number): string => {
        for (const target of ['farm', 'fthumb', 'narm', 'nthumb'])
          if (values.get(target) === pointer) return target;
        const place = placeOf(arch, pointer);
        const stub = arch.instructionsOf(pointer).readStub(bytes, place - start, place);
        const veneer =
          [...values].find(([symbol, value]) => value === pointer && !symbol.startsWith('$'))?.[0] ?? '';
        assert.match(veneer, arch.veneerName!, `${hex(pointer)} has the name of a veneer`);
        veneers.add(veneer);
        assert.ok(stub && 'target' in stub, `${veneer} at ${hex(pointer)} is read`);
        return follow(stub.target);
      };
      const kept = old ? thumbOrder.slice(0, 2) : thumbOrder;
      const expected = [...order, ...kept];
      for (const [i, target] of expected.entries()) {
        const set = i < order.length ? arch.instructionsOf(0) : arch.instructionsOf(1);
        const address = start + 4 * i;
        const { displacement } = set.readInstruction(bytes, address - start, address);
        assert.equal(follow((address + displacement) >>> 0), target, `branch ${i}`);
      }
      t.diagnostic(`${veneers.size} veneers: ${[...veneers].join(' ')}`);
      assert.ok(veneers.size >= 3, `${veneers.size} veneers`);
    },
  );
}

for (const [linker, args] of [
  ['arm-linux-gnueabihf-ld', []],
  ['arm-linux-gnueabihf-ld', ['--long-plt']],
  ['ld.lld', []],
] as const) {
  toolTest(
    `PLT entries of ${[linker, ...args].join(' ')} load the slot of their symbol`,
    ['arm-linux-gnueabihf-as', linker, 'arm-linux-gnueabihf-readelf'],
    (t) => {
      const dir = scratch(t);
      writeFileSync(join(dir, 'a.s'), callers.replaceAll('beq', 'b').replaceAll('blne', 'bl'));
      run('arm-linux-gnueabihf-as', ['-march=armv7-a', 'a.s', '-o', 'a.o'], dir);
      run(linker, ['-shared', ...args, 'a.o', '-o', 'a.so'], dir);
      const image = readElf('a.so', new Uint8Array(readFileSync(join(dir, 'a.so'))));
      const sections = ['.text', '.plt'].map((name) => image.sections.find((s) => s.name === name)!);
      const slots = new Map<number, string>();
      for (const [, at, name] of run('arm-linux-gnueabihf-readelf', ['-rW', 'a.so'], dir).matchAll(
        /^([0-9a-f]{8}) .*R_ARM_JUMP_SLOT +\S+ +(\S+)$/gm,
      ))
        slots.set(Number.parseInt(at!, 16), name!);
      const follow = (pointer: number): string | undefined => {
        const place = placeOf(arm, pointer);
        const section = sections.find((s) => place >= s.addr && place < s.addr + s.size)!;
        const offset = place - section.addr;
        const stub = arm.instructionsOf(pointer).readStub(image.data(section), offset, place);
        assert.ok(stub, `what stands at ${hex(pointer)} is read`);
        return 'slot' in stub ? slots.get(stub.slot) : follow(stub.target);
      };
      const text = sections[0]!;
      const start = text.addr;
      for (const [i, target] of [...order, ...thumbOrder].entries()) {
        const set = i < order.length ? arm.instructionsOf(0) : arm.instructionsOf(1);
        const { displacement } = set.readInstruction(image.data(text), 4 * i, start + 4 * i);
        assert.equal(follow(start + 4 * i + displacement), target, `branch ${i}`);
      }
    },
  );
}
