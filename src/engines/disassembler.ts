// Disassembly for people and for cross-checks: the adapter of capstone-wasm 1.0.3 (capstone 5.0), the only file
// that imports it. It knows what that package does wrong (DESIGN.md, section 8):
// - the address of an instruction comes back wrong in the upper half: addresses are computed here. Branch targets
//   in the operand text are right, provided that the address goes in as its 64 bits unsigned;
// - it stops silently at an undecodable byte, and throws "error: OK" where the first one is: `.byte` lines here;
// - the bytes go over the wasm stack, and 32 KiB of them abort the module for good: windows of 4 KiB;
// - ud0 and ud1 come back without the ModRM byte they have on every CPU since the 80286: lengths are corrected.

import { type Arch, type InstructionSet, instructionSetsOf } from '../arch/arch.ts';
import { sizeOfHalf } from '../arch/arm/t32.ts';
import { conditionNames, halfAt, wordAt } from '../arch/arm/words.ts';
import { decodeInstruction, lengthOf } from '../arch/x86-64/length.ts';
import { addressBits } from '../bytes/integer.ts';
import { TextpokeError } from '../errors.ts';
import { importEngine } from './engine.ts';

type Engine = typeof import('capstone-wasm');
type Insn = import('capstone-wasm').Insn;

/** One instruction: `mnemonic operands` (Intel syntax on x86), and its size in bytes. */
export interface Disassembled {
  readonly text: string;
  readonly size: number;
}

export interface DisassembledLine extends Disassembled {
  /** Virtual address (signed reading, see bytes/integer.ts). */
  readonly address: number;
  readonly bytes: Uint8Array;
  /** False for a `.byte` or `.inst` line: what begins no instruction. */
  readonly decoded: boolean;
}

/** Names the target of a direct branch; undefined leaves the address as it is. */
export type Symbolize = (target: number) => string | undefined;

/** What has to be known of an instruction set: capstone's numbers for it, and what its text looks like. */
interface Row {
  readonly arch: string;
  readonly mode: readonly string[];
  /** Matches the mnemonic of every direct branch; its last operand is the target. */
  readonly branch: RegExp;
  /** Longest instruction in bytes. */
  readonly longest: number;
  /** Bytes that make one line where they do not decode: instructions are a multiple of it, or have that size. */
  readonly unit: 1 | 4 | ((bytes: Uint8Array, at: number) => 2 | 4);
  readonly bigEndian?: true;
  /** Bits of an address. */
  readonly bits: 32 | 64;
  /** Size of an instruction where capstone may have it wrong. */
  readonly sizeOf?: (insn: Insn, bytes: Uint8Array, at: number) => number;
}

const conditions = conditionNames.join('|');
const a32Row: Row = {
  arch: 'CS_ARCH_ARM',
  mode: ['CS_MODE_ARM', 'CS_MODE_V8'],
  branch: new RegExp(`^blx?(${conditions})?$|^b(${conditions})?$`),
  longest: 4,
  unit: 4,
  bits: 32,
};
const t32Row: Row = {
  arch: 'CS_ARCH_ARM',
  mode: ['CS_MODE_THUMB', 'CS_MODE_V8'],
  branch: new RegExp(`^(bl?x?(${conditions})?(\\.w)?|cbn?z)$`),
  longest: 4,
  unit: (bytes, at) => sizeOfHalf(halfAt(bytes, at, true)),
  bits: 32,
};
/** The same code with the most significant byte of each unit first. */
const bigEndian = (row: Row): Row => ({
  ...row,
  mode: [...row.mode, 'CS_MODE_BIG_ENDIAN'],
  bigEndian: true,
});

