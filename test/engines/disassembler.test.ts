// The adapters of capstone and keystone, with a row for each defect of the packages that they work around, and the
// cross-check that is made of both: it must pass what is right and name both sides of what is wrong.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Arch, InstructionSet } from '../../src/arch/arch.ts';
import { x86_64 } from '../../src/arch/x86-64/x86-64.ts';
import { loadAssembler } from '../../src/engines/assembler.ts';
import { crossCheckEncodings, type Intent, loadCrossCheck } from '../../src/engines/cross-check.ts';
import { loadDisassembler } from '../../src/engines/disassembler.ts';
import { TextpokeError } from '../../src/errors.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const kernel = -0x7f00_0000; // 0xffffffff81000000
const top = 0x7fff_ffff_f000;
const instructions = x86_64.instructionsOf(0);

const throwsWith = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof TextpokeError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};

test('instructions read as Intel syntax, with targets right in both halves of the address space', async () => {
  const disassembler = await loadDisassembler(instructions);
  const rows: [code: string, at: number, text: string, size: number][] = [
    ['0f 1f 44 00 00', 0, 'nop dword ptr [rax + rax]', 5],
    ['66 90', 0, 'nop', 2],
    ['2e 2e 2e 31 c0', 0, 'xor eax, eax', 5],
    ['66 66 48 31 c0', 0, 'xor rax, rax', 5],
    ['e8 fb ff ff ff', 0, 'call 0x0', 5],
    ['eb 02', 5, 'jmp 0x9', 2], // capstone: `jmp 9`
    ['eb 02', 6, 'jmp 0xa', 2],
    ['e8 00 10 00 00', 0x401000, 'call 0x402005', 5],
    ['e8 00 10 00 00', kernel, 'call 0xffffffff81001005', 5],
    ['e8 fb ff ff ff', kernel, 'call 0xffffffff81000000', 5],
    ['e9 00 00 00 80', kernel, 'jmp 0xffffffff01000005', 5],
    ['0f 85 00 00 00 00', top, 'jne 0x7ffffffff006', 6],
    ['74 fe', kernel, 'je 0xffffffff81000000', 2],
    ['e3 fe', kernel, 'jrcxz 0xffffffff81000000', 2],
    ['f2 e9 00 00 00 00', kernel, 'bnd jmp 0xffffffff81000006', 6],
    ['f0 83 00 01', 0, 'lock add dword ptr [rax], 1', 4],
    ['3e 83 00 01', 0, 'add dword ptr ds:[rax], 1', 4],
    ['ff 25 10 00 00 00', kernel, 'jmp qword ptr [rip + 0x10]', 6],
    ['ff e0', 0, 'jmp rax', 2],
    ['0f b9 cc', 0, 'ud1', 3], // capstone: 2 bytes
    ['67 48 0f b9 3a', 0, 'ud1', 5], // capstone: 4 bytes; __WARN_trap
    ['c3', 0, 'ret', 1],
    ['c2 08 00', 0, 'ret 8', 3],
    ['cc', 0, 'int3', 1],
    ['0f 0b', 0, 'ud2', 2],
  ];
  for (const [code, at, text, size] of rows) {
    // What follows is not part of it.
    assert.deepEqual(disassembler.one(hex(`${code} cc cc`), at), { text, size }, code);
  }
});

test('a byte that begins no instruction is nothing alone and a .byte line among others', async () => {
  const disassembler = await loadDisassembler(instructions);
  for (const code of ['06', '', 'f0', 'e8', 'e8 00 00 00', '0f']) {
    assert.equal(disassembler.one(hex(code), kernel), undefined, code);
  }
  const lines = disassembler.lines(hex('06 90 06 06 e8 00 00 00 00 e8 00'), kernel);
  assert.deepEqual(
    lines.map(({ text, address, decoded }) => [address - kernel, text, decoded]),
    [
      [0, '.byte 0x06', false],
      [1, 'nop', true],
      [2, '.byte 0x06', false],
      [3, '.byte 0x06', false],
      [4, 'call 0xffffffff81000009', true],
      [9, '.byte 0xe8', false],
      [10, '.byte 0x00', false],
    ],
  );
  assert.deepEqual(disassembler.lines(new Uint8Array(0), 0), []);
});

