// The header of a line number program (DWARF 5, section 6.2.4; versions 2 to 5, 32-bit and 64-bit DWARF): what is
// needed to run it. The tables of directories and files are line-names.ts.
import { hex, requireSafe } from '../bytes/integer.ts';
import { ByteView } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';

/** Where a unit begins and ends in its section. */
export interface UnitFrame {
  readonly offset: number;
  /** Of the first byte behind unit_length. */
  readonly body: number;
  readonly end: number;
  /** 64-bit DWARF: offsets have eight bytes. */
  readonly wide: boolean;
}

/** Operations and lines that each special opcode advances by; for 255 the former is const_add_pc's too. */
export interface SpecialOpcodes {
  readonly operations: Uint8Array;
  readonly lines: Int16Array;
}

export interface LineUnit extends UnitFrame {
  /** The section up to the unit's end; all offsets count from the section's start. */
  readonly view: ByteView;
  readonly version: number;
  readonly minInstruction: number;
  readonly maxOperations: number;
  readonly opcodeBase: number;
  readonly special: SpecialOpcodes;
  /** How many operands each standard opcode has. */
  readonly operands: Uint8Array;
  /** Where the tables of directories and files begin, and where the program does. */
  readonly tables: number;
  readonly program: number;
}

/** The unit that begins at `offset`; `elf-truncated` or `elf-malformed` when nothing says where the next one is. */
export function readFrame(section: ByteView, offset: number): UnitFrame {
  const frame = readLength(section, offset);
  section.need(frame.body, frame.end - frame.body);
  return frame;
}

/** The same of a section whose bytes are not all at hand. */
export function readLength(section: ByteView, offset: number): UnitFrame {
  const short = section.u32(offset);
  const wide = short === 0xffff_ffff;
  const length = wide ? requireSafe(section.u64(offset + 4), 'unit_length') : short;
  const body = offset + (wide ? 12 : 4);
  if (!wide && short >= 0xffff_fff0)
    throw new TextpokeError('elf-malformed', `unit_length is ${hex(short)}, which is reserved`);
  return { offset, body, end: body + length, wide };
}

/** An offset in a section, as wide as the unit has them. */
export function readOffset({ wide, view }: Pick<LineUnit, 'wide' | 'view'>, at: number): number {
  return wide ? requireSafe(view.u64(at), 'an offset') : view.u32(at);
}

/** Decodes a unit's header; `elf-malformed`, `elf-truncated`, or `elf-unsupported` for an unknown version. */
export function readLineUnit(section: ByteView, frame: UnitFrame): LineUnit {
  const { body, end, wide } = frame;
  const view = new ByteView(section.bytes.subarray(0, end), section.little);
  const version = view.u16(body);
  if (version < 2 || version > 5) {
    throw new TextpokeError('elf-unsupported', `the version is ${version}; versions 2 to 5 are supported`);
  }
  // Version 5 has the sizes of addresses and segments first.
  let at = body + (version >= 5 ? 4 : 2);
  const headerLength = readOffset({ wide, view }, at);
  at += wide ? 8 : 4;
  const program = at + headerLength;
  view.need(at, headerLength);
  const minInstruction = view.u8(at++);
  const maxOperations = version >= 4 ? view.u8(at++) : 1;
  at++; // default_is_stmt
  const lineBase = (view.u8(at++) << 24) >> 24;
  const lineRange = view.u8(at++);
  const opcodeBase = view.u8(at++);
  if (lineRange === 0 || opcodeBase === 0 || maxOperations === 0) {
    throw new TextpokeError(
      'elf-malformed',
      'line_range, opcode_base or max_ops_per_instruction is 0; a positive value is required',
    );
  }
  view.need(at, opcodeBase - 1);
  const operands = new Uint8Array(opcodeBase);
  operands.set(view.bytes.subarray(at, at + opcodeBase - 1), 1);
  const special = specialOpcodes(lineBase, lineRange, opcodeBase);
  const tables = at + opcodeBase - 1;
  if (program < tables)
    throw new TextpokeError('elf-malformed', `header_length is ${headerLength}, which is too short`);
  return {
    ...frame,
    ...{ view, version, minInstruction, maxOperations, opcodeBase, special, operands, tables, program },
  };
}

const known = new Map<string, SpecialOpcodes>();

/** Compilers agree on these numbers, so that most units share one table. */
function specialOpcodes(lineBase: number, lineRange: number, opcodeBase: number): SpecialOpcodes {
  const key = `${lineBase} ${lineRange} ${opcodeBase}`;
  let table = known.get(key);
  if (!table) {
    table = { operations: new Uint8Array(256), lines: new Int16Array(256) };
    for (let opcode = opcodeBase; opcode < 256; opcode++) {
      table.operations[opcode] = Math.floor((opcode - opcodeBase) / lineRange);
      table.lines[opcode] = lineBase + ((opcode - opcodeBase) % lineRange);
    }
    if (known.size > 64) known.clear();
    known.set(key, table);
  }
  return table;
}
