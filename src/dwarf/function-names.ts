// Names of functions by their entries in .debug_info: those of linkage, else those of the source. What is inlined has
// its name where it was defined, which may be another unit, or another file (DWARF 5, sections 2.15 and 3.3.8; dwz).
import { requireSafe } from '../bytes/integer.ts';
import { countUpTo } from '../bytes/search.ts';
import type { Section } from '../elf/file.ts';
import { TextpokeError } from '../errors.ts';
import * as dw from './constants.ts';
import { numberAt } from './forms.ts';
import type { DebugPlace, InfoFile } from './info-file.ts';
import { InfoReader } from './info-reader.ts';
import { type InfoUnit, Slot } from './info-unit.ts';
import type { UnitFrame } from './line-header.ts';

/** Entries that are followed from one to the next: instance, abstract instance, declaration. */
const longestWay = 8;

/** An entry whose name is looked for, in this file or the supplementary one. */
interface Wanted {
  readonly place: DebugPlace;
  readonly isInSupplement: boolean;
  /** The entries that will have its name. */
  readonly askers: number[];
}

export class FunctionNames {
  private readonly reader: InfoReader;
  private readonly supplement: () => InfoReader;
  /** Where the units of a section begin. */
  private readonly starts = new Map<Section, () => readonly number[]>();
  /** Bytes of entries that may still be read: entries may name others, but not each all of them. */
  private left: number;

  /** `openSupplement` gives the file that dwz made; it may throw a TextpokeError. */
  constructor(reader: InfoReader, openSupplement: () => InfoFile) {
    this.reader = reader;
    this.left = 1000 + 16 * reader.info.file.source.size;
    this.supplement = once(() => new InfoReader(openSupplement()));
  }

  /**
   * The names of entries, in their order; undefined where there is none. Each round goes through the entries that are
   * asked for in order of their places, so that no unit is opened twice in it. `guard` keeps what is wrong with a unit.
   */
  of(
    entries: readonly DebugPlace[],
    guard: (what: () => string, body: () => void) => void,
  ): (string | undefined)[] {
    const names = new Array<string | undefined>(entries.length).fill(undefined);
    let round = merged(entries.map((place, i) => ({ place, isInSupplement: false, askers: [i] })));
    for (let way = 0; way < longestWay && round.length > 0; way++) round = this.round(round, names, guard);
    return names;
  }

  private round(
    round: readonly Wanted[],
    names: (string | undefined)[],
    guard: (what: () => string, body: () => void) => void,
  ): Wanted[] {
    const next: Wanted[] = [];
    let at: UnitAt | undefined;
    for (const { place, isInSupplement, askers } of round) {
      const { section, offset } = place;
      const look = () => {
        if (!at?.has(place)) at = this.unitAt(place, isInSupplement);
        const { unit, strings } = at.open();
        const entry = offset - unit.header.offset;
        this.left -= unit.read(entry) - entry;
        if (this.left < 0) throw new TextpokeError('elf-malformed', 'too many entries overlap');
        const isLinkage = unit.has(Slot.linkageName);
        const name = this.stringOf(unit, isLinkage ? Slot.linkageName : Slot.name, strings, isInSupplement);
        for (const asker of askers) names[asker] = isLinkage ? name : (names[asker] ?? name);
        if (isLinkage) return;
        // A name of the source alone may have one of linkage where it was declared.
        const other = this.referenceOf(unit, Slot.origin) ?? this.referenceOf(unit, Slot.specification);
        if (other) next.push({ ...other, isInSupplement: other.isInSupplement || isInSupplement, askers });
      };
      guard(() => `the entry at byte 0x${offset.toString(16)} of ${section.name}`, look);
    }
    return merged(next);
  }

  private unitAt({ section, offset }: DebugPlace, isInSupplement: boolean): UnitAt {
    const reader = isInSupplement ? this.supplement() : this.reader;
    const all =
      this.starts.get(section) ?? once(() => Array.from(reader.frames(section), ({ offset }) => offset));
    this.starts.set(section, all);
    const starts = all();
    const start = starts[countUpTo(starts, offset) - 1];
    const frame = start === undefined ? undefined : reader.frameAt(section, start);
    if (!frame || offset >= frame.end)
      throw new TextpokeError('elf-malformed', 'there is no unit that has it');
    return new UnitAt(section, frame, () => {
      const unit = reader.open(section, frame, true);
      return { unit, strings: unit.follow(Slot.stringOffsets, 'str_offsets') };
    });
  }

