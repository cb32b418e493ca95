// Assembly for cross-checks and for replacements that a user writes: the adapter of keystone-wasm 1.0.4 (keystone
// 0.9.2), the only file that imports it. What it gets wrong, tried: it knows neither the canonical nop5 nor ud1
// nor endbr64; it wraps a branch out of range without a word; it drops a `ds:` that is the default segment;
// of T32 it refuses the last halfwords that b.w reaches, and takes what b<cond>.w names for its displacement.

import type { InstructionSet } from '../arch/arch.ts';
import { addressBits, hex } from '../bytes/integer.ts';
import { TextpokeError } from '../errors.ts';
import { importEngine } from './engine.ts';

type Engine = typeof import('keystone-wasm');

/** keystone's numbers for an instruction set. */
interface Row {
  readonly arch: string;
  readonly mode: readonly string[];
}

/** By the instruction set's name. */
const rows: Readonly<Record<string, Row>> = {
  'x86-64': { arch: 'KS_ARCH_X86', mode: ['KS_MODE_64'] },
  A64: { arch: 'KS_ARCH_ARM64', mode: ['KS_MODE_LITTLE_ENDIAN'] },
  A32: { arch: 'KS_ARCH_ARM', mode: ['KS_MODE_ARM'] },
  T32: { arch: 'KS_ARCH_ARM', mode: ['KS_MODE_THUMB'] },
  'A32 big-endian': { arch: 'KS_ARCH_ARM', mode: ['KS_MODE_ARM', 'KS_MODE_BIG_ENDIAN'] },
  'T32 big-endian': { arch: 'KS_ARCH_ARM', mode: ['KS_MODE_THUMB', 'KS_MODE_BIG_ENDIAN'] },
};

/** Assembles code of one instruction set; x86 in Intel syntax. */
export class Assembler {
  private readonly keystone: InstanceType<Engine['Keystone']>;
  private readonly name: string;

  constructor(engine: Engine, row: Row, name: string) {
    const number = (name: string): number => {
      const value = engine.Const[name];
      if (value === undefined) throw new TextpokeError('defect', `keystone-wasm has no constant ${name}`);
      return value;
    };
    const mode = row.mode.reduce((bits, name) => bits | number(name), 0);
    this.keystone = new engine.Keystone(number(row.arch), mode);
    this.name = name;
  }

  /**
   * The bytes of one or more instructions (separated by `;`) that are to stand at virtual address `address`; direct
   * branches name addresses. Error `usage`: the text is no assembly of the instruction set, or gives no bytes.
   */
  assemble(text: string, address: number): Uint8Array {
    const refuse = (reason: string): never => {
      throw new TextpokeError(
        'usage',
        `cannot assemble ${JSON.stringify(text)} for ${this.name} at ${hex(address)}: ${reason}`,
      );
    };
    let bytes: Uint8Array;
    try {
      bytes = this.keystone.asm(text, { address: addressBits(address) });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return refuse(message.replace(/^Failed to assemble, error: /, ''));
    }
    return bytes.length > 0 ? bytes : refuse('the text gives no bytes');
  }
}

const loaded = new Map<string, Promise<Assembler>>();

/**
 * The assembler of an instruction set; keystone is loaded when it is first asked for. Error `machine-unsupported`
 * for an instruction set that has no row here.
 */
export function loadAssembler({ name }: Pick<InstructionSet, 'name'>): Promise<Assembler> {
  let promise = loaded.get(name);
  if (!promise) {
    promise = load(name);
    loaded.set(name, promise);
  }
  return promise;
}

async function load(name: string): Promise<Assembler> {
  const row = rows[name];
  if (!row) throw new TextpokeError('machine-unsupported', `textpoke has no assembler for ${name}`);
  const engine = await importEngine('keystone-wasm', () => import('keystone-wasm'));
  await loadEngine(engine);
  return new Assembler(engine, row, name);
}

/** Loading the engine again would give it a new heap, in which the handles of others mean nothing. */
let engineLoaded: Promise<void> | undefined;
function loadEngine(engine: Engine): Promise<void> {
  engineLoaded ??= engine.loadKeystone();
  return engineLoaded;
}
