// Runs a line number program (DWARF 5, section 6.2.5). Between two rows nothing is done but to compare the address
// with the next place that is asked for, so that a kernel's millions of rows cost little more than their bytes.
import { signed64 } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import {
  DW_LNE_define_file,
  DW_LNE_end_sequence,
  DW_LNE_set_address,
  DW_LNS_advance_line,
  DW_LNS_advance_pc,
  DW_LNS_const_add_pc,
  DW_LNS_copy,
  DW_LNS_extended,
  DW_LNS_fixed_advance_pc,
  DW_LNS_set_file,
} from './constants.ts';
import type { LineUnit } from './line-header.ts';
import type { WantedPlaces } from './wanted.ts';

/** What a program says about the places asked for: asker, number of the file, line; three numbers for each. */
export type Hits = number[];

export interface ProgramResult {
  readonly hits: Hits;
  /** Where the program defines files of its own: offsets of what would be entries of the file table. */
  readonly definedFiles: readonly number[];
}

/** Where a sequence begins. */
export interface SequenceStart {
  readonly address: number;
  /** The places that lie in the same section; undefined for code that is not in the file. */
  readonly wanted: WantedPlaces | undefined;
}

/**
 * Runs the program of a unit. `locate` turns a DW_LNE_set_address at byte `at` of the section into a place. Errors:
 * `elf-malformed`.
 */
export function runLineProgram(
  unit: LineUnit,
  locate: (at: number, address: number) => SequenceStart,
): ProgramResult {
  const { minInstruction, maxOperations, opcodeBase, operands } = unit;
  const { bytes, little } = unit.view;
  const { operations, lines } = unit.special;
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const definedFiles: number[] = [];
  const { end } = unit;
  const cursor = new Cursor();

  let address = 0;
  let operation = 0;
  let file = 1;
  let line = 1;
  // The row in front, and the next place that one behind it would cover.
  let rowFile = 1;
  let rowLine = 1;
  let next = Number.POSITIVE_INFINITY;

  let at = unit.program;
  while (at < end) {
    const opcode = bytes[at++] as number;
    let advance = 0;
    if (opcode >= opcodeBase) {
      advance = operations[opcode] as number;
      line += lines[opcode] as number;
    } else if (opcode === DW_LNS_const_add_pc) advance = operations[255] as number;
    else if (opcode === DW_LNS_advance_line) {
      let scale = 1;
      let byte: number;
      let delta = 0;
      do {
        byte = bytes[at++] as number;
        delta += (byte & 0x7f) * scale;
        scale *= 0x80;
      } while (byte >= 0x80);
      line += byte >= 0x40 ? delta - scale : delta;
      continue;
    } else if (opcode === DW_LNS_fixed_advance_pc) {
      if (at + 2 > end) throw cut();
      address += data.getUint16(at, little);
      operation = 0;
      at += 2;
      continue;
    } else if (opcode === DW_LNS_extended) {
      let scale = 1;
      let byte: number;
      let size = 0;
      do {
        byte = bytes[at++] as number;
        size += (byte & 0x7f) * scale;
        scale *= 0x80;
      } while (byte >= 0x80);
      if (!(at + size <= end)) throw cut();
      if (size === 0) continue;
      const operand = at + 1;
      switch (bytes[at]) {
        case DW_LNE_end_sequence:
          if (address > next) cursor.reach(address, rowFile, rowLine);
          address = 0;
          operation = 0;
          file = 1;
          line = 1;
          next = Number.POSITIVE_INFINITY;
          cursor.wanted = undefined;
          break;
        case DW_LNE_set_address: {
          if (size !== 5 && size !== 9) {
            throw new TextpokeError(
              'elf-malformed',
              `DW_LNE_set_address has ${size - 1} bytes; 4 or 8 bytes are supported`,
            );
          }
          const field = size === 9 ? signed64(data, operand, little) : data.getUint32(operand, little);
          const start = locate(operand, field);
          // Within a sequence this is but another way to advance, unless it leads elsewhere or back.
          if (start.wanted !== cursor.wanted || start.address < address) {
            cursor.wanted = start.wanted;
            cursor.place = -1;
            next = start.wanted ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
          }
          address = start.address;
          operation = 0;
          break;
        }
        case DW_LNE_define_file:
          definedFiles.push(operand);
          break;
      }
      at += size;
      continue;
    } else if (opcode !== DW_LNS_copy) {
      // One operand of any meaning, or operands without meaning here, or none.
      let operand = 0;
      for (let i = operands[opcode] as number; i > 0; i--) {
        let scale = 1;
        let byte: number;
        operand = 0;
        do {
          byte = bytes[at++] as number;
          operand += (byte & 0x7f) * scale;
          scale *= 0x80;
        } while (byte >= 0x80);
      }
      if (opcode === DW_LNS_set_file) file = operand;
      else if (opcode === DW_LNS_advance_pc) advance = operand;
      if (advance === 0) continue;
    }
    if (maxOperations === 1) address += advance * minInstruction;
    else {
      // A very long instruction word holds several operations at one address.
      operation += advance;
      address += Math.floor(operation / maxOperations) * minInstruction;
      operation %= maxOperations;
    }
    if (opcode < opcodeBase && opcode !== DW_LNS_copy) continue;
    if (address > next) next = cursor.reach(address, rowFile, rowLine);
    rowFile = file;
    rowLine = line;
  }
  if (at > end) throw cut();
  return { hits: cursor.hits, definedFiles };
}

function cut(): TextpokeError {
  return new TextpokeError('elf-malformed', 'the line number program ends in the middle of an instruction');
}

/** Where among the wanted places a sequence is. */
class Cursor {
  readonly hits: Hits = [];
  wanted: WantedPlaces | undefined;
  /** The next place, or -1 in front of a sequence's first row. */
  place = -1;

  /** Gives the row in front to every place in front of `address`; returns the offset of the next place behind. */
  reach(address: number, file: number, line: number): number {
    const { wanted } = this;
    if (!wanted) return Number.POSITIVE_INFINITY;
    if (this.place < 0) this.place = wanted.from(address);
    else {
      while ((wanted.offsets[this.place] as number) < address) {
        this.hits.push(wanted.askers[this.place] as number, file, line);
        this.place = wanted.close(this.place);
      }
    }
    return wanted.offsets[this.place] as number;
  }
}
