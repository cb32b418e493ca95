// The x86-64 length decoder: rows for every map and quirk, and what objdump and capstone make of systematic,
// random and real code.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import {
  decodeInstruction,
  decodeTarget,
  displacementLengthOf,
  InstructionKind,
  isLockable,
  isLockableAt,
  kindOf,
  lengthOf,
  lockPrefixOf,
} from '../../../src/arch/x86-64/length.ts';
import { Random } from '../../seeded.ts';
import { longTest, run, scratch, toolTest } from '../../tools.ts';
import { compare, noAgreement, summary } from '../agreement.ts';
import { disassemble } from '../objdump.ts';

const LIBC = '/lib/x86_64-linux-gnu/libc.so.6';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

/** The instruction at the start of `text`, with more code after it that belongs to others. */
function decode(text: string): number {
  const bytes = hex(text);
  const code = new Uint8Array(bytes.length + 32).fill(0x90);
  code.set(bytes);
  return decodeInstruction(code, 0, code.length);
}

/** Names, and rows of an instruction's bytes, all of them, with what they say. */
const instructions: Readonly<Record<string, readonly (readonly [bytes: string, text: string])[]>> = {
  'the one-byte map': [
    ['90', 'nop'],
    ['c3', 'ret'],
    ['01 d8', 'add %ebx,%eax'],
    ['04 7f', 'add $0x7f,%al'],
    ['05 01 02 03 04', 'add $0x4030201,%eax'],
    ['63 c8', 'movslq %eax,%ecx'],
    ['68 01 02 03 04', 'push $0x4030201'],
    ['6a 7f', 'push $0x7f'],
    ['69 c0 01 02 03 04', 'imul $0x4030201,%eax,%eax'],
    ['6b c0 7f', 'imul $0x7f,%eax,%eax'],
    ['80 c0 01', 'add $0x1,%al'],
    ['81 c0 01 02 03 04', 'add $0x4030201,%eax'],
    ['83 c0 01', 'add $0x1,%eax'],
    ['8f c0', 'pop %rax'],
    ['8f 44 24 08', 'pop 0x8(%rsp)'],
    ['b0 01', 'mov $0x1,%al'],
    ['b8 01 02 03 04', 'mov $0x4030201,%eax'],
    ['c2 08 00', 'ret $0x8'],
    ['c6 00 01', 'movb $0x1,(%rax)'],
    ['c7 00 01 02 03 04', 'movl $0x4030201,(%rax)'],
    ['c8 10 00 01', 'enter $0x10,$0x1'],
    ['ca 08 00', 'lret $0x8'],
    ['cd 80', 'int $0x80'],
    ['d9 3c 24', 'fnstcw (%rsp)'],
    ['e4 01', 'in $0x1,%al'],
    ['f1', 'int1'],
  ],
  'groups whose immediate depends on the reg field': [
    ['f6 c0 01', 'test $0x1,%al'],
    ['f6 c8 01', 'test $0x1,%al (reg field 1)'],
    ['f6 d0', 'not %al'],
    ['f7 c0 01 02 03 04', 'test $0x4030201,%eax'],
    ['66 f7 c0 01 02', 'test $0x201,%ax'],
    ['f7 d8', 'neg %eax'],
    ['f7 60 08', 'mull 0x8(%rax)'],
    ['c6 f8 01', 'xabort $0x1'],
    ['c7 f8 01 02 03 04', 'xbegin'],
    ['fe 00', 'incb (%rax)'],
    ['ff 10', 'call *(%rax)'],
    ['ff 35 01 02 03 04', 'push 0x4030201(%rip)'],
  ],
  'ModRM, SIB and displacement': [
    ['8b 00', 'mov (%rax),%eax'],
    ['8b 40 01', 'mov 0x1(%rax),%eax'],
    ['8b 80 01 02 03 04', 'mov 0x4030201(%rax),%eax'],
    ['8b 05 01 02 03 04', 'mov 0x4030201(%rip),%eax'],
    ['8b 04 24', 'mov (%rsp),%eax'],
    ['8b 04 25 01 02 03 04', 'mov 0x4030201,%eax'],
    ['8b 04 2d 01 02 03 04', 'mov 0x4030201(,%rbp,1),%eax'],
    ['8b 44 25 01', 'mov 0x1(%rbp),%eax'],
    ['8b 84 25 01 02 03 04', 'mov 0x4030201(%rbp),%eax'],
    ['43 8b 04 2d 01 02 03 04', 'mov 0x4030201(,%r13,1),%eax'],
    ['67 8b 05 01 02 03 04', 'mov 0x4030201(%eip),%eax: no 16-bit addresses in 64-bit mode'],
    ['c7 84 24 01 02 03 04 05 06 07 08', 'movl $0x8070605,0x4030201(%rsp)'],
  ],
  'immediates that prefixes change': [
    ['66 05 01 02', 'add $0x201,%ax'],
    ['66 68 01 02', 'pushw $0x201'],
    ['66 81 c0 01 02', 'add $0x201,%ax'],
    ['66 48 81 c0 01 02 03 04', 'add $0x4030201,%rax: REX.W wins'],
    ['66 c7 00 01 02', 'movw $0x201,(%rax)'],
    ['66 b8 01 02', 'mov $0x201,%ax'],
    ['48 b8 01 02 03 04 05 06 07 08', 'movabs $0x807060504030201,%rax'],
    ['66 48 b8 01 02 03 04 05 06 07 08', 'movabs: REX.W wins'],
    ['41 b8 01 02 03 04', 'mov $0x4030201,%r8d'],
    ['48 c7 c0 01 02 03 04', 'mov $0x4030201,%rax'],
    ['66 c2 08 00', 'retw $0x8'],
    ['66 c8 10 00 01', 'enterw $0x10,$0x1'],
    ['a1 01 02 03 04 05 06 07 08', 'movabs 0x807060504030201,%eax'],
    ['48 a3 01 02 03 04 05 06 07 08', 'movabs %rax,0x807060504030201'],
    ['66 a1 01 02 03 04 05 06 07 08', 'movabs 0x807060504030201,%ax'],
    ['67 a1 01 02 03 04', 'addr32 mov 0x4030201,%eax'],
    ['67 b8 01 02 03 04', 'addr32 mov $0x4030201,%eax'],
  ],
  'a REX prefix that another prefix follows, which the CPU ignores': [
    ['48 66 b8 01 02', 'mov $0x201,%ax'],
    ['48 40 b8 01 02 03 04', 'mov $0x4030201,%eax'],
    ['48 f0 01 00', 'lock add %eax,(%rax)'],
    ['48 2e b8 01 02 03 04', 'cs mov $0x4030201,%eax'],
  ],
  'the 0F map': [
    ['0f 05', 'syscall'],
    ['0f 0b', 'ud2'],
    ['0f 01 c8', 'monitor'],
    ['0f 0d 08', 'prefetchw (%rax)'],
    ['0f 1f 44 00 00', 'nopl 0x0(%rax,%rax,1)'],
    ['66 2e 0f 1f 84 00 00 00 00 00', 'cs nopw 0x0(%rax,%rax,1)'],
    ['f3 0f 1e fa', 'endbr64'],
    ['0f 20 c0', 'mov %cr0,%rax'],
    ['0f 22 04', 'mov %rsp,%cr0: the mod field is ignored, so no SIB'],
    ['0f 23 80', 'mov %rax,%db0: nor a displacement'],
    ['0f 70 c0 01', 'pshufw $0x1,%mm0,%mm0'],
    ['66 0f 73 d8 01', 'psrldq $0x1,%xmm0'],
    ['0f 77', 'emms'],
    ['0f 78 c0', 'vmread %rax,%rax'],
    ['66 0f 78 c0 01 02', 'extrq $0x2,$0x1,%xmm0'],
    ['f2 0f 78 c1 01 02', 'insertq $0x2,$0x1,%xmm1,%xmm0'],
    ['0f a2', 'cpuid'],
    ['0f a4 c0 01', 'shld $0x1,%eax,%eax'],
    ['0f a5 c0', 'shld %cl,%eax,%eax'],
    ['f3 0f a7 c8', 'repz xcrypt-ecb'],
    ['0f b1 0f', 'cmpxchg %ecx,(%rdi)'],
    ['f3 0f b8 c0', 'popcnt %eax,%eax'],
    ['0f b9 c0', 'ud1 %eax,%eax'],
    ['67 48 0f b9 3a', 'ud1 (%edx),%rdi: what the kernel writes for __WARN_trap'],
    ['0f ba 20 01', 'btl $0x1,(%rax)'],
    ['0f c2 c0 01', 'cmpltps %xmm0,%xmm0'],
    ['0f c3 00', 'movnti %eax,(%rax)'],
    ['0f c7 0f', 'cmpxchg8b (%rdi)'],
    ['0f c8', 'bswap %eax'],
    ['0f ff c0', 'ud0 %eax,%eax'],
  ],
  'the 0F38, 0F3A and 3DNow! maps': [
    ['66 0f 38 00 c1', 'pshufb %xmm1,%xmm0'],
    ['f2 0f 38 f1 c0', 'crc32l %eax,%eax'],
    ['0f 38 f0 05 01 02 03 04', 'movbe 0x4030201(%rip),%eax'],
    ['66 0f 3a 0f c1 04', 'palignr $0x4,%xmm1,%xmm0'],
    ['66 0f 3a 14 04 24 01', 'pextrb $0x1,%xmm0,(%rsp)'],
    ['0f 0f c1 9e', 'pfadd %mm1,%mm0'],
    ['0f 0f 44 24 08 b4', 'pfmul 0x8(%rsp),%mm0'],
  ],
  VEX: [
    ['c5 f8 77', 'vzeroupper'],
    ['c4 e1 78 77', 'vzeroupper, the long way'],
    ['c5 f9 6f 00', 'vmovdqa (%rax),%xmm0'],
    ['c5 f9 70 c0 01', 'vpshufd $0x1,%xmm0,%xmm0'],
    ['c5 f8 c2 04 24 01', 'vcmpltps (%rsp),%xmm0,%xmm0'],
    ['c4 e2 79 18 00', 'vbroadcastss (%rax),%xmm0'],
    ['c4 e3 7d 19 c1 01', 'vextractf128 $0x1,%ymm0,%xmm1'],
    ['c4 e3 79 69 c0 10', 'vfmaddpd %xmm1,%xmm0,%xmm0,%xmm0'],
    ['c4 e2 69 92 04 05 01 02 03 04', 'vgatherdps %xmm2,0x4030201(,%xmm0,1),%xmm0'],
    ['c4 e2 7b 4b 04 05 01 02 03 04', 'tileloadd 0x4030201(,%rax,1),%tmm0'],
    ['c4 e7 7b f8 c0 01 02 03 04', 'urdmsr $0x4030201,%rax'],
    ['c5 00 58 c0', 'vaddps %xmm0,%xmm15,%xmm8: C5 is never lds in 64-bit mode'],
  ],
  EVEX: [
    ['62 f1 7c 48 58 c0', 'vaddps %zmm0,%zmm0,%zmm0'],
    ['62 f1 7c 48 58 40 01', 'vaddps 0x40(%rax),%zmm0,%zmm0: disp8 counts in vectors, and is one byte'],
    ['62 f1 7c 48 58 80 01 02 03 04', 'vaddps 0x4030201(%rax),%zmm0,%zmm0'],
    ['62 f1 7d 48 72 e0 01', 'vpsrad $0x1,%zmm0,%zmm0'],
    ['62 f2 7d 49 92 04 05 01 02 03 04', 'vgatherdps 0x4030201(,%zmm0,1),%zmm0{%k1}'],
    ['62 f3 7d 48 25 c0 ff', 'vpternlogd $0xff,%zmm0,%zmm0,%zmm0'],
    ['62 f5 7c 48 58 c0', 'vaddph %zmm0,%zmm0,%zmm0'],
    ['62 f6 7d 48 42 c0', 'vgetexpph %zmm0,%zmm0'],
  ],
  XOP: [
    ['8f e8 78 c0 c0 05', 'vprotb $0x5,%xmm0,%xmm0'],
    ['8f e9 78 12 c0', 'llwpcb %eax'],
    ['8f ea 78 10 c0 01 02 03 04', 'bextr $0x4030201,%eax,%eax'],
    ['66 8f ea 78 10 c0 01 02 03 04', 'bextr; 66 shortens nothing'],
  ],
  'APX: REX2 and promoted instructions': [
    ['d5 18 8b 44 0d 00', 'mov 0x0(%r21,%rcx,1),%rax'],
    ['d5 5d 8b 74 0d 00', 'mov 0x0(%r29,%rcx,1),%r30'],
    ['d5 18 50', 'pushp %r16'],
    ['d5 00 a1 01 02 03 04 05 06 07 08', 'jmpabs $0x807060504030201'],
    ['d5 18 b8 01 02 03 04 05 06 07 08', 'movabs $0x807060504030201,%r16'],
    ['d5 10 b8 01 02 03 04', 'mov $0x4030201,%r16d'],
    ['66 d5 10 81 00 01 02', 'addw $0x201,(%r16)'],
    ['66 d5 18 81 00 01 02 03 04', 'addq $0x4030201,(%r16): W wins'],
    ['d5 90 af c1', 'imul %r17d,%eax'],
    ['d5 90 ba 20 05', 'btl $0x5,(%r16)'],
    ['62 fc 44 05 83 fc 05', 'ccmpne {dfv=of} $0x5,%r20d'],
    ['62 f4 44 05 f7 c0 01 02 03 04', 'ctestne {dfv=of} $0x4030201,%eax'],
    ['62 f4 45 05 f7 c0 01 02', 'ctestne {dfv=of} $0x201,%ax'],
    ['62 f4 7c 18 f7 d8', 'neg %eax,%eax'],
    ['62 fc 6c 10 ff f1', 'push2 %r17,%r18'],
    ['62 f4 6c 18 8f c0', 'pop2 %rax,%rdx'],
    ['62 fc 74 14 81 00 01 02 03 04', '{nf} add $0x4030201,(%r16),%r17d'],
    ['62 fc 35 18 81 00 01 02', 'addw $0x201,(%r16),%r9w'],
    ['62 f4 bd 18 69 00 01 02 03 04', 'imul $0x4030201,(%rax),%r8, 66 and W'],
    ['62 f4 3c 18 24 00 05', 'shld $0x5,%eax,(%rax),%r8d'],
    ['62 f4 7c 18 44 c1', 'cmove %ecx,%eax,%eax'],
    ['62 f4 7c 08 d4 c1 05', 'sha1rnds4 $0x5,%xmm1,%xmm0'],
    ['62 f9 7c 48 58 00', 'vaddps (%r16),%zmm0,%zmm0'],
    ['62 f1 78 48 58 04 08', 'vaddps (%rax,%r17,1),%zmm0,%zmm0'],
    ['62 f7 7f 08 f6 c0 01 02 03 04', 'rdmsr $0x4030201,%rax'],
    ['c4 e7 7b f8 c0 01 02 03 04', 'urdmsr $0x4030201,%rax'],
  ],
  'prefixes that the instruction does not take': [
    ['f0 c5 f8 77', 'lock vzeroupper'],
    ['66 62 f1 7c 48 58 c0', 'data16 vaddps'],
    ['f3 c3', 'repz ret'],
    ['f2 ff 20', 'bnd jmp *(%rax)'],
    ['3e ff e0', 'notrack jmp *%rax'],
    ['66 66 48 e8 01 02 03 04', 'data16 data16 rex.W call'],
    ['66 66 66 66 66 66 66 66 66 66 66 66 66 66 90', 'data16 fourteen times, then nop'],
  ],
};

