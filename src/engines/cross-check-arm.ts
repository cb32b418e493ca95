// The encodings of AArch64 and of both instruction sets of 32-bit ARM as the cross-check proves them.

import type { Arch, CallKind, CallTarget, InstructionSet } from '../arch/arch.ts';
import { address32 } from '../arch/arm/a32.ts';
import { conditionNames as conditions } from '../arch/arm/words.ts';
import { hex } from '../bytes/integer.ts';
import { type Form, type FormRow, formsAt, type Intent, noSupport } from './cross-check-forms.ts';

export const a64Row: FormRow = {
  text(intent) {
    switch (intent.kind) {
      case 'call':
        return new RegExp(`^bl ${hex(intent.target)}$`);
      case 'jump':
        return new RegExp(`^b ${hex(intent.target)}$`);
      case 'conditional jump':
        return new RegExp(`^(b\\.[a-z]+|cbn?z|tbn?z) (.*, )?${hex(intent.target)}$`);
      case 'nop':
        return /^nop$/;
      case 'return':
        return /^ret$/;
      case 'clear result':
        return /^mov x0, #0$/;
      case 'trap':
        return /^brk #1(; brk #1)*$/;
      case 'breakpoint':
      case 'lock':
      case 'load of the key':
        return /^(?!)/; // the machine has none
    }
  },
  unlocked: (locked) => locked,
  plain: (text) => text,
  forms: aarch64Forms,
};

/** Encodes call sites at an address, over what stands there. */
function sitesAt(instructions: InstructionSet, address: number, trampoline: number) {
  return (kind: CallKind, target: CallTarget, current = instructions.nop(4)): Uint8Array | undefined =>
    instructions.encodeCallSite({ address, kind, target, trampoline, current, support: noSupport })?.bytes;
}

function* aarch64Forms(instructions: InstructionSet, arch: Arch): Generator<Form> {
  const limits = [-0x800_0000, 0x7ff_fffc];
  for (const address of [0x8_0040_1000, -0x3f_f7ff_f000]) {
    const form = formsAt(instructions, address);
    const site = sitesAt(instructions, address, address + 0x1000);
    yield form('nop', instructions.nop(4), { kind: 'nop' }, 'nop');
    for (const displacement of [...limits, -0x123_4564, -4, 0, 4, 0x123_4564]) {
      const target = address + displacement;
      const callTarget: CallTarget = { kind: 'function', address: target };
      // keystone takes a target in the upper half only as its 64 bits.
      const to = `#${hex(target)}`;
      yield form('b', instructions.jump(4, displacement), { kind: 'jump', target }, `b ${to}`);
      yield form('bl', site('call', callTarget), { kind: 'call', target }, `bl ${to}`);
      yield form('tail call', site('tail', callTarget), { kind: 'jump', target }, `b ${to}`);
      const trampoline = instructions.encodeTrampoline(address, callTarget, noSupport);
      yield form('trampoline', trampoline, { kind: 'jump', target }, `b ${to}`);
    }
    const none: CallTarget = { kind: 'null' };
    const zero: CallTarget = { kind: 'return 0', address: address + 0x3000 };
    yield form('call of NULL', site('call', none), { kind: 'nop' }, 'nop');
    yield form('tail call of NULL', site('tail', none), { kind: 'return' }, 'ret');
    yield form(
      'trampoline to NULL',
      instructions.encodeTrampoline(address, none, noSupport),
      { kind: 'return' },
      'ret',
    );
    yield form('call of __static_call_return0', site('call', zero), { kind: 'clear result' }, 'mov x0, #0');
    yield form(
      'tail call of __static_call_return0',
      site('tail', zero),
      { kind: 'jump', target: zero.address },
      `b #${hex(zero.address)}`,
    );
    yield form('trap', arch.trapFill(8), { kind: 'trap' }, 'brk #1; brk #1');
  }
}

const anyCondition = `(${conditions.join('|')})`;

