// Abbreviations of .debug_info (DWARF 5, section 7.5.3), compiled into what a walk over millions of entries needs: how
// far to go, and where the few attributes stand that are looked at.
import { TextpokeError } from '../errors.ts';
import { DW_FORM_implicit_const } from './constants.ts';
import { endOf, type FormSizes, readUleb, sizeOf } from './forms.ts';

/** What is done for an abbreviation. Each has its operands behind it. */
export const Op = {
  /** The entry's attributes end. */
  end: 0,
  /** Bytes to pass. */
  skip: 1,
  /** One of `Ends`: a value that tells where it ends. */
  ends: 2,
  /** Slot, form, distance: an attribute that is looked at stands so far on. Nothing is passed. */
  note: 3,
} as const;

/** An abbreviation that is used: where its operations begin. */
interface Abbreviation {
  readonly tag: number;
  readonly hasChildren: boolean;
  readonly start: number;
}

/** Abbreviations of one unit. */
export interface Abbreviations {
  readonly ops: readonly number[];
  /** The abbreviation of a code; `elf-malformed` where there is none. */
  get(code: number): Abbreviation;
}

/** The slot (0 to 30) of an attribute that is looked at, of entries with a tag; undefined for the others. */
export type SlotOf = (tag: number, attribute: number) => number | undefined;

/** Numbers above are no codes that a compiler gives. */
const largestCode = 0xffff_ffff;

/** Bytes of one table: decoded, it takes up to twenty times as many. Tools that share one among all units need most. */
export const largestTable = 1 << 20;

/**
 * Compiles the abbreviations from byte `start` of `bytes` on, and returns the byte behind them too. An attribute costs
 * nothing in the walk unless it has bytes or is looked at, and is looked at once at most: so the walk takes no longer
 * than the entries are. Errors: `elf-malformed`, `elf-unsupported` for an unknown form and for a table above the limit.
 */
export function readAbbreviations(
  bytes: Uint8Array,
  start: number,
  unit: FormSizes,
  slotOf: SlotOf,
): { readonly table: Abbreviations; readonly end: number } {
  const byCode = new Map<number, Abbreviation>();
  const ops: number[] = [];
  let at = start;
  const uleb = () => {
    const { value, end } = readUleb(bytes, at);
    at = end;
    if (at - start <= largestTable) return value;
    throw new TextpokeError(
      'elf-unsupported',
      `a table of abbreviations has more than ${largestTable} bytes`,
    );
  };
  while (at < bytes.length) {
    const code = uleb();
    if (code === 0) break;
    if (code > largestCode) throw malformed(`abbreviation ${code} is too large a number`);
    const tag = uleb();
    const hasChildren = bytes[at++] === 1;
    const abbreviation = { tag, hasChildren, start: ops.length };
    if (!byCode.has(code)) byCode.set(code, abbreviation);
    let noted = 0;
    let pending = 0;
    while (at < bytes.length) {
      const attribute = uleb();
      const form = uleb();
      const isConstant = form === DW_FORM_implicit_const;
      const constant = isConstant ? uleb() : 0;
      if (attribute === 0 && form === 0) break;
      const slot = slotOf(tag, attribute);
      if (slot !== undefined && (noted & (1 << slot)) === 0) {
        noted |= 1 << slot;
        ops.push(Op.note, slot, form, isConstant ? constant : pending);
      }
      const size = sizeOf(form, unit);
      if (size !== undefined) pending += size;
      else {
        if (pending > 0) ops.push(Op.skip, pending);
        pending = 0;
        ops.push(Op.ends, endOf(form));
      }
    }
    if (pending > 0) ops.push(Op.skip, pending);
    ops.push(Op.end);
  }
  if (at > bytes.length || start >= bytes.length) throw malformed('the abbreviations are cut');
  return { table: new Table(ops, byCode), end: at };
}

class Table implements Abbreviations {
  readonly ops: readonly number[];
  private readonly byCode: ReadonlyMap<number, Abbreviation>;
  /** Codes are nearly always the numbers from 1 on. */
  private readonly dense: readonly (Abbreviation | undefined)[];

  constructor(ops: readonly number[], byCode: ReadonlyMap<number, Abbreviation>) {
    this.ops = ops;
    this.byCode = byCode;
    this.dense = Array.from({ length: byCode.size + 1 }, (_, code) => byCode.get(code));
  }

  get(code: number): Abbreviation {
    const found = this.dense[code] ?? this.byCode.get(code);
    if (found) return found;
    throw malformed(`there is no abbreviation ${code}`);
  }
}

function malformed(what: string): TextpokeError {
  return new TextpokeError('elf-malformed', what);
}