for (const [map, rows] of Object.entries(instructions)) {
  test(`instructions have their length: ${map}`, () => {
    for (const [bytes, text] of rows)
      assert.equal(lengthOf(decode(bytes)), hex(bytes).length, `${bytes}: ${text}`);
  });
}

test('what 64-bit mode does not define is undecodable', () => {
  const rows = [
    ['06', 'push %es'],
    ['0e', 'push %cs'],
    ['27', 'daa'],
    ['60', 'pusha'],
    ['82 c0 01', 'a second group 1'],
    ['9a 01 02 03 04 05 06', 'lcall'],
    ['ce', 'into'],
    ['d4 0a', 'aam'],
    ['d6', 'salc'],
    ['ea 01 02 03 04 05 06', 'ljmp'],
    ['0f 04', 'no instruction'],
    ['0f 24 c0', 'mov %tr0,%eax'],
    ['0f 36', 'no instruction'],
    ['0f 7a c0', 'no instruction'],
    ['c6 c8 01', 'group 11, reg field 1'],
    ['c7 48 01 02 03 04', 'group 11, reg field 1'],
    ['fe d0', 'group 4, reg field 2'],
    ['ff ff', 'group 5, reg field 7'],
    ['0f 00 f0', 'group 6, reg field 6'],
    ['0f ba c0 01', 'group 8, reg field 0'],
    ['0f c7 00', 'group 9, reg field 0'],
    ['8f d0 00 00', 'pop with reg field 2'],
    ['c4 e0 78 58 c0', 'VEX map 0'],
    ['c4 e4 78 58 c0', 'VEX map 4'],
    ['c4 e8 78 c0 c0 05', 'an XOP map in VEX'],
    ['d5 08 70 00', 'jo behind REX2'],
    ['d5 08 e8 00 00 00 00', 'call behind REX2'],
    ['d5 88 80 00 00 00 00', 'jo rel32 behind REX2'],
    ['d5 08 0f af c1', 'an escape behind REX2'],
    ['d5 08 48 01 c0', 'REX behind REX2'],
    ['d5 10 8f d0 00 00', 'pop behind REX2, with reg field 2'],
    ['62 f0 7c 48 58 c0', 'EVEX map 0'],
  ] as const;
  for (const [bytes, text] of rows) assert.equal(decode(bytes), 0, `${bytes}: ${text}`);
});

