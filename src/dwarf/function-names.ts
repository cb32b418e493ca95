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
  private readonly frames = new Map<Section, { starts: number[]; frames: UnitFrame[] }>();

  /** `openSupplement` gives the file that dwz made; it may throw a TextpokeError. */
  constructor(reader: InfoReader, openSupplement: () => InfoFile) {
    this.reader = reader;
    let supplement: InfoReader | undefined;
    this.supplement = () => {
      supplement ??= new InfoReader(openSupplement());
      return supplement;
    };
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
    let opened: OpenedUnit | undefined;
    for (const { place, isInSupplement, askers } of round) {
      const { section, offset } = place;
      const look = () => {
        const { unit, strings } = opened?.has(place) ? opened : this.unitAt(place, isInSupplement);
        opened = new OpenedUnit(unit, strings);
        unit.read(offset - unit.header.offset);
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

  private unitAt(place: DebugPlace, isInSupplement: boolean): OpenedUnit {
    const { section, offset } = place;
    const reader = isInSupplement ? this.supplement() : this.reader;
    let known = this.frames.get(section);
    if (!known) {
      const frames = [...reader.frames(section)];
      known = { starts: frames.map((frame) => frame.offset), frames };
      this.frames.set(section, known);
    }
    const frame = known.frames[countUpTo(known.starts, offset) - 1];
    if (!frame || offset >= frame.end)
      throw new TextpokeError('elf-malformed', 'there is no unit that has it');
    const unit = reader.open(section, frame, true);
    return new OpenedUnit(unit, unit.follow(Slot.stringOffsets, 'str_offsets'));
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
      return short(Buffer.from(bytes.subarray(at, bytes.indexOf(0, at))).toString());
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

/** The unit at hand, and where its part of .debug_str_offsets begins. */
class OpenedUnit {
  readonly unit: InfoUnit;
  readonly strings: DebugPlace | undefined;

  constructor(unit: InfoUnit, strings: DebugPlace | undefined) {
    this.unit = unit;
    this.strings = strings;
  }

  has({ section, offset }: DebugPlace): boolean {
    const { header } = this.unit;
    return this.unit.section === section && offset >= header.offset && offset < header.offset + header.size;
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
  const once: Wanted[] = [];
  for (const wanted of sorted) {
    const last = once[once.length - 1];
    const isSame =
      last && last.place.section === wanted.place.section && last.place.offset === wanted.place.offset;
    if (isSame) for (const asker of wanted.askers) last.askers.push(asker);
    else once.push({ ...wanted, askers: [...wanted.askers] });
  }
  return once;
}
