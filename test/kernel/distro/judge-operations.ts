// What the judge knows of NOPs, and of operations that a hypervisor may replace: calls through pv_ops, which become direct
// ones or nothing.
import type { Image } from '../../../src/image/image.ts';

export const callSize = 5;
/** arch/x86/include/asm/nops.h: for each length one of every kernel, and those of the K8 up to 5.12. */
const kernelNops = [
  ...['90', '6690', '0f1f00', '0f1f4000', '0f1f440000', '660f1f440000', '0f1f8000000000'],
  ...['0f1f840000000000', '2e0f1f840000000000', '662e0f1f840000000000', '66662e0f1f840000000000'],
];
const k8Nops = ['666690', '66666690', '6666906690', '666690666690', '66666690666690', '6666669066666690'];
export const k8Atomic = '6666666690';

/** Some of the kernel's NOPs, one behind the other, as hexadecimal digits; of versions like 6012. */
export function isNops(version: number, hex: string): boolean {
  const nops = version < 5013 ? [...kernelNops, ...k8Nops] : kernelNops;
  return hex === '' || nops.some((nop) => hex.startsWith(nop) && isNops(version, hex.slice(nop.length)));
}

/** What pointers of pv_ops may hold, and what calls through them may become. */
export class StoredFunctions {
  private readonly image: Image;
  private readonly version: number;
  private readonly stores = new Map<number, number[]>();

  constructor(image: Image, version: number) {
    this.image = image;
    this.version = version;
    this.readStores();
  }

  /** paravirt_patch_default (up to 6.7) and alt_replace_call: what may be done is called, what does nothing is left out. */
  isOperation(slot: number, address: number, hex: string, idle: string): boolean {
    const { version } = this;
    const held = this.heldBy(slot);
    const may = (name: string) => this.places(name).some((place) => held.has(place));
    if (may(idle) && isNops(version, hex)) return true;
    const isSame = version < 5011 && may('_paravirt_ident_64') && hex.startsWith('4889f8');
    if (isSame && isNops(version, hex.slice(6))) return true;
    const calls = hex.startsWith('e8') && hex.length >= 10 && isNops(version, hex.slice(10));
    return calls && held.has(target(address, bytesOf(hex.slice(0, 10))));
  }

  /** What the file has there or in Xen's copies, and what code stores there. */
  private heldBy(slot: number): ReadonlySet<number> {
    const { image } = this;
    const [operations] = this.places('pv_ops');
    const copies = ['xen_irq_ops', 'xen_cpu_ops', 'xen_mmu_ops', 'xen_time_ops'].flatMap((name) =>
      this.places(name),
    );
    const slots = [slot, ...copies.map((copy) => copy + slot - (operations ?? 0))];
    return new Set([
      ...slots.flatMap((at) => (image.contains(at, 8) ? [image.readWord(at)] : [])),
      ...(this.stores.get(slot) ?? []),
      // Calls through no function at all.
      ...['BUG_func', 'paravirt_BUG'].flatMap((name) => this.places(name)),
    ]);
  }

  /** Functions that code stores by `movq $function, slot(%rip)`: xen_init_irq_ops and others. */
  private readStores(): void {
    const slots = new Set<number>();
    const [operations, lock] = ['pv_ops', 'pv_ops_lock'].map((name) => this.places(name)[0]);
    for (const start of [operations, lock])
      for (let i = 0; start !== undefined && i < 4096; i += 8) slots.add(start + i);
    for (const { address, code } of this.image.code) {
      const all = Buffer.from(code.buffer, code.byteOffset, code.length);
      const opcode = Buffer.of(0x48, 0xc7, 0x05);
      for (let at = all.indexOf(opcode); at >= 0 && at + 11 <= all.length; at = all.indexOf(opcode, at + 1)) {
        const slot = address + at + 11 + all.readInt32LE(at + 3);
        if (slots.has(slot))
          this.stores.set(slot, [...(this.stores.get(slot) ?? []), all.readInt32LE(at + 7)]);
      }
    }
  }

  private places(name: string): readonly number[] {
    return this.image.symbols.addressesOf(name);
  }
}

/** Where an instruction leads that ends with a distance. */
export function target(site: number, bytes: Uint8Array): number {
  if (bytes.length < callSize) return Number.NaN;
  const at = bytes.length - 4;
  return site + bytes.length + new DataView(bytes.buffer, bytes.byteOffset).getInt32(at, true);
}

export function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}