test('a lock prefix is found among other prefixes, and nowhere else', () => {
  const rows = [
    ['f0 0f b1 0f', 0, 'lock cmpxchg %ecx,(%rdi)'],
    ['f0 48 0f b1 0f', 0, 'lock cmpxchg %rcx,(%rdi)'],
    ['66 f0 0f b1 0f', 1, 'lock cmpxchg %cx,(%rdi)'],
    ['f0 66 0f b1 0f', 0, 'lock cmpxchg %cx,(%rdi)'],
    ['f2 f0 0f b1 0f', 1, 'xacquire lock cmpxchg %ecx,(%rdi)'],
    ['f3 f0 83 00 01', 1, 'xrelease lock addl $0x1,(%rax)'],
    ['65 f0 ff 00', 1, 'lock incl %gs:(%rax)'],
    ['67 2e f0 ff 00', 2, 'cs lock incl (%eax)'],
    ['f0 f0 ff 00', 0, 'lock lock incl (%rax): the first of several'],
    ['48 f0 ff 00', 1, 'lock incl (%rax), after a REX prefix that is ignored'],
    ['f0 90', 0, 'lock nop: #UD, and a prefix none the less'],
    ['f0 d5 71 01 4c 25 00', 0, 'lock add %r17d,0x0(%r29,%r20,1)'],
    ['89 f0', -1, 'mov %esi,%eax'],
    ['8b 45 f0', -1, 'mov -0x10(%rbp),%eax'],
    ['e8 f0 ff ff ff', -1, 'call: in the displacement'],
    ['b0 f0', -1, 'mov $0xf0,%al'],
    ['0f f0', -1, 'lddqu needs F2, and F0 is its opcode'],
    ['f2 0f f0 00', -1, 'lddqu (%rax),%xmm0'],
    ['66 0f 38 f0 00', -1, 'movbe (%rax),%ax'],
  ] as const;
  for (const [bytes, index, text] of rows)
    assert.equal(lockPrefixOf(decode(bytes)), index, `${bytes}: ${text}`);
});

