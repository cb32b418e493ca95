// Reads what `objdump -d` says about code: the second opinion on the length decoder and the sweep. Everything
// comes from its listing, the bytes of the code included, so that no reader of ours has a part in it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { CodeMap } from '../../src/arch/code-map.ts';

/** What a line of the listing is. */
export const LineClass = {
  instruction: 0,
  /** `(bad)`: objdump knows no such instruction. */
  bad: 1,
  /** `.byte 0x..`: a symbol or the end of the section cuts the instruction short. */
  cut: 2,
  /** Nothing but names of prefixes: cut likewise, or a REX prefix before another prefix, or too many of them. */
  prefixes: 3,
} as const;
export type LineClass = (typeof LineClass)[keyof typeof LineClass];

/** One disassembled section, its lines in parallel arrays; all offsets are in bytes from its start. */
export interface Listing {
  /** The file, with the member of an archive, as objdump names it, and the section. */
  readonly name: string;
  readonly address: number;
  readonly code: Uint8Array;
  /** A start for each symbol; data where objdump printed bytes instead of instructions (after STT_OBJECT). */
  readonly map: CodeMap;
  readonly offsets: Uint32Array;
  readonly lengths: Uint8Array;
  readonly classes: Uint8Array;
  /** Offsets of the lines that have `lock` among the prefixes they name. */
  readonly lockLines: readonly number[];
}

const PREFIX =
  /^(lock|repn?z|rep|data16|addr32|[c-gs]s|rex(\.W?R?X?B?)?|xacquire|xrelease|bnd|notrack|fwait)$/;
const BAD = /(^|[ ,])\(bad\)/; // but not `/(bad)`, a complaint about operands

function classify(words: string): LineClass {
  if (words.startsWith('.byte')) return LineClass.cut;
  if (words.includes('(bad)') && BAD.test(words)) return LineClass.bad;
  // A lone fwait is an instruction, whatever prefixes it has.
  const last = words.slice(words.lastIndexOf(' ') + 1);
  if (last === 'fwait' || !PREFIX.test(last)) return LineClass.instruction;
  return words.split(' ').every((word) => PREFIX.test(word)) ? LineClass.prefixes : LineClass.instruction;
}

function hasLock(words: string): boolean {
  for (const word of words.split(' ')) {
    if (word === 'lock') return true;
    if (!PREFIX.test(word)) return false;
  }
  return false;
}

class ListingBuilder {
  readonly name: string;
  #address = -1;
  #code = new Uint8Array(1 << 12);
  #size = 0;
  #offsets = new Uint32Array(1 << 10);
  #lengths = new Uint8Array(1 << 10);
  #classes = new Uint8Array(1 << 10);
  #lines = 0;
  readonly #starts: number[] = [];
  readonly #data: number[] = [];
  readonly #lockLines: number[] = [];

  constructor(name: string) {
    this.name = name;
  }

  addSymbol(address: number): void {
    if (this.#address < 0) this.#address = address;
    this.#starts.push(address - this.#address);
  }

  addLine(line: string): void {
    const colon = line.indexOf(':');
    const offset = Number.parseInt(line.slice(0, colon), 16) - this.#address;
    if (offset !== this.#size) throw new Error(`${this.name}: a gap before this line of objdump: ${line}`);
    let at = colon + 2;
    for (; line.charCodeAt(at) > 0x20; at += 3) {
      if (this.#size === this.#code.length) this.#code = enlarged(this.#code, new Uint8Array(this.#size * 2));
      this.#code[this.#size++] = (nibble(line.charCodeAt(at)) << 4) | nibble(line.charCodeAt(at + 1));
    }
    const tab = line.indexOf('\t', at);
    if (tab < 0) {
      if (this.#data.at(-1) === offset) this.#data.pop();
      else this.#data.push(offset);
      this.#data.push(this.#size);
      return;
    }
    if (this.#lines === this.#offsets.length) {
      this.#offsets = enlarged(this.#offsets, new Uint32Array(this.#lines * 2));
      this.#lengths = enlarged(this.#lengths, new Uint8Array(this.#lines * 2));
      this.#classes = enlarged(this.#classes, new Uint8Array(this.#lines * 2));
    }
    const words = line.slice(tab + 1).trimEnd();
    this.#offsets[this.#lines] = offset;
    this.#lengths[this.#lines] = this.#size - offset;
    this.#classes[this.#lines++] = classify(words);
    if (words.includes('lock') && hasLock(words)) this.#lockLines.push(offset);
  }

  finish(): Listing {
    return {
      name: this.name,
      address: this.#address,
      code: this.#code.slice(0, this.#size),
      map: {
        starts: Uint32Array.from(this.#starts),
        data: Uint32Array.from(this.#data),
        thumb: new Uint32Array(0),
      },
      offsets: this.#offsets.subarray(0, this.#lines),
      lengths: this.#lengths.subarray(0, this.#lines),
      classes: this.#classes.subarray(0, this.#lines),
      lockLines: this.#lockLines,
    };
  }
}

const nibble = (char: number): number => (char <= 0x39 ? char - 0x30 : char - 0x57);

function enlarged<T extends Uint8Array | Uint32Array>(old: T, fresh: T): T {
  fresh.set(old);
  return fresh;
}

/** What `objdump -d -w -z` with more `args` (a file, `-j .text`, `-D -b binary`) lists, a section at a time. */
export async function* disassemble(args: readonly string[]): AsyncGenerator<Listing> {
  const child = spawn('objdump', ['-d', '-w', '-z', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exit = once(child, 'close');
  child.stdout.setEncoding('latin1');
  let file = '';
  let builder: ListingBuilder | undefined;
  let rest = '';
  for await (const chunk of child.stdout as AsyncIterable<string>) {
    const text = rest + chunk;
    let from = 0;
    for (let to = text.indexOf('\n'); to >= 0; from = to + 1, to = text.indexOf('\n', from)) {
      const line = text.slice(from, to);
      if (line.includes(':\t')) {
        builder?.addLine(line);
      } else if (line.endsWith('>:')) {
        builder?.addSymbol(Number.parseInt(line, 16));
      } else if (line.includes(':     file format ')) {
        file = line.slice(0, line.indexOf(':     file format '));
      } else if (line.startsWith('Disassembly of section ')) {
        if (builder) yield builder.finish();
        builder = new ListingBuilder(`${file} ${line.slice(23, -1)}`);
      }
    }
    rest = text.slice(from);
  }
  if (builder) yield builder.finish();
  const [status] = await exit;
  if (status !== 0) throw new Error(`objdump ${args.join(' ')}: exit status ${status}`);
}