function a32Text(intent: Exclude<Intent, { kind: 'no lock' }>): RegExp {
  switch (intent.kind) {
    case 'call':
      return new RegExp(`^blx?${anyCondition}? ${hex(intent.target)}$`);
    case 'jump':
      return new RegExp(`^b(\\.w)? ${hex(intent.target)}$`);
    case 'conditional jump':
      return new RegExp(`^(b${anyCondition}(\\.w)?|cbn?z r\\d,) ${hex(intent.target)}$`);
    case 'nop':
      return new RegExp(`^(nop(\\.w)?|mov${anyCondition}? r0, r0)$`);
    case 'return':
      return new RegExp(`^bx${anyCondition}? lr(; nop)?$`);
    case 'clear result':
      return new RegExp(`^mov(\\.w|${anyCondition})? r0, #0$`);
    case 'load of the key':
      return /^ldr(\.w)? ip, \[pc, #(4|8)\]$/;
    case 'trap':
      return /^udf #0(; udf #0)*$/;
    case 'breakpoint':
    case 'lock':
      return /^(?!)/; // the machine has none
  }
}

export const a32Row: FormRow = {
  text: a32Text,
  unlocked: (locked) => locked,
  plain: (text) => text,
  forms: a32Forms,
};
export const t32Row: FormRow = { ...a32Row, forms: t32Forms };

function* a32Forms(instructions: InstructionSet, arch: Arch): Generator<Form> {
  const withCondition = (condition: number, operation: number) => {
    const code = new DataView(new ArrayBuffer(4));
    code.setUint32(0, (condition << 28) | operation, instructions.name === 'A32');
    return new Uint8Array(code.buffer);
  };
  for (const address of [0x1_0000, 0xffff_f000]) {
    const form = formsAt(instructions, address);
    const encode = sitesAt(instructions, address, address32(address + 0x1000));
    const site = (kind: CallKind, target: CallTarget, condition = 0xe) =>
      encode(kind, target, withCondition(condition, kind === 'call' ? 0x0b00_0000 : 0x0a00_0000));
    const none: CallTarget = { kind: 'null' };
    const zero: CallTarget = { kind: 'return 0', address: address32(address + 0x3000) };
    yield form('nop', instructions.nop(4), { kind: 'nop' }, 'mov r0, r0');
    for (const displacement of [-0x200_0000 + 8, -0x123_4564, -4, 0, 4, 0x123_4564, 0x1ff_fffc + 8]) {
      const target = address32(address + displacement);
      const to: CallTarget = { kind: 'function', address: target };
      const toThumb: CallTarget = { kind: 'function', address: target + 1 };
      yield form('b', instructions.jump(4, displacement), { kind: 'jump', target }, `b #${hex(target)}`);
      yield form('bl', site('call', to), { kind: 'call', target }, `bl #${hex(target)}`);
      yield form('blx', site('call', toThumb), { kind: 'call', target }, `blx #${hex(target)}`);
      const half: CallTarget = { kind: 'function', address: target + 3 };
      const behind = { kind: 'call', target: target + 2 } as const;
      yield form('blx to a halfword', site('call', half), behind, `blx #${hex(target + 2)}`);
      yield form('tail call', site('tail', to), { kind: 'jump', target }, `b #${hex(target)}`);
    }
    const target = address32(address + 0x123_4564);
    const to: CallTarget = { kind: 'function', address: target };
    for (const [code, name] of [...conditions, ''].entries()) {
      const conditional = name !== '';
      const kind = conditional ? 'conditional tail' : 'tail';
      const jump = conditional ? 'conditional jump' : 'jump';
      yield form(`bl${name}`, site('call', to, code), { kind: 'call', target }, `bl${name} #${hex(target)}`);
      yield form(`b${name}`, site(kind, to, code), { kind: jump, target }, `b${name} #${hex(target)}`);
      yield form('call of NULL', site('call', none, code), { kind: 'nop' }, `mov${name} r0, r0`);
      yield form('tail call of NULL', site(kind, none, code), { kind: 'return' }, `bx${name} lr`);
      yield form(
        'call of __static_call_return0',
        site('call', zero, code),
        { kind: 'clear result' },
        `mov${name} r0, #0`,
      );
    }
    yield form(
      'tail call of __static_call_return0',
      site('tail', zero),
      { kind: 'jump', target: zero.address },
      `b #${hex(zero.address)}`,
    );
    const trampoline = instructions.encodeTrampoline(address, to, noSupport);
    yield form('trampoline', trampoline, { kind: 'load of the key' }, 'ldr ip, [pc, #4]');
    const returning = instructions.encodeTrampoline(address, none, noSupport);
    yield form('trampoline to NULL', returning, { kind: 'return' }, 'bx lr');
    yield form('trap', arch.trapFill(8), { kind: 'trap' }, 'udf #0; udf #0');
  }
}

/** keystone holds what b.w names to the 25 bits of a displacement, the PC's 4 not taken off. */
const tooFar = { notAssembled: 'keystone refuses the last halfwords that b.w reaches' };

function* t32Forms(instructions: InstructionSet): Generator<Form> {
  for (const address of [0x1000, 0x1002, 0xffff_f000, 0xffff_f002]) {
    const form = formsAt(instructions, address);
    const site = sitesAt(instructions, address, address32(address + 0x1000) + 1);
    yield form('nop', instructions.nop(4), { kind: 'nop' }, 'nop.w');
    const limits = [-0x100_0000 + 4, 0xff_fffe, 0x100_0000, 0x100_0002];
    for (const displacement of [...limits, -0x12_3456, -2, 0, 2, 4, 0x12_3456, 0x6a_aaaa, -0x6a_aaaa]) {
      const target = address32(address + displacement);
      const toThumb: CallTarget = { kind: 'function', address: target + 1 };
      const jump = { kind: 'jump', target } as const;
      const branch = displacement > 0xff_fffc ? tooFar : `b.w #${address + displacement}`;
      yield form('b.w', instructions.jump(4, displacement), jump, branch);
      yield form('tail call', site('tail', toThumb), jump, branch);
      yield form('bl', site('call', toThumb), { kind: 'call', target }, `bl #${hex(target)}`);
      const word = (((address + 4) & ~3) + ((displacement - 4) & ~3)) >>> 0;
      const blx = site('call', { kind: 'function', address: word });
      yield form('blx', blx, { kind: 'call', target: word }, `blx #${hex(word)}`);
    }
    const none: CallTarget = { kind: 'null' };
    const zero: CallTarget = { kind: 'return 0', address: address32(address + 0x3000) + 1 };
    yield form('call of NULL', site('call', none), { kind: 'nop' }, 'nop.w');
    yield form('tail call of NULL', site('tail', none), { kind: 'return' }, 'bx lr; nop');
    yield form('call of __static_call_return0', site('call', zero), { kind: 'clear result' }, 'mov.w r0, #0');
    const trampoline = instructions.encodeTrampoline(address, zero, noSupport);
    yield form('trampoline', trampoline, { kind: 'load of the key' }, 'ldr.w ip, [pc, #8]');
    const returning = instructions.encodeTrampoline(address, none, noSupport);
    yield form('trampoline to NULL', returning, { kind: 'return' }, 'bx lr; nop');
  }
}
