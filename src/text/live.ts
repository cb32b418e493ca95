// What goes on changing the text of a kernel while it runs, and what else is code, whatever the machine.
import { type GeneratedCode, packChunk } from '../memory/kernel/generated.ts';
import { knowsModules, type RunningKernel } from '../memory/kernel/kernel.ts';
import type { KernelVariables } from '../memory/kernel/variables.ts';
import type { ExecutableMemory } from '../memory/page-tables/executable.ts';
import type { CodeKind, KnownCode, NamedPages } from './executable.ts';
import type { PassNote, TextPass } from './pass.ts';
import type { EfiPages } from './x86-64/efi.ts';

/** Something about generated code that is wrong. Addresses are the running kernel's. */
export interface WrongCode {
  readonly address: number;
  readonly kind: CodeKind;
  readonly message: string;
}

export interface ExecutablePages {
  readonly pages: readonly NamedPages[];
  readonly walked: ExecutableMemory;
  /** What the address space has besides in which the firmware is called; undefined without EFI, or where it is not known. */
  readonly efi?: EfiPages | undefined;
}

export interface LiveText {
  /** What goes on behind start-up, in this order: for the image and for each module. */
  readonly passes: readonly TextPass<unknown>[];
  /** Code that the kernel made, and that is not what it makes. */
  readonly wrong: readonly WrongCode[];
  /** Code of which nothing but its place is known, such as a program of BPF. */
  readonly counted: readonly KnownCode[];
  /** What could not be read of the lists of code that the kernel made. */
  readonly notes: readonly PassNote[];
  /** What every executable page is; undefined where the dump does not lead to page tables. */
  readonly executable: ExecutablePages | undefined;
}

/**
 * The parts of packs of BPF that no program has are filled by what traps; `isTrap` says so of a byte by its place in an
 * instruction.
 */
export function* wrongPacks(
  { reader }: KernelVariables,
  { packs }: Pick<GeneratedCode, 'packs'>,
  isTrap: (byte: number, place: number) => boolean,
): Generator<WrongCode> {
  for (const { start, used } of packs) {
    const bytes = reader.bytes(start, used.length * 8 * packChunk);
    if (!bytes) continue;
    for (let chunk = 0; chunk < used.length * 8; chunk++) {
      if (((used[chunk >>> 3] as number) >>> (chunk & 7)) & 1) continue;
      const from = chunk * packChunk;
      if (isFilled(bytes, from, isTrap)) continue;
      const message = 'a part of a pack of BPF that no program has is not filled by what traps';
      yield { address: start + from, kind: 'bpf', message };
      break;
    }
  }
}

/** Whether a chunk has nothing but what traps. A pack has 2 MiB, so there is no view of each chunk. */
function isFilled(
  bytes: Uint8Array,
  from: number,
  isTrap: (byte: number, place: number) => boolean,
): boolean {
  for (let i = 0; i < packChunk; i++) if (!isTrap(bytes[from + i] as number, i)) return false;
  return true;
}

/** Why executable pages are not named; undefined where they are. */
export function notNamed(
  running: RunningKernel,
  { executable }: Pick<LiveText, 'executable'>,
): string | undefined {
  const why = !knowsModules(running)
    ? 'not all modules are known'
    : executable
      ? undefined
      : 'the dump does not lead to the page tables of the kernel';
  return why && `executable pages are not named: ${why}`;
}
