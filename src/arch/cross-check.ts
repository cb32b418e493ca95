// `--cross-check`: the project's own encodings against two engines that share no code with it. keystone has to
// assemble every form to the same bytes, and capstone has to read every instruction back as what it was meant to
// be. A difference is a defect, of textpoke or of the engine; either way nothing may be written.
import { hex, hexBytes, sameBytes } from '../bytes/integer.ts';
import { TextpokeError } from '../errors.ts';
import type { Arch, CallKind, CallSupport, CallTarget } from './arch.ts';
import { type Assembler, loadAssembler } from './assembler.ts';
import { type Disassembler, loadDisassembler } from './disassembler.ts';

/** What an instruction is meant to do. Targets are virtual addresses. */
export type Intent =
  | { readonly kind: 'call' | 'jump' | 'conditional jump'; readonly target: number }
  | { readonly kind: 'nop' | 'return' | 'clear result' | 'breakpoint' | 'trap' }
  /** An instruction from its lock prefix on. */
  | { readonly kind: 'lock' }
  /** The same instruction with its prefix replaced; `locked` is how it was, from the prefix on. */
  | { readonly kind: 'no lock'; readonly locked: Uint8Array };

/** Bytes that stand or are to stand at `address`, and what they are meant to do. */
export interface CheckedInstruction {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly intent: Intent;
  /** What a message calls the place; its address if there is none. */
  readonly name?: string;
}

/** One encoding of ours, with the assembly that must give the same bytes. */
interface Form extends CheckedInstruction {
  readonly name: string;
  /** Undefined where keystone cannot produce the encoding: the form then says why. */
  readonly assembly: string | { readonly notAssembled: string };
}

interface MachineRow {
  /** What the disassembly of an instruction with that intent looks like, its lines joined by `; `. */
  readonly text: (intent: Exclude<Intent, { kind: 'no lock' }>) => RegExp;
  /** The disassembly of a locked instruction as it has to read without its lock. */
  readonly unlocked: (locked: string) => string;
  /** Drops from an unlocked instruction's disassembly what a filler prefix or NOP adds. */
  readonly plain: (text: string) => string;
  readonly forms: (arch: Arch) => Iterable<Form>;
}

const machines: Readonly<Record<string, MachineRow>> = {
  'x86-64': {
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
      }
    },
    unlocked: (locked) => locked.replace(/^lock /, ''),
    // In 64-bit mode the DS prefix does nothing, but capstone names the segment.
    plain: (text) => text.replace(/^nop; /, '').replace(/\bds:\[/, '['),
    forms: x86Forms,
  },
  AArch64: {
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
          return /^(?!)/; // the machine has none
      }
    },
    unlocked: (locked) => locked,
    plain: (text) => text,
    forms: aarch64Forms,
  },
};

const noSupport: CallSupport = { returnStub: undefined, returnThunk: undefined };

/** Makes the forms of a machine that stand at one address. */
function formsAt(arch: Arch, address: number) {
  return (name: string, bytes: Uint8Array | undefined, intent: Intent, assembly: Form['assembly']): Form => ({
    name: `${arch.name} ${name}`,
    address,
    bytes: bytes ?? new Uint8Array(0),
    intent,
    assembly,
  });
}

function* aarch64Forms(arch: Arch): Generator<Form> {
  const instructions = arch.instructionsOf(0);
  const limits = [-0x800_0000, 0x7ff_fffc];
  for (const address of [0x8_0040_1000, -0x3f_f7ff_f000]) {
    const form = formsAt(arch, address);
    const site = (kind: CallKind, target: CallTarget) =>
      instructions.encodeCallSite({
        address,
        kind,
        target,
        trampoline: address + 0x1000,
        current: instructions.nop(4),
        support: noSupport,
      })?.bytes;
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

/** The 16 conditions in the order of their codes (Intel SDM vol. 2, appendix B.1.4). */
const conditions = 'o no b ae e ne be a s ns p np l ge le g'.split(' ');

function* x86Forms(arch: Arch): Generator<Form> {
  const instructions = arch.instructionsOf(0);
  const userspace = 0x401000;
  const kernel = -0x7f000000; // 0xffffffff81000000
  const thunk = (address: number) => address + 0x2000;
  const add = Uint8Array.of(0x83, 0x00, 0x01); // add dword ptr [rax], 1
  const withPrefix = (prefix: number) => Uint8Array.of(prefix, ...add);
  for (const address of [userspace, kernel]) {
    const form = formsAt(arch, address);
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

/** Both engines of one machine. */
export class CrossCheck {
  private readonly arch: Arch;
  private readonly row: MachineRow;
  private readonly assembler: Assembler;
  private readonly disassembler: Disassembler;

  constructor(arch: Arch, row: MachineRow, assembler: Assembler, disassembler: Disassembler) {
    this.arch = arch;
    this.row = row;
    this.assembler = assembler;
    this.disassembler = disassembler;
  }

  /** Proves every encoding of the machine form by form; returns how many forms. Error `defect` with both sides. */
  encodings(): number {
    let count = 0;
    for (const form of this.row.forms(this.arch)) {
      count++;
      this.instruction(form);
      if (typeof form.assembly !== 'string') continue;
      const theirs = this.assembler.assemble(form.assembly, form.address);
      if (sameBytes(theirs, form.bytes)) continue;
      throw new TextpokeError(
        'defect',
        `${form.name} at ${hex(form.address)}: textpoke encodes ${hexBytes(form.bytes)}, ` +
          `keystone ${hexBytes(theirs)} for ${JSON.stringify(form.assembly)}`,
      );
    }
    return count;
  }

  /** Has capstone read each instruction back. Error `defect` for the first that is not what it was meant to be. */
  instructions(list: Iterable<CheckedInstruction>): void {
    for (const checked of list) this.instruction(checked);
  }

  private instruction({ address, bytes, intent, name }: CheckedInstruction): void {
    const text = this.textOf(bytes, address);
    let expected: string;
    let agrees: boolean;
    if (intent.kind === 'no lock') {
      expected = this.row.unlocked(this.textOf(intent.locked, address));
      agrees = bytes.length === intent.locked.length && this.row.plain(text) === this.row.plain(expected);
    } else {
      const pattern = this.row.text(intent);
      expected = 'target' in intent ? `${intent.kind} to ${hex(intent.target)}` : intent.kind;
      agrees = pattern.test(text);
    }
    if (agrees) return;
    throw new TextpokeError(
      'defect',
      `${name ?? hex(address)} at ${hex(address)}: textpoke means ${JSON.stringify(expected)} by ` +
        `${hexBytes(bytes) || 'no bytes'}, capstone reads ${JSON.stringify(text)}`,
    );
  }

  private textOf(bytes: Uint8Array, address: number): string {
    return this.disassembler
      .lines(bytes, address)
      .map((line) => line.text)
      .join('; ');
  }
}

/** Loads both engines for a machine. Error `machine-unsupported`. */
export async function loadCrossCheck(arch: Arch): Promise<CrossCheck> {
  const row = machines[arch.name];
  if (!row) throw new TextpokeError('machine-unsupported', `no cross-check is known for ${arch.name}`);
  const [assembler, disassembler] = await Promise.all([loadAssembler(arch), loadDisassembler(arch)]);
  return new CrossCheck(arch, row, assembler, disassembler);
}

/** Proves the encodings of a machine at start-up of `--cross-check`. Errors: `defect`, `machine-unsupported`. */
export async function crossCheckEncodings(arch: Arch): Promise<CrossCheck> {
  const check = await loadCrossCheck(arch);
  check.encodings();
  return check;
}
