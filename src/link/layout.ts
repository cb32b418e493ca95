// The second half of an in-memory link: addresses and relocations (kernel/module/main.c, layout_sections and
// apply_relocations).
import { placeOf } from '../arch/code-pointer.ts';
import { alignUp, hex } from '../bytes/integer.ts';
import { ByteView } from '../bytes/view.ts';
import {
  PF_R,
  PF_W,
  PF_X,
  PT_LOAD,
  SHF_EXECINSTR,
  SHF_WRITE,
  SHT_NOBITS,
  STB_LOCAL,
} from '../elf/constants.ts';
import type { Segment } from '../elf/file.ts';
import { Ehdr, identSize, Phdr } from '../elf/records.ts';
import { inFile, TextpokeError } from '../errors.ts';
import type { LinkInput, LinkObject, Output, Piece } from './input.ts';
import type { LinkSymbols } from './symbols.ts';

/** Bytes that the small code model reaches from 0x400000, less some room for addends (psABI section 3.5.1). */
const room = 0x7fbf_0000;

/** Bytes that alignment may add to an image, which is put together in memory. */
const mostPadding = 64 << 20;

/** Pointers to symbols for relocations that go through a global offset table. */
export class OffsetTable {
  readonly output: Output;
  private readonly slots = new Map<string, number>();
  private readonly values: number[] = [];
  private readonly input: LinkInput;
  private readonly numbers: ReadonlyMap<LinkObject, number>;

  /** `count` is how many symbols relocations name. */
  constructor(input: LinkInput, count: number) {
    const { wordSize } = input.arch;
    // Addresses come before relocations, which ask for slots: room for every symbol that is named is enough.
    const size = count * wordSize;
    this.output = input.offsetTable;
    this.output.align = wordSize;
    this.output.size = size;
    this.input = input;
    this.numbers = new Map(input.objects.map((object, i) => [object, i]));
  }

  /** Address of the pointer to a symbol, whose own address is `address`. */
  slotOf(object: LinkObject, symbol: number, address: number): number {
    const name = object.symbols.binding(symbol) === STB_LOCAL ? '' : object.symbols.name(symbol);
    const key = name || `${this.numbers.get(object)}:${symbol}`;
    let slot = this.slots.get(key);
    if (slot === undefined) {
      slot = this.slots.size;
      this.slots.set(key, slot);
      this.values.push(address);
    }
    return this.output.address + slot * this.input.arch.wordSize;
  }

  /** The table's bytes, once every relocation is carried out. */
  bytes(): Uint8Array {
    const { wordSize } = this.input.arch;
    const bytes = new Uint8Array(this.output.size);
    const view = new ByteView(bytes, this.input.little);
    this.values.forEach((value, i) => {
      if (wordSize === 8) view.setS64(i * wordSize, value);
      else view.setU32(i * wordSize, value >>> 0);
    });
    return bytes;
  }
}

/** Outputs in order of segment: read-only, code, data, zeros; with their addresses. */
export function layOut(
  input: LinkInput,
  got: Output,
  base: number,
): { order: Output[]; segments: Segment[] } {
  const rank = (o: Output) =>
    (o.flags & SHF_EXECINSTR) !== 0 ? 1 : (o.flags & SHF_WRITE) === 0 ? 0 : o.type === SHT_NOBITS ? 3 : 2;
  const order = [...input.outputs.values(), got].sort((a, b) => rank(a) - rank(b));
  const { class: bits, pageSize: page } = input.arch;
  const headers = identSize + Ehdr[bits].size + 3 * Phdr[bits].size;
  const segments: Segment[] = [];
  const size = order.reduce((sum, output) => sum + (output.type === SHT_NOBITS ? 0 : output.size), 0);
  let address = base + headers;
  const limit = base + room;
  for (const [ranks, flags] of [
    [[0], PF_R],
    [[1], PF_R | PF_X],
    [[2, 3], PF_R | PF_W],
  ] as const) {
    // The first segment holds the headers; file offset and address agree modulo the page throughout.
    const start = segments.length === 0 ? base : alignUp(address, page);
    address = Math.max(address, start);
    let fileEnd = address;
    for (const output of order.filter((o) => (ranks as readonly number[]).includes(rank(o)))) {
      address = alignUp(address, output.align);
      output.address = address;
      output.fileOffset = address - base;
      address += output.size;
      if (address > limit) {
        throw new TextpokeError(
          'link-failed',
          `the image would end at ${hex(address)}; the code of this code model must be below ${hex(limit)}`,
        );
      }
      if (output.type !== SHT_NOBITS) fileEnd = address;
    }
    if (!(fileEnd - base <= mostPadding + 2 * size) || !Number.isSafeInteger(address)) {
      throw new TextpokeError(
        'link-failed',
        `the image would have ${fileEnd - base} bytes, but the objects have ${size}; a section has too large an alignment or size`,
      );
    }
    segments.push({
      type: PT_LOAD,
      flags,
      offset: start - base,
      vaddr: start,
      paddr: start,
      filesz: fileEnd - start,
      memsz: address - start,
      align: page,
    });
  }
  return { order, segments: segments.filter((s) => s.memsz > 0) };
}

