// Writes kallsyms as scripts/kallsyms.c does, in each of the forms that kernels from 5.10 to 7.3 have, into the bytes of a
// small made kernel.

export interface MadeSymbol {
  /** The signed reading of 64 bits, unsigned for 32. */
  readonly address: number;
  /** nm's letter. */
  readonly type: string;
  readonly name: string;
}

export interface MadeForm {
  readonly bits: 32 | 64;
  readonly little: boolean;
  /** Where addresses stand: in front of the number of names (before 6.4) or behind the tokens. */
  readonly order: 'front' | 'behind';
  /** unsigned and signed offsets with a base, whole addresses, or differences from the entry's own place (7.0). */
  readonly entries: 'unsigned' | 'signed' | 'words' | 'places';
  /** With kallsyms_seqs_of_names, three bytes for each number. */
  readonly sequence: boolean;
  /** Labels are aligned to the word, and since 7.0 to 4 bytes. */
  readonly alignment: 4 | 8;
  /** What kallsyms_relative_base holds in place of the base: relocatable arm64 kernels have 0 there. */
  readonly storedBase?: number;
  /** Two bytes for lengths of 128 and more (6.1); true when not given. */
  readonly wide?: boolean;
}

export interface MadeKallsyms {
  readonly bytes: Uint8Array;
  /** Byte offset of each label in `bytes`. */
  readonly at: Record<string, number>;
}

/** Bytes that grow, in one byte order. */
class Writer {
  private bytes = new Uint8Array(1 << 12);
  private readonly little: boolean;
  readonly at: Record<string, number> = {};
  length = 0;

  constructor(little: boolean) {
    this.little = little;
  }

  private view(size: number): DataView {
    while (this.length + size > this.bytes.length) {
      const larger = new Uint8Array(2 * this.bytes.length);
      larger.set(this.bytes);
      this.bytes = larger;
    }
    const view = new DataView(this.bytes.buffer, this.length, size);
    this.length += size;
    return view;
  }
  u8(value: number): void {
    this.view(1).setUint8(0, value);
  }
  u16(value: number): void {
    this.view(2).setUint16(0, value, this.little);
  }
  u32(value: number): void {
    this.view(4).setUint32(0, value >>> 0, this.little);
  }
  word(value: number, bits: 32 | 64): void {
    if (bits === 32) this.u32(value);
    else this.view(8).setBigInt64(0, BigInt(value), this.little);
  }
  label(name: string, alignment: number): void {
    while (this.length % alignment !== 0) this.u8(0);
    this.at[name] = this.length;
  }
  result(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }
}

const latin1 = (text: string) => [...Buffer.from(text, 'utf8')];

/** scripts/kallsyms.c: optimize_token_table. Names become codes; `table[code]` is the text of a code. */
function compress(names: readonly string[]): { coded: number[][]; table: number[][] } {
  const coded = names.map(latin1);
  const table: number[][] = Array.from({ length: 256 }, () => []);
  for (const name of coded) for (const byte of name) table[byte] = [byte];
  const expand = (code: number) => table[code] as number[];
  for (let code = 255; code >= 0; code--) {
    if (expand(code).length > 0) continue;
    const pairs = new Map<number, number>();
    for (const name of coded) {
      for (let i = 0; i + 1 < name.length; i++) {
        const pair = (name[i] as number) * 256 + (name[i + 1] as number);
        pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
      }
    }
    const [best, times] = [...pairs].reduce((a, b) => (b[1] > a[1] ? b : a), [0, 1]);
    if (times < 2) break; // the rest of the codes stay empty
    const [first, second] = [Math.floor(best / 256), best % 256];
    table[code] = [...expand(first), ...expand(second)];
    for (const name of coded) {
      for (let i = 0; i + 1 < name.length; i++) {
        if (name[i] === first && name[i + 1] === second) name.splice(i, 2, code);
      }
    }
  }
  return { coded, table };
}

/**
 * kallsyms of `symbols`, which are sorted by address here, behind `lead` bytes of the made kernel. `placeOf` is the address
 * of a byte of it. With signed entries, symbols of the letter `A` are absolute.
 */
export function makeKallsyms(
  symbols: readonly MadeSymbol[],
  form: MadeForm,
  lead: Uint8Array = new Uint8Array(64),
  placeOf: (offset: number) => number = () => 0,
): MadeKallsyms {
  const sorted = [...symbols].sort((a, b) => compareUnsigned(a.address, b.address));
  const w = new Writer(form.little);
  for (const byte of lead) w.u8(byte);
  const { coded, table } = compress(sorted.map(({ type, name }) => type + name));
  const relative = sorted.filter(({ type }) => form.entries !== 'signed' || type !== 'A');
  const base = relative[0]?.address ?? 0;
  const label = (name: string) => w.label(name, form.alignment);
  const addresses = () => {
    label('entries');
    for (const { address, type } of sorted) {
      if (form.entries === 'words') w.word(address, form.bits);
      else if (form.entries === 'places') w.u32(address - placeOf(w.length));
      else if (form.entries === 'unsigned') w.u32(address - base);
      else w.u32(type === 'A' ? address : base - address - 1);
    }
    if (form.entries === 'words' || form.entries === 'places') return;
    label('base');
    w.word(form.storedBase ?? base, form.bits);
  };
  const sequence = () => {
    if (!form.sequence) return;
    label('sequence');
    const order = sorted.map((_, i) => i).sort((a, b) => compareText(nameOf(a), nameOf(b)) || a - b);
    for (const i of order) {
      for (const shift of [16, 8, 0]) w.u8((i >> shift) & 0xff);
    }
  };
  const nameOf = (i: number) => sorted[i]?.name ?? '';

  if (form.order === 'front') addresses();
  label('count');
  w.u32(sorted.length);
  label('names');
  const markers: number[] = [];
  coded.forEach((codes, i) => {
    if (i % 256 === 0) markers.push(w.length - (w.at.names as number));
    if (codes.length < 0x80 || form.wide === false) w.u8(codes.length);
    else {
      w.u8((codes.length & 0x7f) | 0x80);
      w.u8(codes.length >> 7);
    }
    for (const code of codes) w.u8(code);
  });
  label('markers');
  for (const marker of markers) w.u32(marker);
  if (form.order === 'front') sequence();
  label('tokenTable');
  const index: number[] = [];
  for (const text of table) {
    index.push(w.length - (w.at.tokenTable as number));
    for (const byte of text) w.u8(byte);
    w.u8(0);
  }
  label('tokenIndex');
  for (const offset of index) w.u16(offset);
  if (form.order === 'behind') {
    addresses();
    sequence();
  }
  for (let i = 0; i < 64; i++) w.u8(0xcc); // what a kernel has behind it
  return { bytes: w.result(), at: w.at };
}

/** The upper half of the address space, whose addresses are negative, is behind the lower one. */
const compareUnsigned = (a: number, b: number) => Number(a < 0) - Number(b < 0) || a - b;
const compareText = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
