// The code of an object as proofs take it: functions by symbols and .eh_frame, relocated fields, ways out of branches.
import { functionsOf } from '../arch/functions.ts';
import type { ProvableCode, RelocatedFields } from '../arch/proof.ts';
import { groupBy } from '../bytes/group.ts';
import { type Frame, readFrames } from '../dwarf/frames.ts';
import { SHT_NOBITS } from '../elf/constants.ts';
import type { CodeSection, FieldRelocation, ObjectCode, Place } from './object-code.ts';

/** The functions that the object's unwind tables describe, by the section that their code is in. */
export function framesOf(object: ObjectCode): ReadonlyMap<number, readonly Frame[]> {
  const all: Frame[] = [];
  for (const section of object.file.sections) {
    if (section.name !== '.eh_frame' || section.type === SHT_NOBITS) continue;
    const fields = object.fieldRelocations(section.index);
    const frames = readFrames(object.file.data(section), object.file.header.little, {
      resolve(offset) {
        const field = fields.get(offset);
        return field && placeOfField(object, field);
      },
      isRelocated: (offset) => fields.has(offset),
    });
    for (const frame of frames) all.push(frame);
  }
  return groupBy(all, ({ section }) => section);
}

function placeOfField(object: ObjectCode, { relocations, index }: FieldRelocation): Place {
  return object.placeOf(relocations.symbol[index] as number, relocations.addend[index] as number);
}

/** A code section with what is known of it; `entries` are offsets that patching sends the flow to. */
export function provableSection(
  object: ObjectCode,
  { section, code, relocations }: CodeSection,
  frames: readonly Frame[],
  entries: readonly number[],
): ProvableCode {
  const place = (i: number) => object.placeOfSymbol(i);
  return {
    code,
    functions: functionsOf(object.symbols, object.symbolsIn(section.index), place, frames, code.length),
    entries: Float64Array.from(entries).sort(),
    relocated: relocatedFields(object, section.index, relocations),
    address: undefined,
  };
}

function relocatedFields(
  object: ObjectCode,
  section: number,
  tables: CodeSection['relocations'],
): RelocatedFields {
  const fields = tables.flatMap((relocations) =>
    Array.from({ length: relocations.count }, (_, index) => ({ relocations, index })).filter(
      ({ index }) => relocations.type[index] !== object.arch.relocations.none,
    ),
  );
  const offsetOf = ({ relocations, index }: FieldRelocation) => relocations.offset[index] as number;
  fields.sort((a, b) => offsetOf(a) - offsetOf(b));
  return {
    offsets: Uint32Array.from(fields, offsetOf),
    types: Uint32Array.from(fields, ({ relocations, index }) => relocations.type[index] as number),
    targets: Float64Array.from(fields, (field) => {
      const place = placeOfField(object, field);
      return place.section === section ? place.offset : Number.NaN;
    }),
  };
}
