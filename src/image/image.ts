// A linked image: its memory and code, the stubs in it, and what people and the kernel call its addresses.

import { placeOf } from '../arch/code-pointer.ts';
import { hex } from '../bytes/integer.ts';
import type { Address, CodePointer } from '../bytes/named-numbers.ts';
import type { Mapped } from './address-space.ts';
import { CodeSpace } from './code-space.ts';
import { AddressOrder } from './loads.ts';
import { Stubs } from './stubs.ts';

/** A module, which is mapped beside the image. */
export type Guest = Mapped<Image>;

export class Image extends CodeSpace {
  readonly stubs = new Stubs(this);
  private initText: AddressOrder<readonly [start: number, size: number]> | undefined;

  /** `symbol+0x1c` (or `symbol`), else the bare address. */
  describe(pointer: Address | CodePointer): string {
    const value: number = pointer;
    const guest = this.guestAt(value);
    if (guest) return guest.describe(value);
    const address = this.codeAt(value) ? placeOf(this.arch, value) : value;
    const near = this.symbolAt(address);
    if (!near || !this.contains(address)) return hex(address);
    // A stripped image knows few symbols; the nearest may belong to another section altogether.
    const section = this.sectionAt(address);
    if (near.offset > 0 && section && section.index !== near.section) return hex(address);
    return near.offset === 0 ? near.name : `${near.name}+0x${near.offset.toString(16)}`;
  }

  /** True for code that is freed after start-up: .init.text, .exit.text or between _sinittext and _einittext. */
  isInitText(address: Address): boolean {
    const guest = this.guestAt(address);
    // A module keeps its .exit.text as long as it is loaded (kernel/module/main.c, module_init_section).
    if (guest) return guest.sectionAt(address)?.name.startsWith('.init') ?? false;
    if (!this.initText) {
      const start = this.symbols.addressOf('_sinittext');
      const end = this.symbols.addressOf('_einittext');
      const between = start !== undefined && end !== undefined ? [[start, end - start] as const] : [];
      const sections = this.file.sections
        .filter(({ name }) => name === '.init.text' || name === '.exit.text')
        .map(({ addr, size }) => [addr, size] as const);
      this.initText = new AddressOrder([...between, ...sections], (range) => range);
    }
    return this.initText.at(address) !== undefined;
  }

  /** True for .exit.text: a kernel that is linked as one image never runs it. */
  isExitText(address: Address): boolean {
    return this.guestAt(address) === undefined && this.sectionAt(address)?.name === '.exit.text';
  }
}
