// Probes: an int3 at the place, or a jump to a detour where the kernel has optimised the probe (kernel/kprobes.c;
// arch/x86/kernel/kprobes/core.c and opt.c). What runs instead of the code under them is a copy in a slot, which is held
// against that code.
import { decodeInstruction, lengthOf, modrmOf } from '../../arch/x86-64/length.ts';
import { sameBytes } from '../../bytes/integer.ts';
import { type Kprobes, type Probe, probeFlags } from '../../memory/kernel/kprobes.ts';
import type { KernelVariables } from '../../memory/kernel/variables.ts';
import type { ExpectedText } from '../expected.ts';
import { brokenList, type PassNote, type PassResult, type TextPass } from '../pass.ts';
import { jumpTo } from './jump.ts';

const INT3 = 0xcc;
const JMP = 0xe9;
const CALL = 0xe8;
const jumpSize = 5;
/** Longest instruction. */
const longest = 15;
/** Most bytes of instructions that a jump of 5 bytes replaces. */
const mostReplaced = jumpSize - 1 + longest;
const clac = Uint8Array.of(0x0f, 0x01, 0xca);
/** X86_FEATURE_SMAP: with it a detour clears the flag AC. */
const smap = 9 * 32 + 20;

/** `has` says which features the processor has. */
export function kprobes(
  kernel: KernelVariables,
  tables: Kprobes | undefined,
  has: (feature: number) => boolean,
): TextPass<unknown> {
  return {
    kind: 'kprobe',
    name: 'kprobes',
    run({ image, slide, texts, kernel: owner }): PassResult | undefined {
      if (!tables) return undefined;
      const notes: PassNote[] = [];
      const wrong = (address: number, what: string) =>
        notes.push({
          address,
          severity: 'wrong',
          message: `the probe at ${image.describe(address)} ${what}`,
          input: 'kprobe_table',
        });
      const made: { readonly probe: Probe; readonly text: ExpectedText }[] = [];
      for (const probe of tables.probes) {
        const text = texts.holding(probe.address - slide);
        if (text && isWritten(probe, tables)) made.push({ probe, text });
      }
      // Copies are made of the code as it is without any probe; so all of them are looked at before the first is written.
      for (const { probe, text } of made) {
        const address = probe.address - slide;
        if (text.at(address, 1)[0] !== probe.opcode)
          wrong(address, 'keeps another byte than the code under it has');
        const what = wrongSlot(kernel, text, probe, slide) ?? wrongDetour(kernel, text, probe, slide, has);
        if (what !== undefined) wrong(address, what);
      }
      for (const { probe, text } of made) write(text, probe, slide);
      if (!owner) for (const of of tables.broken) notes.push(brokenList(of, 'kprobe_table'));
      return { sites: made.length, notes };
    },
  };
}

/** Whether the probe has changed text: others are not armed, or are calls of ftrace. */
function isWritten({ flags }: Probe, { allDisarmed }: Kprobes): boolean {
  return (flags & (probeFlags.gone | probeFlags.disabled | probeFlags.ftrace)) === 0 && !allDisarmed;
}

function write(text: ExpectedText, { address, flags, optimized }: Probe, slide: number): void {
  const at = address - slide;
  const breakpoint = Uint8Array.of(INT3);
  const isJump = optimized !== undefined && (flags & probeFlags.optimized) !== 0;
  const jump = isJump ? jumpTo(JMP, address, optimized.detour) : undefined;
  if (!jump || !text.has(at, jumpSize)) {
    text.write(at, breakpoint, 'kprobe');
    return;
  }
  // What waits for being made a jump is an int3 still; what waits for being none is a jump still.
  if (optimized?.isQueued) {
    const bytes = Uint8Array.of(INT3, ...text.at(at + 1, jumpSize - 1));
    text.accept({ address: at, bytes, kind: 'kprobe', why: 'a probe that waits for its optimisation' });
  }
  text.write(at, jump, 'kprobe');
}

