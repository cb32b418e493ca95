// What the callbacks of alternatives decide by, as memory has it.
import type { Btf } from '../../kernel/btf.ts';
import type { KernelReader } from '../../memory/kernel/reader.ts';

/** Variables, and their bytes. */
const variables = {
  cpu_mitigations: 4,
  __spectre_v4_policy: 4,
  smccc_version: 4,
  smccc_conduit: 4,
  system_bhb_mitigations: 4,
  max_bhb_k: 1,
  tag_lsb: 1,
  common_trap: 1,
  group0_trap: 1,
  group1_trap: 1,
  dir_trap: 1,
} as const;
export type Value = keyof typeof variables;

/** How the hypervisor's addresses are made: the lowest `bits` of the kernel's, and a tag above them. */
export interface HypLayout {
  readonly bits: number;
  readonly tag: number;
}

/** Bits that an address of the hypervisor may have. */
const mostBits = 52;

export class CallbackValues {
  private readonly at: (name: string) => number | undefined;
  private readonly reader: KernelReader;

  /** arm64_ftr_reg.sys_val: what the system has of a register. */
  private readonly sysVal: number | undefined;

  /** `at` says where a variable runs. */
  constructor(at: (name: string) => number | undefined, reader: KernelReader, btf: Btf | undefined) {
    this.at = at;
    this.reader = reader;
    this.sysVal = btf?.member('arm64_ftr_reg', 'sys_val')?.offset;
  }

  has(name: Value): boolean {
    return this.at(name) !== undefined;
  }

  /** Undefined where it has no name, or is not in the dump. */
  number(name: Value): number | undefined {
    const at = this.at(name);
    if (at === undefined) return undefined;
    return variables[name] === 4 ? this.reader.u32(at) : this.reader.bytes(at, 1)?.[0];
  }

  /** A number of 64 bits in four parts of 16 bits, the lowest first. */
  parts(name: 'kimage_voffset' | 'ctr_el0'): readonly number[] | undefined {
    const at = name === 'ctr_el0' ? this.ctrAt : this.at(name);
    const bytes = at === undefined ? undefined : this.reader.bytes(at, 8);
    return bytes && [0, 2, 4, 6].map((i) => (bytes[i] as number) | ((bytes[i + 1] as number) << 8));
  }

  private get ctrAt(): number | undefined {
    const at = this.at('arm64_ftr_reg_ctrel0');
    return at === undefined || this.sysVal === undefined ? undefined : at + this.sysVal;
  }

  /** Undefined where it is not known, or cannot be. */
  get hypLayout(): HypLayout | undefined {
    const bits = this.number('tag_lsb');
    const [maskAt, tagAt] = [this.at('va_mask'), this.at('tag_val')];
    if (bits === undefined || maskAt === undefined || tagAt === undefined) return undefined;
    const [mask, tag] = [maskAt, tagAt].map((at) => this.reader.bytes(at, 8));
    if (!mask || !tag || bits < 1 || bits >= mostBits) return undefined;
    const number = (bytes: Uint8Array) =>
      new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
    if (number(mask) !== (1n << BigInt(bits)) - 1n || number(tag) >= 1n << 24n) return undefined;
    return { bits, tag: Number(number(tag)) };
  }

  /** Where the hypervisor has a symbol of the kernel (__early_kern_hyp_va of its place in the map of all memory). */
  hypAddressOf(name: string): number | undefined {
    return this.hypAddress(this.at(name));
  }

  /** The same for what runs at an address of the kernel's image. */
  hypAddress(at: number | undefined): number | undefined {
    const layout = this.hypLayout;
    const [offset, start] = ['kimage_voffset', 'memstart_addr'].map((each) => {
      const where = this.at(each);
      return where === undefined ? undefined : this.reader.word(where);
    });
    if (!layout || at === undefined || offset === undefined || start === undefined) return undefined;
    const size = 2 ** layout.bits;
    const distance = (at - offset - start) % size;
    const address = layout.tag * size + (distance < 0 ? distance + size : distance);
    return Number.isSafeInteger(address) ? address : undefined;
  }
}