test('a lock prefix is legal on read-modify-write instructions with a memory operand', () => {
  const legal = [
    'f0 01 00', // add %eax,(%rax)
    'f0 10 00', // adc %al,(%rax)
    'f0 31 00', // xor %eax,(%rax)
    'f0 80 08 01', // orb $0x1,(%rax)
    'f0 48 83 28 01', // subq $0x1,(%rax)
    'f0 87 00', // xchg %eax,(%rax)
    'f0 f6 10', // notb (%rax)
    'f0 f7 18', // negl (%rax)
    'f0 fe 00', // incb (%rax)
    'f0 ff 08', // decl (%rax)
    'f0 0f ab 00', // bts %eax,(%rax)
    'f0 0f b0 00', // cmpxchg %al,(%rax)
    'f0 0f ba 38 01', // btcl $0x1,(%rax)
    'f0 0f bb 00', // btc %eax,(%rax)
    'f0 0f c1 00', // xadd %eax,(%rax)
    'f0 0f c7 08', // cmpxchg8b (%rax)
    'f0 48 0f c7 0f', // cmpxchg16b (%rdi)
    'f0 d5 10 01 00', // add %eax,(%r16)
    'f0 d5 90 b1 00', // cmpxchg %eax,(%r16)
  ];
  const illegal = [
    'f0 90', // nop
    'f0 01 c0', // add %eax,%eax
    'f0 03 00', // add (%rax),%eax
    'f0 39 00', // cmp %eax,(%rax)
    'f0 83 38 01', // cmpl $0x1,(%rax)
    'f0 89 00', // mov %eax,(%rax)
    'f0 f7 00 01 02 03 04', // testl
    'f0 f7 20', // mull (%rax)
    'f0 ff 10', // call *(%rax)
    'f0 0f a3 00', // bt %eax,(%rax)
    'f0 0f ba 20 01', // btl $0x1,(%rax)
    'f0 0f c7 30', // vmptrld (%rax)
    'f0 0f 38 c1 00', // the opcode of xadd, in another map
    'f0 c5 f8 c1 00', // likewise
    'f0 d5 10 03 00', // add (%r16),%eax
    'f0 d5 10 b1 00', // the opcode of cmpxchg, in another map
    'f0 62 fc 7c 08 01 00', // {evex} add %eax,(%r16)
    '01 00', // legal, were there a lock
  ];
  for (const bytes of legal) assert.ok(isLockable(decode(bytes)), bytes);
  for (const bytes of illegal) assert.ok(!isLockable(decode(bytes)), bytes);
});

