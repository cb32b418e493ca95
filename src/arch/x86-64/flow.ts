// Which lock prefixes are code beyond doubt. An F0 that a sweep decodes may be a constant, so a lock counts if the flow
// from a function's start comes by it, or if it stands where such flow comes only indirectly, in a function that decodes
// to its end; in an object, also if a relocation fills a field of its instruction.
import { countUpTo } from '../../bytes/search.ts';
import { hasEnd, hasLandingPads } from '../functions.ts';
import { fieldFrom, type ProvableCode, type RelocatedFields } from '../proof.ts';
import {
  decodeInstruction,
  decodeTarget,
  displacementLengthOf,
  InstructionKind,
  kindOf,
  lengthOf,
  lockPrefixOf,
  modrmOf,
  readS32,
} from './length.ts';
import { PREFIXES } from './opcodes.ts';

/** Bytes that all functions of a section may have together, for each byte of it: functions may overlap. */
const overlap = 8;

/** For each of the ascending offsets of `locks`, whose instruction may begin with other prefixes, 1 where it is proven. */
export function proveLocks(provable: ProvableCode, locks: Uint32Array): Uint8Array {
  const { code, functions, relocated } = provable;
  const proven = new Uint8Array(locks.length);
  let open = locks.length;
  const prove = (i: number) => {
    if (proven[i] === 0) open--;
    proven[i] = 1;
  };
  if (relocated) {
    for (const [i, lock] of locks.entries()) if (hasRelocatedField(code, relocated, lock)) prove(i);
  }
  const { starts, ends, facts } = functions;
  const walk = new Walk(provable);
  let budget = overlap * code.length + 0x1_0000;
  let next = 0;
  for (let f = 0; f < starts.length && open > 0 && budget > 0; f++) {
    const [start, end] = [starts[f]!, ends[f]!];
    while (next < locks.length && locks[next]! < start) next++;
    let isAsked = false;
    for (let i = next; i < locks.length && locks[i]! < end && !isAsked; i++) isAsked = proven[i] === 0;
    if (!isAsked) continue;
    budget -= end - start;
    walk.follow(start, end, facts[f]!);
    for (let i = next; i < locks.length && locks[i]! < end; i++) if (walk.isProven(locks[i]!)) prove(i);
  }
  return proven;
}

// What is known of a byte.
const UNKNOWN = 0;
const FIRST = 1;
const INSIDE = 2;

/** What an instruction does to the flow, branches with a direct target aside. */
type End = 'goes on' | 'ends' | 'jumps somewhere' | 'calls somewhere';

/** The flow through one function after the other. */
class Walk {
  private readonly provable: ProvableCode;
  private bytes = new Uint8Array(0x1000);
  private start = 0;
  private end = 0;
  private readonly stack: number[] = [];
  /** Where the code names something within the function. */
  private readonly named: number[] = [];
  private places = new Float64Array(0);
  /** Stretches behind a call, as pairs start, end: the function that was called may never return. */
  private readonly behindCalls: number[] = [];
  private isSound = true;
  private jumpsSomewhere = false;

  constructor(provable: ProvableCode) {
    this.provable = provable;
  }

  /** Follows the flow of the function from `start` to `end`. */
  follow(start: number, end: number, facts: number): void {
    this.start = start;
    this.end = end;
    if (this.bytes.length < end - start) this.bytes = new Uint8Array((end - start) * 2);
    this.bytes.fill(UNKNOWN, 0, end - start);
    this.named.length = 0;
    this.behindCalls.length = 0;
    this.isSound = true;
    this.jumpsSomewhere = false;
    const { entries } = this.provable;
    this.stack.push(start);
    for (let i = countUpTo(entries, start - 1); i < entries.length && entries[i]! < end; i++)
      this.stack.push(entries[i]!);
    while (this.stack.length > 0) this.straight(this.stack.pop()!);
    this.places = Float64Array.from(this.named).sort();
    // Behind a call that does not return there may be data, which something names.
    for (let i = 0; i < this.behindCalls.length; i += 2) {
      const [from, to] = [this.behindCalls[i]!, this.behindCalls[i + 1]!];
      if (this.isNamed(from, to)) this.bytes.fill(UNKNOWN, from - start, to - start);
    }
    const isEntered = (facts & hasLandingPads) !== 0 || this.jumpsSomewhere;
    if ((facts & hasEnd) !== 0 && isEntered && this.isSound) this.fillGaps();
  }