/** By the instruction set's name. */
const rows: Readonly<Record<string, Row>> = {
  'x86-64': {
    arch: 'CS_ARCH_X86',
    mode: ['CS_MODE_64'],
    branch: /^(?:(?:bnd|notrack|repn?e?|lock|xacquire|xrelease) )*(?:call|j[a-z]+|loop[a-z]*|xbegin)$/,
    longest: 15,
    unit: 1,
    bits: 64,
    sizeOf: (insn, bytes, at) =>
      insn.mnemonic === 'ud1' || insn.mnemonic === 'ud0'
        ? lengthOf(decodeInstruction(bytes, at, bytes.length)) || insn.size
        : insn.size,
  },
  A64: {
    arch: 'CS_ARCH_ARM64',
    mode: ['CS_MODE_LITTLE_ENDIAN'],
    branch: /^(?:bl?|b\.[a-z]+|cbn?z|tbn?z)$/,
    longest: 4,
    unit: 4,
    bits: 64,
  },
  A32: a32Row,
  T32: t32Row,
  'A32 big-endian': bigEndian(a32Row),
  'T32 big-endian': { ...bigEndian(t32Row), unit: (bytes, at) => sizeOfHalf(halfAt(bytes, at, false)) },
};

const windowSize = 4096;
/** A direct target is a number, the last operand: `0x1000`, `9`, on ARM `x0, #0x1000`. */
const lastNumber = /(^|, )#?(0x[0-9a-f]+|\d+)$/;

/** Disassembles code of one instruction set. */
export interface Disassembler {
  /** The instruction at the first of `bytes`, which lie at virtual address `address`; undefined where there is none. */
  one(bytes: Uint8Array, address: number, symbolize?: Symbolize): Disassembled | undefined;
  /**
   * Every instruction in `bytes`, which lie at virtual address `address`. What begins no instruction makes a
   * line of its own, a byte or (where instructions consist of them) a halfword or a word, and the next one is tried.
   */
  lines(bytes: Uint8Array, address: number, symbolize?: Symbolize): DisassembledLine[];
}

class CapstoneDisassembler implements Disassembler {
  private readonly capstone: InstanceType<Engine['Capstone']>;
  private readonly row: Row;

  constructor(engine: Engine, row: Row) {
    const number = (name: string): number => {
      const value = engine.Const[name];
      if (value === undefined) throw new TextpokeError('defect', `capstone-wasm has no constant ${name}`);
      return value;
    };
    const mode = row.mode.reduce((bits, name) => bits | number(name), 0);
    this.capstone = new engine.Capstone(number(row.arch), mode);
    this.row = row;
  }

  one(bytes: Uint8Array, address: number, symbolize?: Symbolize): Disassembled | undefined {
    const head = bytes.subarray(0, this.row.longest);
    const insn = this.decode(head, address, 1)[0];
    return insn && { text: this.textOf(insn, symbolize), size: this.sizeOf(insn, head, 0) };
  }

