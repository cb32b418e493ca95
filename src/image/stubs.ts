// The stubs that linkers put between a call and its function: PLT entries, which have sections of their own, and
// veneers, which lie among other code.

import type { InstructionSet } from '../arch/arch.ts';
import { placeOf } from '../arch/code-pointer.ts';
import type { Address, CodePointer } from '../bytes/named-numbers.ts';
import type { CodeSpace } from './code-space.ts';
import type { Pointer } from './dynamic.ts';

/** Bytes of the longest PLT entry or veneer of any machine. */
const longestStub = 32;

export class Stubs {
  private readonly space: CodeSpace;
  /** Where each veneer leads; then the veneers by the function behind them, and by place. */
  private targets: Map<number, number> | undefined;
  private byCallee: Map<number, number[]> | undefined;
  private places: Set<number> | undefined;

  constructor(space: CodeSpace) {
    this.space = space;
  }

  /** Follows PLT stubs and veneers from a call's target to the function that runs. */
  callee(pointer: CodePointer): Pointer {
    let at = pointer;
    for (let hops = 0; hops < 4; hops++) {
      const stub = this.isStub(placeOf(this.space.arch, at)) ? this.stubAt(at) : undefined;
      if (!stub) break;
      if ('target' in stub) at = stub.target;
      else {
        const pointer = this.space.contains(stub.slot, this.space.arch.wordSize)
          ? this.space.readPointer(stub.slot)
          : undefined;
        if (!pointer) break;
        if (pointer.kind === 'external') return pointer;
        at = pointer.address;
      }
    }
    return { kind: 'address', address: at };
  }

  /** What the code behind a code pointer says, read as a stub. */
  private stubAt(pointer: CodePointer): ReturnType<InstructionSet['readStub']> {
    const place = placeOf(this.space.arch, pointer);
    return this.space.arch
      .instructionsOf(pointer)
      .readStub(this.space.readUpTo(place, longestStub), 0, place);
  }

  /** Linkers put stubs into sections of their own; a function that happens to begin with a jump is none. */
  private isStub(address: Address): boolean {
    return this.isVeneer(address) || (this.space.sectionAt(address)?.name.startsWith('.plt') ?? false);
  }

  /** The veneers that linkers put among other code, known by their names, and where each leads: code pointers. */
  private get veneers(): ReadonlyMap<CodePointer, CodePointer> {
    if (!this.targets) {
      this.targets = new Map();
      const { veneerName } = this.space.arch;
      if (veneerName) {
        for (const { address } of this.space.symbols.named((name) => veneerName.test(name))) {
          const stub = this.stubAt(address);
          if (stub && 'target' in stub) this.targets.set(address, stub.target);
        }
      }
    }
    return this.targets;
  }

  /** True when a veneer lies at a place. */
  isVeneer(place: Address): boolean {
    this.places ??= new Set(Array.from(this.veneers.keys(), (pointer) => placeOf(this.space.arch, pointer)));
    return this.places.has(place);
  }

  /** True inside a veneer too: some of ARM's hold branches of their own (bx pc; b .-2; b target). */
  isInVeneer(address: Address): boolean {
    const near = this.space.symbolAt(address);
    return near !== undefined && near.offset < longestStub && this.isVeneer(address - near.offset);
  }

  /** True for the jump and the NOP that GNU ld puts in front of veneers: it leads to whatever comes behind them. */
  jumpsOverVeneers(address: Address): boolean {
    const jump = this.space.instructionAt(address);
    const behind = address + jump.size;
    const nop = this.space.instructionAt(behind);
    return jump.kind === 'jump' && nop.kind === 'nop' && this.isVeneer(behind + nop.size);
  }

  /** The veneers that lead to `target`, the nearest to `from` first; all are code pointers. */
  veneersTo(target: CodePointer, from: Address | CodePointer): CodePointer[] {
    if (!this.byCallee) {
      this.byCallee = new Map();
      for (const veneer of this.veneers.keys()) {
        const callee = this.callee(veneer);
        if (callee.kind !== 'address') continue;
        const known = this.byCallee.get(callee.address);
        if (known) known.push(veneer);
        else this.byCallee.set(callee.address, [veneer]);
      }
    }
    const found = this.byCallee.get(target) ?? [];
    return [...found].sort((a, b) => Math.abs(a - from) - Math.abs(b - from));
  }
}
