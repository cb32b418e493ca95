// What the notes of an image tell of the objects that it was linked from (object/unit-notes.ts).
import { groupBy } from '../bytes/group.ts';
import { PT_NOTE, SHT_NOTE, STT_FILE } from '../elf/constants.ts';
import {
  hashKey,
  noteTypes,
  readUnitNotes,
  recordsOf,
  type SiteRecord,
  unitFlags,
  unitSymbol,
} from '../object/unit-notes.ts';
import type { Image } from './image.ts';

/** What is known of the objects of an image. */
export interface UnitNotes {
  /** How many objects were annotated, or parts of objects with records. */
  readonly annotated: number;
  /** Addresses of the notes of objects with static branches that were never annotated. */
  readonly forgotten: readonly number[];
  /** Some object has locks, which annotate has listed. */
  readonly hasLocks: boolean;
  /** Sites of annotated objects, one list for each code section of an object. */
  readonly records: readonly (readonly SiteRecord[])[];
}

const known = new WeakMap<Image, UnitNotes>();

/** The notes of an image; without section headers those of its segments. */
export function unitNotes(image: Image): UnitNotes {
  let notes = known.get(image);
  if (!notes) {
    notes = readNotes(image);
    known.set(image, notes);
  }
  return notes;
}

function readNotes(image: Image): UnitNotes {
  const { file } = image;
  let annotated = 0;
  let hasLocks = false;
  const compiled: number[] = [];
  const records: SiteRecord[][] = [];
  for (const { address, bytes } of noteRanges(image)) {
    for (const note of readUnitNotes(bytes, file.header.little)) {
      if (note.type === noteTypes.compiled) compiled.push(address + note.offset);
      else annotated++;
      if (note.type === noteTypes.annotated) hasLocks ||= ((note.words[0] ?? 0) & unitFlags.locks) !== 0;
      else if (note.type === noteTypes.sites) records.push(recordsOf(note));
    }
  }
  return { annotated, forgotten: compiled, hasLocks, records };
}

/** The notes of an image: its sections of that type, else its segments; what overlaps another is passed over. */
function* noteRanges({ file }: Image): Generator<{ readonly address: number; readonly bytes: Uint8Array }> {
  const sections = file.ofType(SHT_NOTE).map(({ addr, offset, size }) => ({ address: addr, offset, size }));
  const segments = file.segments
    .filter(({ type }) => type === PT_NOTE)
    .map(({ vaddr, offset, filesz }) => ({ address: vaddr, offset, size: filesz }));
  let end = 0;
  const ranges = file.sections.length > 0 ? sections : segments;
  for (const { address, offset, size } of ranges.sort((a, b) => a.offset - b.offset)) {
    if (offset < end || offset + size > file.source.size) continue;
    end = offset + size;
    yield { address, bytes: file.source.read(offset, size) };
  }
}

/** An object that was never annotated, by the name of its source; undefined where no symbol tells. */
export interface ForgottenSource {
  readonly source: string | undefined;
  /** How many objects are called so. */
  readonly count: number;
}

/** The objects with static branches that were never annotated. A file's symbols follow the symbol of its name. */
export function forgottenSources(image: Image): ForgottenSource[] {
  const { forgotten } = unitNotes(image);
  const { table } = image.symbols;
  const sources = new Map<number, string>();
  let file = '';
  for (let i = 1; forgotten.length > 0 && table && i < table.firstGlobal; i++) {
    if (table.type(i) === STT_FILE) file = table.name(i);
    else if (file !== '' && table.name(i) === unitSymbol) sources.set(table.value[i] as number, file);
  }
  const counts = new Map<string | undefined, number>();
  for (const address of forgotten) {
    const source = sources.get(address);
    counts.set(source, (counts.get(source) ?? 0) + 1);
  }
  return Array.from(counts, ([source, count]) => ({ source, count }));
}

/** The records with a name, by the hash of the name. */
export function recordsByName(notes: UnitNotes): Map<number, SiteRecord[][]> {
  const byName = new Map<number, SiteRecord[][]>();
  for (const records of notes.records) {
    for (const [key, list] of groupBy(records, ({ hash }) => hashKey(hash))) {
      const lists = byName.get(key);
      if (lists) lists.push(list);
      else byName.set(key, [list]);
    }
  }
  return byName;
}