test('whether an F0 can be a lock is answered without decoding as it is with it', () => {
  const random = new Random(18);
  const likely = [0xf0, 0x66, 0x48, 0x0f, 0xd5, 0x00, 0x83, 0xff, 0xc7, 0x04];
  for (let round = 0; round < 20_000; round++) {
    const code = Uint8Array.from({ length: 1 + random.below(40) }, () =>
      random.chance(0.7) ? likely[random.below(likely.length)]! : random.below(0x100),
    );
    code[0] = 0xf0;
    assert.equal(
      isLockableAt(code, 0),
      isLockable(decodeInstruction(code, 0, code.length)),
      `round ${round}`,
    );
  }
});

test('direct branches have their kind, and their displacement at the end', () => {
  const { other, callRel32, jmpRel32, jccRel32, jmpRel8, jccRel8 } = InstructionKind;
  const rows = [
    ['e8 10 00 00 00', callRel32, 4, 0x15],
    ['e9 fb ff ff ff', jmpRel32, 4, 0],
    ['0f 84 00 01 00 00', jccRel32, 4, 0x106],
    ['2e 0f 85 00 00 00 80', jccRel32, 4, 7 - 0x80000000], // a branch hint
    ['66 66 48 e8 00 00 00 00', callRel32, 4, 8], // data16 data16 rex.W call, for __tls_get_addr
    ['f2 e9 00 00 00 00', jmpRel32, 4, 6], // bnd jmp
    ['eb fe', jmpRel8, 1, 0],
    ['74 7f', jccRel8, 1, 0x81],
    ['e2 80', jccRel8, 1, -0x7e], // loop
    ['67 e3 00', jccRel8, 1, 3], // jecxz
  ] as const;
  for (const [bytes, kind, displacement, target] of rows) {
    const packed = decode(bytes);
    assert.equal(lengthOf(packed), hex(bytes).length, bytes);
    assert.equal(kindOf(packed), kind, bytes);
    assert.equal(displacementLengthOf(packed), displacement, bytes);
    assert.equal(decodeTarget(hex(bytes), 0, packed), target, bytes);
  }
  // jmp and call through memory or a register, xbegin, ret, nop; and rel16, as AMD CPUs and objdump have it.
  for (const bytes of [
    'ff 20',
    'ff d0',
    'c7 f8 00 00 00 00',
    'c3',
    '90',
    '66 e8 00 00',
    '66 e9 00 00',
    '66 0f 84 00 00',
  ]) {
    assert.equal(lengthOf(decode(bytes)), hex(bytes).length, bytes);
    assert.equal(kindOf(decode(bytes)), other, bytes);
    assert.equal(displacementLengthOf(decode(bytes)), 0, bytes);
  }
});

