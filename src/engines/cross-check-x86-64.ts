// The encodings of x86-64 as the cross-check proves them.

import type { Arch, CallKind, CallTarget, InstructionSet } from '../arch/arch.ts';
import { hex } from '../bytes/integer.ts';
import { type Form, type FormRow, formsAt } from './cross-check-forms.ts';

export const x86Row: FormRow = {
  text(intent) {
    switch (intent.kind) {
      case 'call':
        return new RegExp(`^call ${hex(intent.target)}$`);
      case 'jump':
        return new RegExp(`^jmp ${hex(intent.target)}$`);
      case 'conditional jump':
        return new RegExp(`^j(?!mp |cxz |ecxz |rcxz )[a-z]+ ${hex(intent.target)}$`);
      case 'nop':
        return /^nop( (d?word) ptr \[.*\])?$/;
      case 'return':
        return /^ret(; int3)*$/;
      case 'clear result':
        return /^xor (eax, eax|rax, rax)$/;
      case 'breakpoint':
        return /^int3$/;
      case 'trap':
        return /^ud2(; ud2)*$/;
      case 'lock':
        return /^lock [a-z]/;
      case 'load of the key':
        return /^(?!)/; // trampolines jump to the function itself
    }
  },
  unlocked: (locked) => locked.replace(/^lock /, ''),
  // In 64-bit mode the DS prefix does nothing, but capstone names the segment.
  plain: (text) => text.replace(/^nop; /, '').replace(/\bds:\[/, '['),
  forms: x86Forms,
};

/** The 16 conditions in the order of their codes (Intel SDM vol. 2, appendix B.1.4). */
const conditions = 'o no b ae e ne be a s ns p np l ge le g'.split(' ');

function* x86Forms(instructions: InstructionSet, arch: Arch): Generator<Form> {
  const userspace = 0x401000;
  const kernel = -0x7f000000; // 0xffffffff81000000
  const thunk = (address: number) => address + 0x2000;
  const add = Uint8Array.of(0x83, 0x00, 0x01); // add dword ptr [rax], 1
  const withPrefix = (prefix: number) => Uint8Array.of(prefix, ...add);
  for (const address of [userspace, kernel]) {
    const form = formsAt(instructions, address);
    yield form('nop2', instructions.nop(2), { kind: 'nop' }, 'xchg ax, ax');
    yield form(
      'nop5',
      instructions.nop(5),
      { kind: 'nop' },
      {
        notAssembled: 'keystone makes 0f 18 24 00 (prefetchnta) of `nop dword ptr [rax + rax]`',
      },
    );
    // keystone takes the short form where it reaches, so rel32 is compared outside of rel8's range only.
    for (const displacement of [-126, -1, 0, 2, 129]) {
      const target = address + displacement;
      yield form(
        'jmp rel8',
        instructions.jump(2, displacement),
        { kind: 'jump', target },
        `jmp ${hex(target)}`,
      );
    }
    for (const displacement of [-0x8000_0000 + 5, -0x123456, -127, 130, 0x123456, 0x7fff_ffff + 5]) {
      const target = address + displacement;
      yield form(
        'jmp rel32',
        instructions.jump(5, displacement),
        { kind: 'jump', target },
        `jmp ${hex(target)}`,
      );
    }
    for (const displacement of [-0x8000_0000 + 6, -0x123456, 0x123456, 0x7fff_ffff + 5]) {
      const target = address + displacement;
      const callTarget: CallTarget = { kind: 'function', address: target };
      const encode = (kind: CallKind, current: Uint8Array) =>
        instructions.encodeCallSite({
          address,
          kind,
          target: callTarget,
          trampoline: address + 0x1000,
          current,
          support: { returnStub: undefined, returnThunk: undefined },
        })?.bytes;
      const call = encode('call', Uint8Array.of(0xe8, 0, 0, 0, 0, 0));
      yield form('call rel32', call, { kind: 'call', target }, `call ${hex(target)}`);
      const tail = encode('tail', Uint8Array.of(0xe9, 0, 0, 0, 0, 0));
      yield form('tail call', tail, { kind: 'jump', target }, `jmp ${hex(target)}`);
      for (const [code, condition] of conditions.entries()) {
        const jcc = encode('conditional tail', Uint8Array.of(0x0f, 0x80 + code, 0, 0, 0, 0));
        yield form(
          `j${condition} rel32`,
          jcc,
          { kind: 'conditional jump', target },
          `j${condition} ${hex(target)}`,
        );
      }
      const trampoline = instructions.encodeTrampoline(address, callTarget, {
        returnStub: undefined,
        returnThunk: undefined,
      });
      yield form('trampoline', trampoline, { kind: 'jump', target }, `jmp ${hex(target)}`);
    }
    const encodeNull = (
      kind: CallKind,
      opcode: readonly number[],
      target: CallTarget,
      returnThunk?: number,
    ) =>
      instructions.encodeCallSite({
        address,
        kind,
        target,
        trampoline: address + 0x1000,
        current: Uint8Array.of(...opcode),
        support: { returnStub: thunk(address), returnThunk },
      })?.bytes;
    const none: CallTarget = { kind: 'null' };
    const zero: CallTarget = { kind: 'return 0', address: address + 0x3000 };
    const returnText = 'ret; int3; int3; int3; int3';
    const toThunk = { target: thunk(address), text: hex(thunk(address)) };
    yield form(
      'call of NULL',
      encodeNull('call', [0xe8, 0, 0, 0, 0], none),
      { kind: 'nop' },
      {
        notAssembled: 'it is nop5',
      },
    );
    yield form(
      'tail call of NULL',
      encodeNull('tail', [0xe9, 0, 0, 0, 0], none),
      { kind: 'return' },
      returnText,
    );
    yield form(
      'tail call of NULL through the return thunk',
      encodeNull('tail', [0xe9, 0, 0, 0, 0], none, toThunk.target),
      { kind: 'jump', target: toThunk.target },
      `jmp ${toThunk.text}`,
    );
    yield form(
      'conditional tail call of NULL',
      encodeNull('conditional tail', [0x0f, 0x85, 0, 0, 0, 0], none),
      { kind: 'conditional jump', target: toThunk.target },
      `jne ${toThunk.text}`,
    );
    yield form(
      'call of __static_call_return0',
      encodeNull('call', [0xe8, 0, 0, 0, 0], zero),
      { kind: 'clear result' },
      'cs; cs; cs; xor eax, eax',
    );
    yield form(
      'call of __static_call_return0 before 5.17',
      encodeNull('call', [0x66, 0x66, 0x48, 0x31, 0xc0], zero),
      { kind: 'clear result' },
      'data16; data16; xor rax, rax',
    );
    yield form(
      'trampoline to NULL',
      instructions.encodeTrampoline(address, none, { returnStub: undefined, returnThunk: undefined }),
      { kind: 'return' },
      returnText,
    );
    if (arch.lockPrefix) {
      const { lock, up, nop } = arch.lockPrefix;
      const locked = withPrefix(lock);
      yield form('lock prefix', locked, { kind: 'lock' }, 'lock; add dword ptr [rax], 1');
      yield form(
        'lock replaced by DS',
        withPrefix(up),
        { kind: 'no lock', locked },
        'ds; add dword ptr [rax], 1',
      );
      yield form(
        'lock replaced by NOP',
        withPrefix(nop),
        { kind: 'no lock', locked },
        'nop; add dword ptr [rax], 1',
      );
    }
    if (arch.breakpoint) yield form('breakpoint', arch.breakpoint, { kind: 'breakpoint' }, 'int3');
    yield form('trap', arch.trapFill(4), { kind: 'trap' }, 'ud2; ud2');
  }
}