/** The copy of one instruction, which runs where the probe is no jump. */
function wrongSlot(
  { reader }: KernelVariables,
  text: ExpectedText,
  { address, slot }: Probe,
  slide: number,
): string | undefined {
  if (slot === 0) return undefined;
  const at = address - slide;
  const code = text.at(at, Math.min(longest, text.end - at));
  const copy = copied(code, code.length, 1, address, slot);
  if (!copy) return 'is not at an instruction that can be copied';
  const found = reader.bytes(slot, copy.length + 1);
  if (!found) return 'has its copied instruction outside of the dump';
  if (!sameBytes(found.subarray(0, copy.length), copy))
    return 'runs another instruction than the one under it';
  if (found[copy.length] === INT3) return undefined;
  const back = jumpTo(JMP, slot + copy.length, address + copy.length);
  const behind = reader.bytes(slot + copy.length, jumpSize);
  return back && behind && sameBytes(back, behind)
    ? undefined
    : 'does not come back from its copied instruction';
}

/** The detour of an optimised probe: a template with four places that are its own, and a copy of what the jump replaces. */
function wrongDetour(
  kernel: KernelVariables,
  text: ExpectedText,
  { at: probe, address, optimized }: Probe,
  slide: number,
  has: (feature: number) => boolean,
): string | undefined {
  if (!optimized) return undefined;
  const { detour, size, kept, isQueued } = optimized;
  const { image, reader } = kernel;
  const [start, end, clacAt, valueAt, callAt] = ['entry', 'end', 'clac', 'val', 'call'].map((name) =>
    image.symbols.addressOf(`optprobe_template_${name}`),
  );
  const callback = kernel.at('optimized_callback');
  const at = address - slide;
  if (size < jumpSize || size > mostReplaced || !text.has(at, size))
    return `is said to replace ${size} bytes by its jump`;
  if (
    start === undefined ||
    end === undefined ||
    clacAt === undefined ||
    valueAt === undefined ||
    callAt === undefined ||
    callback === undefined ||
    !image.contains(start, end - start)
  )
    return undefined;
  const length = end - start;
  const made = new Uint8Array(length + size + jumpSize);
  made.set(image.read(start, length));
  if (has(smap)) made.set(clac, clacAt - start);
  // movabs $op, %rdi
  made.set([0x48, 0xbf], valueAt - start);
  const owner = reader.bytes(detour + (valueAt - start) + 2, 8);
  const call = jumpTo(CALL, detour + (callAt - start), callback);
  const code = text.at(at, size);
  const copy = copied(code, size, Number.POSITIVE_INFINITY, address, detour + length);
  const back = jumpTo(JMP, detour + length + size, address + size);
  const found = reader.bytes(detour, made.length);
  if (!found || !owner) return 'has its detour outside of the dump';
  if (!call || !copy || !back || copy.length !== size) return 'has a detour that no kernel makes';
  made.set(owner, valueAt - start + 2);
  made.set(call, callAt - start);
  made.set(copy, length);
  made.set(back, length + size);
  if (!sameBytes(made, found)) return 'has a detour that is not what the kernel makes of the code under it';
  const view = new DataView(owner.buffer, owner.byteOffset, 8);
  if (view.getInt32(4, true) * 2 ** 32 + view.getUint32(0, true) !== probe)
    return 'has a detour that names another probe';
  const hasJumped = kept.some((byte) => byte !== 0) && !isQueued;
  if (hasJumped && !sameBytes(kept, code.subarray(1, jumpSize)))
    return 'keeps other bytes than those of the code under its jump';
  return undefined;
}

/**
 * The first `most` instructions in `size` bytes, moved: operands by distance keep what they lead to, branches do not, as the
 * kernel never runs a copy of them (__copy_instruction).
 */
function copied(
  code: Uint8Array,
  size: number,
  most: number,
  from: number,
  to: number,
): Uint8Array | undefined {
  const moved = code.slice(0, size);
  const view = new DataView(moved.buffer);
  let at = 0;
  for (let n = 0; n < most && at < size; n++) {
    const packed = decodeInstruction(code, at, size);
    const length = lengthOf(packed);
    if (length === 0) return undefined;
    const modrm = modrmOf(packed);
    if (modrm > 0 && ((code[at + modrm] as number) & 0xc7) === 0x05) {
      const field = at + modrm + 1;
      view.setInt32(field, view.getInt32(field, true) + from - to, true);
    }
    at += length;
  }
  return moved.subarray(0, at);
}