test('an instruction has at most fifteen bytes', () => {
  const cs = (count: number): string => '2e'.repeat(count);
  assert.equal(lengthOf(decode(`${cs(14)} 90`)), 15);
  assert.equal(decode(`${cs(15)} 90`), 0);
  assert.equal(decode(cs(40)), 0);
  assert.equal(lengthOf(decode(`${cs(10)} b8 01 02 03 04`)), 15);
  assert.equal(decode(`${cs(11)} b8 01 02 03 04`), 0);
  assert.equal(lengthOf(decode(`${cs(13)} f0 ff 00`)), 0);
  assert.equal(lockPrefixOf(decode(`${cs(12)} f0 ff 00`)), 12);
});

test('an instruction ends by the given end, and by the end of the array', () => {
  const rows = Object.values(instructions).flat();
  for (const [text] of rows) {
    const bytes = hex(text);
    const followed = new Uint8Array(64).fill(0xf0);
    followed.set(bytes, 3);
    for (let length = 0; length < bytes.length; length++) {
      assert.equal(decodeInstruction(followed, 3, 3 + length), 0, `${text} cut to ${length}`);
      assert.equal(
        decodeInstruction(bytes.subarray(0, length), 0, length),
        0,
        `${text} ends after ${length}`,
      );
    }
    const whole = decodeInstruction(followed, 3, 3 + bytes.length);
    assert.equal(lengthOf(whole), bytes.length, text);
    assert.equal(decodeInstruction(bytes, 0, bytes.length), whole, text);
    assert.equal(decodeInstruction(bytes, 0, 1000), whole, `${text}: an end past the array is the array's`);
  }
});