  /** True where an instruction was proven whose lock prefix stands at `lock`. */
  isProven(lock: number): boolean {
    let first = lock - this.start;
    while (first > 0 && this.bytes[first] === INSIDE) first--;
    if (this.bytes[first] !== FIRST) return false;
    const at = this.start + first;
    const packed = decodeInstruction(this.provable.code, at, this.end);
    return at + lockPrefixOf(packed) === lock && !this.isNamed(at + 1, at + lengthOf(packed));
  }

  /** True when the code names a place from `from` to in front of `to`. */
  private isNamed(from: number, to: number): boolean {
    return countUpTo(this.places, to - 1) > countUpTo(this.places, from - 1);
  }

  /** Goes on from `at` until the flow leaves, ends or is known. */
  private straight(from: number): void {
    const { code } = this.provable;
    const { bytes, start, end } = this;
    let behindCall = -1;
    let at = from;
    for (;;) {
      if (at === end || (at < end && bytes[at - start] === FIRST)) break;
      const packed = at < end ? decodeInstruction(code, at, end) : 0;
      if (packed === 0) {
        this.isSound = false;
        if (behindCall >= 0) bytes.fill(UNKNOWN, behindCall - start, at - start);
        return;
      }
      const length = lengthOf(packed);
      this.mark(at, length);
      const kind = kindOf(packed);
      const next = at + length;
      if (kind === InstructionKind.other) {
        this.nameOperands(at, packed);
        const does = flowBehind(code, at, packed);
        if (does === 'jumps somewhere') this.jumpsSomewhere = true;
        if (does === 'calls somewhere') behindCall = this.beginBehindCall(behindCall, next);
        at = next;
        if (does === 'ends' || does === 'jumps somewhere') break;
        continue;
      }
      const target = this.targetOf(at, packed);
      const isOwn = target >= start && target < end;
      at = next;
      if (isOwn) this.stack.push(target);
      if (kind === InstructionKind.jmpRel32 || kind === InstructionKind.jmpRel8) break;
      if (kind !== InstructionKind.callRel32) continue;
      // A call over data, whose address the code takes from the stack.
      if (isOwn && target > start) break;
      behindCall = this.beginBehindCall(behindCall, next);
    }
    if (behindCall >= 0 && at > behindCall) this.behindCalls.push(behindCall, at);
  }

  private beginBehindCall(last: number, next: number): number {
    if (last >= 0) this.behindCalls.push(last, next);
    return next;
  }

  /** Where a direct branch goes; NaN for another section. */
  private targetOf(at: number, packed: number): number {
    const { code, relocated } = this.provable;
    if (!relocated) return decodeTarget(code, at, packed);
    const end = at + lengthOf(packed);
    const field = end - displacementLengthOf(packed);
    const i = fieldFrom(relocated, field);
    if (relocated.offsets[i] !== field) return decodeTarget(code, at, packed);
    return relocated.targets[i]! + (end - field);
  }

  /** Keeps in mind what an instruction names within the function: what is named so may be data. */
  private nameOperands(at: number, packed: number): void {
    const { code, relocated, address } = this.provable;
    const end = at + lengthOf(packed);
    const name = (place: number) => {
      if (place >= this.start && place < this.end) this.named.push(place);
    };
    const modrm = modrmOf(packed);
    const isRelative = modrm > 0 && (code[at + modrm]! & 0xc7) === 0x05;
    let isFilled = true;
    for (
      let i = relocated ? fieldFrom(relocated, at + 1) : 0;
      relocated && relocated.offsets[i]! < end;
      i++
    ) {
      const field = relocated.offsets[i]!;
      if (field === at + modrm + 1) isFilled = false;
      name(relocated.targets[i]! + (isRelative ? end - field : 0));
    }
    if (isRelative && isFilled) name(end + readS32(code, at + modrm + 1));
    if (address !== undefined && end - at >= 5) name((readS32(code, end - 4) >>> 0) - address);
  }