  lines(bytes: Uint8Array, address: number, symbolize?: Symbolize): DisassembledLine[] {
    const lines: DisassembledLine[] = [];
    const add = (at: number, size: number, text: string, decoded: boolean) => {
      lines.push({ address: address + at, bytes: bytes.subarray(at, at + size), size, text, decoded });
    };
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(at + windowSize, bytes.length);
      let corrected = false;
      for (const insn of this.decode(bytes.subarray(at, end), address + at, 0)) {
        const size = this.sizeOf(insn, bytes, at);
        add(at, size, this.textOf(insn, symbolize), true);
        at += size;
        // What capstone found behind a wrong size is not what is there.
        corrected = size !== insn.size;
        if (corrected) break;
      }
      // The window may have cut the next instruction: then the next window begins with it.
      if (corrected || at >= end || (end < bytes.length && end - at < this.row.longest)) continue;
      const { unit: unitOf } = this.row;
      const unit = Math.min(typeof unitOf === 'number' ? unitOf : unitOf(bytes, at), bytes.length - at);
      add(at, unit, dataText(bytes.subarray(at, at + unit), this.row), false);
      at += unit;
    }
    return lines;
  }

  private decode(bytes: Uint8Array, address: number, count: number): Insn[] {
    if (bytes.length === 0) return [];
    try {
      return this.capstone.disasm(bytes, { address: addressBits(address), count });
    } catch (error) {
      // "error: OK" says that nothing went wrong but nothing was decoded either.
      if (error instanceof Error && /error: OK\b/.test(error.message)) return [];
      throw new TextpokeError(
        'defect',
        `capstone: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  private sizeOf(insn: Insn, bytes: Uint8Array, at: number): number {
    return this.row.sizeOf?.(insn, bytes, at) ?? insn.size;
  }

  private textOf({ mnemonic, opStr }: Insn, symbolize: Symbolize | undefined): string {
    if (opStr === '') return mnemonic;
    const match = this.row.branch.test(mnemonic) ? lastNumber.exec(opStr) : null;
    if (!match) return `${mnemonic} ${opStr}`;
    const wide = this.row.bits === 64;
    const value = BigInt.asUintN(this.row.bits, BigInt(match[2] as string));
    const target = Number(wide ? BigInt.asIntN(64, value) : value);
    const name = Number.isSafeInteger(target) ? symbolize?.(target) : undefined;
    // capstone writes numbers below ten without 0x; addresses are hexadecimal throughout.
    const shown = name ?? `0x${value.toString(16)}`;
    return `${mnemonic} ${opStr.slice(0, match.index)}${match[1]}${shown}`;
  }
}

/** What does not decode, as an assembler takes it: a word, halfwords (the first one in front), or bytes. */
function dataText(bytes: Uint8Array, row: Row): string {
  const half = (at: number) => halfAt(bytes, at, !row.bigEndian).toString(16).padStart(4, '0');
  if (typeof row.unit === 'function' && bytes.length % 2 === 0)
    return bytes.length === 4 ? `.inst.w 0x${half(0)}${half(2)}` : `.inst.n 0x${half(0)}`;
  if (bytes.length === 4) return `.inst 0x${wordAt(bytes, 0, !row.bigEndian).toString(16).padStart(8, '0')}`;
  return `.byte ${Array.from(bytes, (byte) => `0x${byte.toString(16).padStart(2, '0')}`).join(', ')}`;
}

const loaded = new Map<string, Promise<Disassembler>>();

/**
 * The disassembler of an instruction set; capstone is loaded when it is first asked for. Error
 * `machine-unsupported` for an instruction set that has no row here.
 */
export function loadDisassembler({ name }: Pick<InstructionSet, 'name'>): Promise<Disassembler> {
  let promise = loaded.get(name);
  if (!promise) {
    promise = load(name);
    loaded.set(name, promise);
  }
  return promise;
}

async function load(name: string): Promise<Disassembler> {
  const row = rows[name];
  if (!row) throw new TextpokeError('machine-unsupported', `textpoke has no disassembler for ${name}`);
  const engine = await importEngine('capstone-wasm', () => import('capstone-wasm'));
  await loadEngine(engine);
  return new CapstoneDisassembler(engine, row);
}

/** Loading the engine again would give it a new heap, in which the handles of others mean nothing. */
let engineLoaded: Promise<void> | undefined;
function loadEngine(engine: Engine): Promise<void> {
  engineLoaded ??= engine.loadCapstone();
  return engineLoaded;
}

/** The disassemblers of a machine by instruction set. */
export type Disassemblers = (instructions: InstructionSet) => Disassembler;

/** Loads the disassembler of each of a machine's instruction sets. Errors `machine-unsupported`, `engine-missing`. */
export async function loadDisassemblers(arch: Arch): Promise<Disassemblers> {
  const loadedSets = new Map<InstructionSet, Disassembler>();
  for (const instructions of instructionSetsOf(arch))
    loadedSets.set(instructions, await loadDisassembler(instructions));
  return (instructions) => loadedSets.get(instructions) as Disassembler;
}

/** The same, or undefined where capstone is not installed: for text that bytes alone make sense of. */
export async function disassemblersIfInstalled(arch: Arch): Promise<Disassemblers | undefined> {
  try {
    return await loadDisassemblers(arch);
  } catch (error) {
    if (error instanceof TextpokeError && error.code === 'engine-missing') return undefined;
    throw error;
  }
}
