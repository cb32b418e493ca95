// The trampoline that a kernel makes for one ftrace_ops: a copy of ftrace_caller or ftrace_regs_caller, with a return and the
// address of the ops behind it (arch/x86/kernel/ftrace.c, create_trampoline).
import { moveCode } from '../../arch/x86-64/moved-code.ts';
import { hex, sameBytes } from '../../bytes/integer.ts';
import { type FtraceOps, opsFlags } from '../../memory/kernel/ftrace.ts';
import type { KernelVariables } from '../../memory/kernel/variables.ts';
import { jumpTo } from './jump.ts';

const CALL = 0xe8;
const JMP = 0xe9;
/** ret, and an int3 behind it. */
const plainReturn = Uint8Array.of(0xc3, 0xcc);
const nop2 = Uint8Array.of(0x66, 0x90);
/** movq DISTANCE(%rip), %rdx */
const loadOps = Uint8Array.of(0x48, 0x8b, 0x15);
/** Bytes that no trampoline has: both callers are some 300 bytes long. */
const longest = 2048;
/** Bytes of the pointer at the end. */
const pointerSize = 8;

/** What is wrong with a trampoline; undefined: it is what the kernel makes. Addresses are the running kernel's. */
export function wrongTrampoline(
  kernel: KernelVariables,
  ops: FtraceOps,
  isFunction: (address: number) => boolean,
  returnAt?: (address: number) => Uint8Array | undefined,
): string | undefined {
  const { reader } = kernel;
  const savesRegs = (ops.flags & opsFlags.saveRegs) !== 0;
  const name = savesRegs ? 'ftrace_regs_caller' : 'ftrace_caller';
  const [start, end, load, call] = [
    name,
    `${name}_end`,
    `${name}_op_ptr`,
    savesRegs ? 'ftrace_regs_call' : 'ftrace_call',
  ].map((symbol) => kernel.at(symbol));
  if (start === undefined || end === undefined || load === undefined || call === undefined)
    return `the kernel has no ${name} that it could be made of`;
  const size = end - start;
  const returnSize = ops.trampolineSize - size - pointerSize;
  const isSound = size > 0 && size <= longest && load >= start && load + 7 <= end && call + 5 <= end;
  if (!isSound || returnSize < 1 || returnSize > 5)
    return `its size is ${ops.trampolineSize} bytes, and ${name} has ${size}`;
  const code = reader.bytes(start, size)?.slice();
  const found = reader.bytes(ops.trampoline, ops.trampolineSize);
  if (!code || !found) return 'it is not in the dump';
  const jump = savesRegs ? kernel.at('ftrace_regs_caller_jmp') : undefined;
  if (jump !== undefined) code.set(nop2, jump - start);
  const made = moveCode(code, start, ops.trampoline);
  if (!made) return `${name} cannot be moved there`;
  // What the trampoline has of its own.
  const pointer = size + returnSize;
  made.set(loadOps, load - start);
  new DataView(made.buffer).setInt32(load - start + 3, pointer - (load - start + 7), true);
  const callAt = call - start;
  const called = functionCalled(found, callAt, ops.trampoline);
  const assist = kernel.at('ftrace_ops_assist_func');
  if (called === undefined || (called !== ops.func && called !== assist))
    return `it calls ${called === undefined ? 'nothing' : hex(called)}, which is not the function of its ftrace_ops`;
  if (!isFunction(ops.func)) return 'the function of its ftrace_ops is no function of the kernel';
  made.set(found.subarray(callAt, callAt + 5), callAt);
  if (!sameBytes(made, found.subarray(0, size)))
    return `byte ${firstDifference(made, found)} of it is not what ${name} has there`;
  const returns = found.subarray(size, size + returnSize);
  const thunk = kernel.pointer('x86_return_thunk');
  const wanted = returnAt?.(ops.trampoline + size);
  const forms = wanted
    ? [wanted]
    : [plainReturn, thunk === undefined ? undefined : jumpTo(JMP, ops.trampoline + size, thunk)];
  if (!forms.some((form) => form && startsWith(returns, form)))
    return 'it does not return as the kernel does';
  const owner = new DataView(found.buffer, found.byteOffset + pointer);
  if (owner.getInt32(4, true) * 2 ** 32 + owner.getUint32(0, true) !== ops.at)
    return 'the pointer at its end leads to no ftrace_ops of it';
  return undefined;
}

/** A plain return is shorter than the room for it; what lies behind its int3 is not written. */
function startsWith(bytes: Uint8Array, form: Uint8Array): boolean {
  const written = form[0] === plainReturn[0] ? plainReturn : form;
  const size = Math.min(written.length, bytes.length);
  return sameBytes(bytes.subarray(0, size), written.subarray(0, size));
}

function functionCalled(code: Uint8Array, at: number, runs: number): number | undefined {
  if (code[at] !== CALL) return undefined;
  return runs + at + 5 + new DataView(code.buffer, code.byteOffset).getInt32(at + 1, true);
}

function firstDifference(a: Uint8Array, b: Uint8Array): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}