  /** Takes for code what the flow does not come by, if all of it decodes and nothing names it. */
  private fillGaps(): void {
    const { code } = this.provable;
    const { bytes, start, end } = this;
    const found: number[] = [];
    for (let at = start; at < end; ) {
      if (bytes[at - start] !== UNKNOWN) {
        at++;
        continue;
      }
      const from = at;
      const firsts: number[] = [];
      while (at < end && bytes[at - start] === UNKNOWN) {
        const length = lengthOf(decodeInstruction(code, at, end));
        if (length === 0) return;
        firsts.push(at);
        at += length;
      }
      if (at < end && bytes[at - start] !== FIRST) return;
      if (!this.isNamed(from, at)) for (const first of firsts) found.push(first);
    }
    for (const at of found) this.mark(at, lengthOf(decodeInstruction(code, at, end)));
  }

  /** An instruction may begin within another one: a jump may leave out a prefix. */
  private mark(at: number, length: number): void {
    const first = at - this.start;
    for (let i = first + 1; i < first + length; i++) if (this.bytes[i] === UNKNOWN) this.bytes[i] = INSIDE;
    this.bytes[first] = FIRST;
  }
}

/** What an instruction that is no direct branch does to the flow. */
function flowBehind(code: Uint8Array, offset: number, packed: number): End {
  let at = offset;
  const end = offset + lengthOf(packed);
  while (at < end && PREFIXES.has(code[at]!)) at++;
  switch (code[at]) {
    case 0xc2: // ret, lret, iret
    case 0xc3:
    case 0xca:
    case 0xcb:
    case 0xcf:
    case 0xf4: // hlt
      return 'ends';
    case 0x0f:
      return endsIn0F.has(code[at + 1]!) ? 'ends' : 'goes on';
    case 0xd5: // REX2
      return code[at + 2] === 0xff ? indirect(code[at + 3]!) : code[at + 2] === 0xa1 ? 'ends' : 'goes on';
    case 0xff:
      return indirect(code[at + 1]!);
    default:
      return 'goes on';
  }
}

/** sysret, ud2, sysexit, ud1, ud0 */
const endsIn0F = new Set([0x07, 0x0b, 0x35, 0xb9, 0xff]);

/** Group 5 by its ModRM byte. A jump through a fixed pointer (GOT) leads to another function. */
function indirect(modrm: number): End {
  const reg = (modrm >> 3) & 7;
  if (reg === 2 || reg === 3) return 'calls somewhere';
  if (reg !== 4 && reg !== 5) return 'goes on';
  return (modrm & 0xc7) === 0x05 ? 'ends' : 'jumps somewhere';
}

const R_X86_64_PC32 = 2;
/** 32, 32S, DTPOFF32, TPOFF32 */
const absoluteTypes = new Set([10, 11, 21, 23]);

/** True where a relocation fills the displacement or the immediate of the locked instruction, and nothing else of it. */
function hasRelocatedField(code: Uint8Array, relocated: RelocatedFields, lock: number): boolean {
  const packed = decodeInstruction(code, lock, code.length);
  const end = lock + lengthOf(packed);
  const i = fieldFrom(relocated, lock);
  const field = relocated.offsets[i];
  if (packed === 0 || field === undefined || field >= end) return false;
  const type = relocated.types[i]!;
  const modrmAt = lock + modrmOf(packed);
  const modrm = code[modrmAt]!;
  const displacement = modrmAt + ((modrm & 7) === 4 ? 2 : 1);
  const isRelative = (modrm & 0xc7) === 0x05;
  const isLong =
    modrm >> 6 === 2 || isRelative || ((modrm & 0xc7) === 0x04 && (code[modrmAt + 1]! & 7) === 5);
  if (isLong && field === displacement) return isRelative ? type === R_X86_64_PC32 : absoluteTypes.has(type);
  return field > displacement && field === end - 4 && absoluteTypes.has(type);
}
