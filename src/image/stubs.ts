// The stubs that linkers put between a call and its function: PLT entries, which have sections of their own, and
// veneers, which lie among other code.

import type { InstructionSet } from '../arch/arch.ts';
import { placeOf } from '../arch/code-pointer.ts';
import { sameBytes } from '../bytes/integer.ts';
import type { Address, CodePointer } from '../bytes/named-numbers.ts';
import type { CodeSpace } from './code-space.ts';
import type { Pointer } from './dynamic.ts';

/** Bytes of every instruction of AArch64. */
const wordSize = 4;

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
      const stub = this.isStub(placeOf(this.space.arch, at), at) ? this.stubAt(at) : undefined;
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
  private isStub(place: Address, pointer: CodePointer): boolean {
    if (this.isVeneer(place) || this.space.sectionAt(place)?.name.startsWith('.plt')) return true;
    return this.isNameless(place, pointer);
  }

  /** True for a veneer that gold has made: it gives them no names, so what stands there is in no symbol. */
  private isNameless(place: Address, pointer: CodePointer): boolean {
    if (!this.space.arch.veneerName || this.space.instructionAt(place).kind === 'jump') return false;
    const stub = this.stubAt(pointer);
    if (!stub || !('target' in stub) || !this.space.codeAt(placeOf(this.space.arch, stub.target)))
      return false;
    const near = this.space.symbolAt(place);
    return near === undefined || (near.offset > 0 && near.offset >= near.size);
  }

  /** True where a branch to a code pointer of this code leads on; the cheap question of every branch. */
  mayLeadOn(pointer: CodePointer, code: Uint8Array, offset: number): boolean {
    const { arch } = this.space;
    const place = placeOf(arch, pointer);
    if (this.isVeneer(place)) return true;
    return (
      arch.veneerName !== undefined &&
      arch.instructionsOf(pointer).readStub(code, offset, place) !== undefined
    );
  }

  /** The veneers that linkers put among other code, known by their names, and where each leads: code pointers. */
  private get veneers(): ReadonlyMap<CodePointer, CodePointer> {
    if (!this.targets) {
      this.targets = new Map();
      const { veneerName } = this.space.arch;
      if (veneerName) {
        for (const { address } of this.space.symbols.named((name) => veneerName.test(name))) {
          for (const entry of this.entriesOf(address)) {
            const stub = this.stubAt(entry);
            if (stub && 'target' in stub) this.targets.set(entry, stub.target);
          }
        }
      }
    }
    return this.targets;
  }

  /** Where a veneer may be entered: mold's for ARM begin in Thumb state, and ARM code behind it is called as well. */
  private entriesOf(pointer: CodePointer): CodePointer[] {
    const { arch } = this.space;
    if (!arch.thumbBit || this.stubAt(pointer)) return [pointer];
    const place: number = placeOf(arch, pointer);
    return [place + 1, place + 4];
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

  /**
   * True for the jump and the NOP that GNU ld for AArch64 puts in front of its stubs: it leads to whatever comes behind
   * them. Stubs are veneers, instructions that were moved because of an erratum, and zeros up to the end of a page.
   */
  jumpsOverStubs(address: Address): boolean {
    const jump = this.space.instructionAt(address);
    if (jump.kind !== 'jump' || jump.size !== wordSize || jump.displacement <= 2 * wordSize) return false;
    if (this.space.instructionAt(address + wordSize).kind !== 'nop') return false;
    const end = address + jump.displacement;
    let behind = 0;
    for (let at = address + 2 * wordSize; at < end; at += wordSize) {
      if (this.isVeneer(at)) behind = at + longestStub;
      else if (this.isMoved(at)) behind = at + 2 * wordSize;
      else if (at >= behind && !this.isZero(at)) return false;
    }
    return behind > 0;
  }

  /**
   * True for an instruction that an erratum's fix has moved, and the jump back behind its old place: there a jump to the
   * stub stands, or still the instruction, where another fix was enough.
   */
  private isMoved(stub: Address): boolean {
    const back = this.space.instructionAt(stub + wordSize);
    if (back.kind !== 'jump') return false;
    const old = stub + back.displacement;
    if (!this.space.codeAt(old)) return false;
    const there = this.space.instructionAt(old);
    if (there.kind === 'jump' && old + there.displacement === stub) return true;
    return sameBytes(this.space.readUpTo(old, wordSize), this.space.readUpTo(stub, wordSize));
  }

  private isZero(place: Address): boolean {
    return this.space.readUpTo(place, wordSize).every((byte) => byte === 0);
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
