// Which functions were inlined at places in code, from .debug_info (DWARF 5, section 3.3.8). All places are asked for
// at once: one walk over the units that have some of them, in which each range is looked up among the places.
import { countUpTo } from '../bytes/search.ts';
import type { Section } from '../elf/file.ts';
import { TextpokeError } from '../errors.ts';
import * as dw from './constants.ts';
import type { DebugPlace } from './info-file.ts';
import type { InfoReader } from './info-reader.ts';
import { type InfoUnit, Slot } from './info-unit.ts';
import { RangeReader, type UnitTables } from './ranges.ts';
import type { WantedPlaces } from './wanted.ts';

/** Entries below which code may be described. Of all others only the next one is looked for, where the entry names it. */
const scopes: ReadonlySet<number> = new Set([
  dw.DW_TAG_entry_point,
  dw.DW_TAG_lexical_block,
  dw.DW_TAG_inlined_subroutine,
  dw.DW_TAG_module,
  dw.DW_TAG_with_stmt,
  dw.DW_TAG_catch_block,
  dw.DW_TAG_subprogram,
  dw.DW_TAG_try_block,
  dw.DW_TAG_namespace,
]);

/** More functions than compilers put into one another; ranges that overlap would ask for any amount of work. */
const deepest = 256;

/** Entries that lie in each other: compilers need some hundred for the most nested of templates. */
const mostLevels = 10_000;

/** Functions that are kept at most, beside four for each place: a hundred bytes each. */
const mostScopes = 500_000;
/** Functions around all places together, beside sixteen for each: an answer names them all. */
const mostAround = 500_000;

/** A function in which a place lies, or which was inlined there. */
export interface Scope {
  /** The one that it was inlined into; undefined for a function of its own. */
  readonly outer: Scope | undefined;
  /** Number of the file and line of the call that was replaced; 0 where none is known. */
  readonly callFile: number;
  readonly callLine: number;
  /** Its entry in .debug_info. */
  readonly entry: DebugPlace;
}

/** What is asked. */
export interface InlinedQuestion {
  /** The places, by section of an object; under 0 those of an image. */
  readonly wanted: ReadonlyMap<number, WantedPlaces>;
  /** For each asker the line table that has its place, or -1: only units of that table answer. */
  readonly lineTables: Int32Array;
  /** The number of the line table at a place; undefined for one that has no place. */
  lineTableAt(place: DebugPlace): number | undefined;
}

export class InlinedSearch {
  /** For each asker the innermost function. */
  readonly found: (Scope | undefined)[];
  private readonly reader: InfoReader;
  private readonly question: InlinedQuestion;
  private readonly ranges: RangeReader;
  /** Places of each line table that no function has claimed. */
  private readonly open: number[] = [];
  private visits: number;
  private scopes = 0;
  private around = 0;
  /** The unit that is gone through. */
  private lineTable = -1;

  constructor(reader: InfoReader, question: InlinedQuestion) {
    this.reader = reader;
    this.question = question;
    this.ranges = new RangeReader(reader.info);
    const { lineTables } = question;
    this.found = new Array(lineTables.length).fill(undefined);
    for (const table of lineTables) if (table >= 0) this.open[table] = (this.open[table] ?? 0) + 1;
    this.visits = 1000 + deepest * lineTables.length;
  }

