// Trampolines go where their keys say.
import { placeOf } from '../arch/code-pointer.ts';
import type { Program } from '../demand/program.ts';
import { TextpokeError } from '../errors.ts';
import { hasNoSites, literalAt } from '../image/static-calls.ts';
import { staticCall } from '../kinds/static-call/kind.ts';
import {
  hasTrampoline,
  isTrampolineRight,
  literalFunction,
  type TrampolineCall,
} from '../kinds/static-call/trampoline.ts';
import { type CallValue, describeValue, readCallValue } from '../kinds/static-call/values.ts';
import type { Finding } from './finding.ts';
import { wrongBytes } from './wrong-bytes.ts';

/** TP012, TP008; nothing of keys that sites contradict. */
export function* checkTrampolines(program: Program, contradicted: ReadonlySet<number>): Generator<Finding> {
  for (const key of trampolineKeys(program)) {
    const finding = contradicted.has(key) ? undefined : checkTrampoline(program, key);
    if (finding) yield finding;
  }
}

/** How many trampolines are looked at. */
export function countTrampolines(program: Program): number {
  let count = 0;
  for (const key of trampolineKeys(program)) {
    const call = program.calls.get(key);
    if (call && hasTrampoline(call)) count++;
  }
  return count;
}

/** Keys of the calls whose trampolines are looked at. */
function trampolineKeys(program: Program): ReadonlySet<number> {
  const keys = new Set(program.sites.of(staticCall).map((site) => site.key));
  // Where calls have no sites, the trampolines are all there is.
  const { calls, image } = program;
  if (hasNoSites(image)) for (const { key } of calls.values()) keys.add(key);
  return keys;
}

function checkTrampoline(program: Program, key: number): Finding | undefined {
  const { image } = program;
  const call = program.calls.get(key);
  if (!call || !hasTrampoline(call)) return undefined;
  try {
    const value = readCallValue(program, key);
    if (isTrampolineRight(program, call, value)) return undefined;
    const place = placeOf(image.arch, call.trampoline);
    const message = describeWrong(program, call, value);
    return wrongBytes(program, 'TP012', place, message, undefined, image.arch.trampolineSize);
  } catch (error) {
    // A key that cannot be read is another rule's finding.
    if (error instanceof TextpokeError && error.code !== 'defect') return undefined;
    throw error;
  }
}

/** What is wrong with a trampoline, for people. */
function describeWrong(program: Program, call: TrampolineCall, value: CallValue): string {
  const { image } = program;
  const { literal, name, trampoline } = call;
  if (literal === undefined) return `the trampoline of ${name} does not go to ${describeValue(image, value)}`;
  const at = image.describe(literal);
  if (literalAt(image, trampoline) !== literal)
    return `the trampoline of ${name} does not go to the function that the literal ${at} holds`;
  const must = literalFunction(program, value);
  const what = must === undefined ? describeValue(image, value) : image.describe(must);
  return `the literal of the trampoline of ${name}, ${at}, does not hold ${what}`;
}