/** Marsaglia's xorshift32: the same bytes in every run. */
function randomBytes(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 11) & 0xff;
  };
}

/** Each prefix before an opcode that reacts to it, or should not. */
const PREFIXES = ['', '66', '67', 'f0', 'f2', 'f3', '2e', '48', '41', '6648', '4866', 'f266', 'f048'];
const MAPS = ['', '0f', '0f38', '0f3a'];

/**
 * Calls `add` with a byte string for each opcode of each map with each of PREFIXES and each ModRM; with VEX, EVEX
 * and XOP for each map and opcode; and with random ones. D5 and EVEX map 4 are left out: APX gives them a
 * meaning that only later versions of objdump know.
 */
function eachByteString(add: (bytes: readonly number[]) => void): void {
  const random = randomBytes(0x5eed);
  const tail = (): number[] => Array.from({ length: 10 }, random);
  for (const map of MAPS) {
    for (const [index, prefix] of PREFIXES.entries()) {
      const lead = [...hex(prefix + map)];
      for (let opcode = 0; opcode < 0x100; opcode++) {
        if (map === '' && opcode === 0xd5) continue;
        // All ModRM values with no prefix, every fifth or so with one.
        for (let modrm = index; modrm < 0x100; modrm += index === 0 ? 1 : 17)
          add([...lead, opcode, modrm, ...tail()]);
      }
    }
  }
  for (let opcode = 0; opcode < 0x100; opcode++) {
    for (let variant = 0; variant < 32; variant++) {
      const modrm = random();
      const last = random();
      add([0xc5, random(), opcode, modrm, ...tail()]);
      for (const map of [1, 2, 3]) add([0xc4, 0xe0 | map, random(), opcode, modrm, ...tail()]);
      for (const map of [1, 2, 3, 5, 6])
        add([0x62, 0xf0 | map, random() | 4, last, opcode, modrm, ...tail()]);
      for (const map of [8, 9, 10]) add([0x8f, 0xe0 | map, random() & 0x7f, opcode, modrm, ...tail()]);
    }
  }
  for (let i = 0; i < 100_000; i++) {
    const prefixes = Array.from({ length: random() & 3 }, () => [
      ...hex(PREFIXES[random() % PREFIXES.length]!),
    ]);
    const bytes = [...prefixes.flat(), ...hex(MAPS[random() & 3]!), random(), random(), ...tail()];
    const opcode = bytes[prefixes.flat().length]!;
    if (opcode !== 0xd5 && opcode !== 0x62 && opcode !== 0xc4) add(bytes);
  }
}