test('what follows a corrected length is read from where it really is', async () => {
  const disassembler = await loadDisassembler(instructions);
  const trampoline = hex('e9 fb 0f 00 00 0f b9 cc c3'); // jmp; ud1 %esp, %ecx; ret
  assert.deepEqual(
    disassembler.lines(trampoline, 0).map(({ text }) => text),
    ['jmp 0x1000', 'ud1', 'ret'],
  );
});

test('a symbolizer names the targets of direct branches and nothing else', async () => {
  const disassembler = await loadDisassembler(instructions);
  const asked: number[] = [];
  const symbolize = (target: number) => {
    asked.push(target);
    return target === kernel ? '__SCT__greet' : undefined;
  };
  const one = (code: string) => disassembler.one(hex(code), kernel, symbolize)?.text;
  assert.equal(one('e8 fb ff ff ff'), 'call __SCT__greet');
  assert.equal(one('e9 fb ff ff ff'), 'jmp __SCT__greet');
  assert.equal(one('75 fe'), 'jne __SCT__greet');
  assert.equal(one('e8 00 00 00 00'), 'call 0xffffffff81000005');
  assert.deepEqual(asked, [kernel, kernel, kernel, kernel + 5]);
  for (const code of ['cd 80', '6a 05', 'c2 08 00', 'ff 15 10 00 00 00', 'ff d0', 'b8 05 00 00 00']) {
    assert.doesNotMatch(one(code) ?? '', /greet/, code);
  }
  assert.equal(asked.length, 4);
});

test('code of any size is read window by window', async () => {
  const disassembler = await loadDisassembler(instructions);
  // 4096 is no multiple of 7, so that windows end inside instructions; 40,000 bytes at once abort capstone-wasm.
  const instruction = hex('48 8b 05 00 00 00 00'); // mov 0(%rip), %rax
  const code = new Uint8Array(7 * 6000).map((_, i) => instruction[i % 7] as number);
  const lines = disassembler.lines(code, kernel);
  assert.equal(lines.length, 6000);
  assert.deepEqual(
    lines.filter((line, i) => line.address !== kernel + 7 * i || line.text !== 'mov rax, qword ptr [rip]'),
    [],
  );
  const undecodable = disassembler.lines(new Uint8Array(9000).fill(0x06), 0);
  assert.equal(undecodable.length, 9000);
});

/** x86-64 with another instruction set. */
const withSet = (set: InstructionSet): Arch => ({ ...x86_64, instructionsOf: () => set });

test('instruction sets without a row are refused', async () => {
  const other: InstructionSet = { ...instructions, name: 'PDP-11' };
  await assert.rejects(loadDisassembler(other), throwsWith('machine-unsupported', /disassembler .* PDP-11/));
  await assert.rejects(loadAssembler(other), throwsWith('machine-unsupported', /assembler .* PDP-11/));
  await assert.rejects(
    loadCrossCheck(withSet(other)),
    throwsWith('machine-unsupported', /cross-check .* PDP-11/),
  );
});

test('assembly becomes bytes at its address, and what is none is refused with the text', async () => {
  const assembler = await loadAssembler(instructions);
  const assemble = (text: string, at: number) => Buffer.from(assembler.assemble(text, at)).toString('hex');
  assert.equal(assemble('call 0xffffffff81000000', kernel), 'e8fbffffff');
  assert.equal(assemble('call 0x402005', 0x401000), 'e800100000');
  assert.equal(assemble('ret; int3', 0), 'c3cc');
  const refused = (text: string, message: RegExp) =>
    assert.throws(() => assembler.assemble(text, 0x10), throwsWith('usage', message));
  refused('frobnicate eax', /cannot assemble "frobnicate eax" for x86-64 at 0x10: Invalid mnemonic/);
  refused('mov eax', /cannot assemble "mov eax"/);
  refused('', /gives no bytes/);
});

test('keystone still gets these wrong, which is why the cross-check does not ask it', async () => {
  const assembler = await loadAssembler(instructions);
  // Not 0f 1f 44 00 00: prefetchnta.
  assert.deepEqual(assembler.assemble('nop dword ptr [rax + rax]', 0), hex('0f 18 24 00'));
  assert.throws(() => assembler.assemble('ud1 ecx, esp', 0));
  // Out of range by one byte: wraps.
  assert.deepEqual(assembler.assemble('jmp 0x80001005', 0x1000), hex('e9 00 00 00 80'));
});

