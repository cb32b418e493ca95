// Direct branches of an object, which relocations may send anywhere.
import { placeOf } from '../arch/code-pointer.ts';
import type { CodeSection, FieldRelocation, ObjectCode, Place } from './object-code.ts';

/** Where the direct branch at `offset` goes, by its relocation if it has one; undefined for other instructions. */
export function targetOfBranch(object: ObjectCode, code: CodeSection, offset: number): Place | undefined {
  const { kind, size, displacement } = object.instructionsAt(code, offset).readInstruction(code.code, offset);
  if (kind !== 'jump' && kind !== 'call' && kind !== 'conditional jump') return undefined;
  const field = fieldOfBranch(object, code, offset, size);
  if (!field)
    return { section: code.section.index, offset: placeOf(object.arch, offset + displacement), symbol: 0 };
  const { relocations, index, bias } = field;
  return object.placeOf(relocations.symbol[index] as number, (relocations.addend[index] as number) + bias);
}

/** The relocation of a branch's displacement. */
export function fieldOfBranch(
  object: ObjectCode,
  code: CodeSection,
  offset: number,
  size: number,
): (FieldRelocation & { readonly bias: number }) | undefined {
  const fields = object.fieldRelocations(code.section.index);
  for (let place = offset; place < offset + size; place++) {
    const field = fields.get(place);
    if (!field) continue;
    const type = field.relocations.type[field.index] as number;
    const branch = object.arch.branchOfRelocation(type, code.code, place);
    if (branch?.offset === offset) return { ...field, bias: branch.bias };
  }
  return undefined;
}
