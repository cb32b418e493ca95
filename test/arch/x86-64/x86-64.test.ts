// The x86-64 encodings: each form with its bytes and mnemonic, a row on each side of every range, and the proofs
// by keystone (which assembles the same bytes) and capstone (which reads the intent back) over seeded samples.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { CallKind, CallSupport, CallTarget, LinkRelocation } from '../../../src/arch/arch.ts';
import type { CodeMap } from '../../../src/arch/code-map.ts';
import { x86_64 } from '../../../src/arch/x86-64/x86-64.ts';
import { hex as address, hexBytes } from '../../../src/bytes/integer.ts';
import { loadAssembler } from '../../../src/engines/assembler.ts';
import { type Intent, loadCrossCheck } from '../../../src/engines/cross-check.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const show = (bytes: Uint8Array | undefined) => bytes && hexBytes(bytes).replace(/..(?=.)/g, '$& ');
const noMap: CodeMap = { starts: new Uint32Array(0), data: new Uint32Array(0), thumb: new Uint32Array(0) };
const instructions = x86_64.instructionsOf(0);

/** Where user programs, position-independent ones and the kernel lie. */
const places = [0x401000, 0x5555_5555_4000, -0x7f00_0000] as const;

/** Deterministic numbers (mulberry32): a failure comes back with its seed. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

const noSupport: CallSupport = { returnStub: undefined, returnThunk: undefined };
const none: CallTarget = { kind: 'null' };

function encode(
  kind: CallKind,
  current: string,
  target: CallTarget,
  at = 0x1000,
  support = noSupport,
  trampoline = 0x9000,
): { bytes: string | undefined; onTrampoline: boolean } | undefined {
  const site = instructions.encodeCallSite({
    address: at,
    kind,
    target,
    trampoline,
    current: hex(current),
    support,
  });
  return site && { bytes: show(site.bytes), onTrampoline: site.onTrampoline };
}

test('a branch that is off is the NOP of its own size', () => {
  assert.equal(show(instructions.nop(2)), '66 90'); // xchg %ax, %ax
  assert.equal(show(instructions.nop(5)), '0f 1f 44 00 00'); // nopl 0(%rax,%rax,1)
  assert.deepEqual(instructions.branchSizes, [2, 5]);
});

test('jmp rel8 reaches from -128 to 127 behind its two bytes', () => {
  const rows: [displacement: number, bytes: string | undefined][] = [
    [2 - 129, undefined],
    [2 - 128, 'eb 80'],
    [0, 'eb fe'],
    [2, 'eb 00'],
    [2 + 127, 'eb 7f'],
    [2 + 128, undefined],
  ];
  for (const [displacement, bytes] of rows)
    assert.equal(show(instructions.jump(2, displacement)), bytes, `${displacement}`);
});

test('jmp rel32 reaches from -2 GiB to 2 GiB - 1 behind its five bytes', () => {
  const rows: [displacement: number, bytes: string | undefined][] = [
    [5 - 0x8000_0001, undefined],
    [5 - 0x8000_0000, 'e9 00 00 00 80'],
    [0, 'e9 fb ff ff ff'],
    [5, 'e9 00 00 00 00'],
    [5 + 0x7fff_ffff, 'e9 ff ff ff 7f'],
    [5 + 0x8000_0000, undefined],
  ];
  for (const [displacement, bytes] of rows)
    assert.equal(show(instructions.jump(5, displacement)), bytes, `${displacement}`);
});

test('a call site calls its function, or its trampoline where the function is out of reach', () => {
  const call = 'e8 00 00 00 00';
  const at = 0x1000;
  const to = (displacement: number) => encode('call', call, { kind: 'function', address: at + displacement });
  assert.deepEqual(to(5), { bytes: 'e8 00 00 00 00', onTrampoline: false }); // call rel32
  assert.deepEqual(to(5 - 0x8000_0000), { bytes: 'e8 00 00 00 80', onTrampoline: false });
  assert.deepEqual(to(5 + 0x7fff_ffff), { bytes: 'e8 ff ff ff 7f', onTrampoline: false });
  // trampoline - at - 5 = 0x7ffb
  assert.deepEqual(to(5 - 0x8000_0001), { bytes: 'e8 fb 7f 00 00', onTrampoline: true });
  assert.deepEqual(to(5 + 0x8000_0000), { bytes: 'e8 fb 7f 00 00', onTrampoline: true });
  assert.deepEqual(
    to(0x8000),
    { bytes: 'e8 fb 7f 00 00', onTrampoline: true },
    'the function is the trampoline',
  );
});

test('a site that reaches neither function nor trampoline cannot be encoded', () => {
  const far = 0x7000_0000_0000;
  const target: CallTarget = { kind: 'function', address: far };
  assert.equal(encode('call', 'e8 11 22 33 44', target, 0x1000, noSupport, far), undefined);
});

test('a call of NULL is nop5, a call of __static_call_return0 clears the result as this image does it', () => {
  const zero: CallTarget = { kind: 'return 0', address: 0x3000 };
  assert.equal(encode('call', 'e8 00 00 00 00', none)?.bytes, '0f 1f 44 00 00'); // nopl
  assert.equal(encode('call', 'e8 00 00 00 00', zero)?.bytes, '2e 2e 2e 31 c0'); // cs cs cs xor %eax, %eax
  assert.equal(encode('call', '66 66 48 31 c0', zero)?.bytes, '66 66 48 31 c0'); // data16 data16 xor %rax, %rax
});

test('a tail call jumps; of NULL it returns, through the return thunk where there is one', () => {
  const tail = 'e9 00 00 00 00';
  const thunk: CallSupport = { returnStub: undefined, returnThunk: 0x2000 };
  const farThunk: CallSupport = { returnStub: undefined, returnThunk: 0x7000_0000_0000 };
  assert.equal(encode('tail', tail, { kind: 'function', address: 0x2000 })?.bytes, 'e9 fb 0f 00 00'); // jmp rel32
  assert.equal(encode('tail', tail, { kind: 'return 0', address: 0x2000 })?.bytes, 'e9 fb 0f 00 00');
  assert.equal(encode('tail', tail, none)?.bytes, 'c3 cc cc cc cc'); // ret; int3; int3; int3; int3
  assert.equal(encode('tail', tail, none, 0x1000, thunk)?.bytes, 'e9 fb 0f 00 00');
  assert.equal(encode('tail', tail, none, 0x1000, farThunk)?.bytes, 'c3 cc cc cc cc');
});

test('a conditional tail call keeps its condition and finds a return to go to', () => {
  const jne = '0f 85 00 00 00 00';
  assert.equal(
    encode('conditional tail', jne, { kind: 'function', address: 0x2000 })?.bytes,
    '0f 85 fa 0f 00 00',
  );
  assert.equal(
    encode('conditional tail', '0f 8f 00 00 00 00', { kind: 'function', address: 0x2000 })?.bytes,
    '0f 8f fa 0f 00 00',
  ); // jg
  const stub: CallSupport = { returnStub: 0x3000, returnThunk: undefined };
  const both: CallSupport = { returnStub: 0x3000, returnThunk: 0x2000 };
  assert.equal(encode('conditional tail', jne, none, 0x1000, stub)?.bytes, '0f 85 fa 1f 00 00');
  assert.equal(encode('conditional tail', jne, none, 0x1000, both)?.bytes, '0f 85 fa 0f 00 00');
  assert.deepEqual(encode('conditional tail', jne, none), { bytes: '0f 85 fa 7f 00 00', onTrampoline: true });
  const at = 0x1000;
  const to = (displacement: number) =>
    encode('conditional tail', jne, { kind: 'function', address: at + displacement })?.onTrampoline;
  assert.deepEqual([6 - 0x8000_0001, 6 - 0x8000_0000, 6 + 0x7fff_ffff, 6 + 0x8000_0000].map(to), [
    true,
    false,
    false,
    true,
  ]);
});

test('a trampoline jumps to its function or returns, and out of reach it cannot be made', () => {
  const make = (target: CallTarget, support = noSupport) =>
    show(instructions.encodeTrampoline(0x1000, target, support));
  assert.equal(make({ kind: 'function', address: 0x2000 }), 'e9 fb 0f 00 00'); // jmp rel32
  assert.equal(make({ kind: 'return 0', address: 0x2000 }), 'e9 fb 0f 00 00');
  assert.equal(make(none), 'c3 cc cc cc cc'); // ret; int3 x4
  assert.equal(make(none, { returnStub: undefined, returnThunk: 0x2000 }), 'e9 fb 0f 00 00');
  assert.equal(make({ kind: 'function', address: 0x1005 + 0x7fff_ffff }), 'e9 ff ff ff 7f');
  assert.equal(make({ kind: 'function', address: 0x1005 + 0x8000_0000 }), undefined);
});

test('trampolines are told by a jmp or ret with a signature behind it', () => {
  const rows: [code: string, is: boolean][] = [
    ['e9 00 00 00 00 0f b9 cc', true], // jmp; ud1 %esp, %ecx
    ['c3 cc 90 90 90 0f b9 cc', true], // ret; int3; nop x3; ud1
    ['e9 00 00 00 00 53 43 54', true], // jmp; "SCT"
    ['e8 00 00 00 00 0f b9 cc', false], // call
    ['e9 00 00 00 00 0f b9 cd', false],
    ['e9 00 00 00 00 53 43', false], // cut off
    ['eb 00 00 00 00 0f b9 cc', false], // jmp rel8
  ];
  for (const [code, is] of rows) assert.equal(instructions.isTrampoline(hex(code), 0), is, code);
});

test('what may stand at a static call site depends on its kind', () => {
  const rows: [bytes: string, call: boolean, tail: boolean, conditional: boolean][] = [
    ['e8 01 02 03 04', true, false, false], // call rel32
    ['e8 01 02 03', false, false, false], // cut off
    ['0f 1f 44 00 00', true, false, false], // nopl
    ['2e 2e 2e 31 c0', true, false, false], // cs cs cs xor %eax, %eax
    ['66 66 48 31 c0', true, false, false], // data16 data16 xor %rax, %rax
    ['2e 2e 2e 31 c9', false, false, false], // xor %ecx, %ecx
    ['e9 01 02 03 04', false, true, false], // jmp rel32
    ['c3 cc cc cc cc', false, true, false], // ret
    ['eb 01 02 03 04', false, false, false], // jmp rel8
    ['0f 7f 00 00 00 00', false, false, false], // movq
    ['0f 80 00 00 00 00', false, false, true], // jo rel32
    ['0f 8f 00 00 00 00', false, false, true], // jg rel32
    ['0f 8f 00 00 00', false, false, false], // cut off
    ['0f 90 00 00 00 00', false, false, false], // seto
  ];
  for (const [bytes, ...expected] of rows) {
    const found = (['call', 'tail', 'conditional tail'] as const).map((kind) =>
      instructions.isCallSite(hex(bytes), kind),
    );
    assert.deepEqual(found, expected, bytes);
  }
});

test('instructions are read as patching sees them', () => {
  const rows: [code: string, kind: string, size: number, displacement: number, short: boolean][] = [
    ['e8 fb ff ff ff', 'call', 5, 0, false],
    ['e9 00 00 00 80', 'jump', 5, 5 - 0x8000_0000, false],
    ['eb 7f', 'jump', 2, 129, true],
    ['eb 80', 'jump', 2, -126, true],
    ['70 00', 'conditional jump', 2, 2, true], // jo
    ['7f fe', 'conditional jump', 2, 0, true], // jg
    ['0f 80 00 00 00 00', 'conditional jump', 6, 6, false],
    ['0f 8f fa ff ff ff', 'conditional jump', 6, 0, false],
    ['66 90', 'nop', 2, 0, false],
    ['0f 1f 44 00 00', 'nop', 5, 0, false],
    ['c3', 'return', 1, 0, false],
    ['2e 2e 2e 31 c0', 'clear result', 5, 0, false],
    ['66 66 48 31 c0', 'clear result', 5, 0, false],
    ['90', 'other', 0, 0, false], // a one-byte nop is no branch that is off
    ['0f 1f 44 00 01', 'other', 0, 0, false],
    ['6f', 'other', 0, 0, false],
    ['80', 'other', 0, 0, false],
    ['0f 90 c0', 'other', 0, 0, false], // seto
    // One byte short of each:
    ['e8 00 00 00', 'other', 0, 0, false],
    ['eb', 'other', 0, 0, false],
    ['0f 80 00 00 00', 'other', 0, 0, false],
    ['66', 'other', 0, 0, false],
    ['', 'other', 0, 0, false],
  ];
  for (const [code, kind, size, displacement, short] of rows) {
    const behind = hex(`cc ${code}`);
    assert.deepEqual(instructions.readInstruction(behind, 1), { kind, size, displacement, short }, code);
  }
});

test('a relocation belongs to the branch whose field it fills', () => {
  const [PC32, PLT32, PC8, GOTPCREL] = [2, 4, 15, 9];
  const rows: [type: number, code: string, place: number, found: string | undefined][] = [
    [PLT32, '90 e8 00 00 00 00', 2, 'call 5 at 1, bias 4'],
    [PC32, '90 e8 00 00 00 00', 2, 'call 5 at 1, bias 4'],
    [PLT32, 'e9 00 00 00 00', 1, 'jump 5 at 0, bias 4'],
    [PLT32, '90 0f 84 00 00 00 00', 3, 'conditional jump 6 at 1, bias 4'],
    [PLT32, '90 0e 84 00 00 00 00', 3, undefined],
    [PC8, 'eb 00', 1, 'short jump 2 at 0, bias 1'],
    [PC8, '75 00', 1, 'short conditional jump 2 at 0, bias 1'],
    [PC8, 'e8 00', 1, undefined],
    [PC32, '8b 05 00 00 00 00', 2, undefined], // mov 0(%rip), %eax
    [GOTPCREL, 'ff 15 00 00 00 00', 2, undefined], // call *0(%rip)
    [PLT32, '00 00 00 00', 0, undefined], // nothing in front
  ];
  for (const [type, code, place, expected] of rows) {
    const branch = x86_64.branchOfRelocation(type, hex(code), place);
    const found =
      branch &&
      `${branch.short ? 'short ' : ''}${branch.kind} ${branch.size} at ${branch.offset}, bias ${branch.bias}`;
    assert.equal(found, expected, `${x86_64.relocations.name(type)} ${code}`);
  }
});

test('every direct branch of a section is visited, with its target in the section', () => {
  //          0: call 5       5: jmp 0        10: jne 16 (rel32)  16: jmp 18  18: je 16  20: ret  21: data
  const code = hex(
    'e8 00000000  e9 f6ffffff  0f85 00000000       eb 00       74 fc      c3       e8 00000000',
  );
  const found: string[] = [];
  x86_64.forEachBranch(
    code,
    { ...noMap, starts: Uint32Array.of(0), data: Uint32Array.of(21, 26) },
    (at, target, kind, short) => found.push(`${at}: ${short ? 'short ' : ''}${kind} ${target}`),
  );
  assert.deepEqual(found, [
    '0: call 5',
    '5: jump 0',
    '10: conditional jump 16',
    '16: short jump 18',
    '18: short conditional jump 16',
  ]);
  assert.equal(x86_64.startsInstruction(code, noMap, 10), true);
  assert.equal(x86_64.startsInstruction(code, noMap, 11), false);
});

test('stubs between a site and its function are seen through', () => {
  const at = 0x1000;
  const rows: [code: string, found: object | undefined][] = [
    ['ff 25 10 00 00 00', { slot: 0x1016 }], // jmp *0x10(%rip)
    ['ff 25 f0 ff ff ff', { slot: 0xff6 }],
    ['f3 0f 1e fa ff 25 10 00 00 00', { slot: 0x101a }], // endbr64; jmp *
    ['f3 0f 1e fa f2 ff 25 10 00 00 00', { slot: 0x101b }], // endbr64; bnd jmp *
    ['f3 0f 1e fa 41 bb 02 00 00 00 ff 25 10 00 00 00', { slot: 0x1020 }], // endbr64; mov $2, %r11d; jmp *
    ['f2 ff 25 10 00 00 00', { slot: 0x1017 }],
    ['e9 00 10 00 00', { target: 0x2005 }], // jmp
    ['f3 0f 1e fa e9 00 10 00 00', { target: 0x2009 }],
    ['ff 25 10 00 00', undefined], // cut off
    ['e9 00 10 00', undefined],
    ['ff 15 10 00 00 00', undefined], // call *
    ['c3', undefined],
  ];
  for (const [code, found] of rows) assert.deepEqual(instructions.readStub(hex(code), 0, at), found, code);
  assert.deepEqual(instructions.readStub(hex('90 ff 25 10 00 00 00'), 1, at), { slot: 0x1016 });
});

test('a link carries relocations out up to the limits of their fields', () => {
  const G = 2 ** 31;
  const rows: [
    type: number,
    name: string,
    symbol: number,
    addend: number,
    place: number,
    result: string | RegExp,
  ][] = [
    [1, 'R_X86_64_64', -0x7f00_0000, 1, 0, '01 00 00 81 ff ff ff ff'],
    [2, 'R_X86_64_PC32', 0x2000, -4, 0x1000, 'fc 0f 00 00'],
    [2, 'R_X86_64_PC32', G - 1, 0, 0, 'ff ff ff 7f'],
    [2, 'R_X86_64_PC32', G, 0, 0, /needs 2147483648, .* \(-2147483648 to 2147483647\)/],
    [4, 'R_X86_64_PLT32', 0, -G, 0, '00 00 00 80'],
    [4, 'R_X86_64_PLT32', 0, -G - 1, 0, /needs -2147483649/],
    [10, 'R_X86_64_32', 2 * G - 1, 0, 0, 'ff ff ff ff'],
    [10, 'R_X86_64_32', 2 * G, 0, 0, /\(0 to 4294967295\)/],
    [10, 'R_X86_64_32', 0, -1, 0, /needs -1/],
    [11, 'R_X86_64_32S', -G, 0, 0, '00 00 00 80'],
    [11, 'R_X86_64_32S', G, 0, 0, /needs 2147483648/],
    [12, 'R_X86_64_16', 0xffff, 0, 0, 'ff ff'],
    [12, 'R_X86_64_16', 0x1_0000, 0, 0, /\(0 to 65535\)/],
    [13, 'R_X86_64_PC16', 0, -0x8000, 0, '00 80'],
    [13, 'R_X86_64_PC16', 0x8000, 0, 0, /\(-32768 to 32767\)/],
    [14, 'R_X86_64_8', 0xff, 0, 0, 'ff'],
    [14, 'R_X86_64_8', 0x100, 0, 0, /\(0 to 255\)/],
    [15, 'R_X86_64_PC8', 0, -0x80, 0, '80'],
    [15, 'R_X86_64_PC8', 0x80, 0, 0, /\(-128 to 127\)/],
    [24, 'R_X86_64_PC64', 0x1000, 3, -0x7f00_0000, '03 10 00 7f 00 00 00 00'],
    [42, 'R_X86_64_REX_GOTPCRELX', 0, -4, 0x1000, 'fc 3f 00 00'], // slot 0x5000
    [0, 'R_X86_64_NONE', 1, 1, 1, ''],
    [22, 'R_X86_64_GOTTPOFF', 0, 0, 0, /GOTTPOFF is not supported by the in-memory link/],
  ];
  for (const [type, name, symbol, addend, place, result] of rows) {
    assert.equal(x86_64.relocations.name(type), name);
    const bytes = new Uint8Array(16).fill(0xee);
    const relocation: LinkRelocation = {
      ...{ type, symbol, addend, place, offset: 4, bytes, slot: () => 0x5000 },
      ...{ thumb: false, little: true, got: 0x4000 },
    };
    const failed = x86_64.applyRelocation(relocation);
    const what = `${name} of ${symbol} + ${addend} at ${place}`;
    if (typeof result !== 'string') {
      assert.match(failed ?? '', result, what);
      assert.ok(
        bytes.every((byte) => byte === 0xee),
        `${what} wrote something`,
      );
      continue;
    }
    assert.equal(failed, undefined, what);
    const expected = new Uint8Array(16).fill(0xee);
    expected.set(hex(result), 4);
    assert.deepEqual(bytes, expected, what);
  }
  assert.equal(x86_64.relocations.name(200), 'relocation type 200');
});

test('keystone and capstone agree with every form of the encodings', async () => {
  const check = await loadCrossCheck(x86_64);
  assert.ok(check.encodings() > 150, `${check.encodings()} encodings`);
});

test('keystone assembles the same bytes and capstone reads the intent back, all over the range', async () => {
  const assembler = await loadAssembler(instructions);
  const check = await loadCrossCheck(x86_64);
  const seed = 0x7e87;
  const next = random(seed);
  const samples = Array.from({ length: 120 }, () => {
    // As many small displacements as large ones.
    const bits = 8 + Math.floor(next() * 24);
    return Math.floor((next() * 2 - 1) * 2 ** bits);
  });
  const limits = [-0x8000_0000, -0x7fff_ffff, -0x1000, 0x1000, 0x7fff_fffe, 0x7fff_ffff];
  let compared = 0;
  for (const at of places) {
    for (const rel of [...limits, ...samples]) {
      const forms: [assembly: string, bytes: Uint8Array | undefined, intent: Intent][] = [];
      const branch = (
        kind: CallKind,
        current: string,
        mnemonic: string,
        intent: 'call' | 'jump' | 'conditional jump',
      ) => {
        const size = hex(current).length;
        const target = at + size + rel;
        const request = { address: at, kind, trampoline: at, current: hex(current), support: noSupport };
        const bytes = instructions.encodeCallSite({
          ...request,
          target: { kind: 'function', address: target },
        })?.bytes;
        forms.push([`${mnemonic} ${address(target)}`, bytes, { kind: intent, target }]);
      };
      branch('call', 'e8 00 00 00 00', 'call', 'call');
      // keystone takes rel8 where it reaches: from the end of the rel32 form that is 3 or 4 bytes less far.
      if (rel < -140 || rel > 140) {
        branch('tail', 'e9 00 00 00 00', 'jmp', 'jump');
        branch('conditional tail', '0f 84 00 00 00 00', 'je', 'conditional jump');
        const target = at + 5 + rel;
        forms.push([`jmp ${address(target)}`, instructions.jump(5, 5 + rel), { kind: 'jump', target }]);
      }
      for (const [assembly, bytes, intent] of forms) {
        const what = `${assembly} at ${address(at)} (seed ${seed})`;
        assert.equal(show(bytes), show(assembler.assemble(assembly, at)), what);
        check.instructions([
          { instructions, address: at, bytes: bytes ?? new Uint8Array(0), intent, name: what },
        ]);
        compared++;
      }
    }
    for (let rel = -128; rel <= 127; rel++) {
      const target = at + 2 + rel;
      const bytes = instructions.jump(2, 2 + rel) ?? new Uint8Array(0);
      assert.equal(show(bytes), show(assembler.assemble(`jmp ${address(target)}`, at)), `jmp rel8 ${rel}`);
      check.instructions([{ instructions, address: at, bytes, intent: { kind: 'jump', target } }]);
      compared++;
    }
  }
  assert.ok(compared > 1500, `${compared} compared`);
});
