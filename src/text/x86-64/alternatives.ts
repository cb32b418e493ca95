// Alternatives of x86-64, as each version carries them out (arch/x86/kernel/alternative.c, apply_alternatives): the code that
// a processor with or without a feature gets, moved to its place, and NOPs made long.

import { decodeInstruction, InstructionKind, kindOf, lengthOf, readS32 } from '../../arch/x86-64/length.ts';
import { moveCode } from '../../arch/x86-64/moved-code.ts';
import { type Alternative, alternativesRange } from '../../image/alternatives.ts';
import type { ExpectedText } from '../expected.ts';
import { kernelOf, type PassNote, type PassResult, type TextPass, type TextSubject } from '../pass.ts';
import { addNops, type NopStyle, nopStyleOf, optimizeNops } from './nops.ts';
import type { X86State } from './state.ts';

const NOP = 0x90;
const INT3 = 0xcc;
const CALL_REL32 = 0xe8;
const JMP_REL32 = 0xe9;
const JMP_REL8 = 0xeb;

/** What a kernel does with a table of alternatives. */
type Way =
  /** Each entry in turn, in the text itself; only what begins with a call or a jump is moved (up to 6.3). */
  | 'old'
  /** Each entry in turn, in a buffer; all instructions are moved. */
  | 'each'
  /** Of the entries of a place, the last one that fits (from 6.19 on). */
  | 'last';

function wayOf({ version: [major, minor] }: X86State): Way {
  if (major < 6 || (major === 6 && minor < 4)) return 'old';
  return major === 6 && minor < 19 ? 'each' : 'last';
}

export const alternatives: TextPass<X86State> = {
  kind: 'alternative',
  name: 'alternatives',
  run(subject): PassResult | undefined {
    const { image, state } = subject;
    const table = state.alternatives;
    if (!table) {
      if (!alternativesRange(image)) return undefined;
      const message = 'the entries of .altinstructions are none, so alternatives cannot be replayed';
      return { sites: 0, notes: [{ severity: 'wrong', message }] };
    }
    const notes: PassNote[] = [];
    const style = nopStyleOf(kernelOf(subject), state);
    if (!style) {
      const message = 'ideal_nops does not lead to a list of NOPs, so alternatives cannot be replayed';
      return { sites: 0, notes: [{ severity: 'wrong', message, input: 'ideal_nops' }] };
    }
    const replay = new AlternativeReplay(subject, style, notes);
    const entries = table.listed;
    for (let i = 0; i < entries.length; ) {
      const end = endOfPlace(entries, i);
      replay.place(entries, i, end);
      i = end;
    }
    return { sites: entries.length, notes };
  },
};

/** Where the entries of one place end that stand together in the table. */
export function endOfPlace(entries: readonly Alternative[], from: number): number {
  const { address } = entries[from] as Alternative;
  let end = from + 1;
  while (end < entries.length && (entries[end] as Alternative).address === address) end++;
  return end;
}

/** Carries out entries in the texts of a subject. */
export class AlternativeReplay {
  private readonly subject: TextSubject<X86State>;
  private readonly style: NopStyle;
  private readonly notes: PassNote[];

  constructor(subject: TextSubject<X86State>, style: NopStyle, notes: PassNote[]) {
    this.subject = subject;
    this.style = style;
    this.notes = notes;
  }

  /** The entries [from, to) of one place, as the version does it. */
  place(entries: readonly Alternative[], from: number, to: number): void {
    const way = wayOf(this.subject.state);
    if (way === 'old') for (let i = from; i < to; i++) this.old(entries[i] as Alternative);
    else if (way === 'each') this.each(entries, from, to);
    else this.last(entries, from, to);
  }

  private fits({ feature, isInverted }: Alternative): boolean {
    return this.subject.state.has(feature) !== isInverted;
  }

  private textOf({ address }: Alternative, length: number): ExpectedText | undefined {
    const text = this.subject.texts.holding(address, length);
    if (!text && this.subject.image.codeAt(address))
      this.note('left', address, 'the place of an alternative is in no text');
    return text;
  }

  private note(severity: PassNote['severity'], address: number, message: string, input?: string): void {
    this.notes.push({ severity, address, message, ...(input !== undefined && { input }) });
  }

  /** The replacement as it stands now: passes may have changed it. */
  private replacementOf({ replacement, replacementLength }: Alternative): Uint8Array {
    const { texts, image } = this.subject;
    if (replacementLength === 0) return new Uint8Array(0);
    const text = texts.holding(replacement, replacementLength);
    return (
      text ? text.at(replacement, replacementLength) : image.read(replacement, replacementLength)
    ).slice();
  }

  private old(entry: Alternative): void {
    const { address, length, replacement } = entry;
    const text = this.textOf(entry, length);
    if (!text) return;
    if (this.fits(entry)) {
      const code = this.replacementOf(entry);
      const buffer = new Uint8Array(length).fill(NOP);
      buffer.set(code);
      if (code.length === 5 && code[0] === CALL_REL32)
        setS32(buffer, 1, readS32(code, 1) + replacement - address);
      if (code.length === 5 && code[0] === JMP_REL32) this.recomputeJump(buffer, replacement, address);
      text.write(address, buffer, 'alternative');
    }
    // The text itself is gone through: an instruction may end behind the place.
    const room = Math.min(length + 16, text.end - address);
    const code = text.at(address, room).slice();
    optimizeNops(this.style, code, length, (from, to) =>
      text.write(address + from, code.subarray(from, to), 'alternative'),
    );
  }

