// What a cross-check is made of: instructions with what they are meant to do, and encodings with the assembly that
// must give the same bytes. The rows stand with their machines: cross-check-x86-64.ts, cross-check-arm.ts.
import type { Arch, CallSupport, InstructionSet } from '../arch/arch.ts';

/** What an instruction is meant to do. Targets are virtual addresses of places. */
export type Intent =
  | { readonly kind: 'call' | 'jump' | 'conditional jump'; readonly target: number }
  | { readonly kind: 'nop' | 'return' | 'clear result' | 'breakpoint' | 'trap' }
  /** The head of a trampoline that loads its key's `func`. */
  | { readonly kind: 'load of the key' }
  /** An instruction from its lock prefix on. */
  | { readonly kind: 'lock' }
  /** The same instruction with its prefix replaced; `locked` is how it was, from the prefix on. */
  | { readonly kind: 'no lock'; readonly locked: Uint8Array };

/** Bytes that stand or are to stand at `address`, and what they are meant to do. */
export interface CheckedInstruction {
  readonly instructions: InstructionSet;
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly intent: Intent;
  /** What a message calls the place; its address if there is none. */
  readonly name?: string;
}

/** One encoding of ours, with the assembly that must give the same bytes. */
export interface Form extends CheckedInstruction {
  readonly name: string;
  /** Undefined where keystone cannot produce the encoding: the form then says why. */
  readonly assembly: string | { readonly notAssembled: string };
}

/** What has to be known of an instruction set. */
export interface FormRow {
  /** What the disassembly of an instruction with that intent looks like, its lines joined by `; `. */
  readonly text: (intent: Exclude<Intent, { kind: 'no lock' }>) => RegExp;
  /** The disassembly of a locked instruction as it has to read without its lock. */
  readonly unlocked: (locked: string) => string;
  /** Drops from an unlocked instruction's disassembly what a filler prefix or NOP adds. */
  readonly plain: (text: string) => string;
  readonly forms: (instructions: InstructionSet, arch: Arch) => Iterable<Form>;
}

export const noSupport: CallSupport = { returnStub: undefined, returnThunk: undefined };

/** Makes the forms of an instruction set that stand at one address. */
export function formsAt(instructions: InstructionSet, address: number) {
  return (name: string, bytes: Uint8Array | undefined, intent: Intent, assembly: Form['assembly']): Form => ({
    name: `${instructions.name} ${name}`,
    instructions,
    address,
    bytes: bytes ?? new Uint8Array(0),
    intent,
    assembly,
  });
}
