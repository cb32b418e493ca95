// `--cross-check`: the project's own encodings against two engines that share no code with it. keystone has to
// assemble every form to the same bytes, and capstone has to read every instruction back as what it was meant to
// be. A difference is a defect, of textpoke or of the engine; either way nothing may be written.

import { type Arch, type InstructionSet, instructionSetsOf } from '../arch/arch.ts';
import { hex, hexBytes, sameBytes } from '../bytes/integer.ts';
import { TextpokeError } from '../errors.ts';
import { type Assembler, loadAssembler } from './assembler.ts';
import { a32Row, a64Row, t32Row } from './cross-check-arm.ts';
import type { CheckedInstruction, FormRow } from './cross-check-forms.ts';
import { x86Row } from './cross-check-x86-64.ts';
import { type Disassembler, loadDisassembler } from './disassembler.ts';

export type { CheckedInstruction, Intent } from './cross-check-forms.ts';

/** By the instruction set's name. */
const rows: Readonly<Record<string, FormRow>> = {
  'x86-64': x86Row,
  A64: a64Row,
  A32: a32Row,
  T32: t32Row,
  'A32 big-endian': a32Row,
  'T32 big-endian': t32Row,
};

/** One instruction set with both engines. */
interface Checked {
  readonly instructions: InstructionSet;
  readonly row: FormRow;
  readonly assembler: Assembler;
  readonly disassembler: Disassembler;
}

/** Both engines of one machine, for each of its instruction sets. */
export class CrossCheck {
  private readonly arch: Arch;
  private readonly sets: readonly Checked[];

  constructor(arch: Arch, sets: readonly Checked[]) {
    this.arch = arch;
    this.sets = sets;
  }

  /** Proves every encoding of the machine form by form; returns how many forms. Error `defect` with both sides. */
  encodings(): number {
    let count = 0;
    for (const { instructions, row, assembler } of this.sets) {
      for (const form of row.forms(instructions, this.arch)) {
        count++;
        this.instruction(form);
        if (typeof form.assembly !== 'string') continue;
        const theirs = assembler.assemble(form.assembly, form.address);
        if (sameBytes(theirs, form.bytes)) continue;
        throw new TextpokeError(
          'defect',
          `${form.name} at ${hex(form.address)}: textpoke encodes ${hexBytes(form.bytes)}, ` +
            `but keystone encodes ${hexBytes(theirs)} for ${JSON.stringify(form.assembly)}`,
        );
      }
    }
    return count;
  }

  /** Has capstone read each instruction back. Error `defect` for the first that is not what it was meant to be. */
  instructions(list: Iterable<CheckedInstruction>): void {
    for (const checked of list) this.instruction(checked);
  }

  private instruction({ instructions, address, bytes, intent, name }: CheckedInstruction): void {
    const set = this.sets.find((checked) => checked.instructions === instructions);
    if (!set) throw new TextpokeError('defect', `${instructions.name} is not checked with ${this.arch.name}`);
    const { row, disassembler } = set;
    const textOf = (code: Uint8Array) =>
      disassembler
        .lines(code, address)
        .map((line) => line.text)
        .join('; ');
    const text = textOf(bytes);
    let expected: string;
    let agrees: boolean;
    if (intent.kind === 'no lock') {
      expected = row.unlocked(textOf(intent.locked));
      agrees = bytes.length === intent.locked.length && row.plain(text) === row.plain(expected);
    } else {
      const pattern = row.text(intent);
      expected = 'target' in intent ? `${intent.kind} to ${hex(intent.target)}` : intent.kind;
      agrees = pattern.test(text);
    }
    if (agrees) return;
    throw new TextpokeError(
      'defect',
      `${name ?? hex(address)} at ${hex(address)}: textpoke expects ${JSON.stringify(expected)}, ` +
        `but capstone decodes ${hexBytes(bytes) || 'no bytes'} as ${JSON.stringify(text)}`,
    );
  }
}

/** Loads both engines for every instruction set of a machine. Error `machine-unsupported`. */
export async function loadCrossCheck(arch: Arch): Promise<CrossCheck> {
  const sets = instructionSetsOf(arch).map(async (instructions): Promise<Checked> => {
    const row = rows[instructions.name];
    if (!row)
      throw new TextpokeError('machine-unsupported', `textpoke has no cross-check for ${instructions.name}`);
    const [assembler, disassembler] = await Promise.all([
      loadAssembler(instructions),
      loadDisassembler(instructions),
    ]);
    return { instructions, row, assembler, disassembler };
  });
  return new CrossCheck(arch, await Promise.all(sets));
}

/** Proves the encodings of a machine, before `--cross-check` looks at its first object. Errors: `defect`, `machine-unsupported`. */
export async function crossCheckEncodings(arch: Arch): Promise<CrossCheck> {
  const check = await loadCrossCheck(arch);
  check.encodings();
  return check;
}