longTest("lengths are objdump's for every opcode, systematically and at random", ['objdump'], async (t) => {
  // Fifteen nops after each byte string: whatever it is, the next one begins a line of the listing.
  const strings: (readonly number[])[] = Object.values(instructions).flatMap((rows) =>
    rows.map(([bytes]) => [...hex(bytes)]),
  );
  eachByteString((bytes) => strings.push(bytes));
  const blob = Buffer.alloc(
    strings.reduce((size, bytes) => size + bytes.length + 15, 0),
    0x90,
  );
  let at = 0;
  for (const bytes of strings) {
    blob.set(bytes, at);
    at += bytes.length + 15;
  }
  const file = join(scratch(t), 'blob');
  writeFileSync(file, blob);

  const agreement = noAgreement();
  for await (const listing of disassemble(['-D', '-b', 'binary', '-m', 'i386:x86-64', file])) {
    compare(listing, agreement);
  }
  assert.deepEqual(agreement.unexplained, []);
  assert.ok(strings.length > 500_000, `${strings.length} byte strings`);
  assert.ok(agreement.instructions > 5_000_000, `${agreement.instructions} instructions`);
  assert.ok(agreement.locks > 1000, `${agreement.locks} locks on what can be locked`);
  t.diagnostic(summary(agreement));
});

/** Where capstone 5.0 has another length for one of the rows above, or none, which is 0. */
const capstoneDiffers: Readonly<Record<string, number>> = {
  '63 c8': 0, // movsxd wants a REX.W there
  '0f b9 c0': 2, // ud0 and ud1 without their ModRM byte
  '67 48 0f b9 3a': 4,
  '0f ff c0': 2,
  'c4 e2 7b 4b 04 05 01 02 03 04': 0, // newer than capstone 5.0: AMX, MSR_IMM, FP16
  'c4 e7 7b f8 c0 01 02 03 04': 0,
  '62 f5 7c 48 58 c0': 0,
  '62 f6 7d 48 42 c0': 0,
  '66 8f ea 78 10 c0 01 02 03 04': 8, // 66 makes its immediate one of 16 bits
  'f0 c5 f8 77': 0, // a prefix that VEX does not take
};

/** What is used of capstone-wasm, which does not export its types. */
interface CapstoneModule {
  loadCapstone(): Promise<void>;
  readonly Const: { readonly CS_ARCH_X86: number; readonly CS_MODE_64: number };
  readonly Capstone: new (
    arch: number,
    mode: number,
  ) => { disasm(code: Uint8Array, options: { address: number }): { readonly size: number }[] };
}

async function capstone(): Promise<(code: Uint8Array) => readonly number[]> {
  const { Capstone, Const, loadCapstone } = (await import('capstone-wasm' as string)) as CapstoneModule;
  await loadCapstone();
  const engine = new Capstone(Const.CS_ARCH_X86, Const.CS_MODE_64);
  return (code) => {
    try {
      return engine.disasm(code, { address: 0 }).map(({ size }) => size);
    } catch {
      return []; // what it does when the first instruction is undecodable
    }
  };
}

test('lengths are what capstone says, but for differences with a name', async () => {
  const disassembleWithCapstone = await capstone();
  // Capstone 5.0 is older than APX.
  const rows = Object.entries(instructions).filter(([group]) => !group.startsWith('APX'));
  for (const [bytes, text] of rows.flatMap(([, row]) => row)) {
    const [length] = disassembleWithCapstone(hex(`${bytes} ${'90'.repeat(15)}`));
    assert.equal(length ?? 0, capstoneDiffers[bytes] ?? hex(bytes).length, `${bytes}: ${text}`);
  }
});

toolTest("lengths are capstone's over the first 500 KB of libc", ['objcopy', LIBC], async (t) => {
  const file = join(scratch(t), 'text');
  run('objcopy', ['-O', 'binary', '-j', '.text', LIBC, file]);
  const code = Uint8Array.from(readFileSync(file).subarray(0, 500_000));
  const disassembleWithCapstone = await capstone();
  let compared = 0;
  for (let offset = 0; offset + 15 < code.length; ) {
    // Its window may cut the last instruction, and 4 KiB is the most that it takes.
    const lengths = disassembleWithCapstone(code.slice(offset, offset + 4096));
    assert.notEqual(lengths.length, 0, `at ${offset}`);
    for (const length of lengths) {
      assert.equal(lengthOf(decodeInstruction(code, offset, code.length)), length, `at ${offset}`);
      offset += length;
      compared++;
    }
  }
  assert.ok(compared > 100_000, `${compared} instructions`);
});