test('the cross-check passes what is meant and names both sides of what is not', async () => {
  const check = await crossCheckEncodings(x86_64);
  const locked = hex('f0 83 00 01'); // lock addl $1, (%rax)
  const rows: [bytes: string, intent: Intent, reads: RegExp | undefined][] = [
    ['e8 00 00 00 00', { kind: 'call', target: kernel + 5 }, undefined],
    [
      'e8 01 00 00 00',
      { kind: 'call', target: kernel + 5 },
      /"call to 0xffffffff81000005", but capstone decodes e801000000 as "call 0xffffffff81000006"/,
    ],
    ['e9 00 00 00 00', { kind: 'call', target: kernel + 5 }, /but capstone decodes e900000000 as "jmp 0x/],
    ['e8 00 00 00 00', { kind: 'jump', target: kernel + 5 }, /but capstone decodes e800000000 as "call 0x/],
    ['eb 00', { kind: 'jump', target: kernel + 2 }, undefined],
    ['0f 8f 00 00 00 00', { kind: 'conditional jump', target: kernel + 6 }, undefined],
    ['eb 00', { kind: 'conditional jump', target: kernel + 2 }, /but capstone decodes eb00 as "jmp 0x/],
    ['e3 00', { kind: 'conditional jump', target: kernel + 2 }, /but capstone decodes e300 as "jrcxz 0x/],
    ['66 90', { kind: 'nop' }, undefined],
    ['0f 1f 44 00 00', { kind: 'nop' }, undefined],
    ['0f 18 44 00 00', { kind: 'nop' }, /but capstone decodes 0f18440000 as "prefetchnta/],
    ['90 90', { kind: 'nop' }, /but capstone decodes 9090 as "nop; nop"/],
    ['c3 cc cc cc cc', { kind: 'return' }, undefined],
    ['c3 90', { kind: 'return' }, /but capstone decodes c390 as "ret; nop"/],
    ['2e 2e 2e 31 c0', { kind: 'clear result' }, undefined],
    ['31 c9', { kind: 'clear result' }, /but capstone decodes 31c9 as "xor ecx, ecx"/],
    ['cc', { kind: 'breakpoint' }, undefined],
    ['0f 0b 0f 0b', { kind: 'trap' }, undefined],
    ['f0 83 00 01', { kind: 'lock' }, undefined],
    ['3e 83 00 01', { kind: 'lock' }, /but capstone decodes 3e830001 as "add dword ptr ds:/],
    ['3e 83 00 01', { kind: 'no lock', locked }, undefined],
    ['90 83 00 01', { kind: 'no lock', locked }, undefined],
    [
      'f0 83 00 01',
      { kind: 'no lock', locked },
      /expects "add dword ptr \[rax\], 1", but capstone decodes f0830001 as "lock add/,
    ],
    ['66 83 00 01', { kind: 'no lock', locked }, /but capstone decodes 66830001 as "add word ptr/],
    ['83 00 01', { kind: 'no lock', locked }, /but capstone decodes 830001 as "/],
    ['', { kind: 'nop' }, /but capstone decodes no bytes as ""/],
    ['06', { kind: 'nop' }, /but capstone decodes 06 as "\.byte 0x06"/],
  ];
  for (const [bytes, intent, reads] of rows) {
    const run = () =>
      check.instructions([{ instructions, address: kernel, bytes: hex(bytes), intent, name: 'f+0x1c' }]);
    if (reads) assert.throws(run, throwsWith('defect', reads), bytes);
    else run();
  }
});

test('the cross-check finds an encoding that keystone makes otherwise', async () => {
  const nop = (two: string) => (size: number) => (size === 2 ? hex(two) : instructions.nop(size));
  const wrong = withSet({ ...instructions, nop: nop('89 c0') });
  await assert.rejects(
    crossCheckEncodings(wrong),
    throwsWith('defect', /nop2 .* but capstone decodes 89c0 as "mov eax, eax"/),
  );
  // A NOP to capstone, but not the one that keystone makes of `xchg ax, ax`.
  const other = withSet({ ...instructions, nop: nop('0f 1f 00') });
  await assert.rejects(
    crossCheckEncodings(other),
    throwsWith(
      'defect',
      /nop2 at 0x401000: textpoke encodes 0f1f00, but keystone encodes 6690 for "xchg ax, ax"/,
    ),
  );
});
