// The symbols that a kernel carries for itself (CONFIG_KALLSYMS), found in its bytes by structure: no symbol, no section
// and no version number says where they lie. Kernels 5.10 to 7.3; the forms are in kallsyms/addresses.ts.
import { sameBytes } from '../bytes/integer.ts';
import { TextpokeError } from '../errors.ts';
import { type Addresses, fittingForms, type Shape } from './kallsyms/addresses.ts';
import { Budget, longestName } from './kallsyms/limits.ts';
import { relocatedBy } from './kallsyms/load-address.ts';
import { firstByte, type NameStream, namesBefore } from './kallsyms/names.ts';
import { sequenceWidth } from './kallsyms/order.ts';
import { textStart, wrongSymbols } from './kallsyms/symbols.ts';
import { indexSize, type TokenTable, tokenTables } from './kallsyms/tokens.ts';

export type { Shape } from './kallsyms/addresses.ts';

/** Where the parts lie: byte offsets of the labels of scripts/kallsyms.c. */
export interface KallsymsParts {
  readonly count: number;
  readonly names: number;
  readonly markers: number;
  readonly tokenTable: number;
  readonly tokenIndex: number;
  /** kallsyms_offsets or kallsyms_addresses. */
  readonly addresses: number;
  readonly relativeBase: number | undefined;
  readonly sequence: number | undefined;
}

/** All symbols of a kernel, in the order of their addresses. */
export class Kallsyms {
  /** Number of symbols. */
  readonly count: number;
  /** The signed reading of 64 bits, unsigned where the machine has 32; counted from `_text` where not `anchored`. */
  readonly addresses: Float64Array;
  /** False where nothing in the bytes says at which address the kernel is linked: addresses count from `_text`. */
  readonly anchored: boolean;
  /** Words for a note: how the addresses are stored. */
  readonly form: string;
  readonly at: KallsymsParts;
  private readonly bytes: Uint8Array;
  private readonly tokens: TokenTable;
  private readonly names: NameStream;
  private readonly scratch: Buffer;

  constructor(bytes: Uint8Array, tokens: TokenTable, names: NameStream, found: Addresses) {
    this.bytes = bytes;
    this.tokens = tokens;
    this.names = names;
    this.count = names.starts.length;
    this.addresses = found.addresses;
    this.anchored = found.anchored;
    this.form = found.form;
    this.scratch = Buffer.alloc(longestName);
    this.at = {
      count: names.countAt,
      names: names.names,
      markers: names.markers,
      tokenTable: tokens.table,
      tokenIndex: tokens.index,
      addresses: found.entries,
      relativeBase: found.base,
      sequence: found.sequence ?? names.sequence,
    };
  }

  /** Bytes of all names together, without letters and without an end mark each. */
  get nameBytes(): number {
    return this.names.decoded - this.count;
  }

  /** The name of symbol `i`. */
  name(i: number): string {
    return this.scratch.toString('utf8', 0, this.copyName(i, this.scratch, 0));
  }

  /** nm's letter of symbol `i`: `T`, `t`, `D`... Per-CPU symbols of x86-64 before 6.15 have `A`. */
  type(i: number): string {
    return String.fromCharCode(this.letter(i));
  }

  /** The same letter as a byte. */
  letter(i: number): number {
    const start = this.names.starts[i] as number;
    return firstByte(this.bytes, this.tokens, start, this.names.codes[i] as number);
  }

  /** Bytes of name `i` without its letter. */
  private nameLength(i: number): number {
    const { bytes, names, tokens } = this;
    const start = names.starts[i] as number;
    const end = start + (names.codes[i] as number);
    let length = -1;
    for (let place = start; place < end; place++) length += tokens.lengths[bytes[place] as number] as number;
    return length;
  }

  /** Writes the bytes of name `i` to `into` from `at` on; returns their number. `nameBytes` has room for all. */
  copyName(i: number, into: Uint8Array, at: number): number {
    const { bytes, tokens } = this;
    const start = this.names.starts[i] as number;
    const end = start + (this.names.codes[i] as number);
    let to = at;
    let skip = 1; // the letter
    for (let place = start; place < end; place++) {
      const code = bytes[place] as number;
      const first = tokens.starts[code] as number;
      const last = first + (tokens.lengths[code] as number);
      for (let from = first; from < last; from++) {
        if (skip > 0) skip--;
        else into[to++] = bytes[from] as number;
      }
    }
    return to - at;
  }

