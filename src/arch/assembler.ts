// Assembly for cross-checks and for replacements that a user writes: the adapter of keystone-wasm 1.0.4 (keystone
// 0.9.2), the only file that imports it. What it gets wrong, tried: it knows neither the canonical nop5 nor ud1
// nor endbr64; it wraps a branch out of range without a word; it drops a `ds:` that is the default segment.
import { addressBits, hex } from '../bytes/integer.ts';
import { TextpokeError } from '../errors.ts';
import type { Arch } from './arch.ts';

type Engine = typeof import('keystone-wasm');

/** keystone's numbers for a machine. */
interface MachineRow {
  readonly arch: string;
  readonly mode: readonly string[];
}

const machines: Readonly<Record<string, MachineRow>> = {
  'x86-64': { arch: 'KS_ARCH_X86', mode: ['KS_MODE_64'] },
  AArch64: { arch: 'KS_ARCH_ARM64', mode: ['KS_MODE_LITTLE_ENDIAN'] },
};

/** Assembles code of one machine; x86 in Intel syntax. */
export class Assembler {
  private readonly keystone: InstanceType<Engine['Keystone']>;
  private readonly machine: string;

  constructor(engine: Engine, row: MachineRow, machine: string) {
    const number = (name: string): number => {
      const value = engine.Const[name];
      if (value === undefined) throw new TextpokeError('defect', `keystone-wasm has no constant ${name}`);
      return value;
    };
    const mode = row.mode.reduce((bits, name) => bits | number(name), 0);
    this.keystone = new engine.Keystone(number(row.arch), mode);
    this.machine = machine;
  }

  /**
   * The bytes of one or more instructions (separated by `;`) that are to stand at virtual address `address`; direct
   * branches name addresses. Error `usage`: the text is no assembly of the machine, or gives no bytes.
   */
  assemble(text: string, address: number): Uint8Array {
    const refuse = (reason: string): never => {
      throw new TextpokeError(
        'usage',
        `cannot assemble ${JSON.stringify(text)} for ${this.machine} at ${hex(address)}: ${reason}`,
      );
    };
    let bytes: Uint8Array;
    try {
      bytes = this.keystone.asm(text, { address: addressBits(address) });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return refuse(message.replace(/^Failed to assemble, error: /, ''));
    }
    return bytes.length > 0 ? bytes : refuse('it gives no bytes');
  }
}

const loaded = new Map<string, Promise<Assembler>>();

/** The assembler of a machine; keystone is loaded when it is first asked for. Error `machine-unsupported`. */
export function loadAssembler(arch: Arch): Promise<Assembler> {
  let promise = loaded.get(arch.name);
  if (!promise) {
    promise = load(arch);
    loaded.set(arch.name, promise);
  }
  return promise;
}

async function load(arch: Arch): Promise<Assembler> {
  const row = machines[arch.name];
  if (!row) throw new TextpokeError('machine-unsupported', `no assembler is known for ${arch.name}`);
  const engine = await import('keystone-wasm');
  await engine.loadKeystone();
  return new Assembler(engine, row, arch.name);
}
