// The text of what stands at a place, or may stand there. Branches are read by textpoke itself, and all else by capstone, each
// byte string once: a kernel has tens of thousands of places, most of which hold one of a few NOPs.
import type { InstructionSet } from '../arch/arch.ts';
import type { Disassemblers } from '../engines/disassembler.ts';
import type { Image } from '../image/image.ts';
import type { StringNumber } from './data.ts';
import { keyOfBytes, type Pools } from './pools.ts';

/** Enough for any instruction of any machine. */
const longestInstruction = 16;

export class InstructionTexts {
  private readonly image: Image;
  private readonly disassemblers: Disassemblers | undefined;
  private readonly pools: Pools;
  /** By what `keyOfBytes` gives. */
  private readonly known = new Map<InstructionSet, Map<number | string, StringNumber>>();
  /** By mnemonic and target. */
  private readonly branches = new Map<string, Map<number, StringNumber>>();

  /** Without disassemblers, an instruction that is no branch is told by what it does. */
  constructor(image: Image, disassemblers: Disassemblers | undefined, pools: Pools) {
    this.image = image;
    this.disassemblers = disassemblers;
    this.pools = pools;
  }

  /** The first instruction of bytes that stand at an address. */
  of(bytes: Uint8Array, address: number): StringNumber {
    const { image } = this;
    const set = image.instructionsAt(address);
    const { kind, displacement } = set.readInstruction(bytes, 0, address);
    if (kind === 'call' || kind === 'jump')
      return this.branch(set.mnemonics[kind], image.addressAt(address, displacement));
    if (kind === 'conditional jump') return this.pools.string(this.read(set, bytes, address)?.text ?? kind);
    const known = this.knownOf(set);
    const key = keyOfBytes(bytes);
    let number = known.get(key);
    if (number === undefined) {
      const text = this.read(set, bytes, address)?.text ?? (kind === 'return' ? 'ret' : kind);
      number = this.pools.string(text);
      known.set(key, number);
    }
    return number;
  }

  /** The size in bytes of the instruction at an address; undefined where nothing decodes it. Its text is known then. */
  sizeAt(address: number): number | undefined {
    const set = this.image.instructionsAt(address);
    const bytes = this.image.readUpTo(address, longestInstruction);
    const line = this.read(set, bytes, address);
    if (line) this.knownOf(set).set(keyOfBytes(bytes.subarray(0, line.size)), this.pools.string(line.text));
    return line?.size;
  }

  private knownOf(set: InstructionSet): Map<number | string, StringNumber> {
    let known = this.known.get(set);
    if (!known) {
      known = new Map();
      this.known.set(set, known);
    }
    return known;
  }

  private read(set: InstructionSet, bytes: Uint8Array, address: number) {
    return this.disassemblers?.(set).one(bytes, address, (target) => this.image.describe(target));
  }

  private branch(mnemonic: string, target: number): StringNumber {
    let known = this.branches.get(mnemonic);
    if (!known) {
      known = new Map();
      this.branches.set(mnemonic, known);
    }
    let number = known.get(target);
    if (number === undefined) {
      number = this.pools.string(`${mnemonic} ${this.image.describe(target)}`);
      known.set(target, number);
    }
    return number;
  }
}