/** Outputs that lie where a loader has put them, each in a segment of its own. Error `link-failed`. */
export function keepPlaces(input: LinkInput): { order: Output[]; segments: Segment[] } {
  const { class: bits } = input.arch;
  const order = [...input.outputs.values()].filter(({ placed, size }) => placed === 'here' && size > 0);
  let offset = identSize + Ehdr[bits].size + order.length * Phdr[bits].size;
  const segments = order.map((output): Segment => {
    const { address, size, flags, type } = output;
    if (!Number.isSafeInteger(address) || !Number.isSafeInteger(address + size))
      throw new TextpokeError('link-failed', `the section ${output.name} is outside the address space`);
    output.fileOffset = offset;
    const filesz = type === SHT_NOBITS ? 0 : size;
    offset += filesz;
    const rights = ((flags & SHF_EXECINSTR) !== 0 ? PF_X : 0) | ((flags & SHF_WRITE) !== 0 ? PF_W : 0);
    return {
      type: PT_LOAD,
      flags: PF_R | rights,
      offset: output.fileOffset,
      vaddr: address,
      paddr: address,
      filesz,
      memsz: size,
      align: 1,
    };
  });
  return { order, segments };
}

/** Carries out the relocations of every section that stays and is to be filled. Error `link-failed`. */
export function relocate(input: LinkInput, symbols: LinkSymbols, got: OffsetTable): void {
  for (const object of input.objects) {
    inFile(object.file.path, () => {
      for (const { section, output, offset, bytes } of object.pieces.values())
        if (output.placed === 'here' && input.loader?.sizeOf(section) !== undefined)
          input.loader.place(section, output.address + offset + input.slide, bytes);
      for (const piece of object.pieces.values()) {
        if ((piece.output.placed ?? 'here') === 'here' && input.fills(piece.section))
          relocatePiece(input, symbols, got, object, piece);
      }
    });
  }
}

function relocatePiece(
  input: LinkInput,
  symbols: LinkSymbols,
  got: OffsetTable,
  object: LinkObject,
  piece: Piece,
): void {
  const isCode = (piece.section.flags & SHF_EXECINSTR) !== 0;
  const slide = isCode ? input.slide : 0;
  const loader = isCode ? input.loader : undefined;
  const start = piece.output.address + piece.offset + slide;
  const machine = { apply: input.arch.applyRelocation };
  for (const table of object.file.relocationSections(piece.section.index)) {
    const relocations = object.file.relocations(table);
    const order = loader?.order(table);
    for (let n = 0; n < relocations.count; n++) {
      const i = order ? (order[n] as number) : n;
      const type = relocations.type[i] as number;
      if (type === input.arch.relocations.none) continue;
      const symbol = relocations.symbol[i] as number;
      const offset = relocations.offset[i] as number;
      const address = symbols.addressOf(object, symbol);
      const at = { section: piece.section.name, offset };
      if (address === undefined) {
        // Debug and unwind data may name discarded functions; linkers leave zeros there.
        if ((piece.section.flags & SHF_EXECINSTR) === 0 && piece.section.name === '.eh_frame') continue;
        throw new TextpokeError(
          'link-failed',
          `the relocation names ${object.symbols.name(symbol)} in a discarded section`,
          at,
        );
      }
      const thumb = symbols.isThumb(object, symbol);
      const runs = slide === 0 || symbols.isNumber(object, symbol) ? address : address + slide;
      const failed = (loader ?? machine).apply({
        type,
        symbol: thumb ? placeOf(input.arch, runs) : runs,
        thumb,
        addend: relocations.addend[i] as number,
        place: start + offset,
        offset,
        bytes: piece.bytes,
        little: input.little,
        got: got.output.address,
        slot: () => got.slotOf(object, symbol, address),
      });
      if (failed) throw new TextpokeError('link-failed', failed, at);
    }
  }
}