  private stringOf(
    unit: InfoUnit,
    slot: number,
    strings: DebugPlace | undefined,
    isInSupplement: boolean,
  ): string | undefined {
    if (!unit.has(slot)) return undefined;
    const { form, at } = unit.attribute(slot);
    const { info, view, header } = unit;
    if (form === dw.DW_FORM_string) {
      const { bytes } = view;
      const end = Math.min(bytes.indexOf(0, at), at + 4 * longestName);
      return short(Buffer.from(bytes.subarray(at, end)).toString());
    }
    if (form === dw.DW_FORM_strp || form === dw.DW_FORM_line_strp) {
      const place = unit.follow(slot, form === dw.DW_FORM_strp ? 'str' : 'line_str');
      return place && short(info.string(place));
    }
    const value = numberAt(view, form, at, header);
    if (value === undefined) return undefined;
    if (form === dw.DW_FORM_GNU_strp_alt || form === dw.DW_FORM_strp_sup) {
      const other = isInSupplement ? info : this.supplement().info;
      const section = other.first('str');
      return section && short(other.string({ section, offset: value }));
    }
    if (!strings) return undefined;
    const size = header.wide ? 8 : 4;
    const field = strings.offset + value * size;
    const table = info.load(strings.section).view;
    const offset = size === 8 ? requireSafe(table.u64(field), 'an offset') : table.u32(field);
    return short(info.string(info.follow(strings.section, field, offset, 'str')));
  }

  /** The entry that an attribute names; undefined where it names none. */
  private referenceOf(unit: InfoUnit, slot: number): Omit<Wanted, 'askers'> | undefined {
    const value = unit.number(slot);
    if (value === undefined) return undefined;
    const { form } = unit.attribute(slot);
    if (supplementForms.has(form)) {
      const section = this.supplement().info.first('info');
      return section && { place: { section, offset: value }, isInSupplement: true };
    }
    if (form === dw.DW_FORM_ref_addr) {
      const place = unit.follow(slot, 'info');
      return place && { place, isInSupplement: false };
    }
    if (form === dw.DW_FORM_ref_sig8) return undefined;
    const offset = unit.header.offset + value;
    return { place: { section: unit.section, offset }, isInSupplement: false };
  }
}

const supplementForms: ReadonlySet<number> = new Set([
  dw.DW_FORM_GNU_ref_alt,
  dw.DW_FORM_ref_sup4,
  dw.DW_FORM_ref_sup8,
]);

/** Names of templates are long; longer ones than this are cut, since thousands of places may show each. */
const longestName = 4096;

function short(name: string): string {
  return name.length <= longestName ? name : `${name.slice(0, longestName)}...`;
}

/** The unit at hand: it is opened once, though it cannot be read. */
class UnitAt {
  private readonly section: Section;
  private readonly frame: UnitFrame;
  /** With where its part of .debug_str_offsets begins. */
  readonly open: () => { readonly unit: InfoUnit; readonly strings: DebugPlace | undefined };

  constructor(section: Section, frame: UnitFrame, open: UnitAt['open']) {
    this.section = section;
    this.frame = frame;
    this.open = once(open);
  }

  has({ section, offset }: DebugPlace): boolean {
    return this.section === section && offset >= this.frame.offset && offset < this.frame.end;
  }
}

/** The same in order of place, each place once. */
function merged(round: readonly Wanted[]): Wanted[] {
  const order = ({ place, isInSupplement }: Wanted) => [
    Number(isInSupplement),
    place.section.index,
    place.offset,
  ];
  const sorted = [...round].sort((a, b) => {
    const [x, y] = [order(a), order(b)];
    for (let i = 0; i < 3; i++) if (x[i] !== y[i]) return (x[i] as number) - (y[i] as number);
    return 0;
  });
  const all: Wanted[] = [];
  for (const wanted of sorted) {
    const last = all[all.length - 1];
    const isSame =
      last && last.place.section === wanted.place.section && last.place.offset === wanted.place.offset;
    if (isSame) for (const asker of wanted.askers) last.askers.push(asker);
    else all.push({ ...wanted, askers: [...wanted.askers] });
  }
  return all;
}

/** What `make` makes, or throws, when it is asked for first. */
function once<T>(make: () => T): () => T {
  let known: (() => T) | undefined;
  return () => {
    if (!known) {
      try {
        const value = make();
        known = () => value;
      } catch (error) {
        known = () => {
          throw error;
        };
      }
    }
    return known();
  };
}
