// The code of an object as proofs take it: functions by symbols and .eh_frame, relocated fields, ways out of branches.
import { functionsOf } from '../arch/functions.ts';
import type { ProvableCode, RelocatedFields } from '../arch/proof.ts';
import { groupBy } from '../bytes/group.ts';
import { inOrder, orderOf } from '../bytes/order.ts';
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
  const { arch, symbols } = object;
  const room = tables.reduce((sum, { count }) => sum + count, 0);
  const offsets = new Float64Array(room);
  const types = new Uint32Array(room);
  const targets = new Float64Array(room);
  let count = 0;
  for (const { count: rows, type, offset, symbol, addend } of tables) {
    for (let i = 0; i < rows; i++) {
      if (type[i] === arch.relocations.none) continue;
      offsets[count] = offset[i] as number;
      types[count] = type[i] as number;
      const names = symbol[i] as number;
      targets[count] =
        symbols.section[names] === section ? object.placeOfSymbol(names) + (addend[i] as number) : Number.NaN;
      count++;
    }
  }
  const order = orderOf(offsets.subarray(0, count));
  return {
    offsets: Uint32Array.from(inOrder(offsets.subarray(0, count), order)),
    types: inOrder(types.subarray(0, count), order),
    targets: inOrder(targets.subarray(0, count), order),
  };
}