  /** The numbers of the symbols that have these names, in the order of their addresses. One pass over all names. */
  find(wanted: ReadonlySet<string>): Map<string, number[]> {
    const found = new Map<string, number[]>();
    const lengths = new Set([...wanted].map((name) => Buffer.byteLength(name)));
    for (let i = 0; i < this.count; i++) {
      if (!lengths.has(this.nameLength(i))) continue;
      const name = this.name(i);
      if (!wanted.has(name)) continue;
      const known = found.get(name);
      if (known) known.push(i);
      else found.set(name, [i]);
    }
    return found;
  }
}

/**
 * The symbols that lie in `bytes`; undefined where there are none. Linear in the bytes. Errors: `elf-unsupported` where names
 * were found and no form of addresses, or more than one, fits them; `elf-malformed` for names that ask for too much.
 */
export function findKallsyms(bytes: Uint8Array, shape: Shape): Kallsyms | undefined {
  const budget = new Budget(bytes.length);
  let found: Kallsyms | undefined;
  let from = 0;
  for (const tokens of tokenTables(bytes, shape.little)) {
    const names = namesBefore({ bytes, little: shape.little, from, budget }, tokens);
    from = tokens.index;
    if (!names) continue;
    if (found) requireSame(bytes, found, names);
    else found = withAddresses(bytes, shape, tokens, names);
  }
  return found;
}

/** Another kallsyms must be the same, byte for byte: a copy. */
function requireSame(bytes: Uint8Array, { at, count }: Kallsyms, other: NameStream): void {
  const start = Math.min(at.count, at.addresses);
  // Behind the tokens, the order by text is the last part.
  const end =
    at.addresses > at.tokenIndex
      ? (at.sequence ?? at.addresses) + sequenceWidth * count
      : at.tokenIndex + indexSize;
  const distance = other.names - at.names;
  if (sameBytes(bytes.subarray(start, end), bytes.subarray(start + distance, end + distance))) return;
  throw new TextpokeError(
    'elf-unsupported',
    `there are two kallsyms here that differ: the names of the other begin at byte ${at.names}; one kernel is required`,
    { offset: other.names },
  );
}

/** Decoded names may be as many times as large as the bytes they are in. */
const mostTimes = 4;

/** The one form of addresses that fits names which are sound. */
function withAddresses(bytes: Uint8Array, shape: Shape, tokens: TokenTable, names: NameStream): Kallsyms {
  if (names.decoded > mostTimes * bytes.length) {
    throw new TextpokeError(
      'elf-malformed',
      `kallsyms has ${names.starts.length} names of ${names.decoded} bytes; at most ${mostTimes} times the file's size is supported`,
      { offset: names.names },
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const reasons: string[] = [];
  const sound: Kallsyms[] = [];
  for (const form of fittingForms({ bytes, view, shape, tokens, names })) {
    const kallsyms = new Kallsyms(bytes, tokens, names, anchor(bytes, shape, form));
    const wrong = wrongSymbols(kallsyms, kallsyms.anchored ? shape.addressOf(names.names) : undefined);
    if (!kallsyms.anchored) countFromText(kallsyms);
    if (wrong === undefined) sound.push(kallsyms);
    else reasons.push(`${form.form}: ${wrong}`);
  }
  const [only] = sound;
  if (only && sound.length === 1) return only;
  const what =
    sound.length > 1
      ? `they have addresses in ${sound.length} forms (${sound.map((k) => k.form).join('; ')}); one is required`
      : `no known form of addresses fits them${reasons.length > 0 ? ` (${reasons.join('; ')})` : ''}`;
  throw new TextpokeError('elf-unsupported', `kallsyms has ${names.starts.length} names, but ${what}`, {
    offset: names.names,
  });
}

/** Addresses of which only the distances are known get their start from the kernel's relocations, where it has them. */
function anchor(bytes: Uint8Array, shape: Shape, form: Addresses): Addresses {
  const shift = form.anchored ? undefined : relocatedBy(bytes, shape, form);
  if (shift === undefined) return form;
  return { ...form, addresses: form.addresses.map((address) => address + shift), anchored: true };
}

function countFromText(kallsyms: Kallsyms): void {
  const text = textStart(kallsyms) ?? 0;
  for (let i = 0; i < kallsyms.count; i++) kallsyms.addresses[i] = (kallsyms.addresses[i] as number) - text;
}