  /** Goes through a section; `guard` runs what is done for a unit, and keeps what is wrong with it. Errors: `elf-…`. */
  search(section: Section, guard: (what: () => string, body: () => void) => void): void {
    for (const frame of this.reader.frames(section)) {
      const what = () => `the unit at byte 0x${frame.offset.toString(16)} of ${section.name}`;
      guard(what, () => {
        let unit = this.reader.open(section, frame, false);
        if (unit.tag !== dw.DW_TAG_compile_unit && unit.tag !== dw.DW_TAG_skeleton_unit) return;
        const place = unit.follow(Slot.lineTable, 'line');
        const table = place && this.question.lineTableAt(place);
        if (table === undefined || !this.open[table]) return;
        this.lineTable = table;
        const { header } = unit;
        if (unit.view.bytes.length < header.size) unit = this.reader.open(section, frame, true);
        const { hasChildren } = unit;
        const isSplit = unit.has(Slot.splitName);
        const tables = this.ranges.tablesOf(unit);
        const first = unit.read(header.entries);
        // Functions inside of others are rare: they are looked for where places are left.
        if (hasChildren && this.walk(unit, tables, first, true) && this.open[table])
          this.walk(unit, tables, first, false);
        if (isSplit && this.open[table])
          throw new TextpokeError('elf-unsupported', 'its functions are in a .dwo file, which is not read');
      });
    }
  }

  /**
   * Goes through the entries of a unit from byte `at` on, until no place is left. With `jumps`, what lies inside of a
   * function without places is passed over, where its entry says how far that is; returns true if there was such a one.
   */
  private walk(unit: InfoUnit, tables: UnitTables, at: number, jumps: boolean): boolean {
    const { size } = unit.header;
    let jumped = false;
    /** The function around each level of entries. */
    const around: (Scope | undefined)[] = [undefined];
    for (let next = at; next < size; ) {
      const entry = next;
      next = unit.read(entry);
      const { tag } = unit;
      const outer = around[around.length - 1];
      if (tag === 0) {
        around.pop();
        if (around.length === 0) break;
        continue;
      }
      let scope = outer;
      let isEmpty = !scopes.has(tag);
      if (tag === dw.DW_TAG_subprogram) {
        if (!outer && !this.open[this.lineTable]) break;
        scope = this.claim(unit, tables, entry, undefined);
        isEmpty = scope === undefined && jumps;
        jumped ||= isEmpty;
      } else if (tag === dw.DW_TAG_inlined_subroutine && outer) {
        const inner = this.claim(unit, tables, entry, outer);
        isEmpty = inner === undefined;
        scope = inner ?? outer;
      }
      if (!unit.hasChildren) continue;
      const sibling = isEmpty ? unit.number(Slot.sibling) : undefined;
      if (sibling === undefined) {
        if (around.push(scope) > mostLevels)
          throw new TextpokeError('elf-malformed', `more than ${mostLevels} entries lie in each other`);
      } else if (sibling >= next && sibling <= size) next = sibling;
      else
        throw new TextpokeError(
          'elf-malformed',
          `an entry at byte ${entry} is followed by one at ${sibling}`,
        );
    }
    return jumped;
  }

  /** Gives the places of an entry's ranges to its function; undefined where it has none. */
  private claim(
    unit: InfoUnit,
    tables: UnitTables,
    entry: number,
    outer: Scope | undefined,
  ): Scope | undefined {
    let scope: Scope | undefined;
    const { found, lineTable, question } = this;
    this.ranges.each(unit, tables, (section, low, high) => {
      const wanted = question.wanted.get(section);
      // What cannot be held exactly is NaN.
      if (!wanted || !(low < high)) return;
      const { offsets, askers } = wanted;
      for (let i = countUpTo(offsets, low - 1); (offsets[i] as number) < high; i++) {
        if (this.visits-- <= 0) throw tooMany();
        const asker = askers[i] as number;
        if (question.lineTables[asker] !== lineTable || found[asker] !== outer) continue;
        if (!scope && this.scopes++ > mostScopes + 4 * found.length) throw tooMany();
        if (this.around++ > mostAround + 16 * found.length) throw tooMany();
        scope ??= {
          outer,
          callFile: unit.number(Slot.callFile) ?? 0,
          callLine: unit.number(Slot.callLine) ?? 0,
          entry: { section: unit.section, offset: unit.header.offset + entry },
        };
        found[asker] = scope;
        if (!outer) this.open[lineTable] = (this.open[lineTable] as number) - 1;
      }
    });
    return scope;
  }
}

function tooMany(): TextpokeError {
  return new TextpokeError('elf-malformed', 'too many functions overlap');
}