  /** recompute_jump: a jump that need not be far becomes short, if it leads forward. */
  private recomputeJump(buffer: Uint8Array, from: number, to: number): void {
    const distance = from + 5 + readS32(buffer, 1) - to;
    if (distance >= 0 && distance - 2 <= 127) {
      buffer[0] = JMP_REL8;
      buffer[1] = (distance - 2) & 0xff;
      addNops(this.style, buffer, 2, 5);
    } else setS32(buffer, 1, distance - 5);
  }

  private each(entries: readonly Alternative[], from: number, to: number): void {
    let length = 0;
    for (let i = from; i < to; i++) length = Math.max(length, (entries[i] as Alternative).length);
    const first = entries[from] as Alternative;
    const text = this.textOf(first, length);
    if (!text) return;
    for (let i = from; i < to; i++) {
      const entry = entries[i] as Alternative;
      const buffer = this.fits(entry)
        ? this.replaced(entry, text, length)
        : text.at(entry.address, length).slice();
      if (!buffer) continue;
      optimizeNops(this.style, buffer, length);
      text.write(entry.address, buffer, 'alternative');
    }
  }

  private last(entries: readonly Alternative[], from: number, to: number): void {
    let length = 0;
    let chosen: Alternative | undefined;
    for (let i = from; i < to; i++) {
      const entry = entries[i] as Alternative;
      length = Math.max(length, entry.length);
      if (this.fits(entry)) chosen = entry;
    }
    const { address } = entries[from] as Alternative;
    const text = this.textOf(entries[from] as Alternative, length);
    if (!text) return;
    const buffer = chosen ? this.replaced(chosen, text, length) : text.at(address, length).slice();
    if (!buffer) return;
    optimizeNops(this.style, buffer, length);
    text.write(address, buffer, 'alternative');
  }

  /** What an entry that fits writes, NOPs not yet made long; undefined (and noted) where it cannot. */
  private replaced(entry: Alternative, text: ExpectedText, length: number): Uint8Array | undefined {
    const { address, replacement, isDirectCall } = entry;
    const code = this.replacementOf(entry);
    let size = code.length;
    if (isDirectCall) {
      const called = this.directCall(entry, code, text);
      if (called === undefined) return undefined;
      size = called;
    }
    const buffer = new Uint8Array(length).fill(NOP);
    buffer.set(code.subarray(0, size));
    const moved = moveCode(buffer.subarray(0, size), replacement, address);
    if (!moved) {
      this.note('wrong', address, 'the code of an alternative cannot be moved to its place');
      return undefined;
    }
    shortenJumps(code.subarray(0, size), moved, replacement - address);
    buffer.set(moved);
    return buffer;
  }

  /** alt_replace_call: an indirect call of an operation becomes a call of it. The bytes that are left of it; undefined: none. */
  private directCall(entry: Alternative, code: Uint8Array, text: ExpectedText): number | undefined {
    const { state } = this.subject;
    const image = kernelOf(this.subject);
    const { address } = entry;
    const site = text.at(address, Math.min(entry.length, 6));
    if (
      code.length !== 5 ||
      code[0] !== CALL_REL32 ||
      site.length !== 6 ||
      site[0] !== 0xff ||
      site[1] !== 0x15
    ) {
      this.note('wrong', address, 'an alternative for a direct call is none of an indirect one');
      return undefined;
    }
    const slot = address + 6 + readS32(site, 2);
    const held = state.reader.word(slot + this.subject.slide);
    if (held === undefined) {
      this.note('left', address, `the pointer at ${image.describe(slot)} is not in the dump`, 'pv_ops');
      return undefined;
    }
    const bug = image.symbols.addressOf('BUG_func');
    const target = held === 0 ? bug : held - this.subject.slide;
    if (
      bug === undefined ||
      target === undefined ||
      !image.codeAt(target) ||
      image.symbolAt(target)?.offset !== 0
    ) {
      this.note(
        'wrong',
        address,
        `${image.describe(slot)} does not lead to a function of the image`,
        image.describe(slot),
      );
      return undefined;
    }
    if (target === image.symbols.addressOf('nop_func')) return 0;
    setS32(code, 1, readS32(code, 1) + target - bug);
    return 5;
  }
}

/** Jumps of 5 bytes that need not be far become short, with breakpoints behind them (__apply_relocation). */
function shortenJumps(code: Uint8Array, moved: Uint8Array, difference: number): void {
  for (let at = 0; at < code.length; ) {
    const packed = decodeInstruction(code, at, code.length);
    const length = lengthOf(packed);
    if (length === 0) return;
    if (kindOf(packed) === InstructionKind.jmpRel32 && code[at] === JMP_REL32) {
      const distance = (readS32(code, at + 1) + difference + 3) | 0;
      if (distance >= -128 && distance <= 127) {
        moved.fill(INT3, at + 2, at + length);
        moved.set([JMP_REL8, distance & 0xff], at);
      }
    }
    at += length;
  }
}

function setS32(bytes: Uint8Array, at: number, value: number): void {
  new DataView(bytes.buffer, bytes.byteOffset).setInt32(at, value | 0, true);
}
