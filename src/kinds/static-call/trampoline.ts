// What must and may stand at a static call's trampoline (arch/x86/kernel/static_call.c, arch_static_call_transform).

import { placeOf } from '../../arch/code-pointer.ts';
import { largestOf } from '../../bytes/integer.ts';
import type { CodePointer } from '../../bytes/named-numbers.ts';
import type { Allowed, ListedValues, Patch, State } from '../../demand/patch.ts';
import type { Program } from '../../demand/program.ts';
import { TextpokeError } from '../../errors.ts';
import type { Image } from '../../image/image.ts';
import { literalAt, literalTrampolineSize, type StaticCall } from '../../image/static-calls.ts';
import { calleeAt } from './callee.ts';
import { valueStates } from './open-values.ts';
import { type CallValue, describeValue } from './values.ts';

/** A static call whose trampoline the image has a symbol for. */
export interface TrampolineCall extends StaticCall {
  readonly trampoline: CodePointer;
}

/** True when the image has a symbol for a call's trampoline. */
export function hasTrampoline(call: StaticCall): call is TrampolineCall {
  return call.trampoline !== undefined;
}

/** The function that has to stand in a literal for a value: NULL returns 0 (arch/arm64/kernel/static_call.c). */
export function literalFunction({ image }: Program, value: CallValue): CodePointer | undefined {
  if (value.kind === 'external') return undefined;
  return value.kind === 'null' ? image.symbols.addressOf('__static_call_return0') : value.address;
}

/** True when a trampoline stands where a code pointer leads. */
export function isTrampolineAt(image: Image, pointer: CodePointer): boolean {
  if (literalAt(image, pointer) !== undefined) return true;
  const { isTrampoline, trampolineSize } = image.arch.instructionsOf(pointer);
  return isTrampoline(image.readUpTo(placeOf(image.arch, pointer), trampolineSize), 0);
}

/** The same for a program's runtime: where it looks at no signature, there is none (x86 before 5.17). */
function isTrampolineOf({ image, profile }: Program, pointer: CodePointer): boolean {
  if (profile.signature !== undefined) return isTrampolineAt(image, pointer);
  const { kind } = image.instructionAt(placeOf(image.arch, pointer));
  return kind === 'jump' || kind === 'return';
}

/** True when the trampoline goes where `value` says, whatever stub the linker put between. */
export function goesWhere(program: Program, call: TrampolineCall, value: CallValue): boolean {
  const { image, support } = program;
  const { key, trampoline, literal } = call;
  if (literal !== undefined) {
    if (literalAt(image, trampoline) !== literal) return false;
    const to = image.readPointer(literal);
    if (to.kind === 'external') return value.kind === 'external' && to.name === value.name;
    const must = literalFunction(program, value);
    return must !== undefined && to.address === must;
  }
  const place = placeOf(image.arch, trampoline);
  const { trampolineSlot } = image.arch.instructionsOf(trampoline);
  const slot = trampolineSlot(image.readUpTo(place, image.arch.trampolineSize), 0, place);
  if (slot !== undefined) return value.kind !== 'null' && slot === key;
  const target = calleeAt(image, place);
  if (!target) return value.kind === 'null';
  if (value.kind === 'external') return target.kind === 'external' && target.name === value.name;
  if (value.kind === 'null') return target.kind === 'address' && target.address === support.returnThunk;
  return target.kind === 'address' && target.address === value.address;
}

/** True when the trampoline is whole and goes where `value` says. */
export function isTrampolineRight(program: Program, call: TrampolineCall, value: CallValue): boolean {
  return isTrampolineOf(program, call.trampoline) && goesWhere(program, call, value);
}

/** What brings a trampoline from one value of its key to another. Error `branch-range`. */
export function trampolinePatch(
  program: Program,
  call: TrampolineCall,
  before: CallValue,
  value: CallValue,
): Patch {
  const { image, support } = program;
  const { trampoline } = call;
  const what = describeValue(image, value);
  const place = placeOf(image.arch, trampoline);
  const { encodeTrampoline, branchSizes } = image.arch.instructionsOf(trampoline);
  // Where only the linker's veneer reaches the function, what it wrote is right.
  const bytes =
    (value.kind === 'external' ? undefined : encodeTrampoline(place, value, support)) ??
    throughVeneer(program, trampoline, value) ??
    (before === value && goesWhere(program, call, value)
      ? image.readUpTo(place, largestOf(branchSizes)).slice()
      : undefined);
  if (!bytes) {
    throw new TextpokeError('branch-range', `the trampoline of ${call.name} cannot reach ${what}`, {
      file: image.file.path,
    });
  }
  const current = image.readUpTo(place, image.arch.trampolineSize);
  const allowed: Allowed[] = [];
  if (isTrampolineOf(program, trampoline) && goesWhere(program, call, before)) {
    allowed.push({
      bytes: current.slice(0, bytes.length),
      meaning: `the trampoline of ${call.name} = ${describeValue(image, before)}`,
    });
  }
  return { address: place, allowed, bytes, reason: `trampoline of ${call.name} = ${what}`, key: call.key };
}

/** A trampoline's branch to a veneer that leads to a function out of its reach. */
function throughVeneer(
  { image, support }: Program,
  trampoline: CodePointer,
  value: CallValue,
): Uint8Array | undefined {
  if (value.kind === 'null' || value.kind === 'external') return undefined;
  const { encodeTrampoline } = image.arch.instructionsOf(trampoline);
  for (const address of image.stubs.veneersTo(value.address, trampoline)) {
    const bytes = encodeTrampoline(placeOf(image.arch, trampoline), { kind: 'function', address }, support);
    if (bytes) return bytes;
  }
  return undefined;
}

/** Every byte string that may stand at a trampoline while the program runs. */
export function trampolineStates(program: Program, call: TrampolineCall, listed: ListedValues): State[] {
  const { image, support } = program;
  const place = placeOf(image.arch, call.trampoline);
  const { encodeTrampoline, branchSizes } = image.arch.instructionsOf(call.trampoline);
  const bytesFor = (value: CallValue) =>
    value.kind === 'external' ? undefined : encodeTrampoline(place, value, support);
  // What such a trampoline does stands in its literal; its text never changes.
  if (call.literal !== undefined)
    return [{ bytes: image.read(place, literalTrampolineSize).slice(), meaning: 'unchanged' }];
  const now = image.readUpTo(place, largestOf(branchSizes)).slice();
  return [
    ...valueStates(program, call.key, listed.get(call.key), bytesFor, place),
    { bytes: now, meaning: 'unchanged' },
  ];
}
