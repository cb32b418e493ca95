// Trampolines go where their keys say.
import { placeOf } from '../arch/code-pointer.ts';
import type { Program } from '../demand/program.ts';
import { TextpokeError } from '../errors.ts';
import { staticCall } from '../kinds/static-call/kind.ts';
import {
  hasTrampoline,
  isTrampolineRight,
  literalFunction,
  literalOf,
} from '../kinds/static-call/trampoline.ts';
import { type CallValue, describeValue, readCallValue } from '../kinds/static-call/values.ts';
import type { Finding } from './finding.ts';
import { wrongBytes } from './wrong-bytes.ts';

/** TP012, TP008; nothing of keys that sites contradict. */
export function* checkTrampolines(program: Program, contradicted: ReadonlySet<number>): Generator<Finding> {
  const keys = new Set(program.sites.of(staticCall).map((site) => site.key));
  // Where calls have no sites, the trampolines are all there is.
  for (const call of program.calls.values())
    if (literalOf(program.image, call) !== undefined) keys.add(call.key);
  for (const key of keys) {
    const finding = contradicted.has(key) ? undefined : checkTrampoline(program, key);
    if (finding) yield finding;
  }
}

function checkTrampoline(program: Program, key: number): Finding | undefined {
  const { image } = program;
  const call = program.calls.get(key);
  if (!call || !hasTrampoline(call)) return undefined;
  try {
    const value = readCallValue(program, key);
    if (isTrampolineRight(program, call, value)) return undefined;
    const place = placeOf(image.arch, call.trampoline);
    const literal = literalOf(image, call);
    const message =
      literal === undefined
        ? `the trampoline of ${call.name} does not go to ${describeValue(image, value)}`
        : `the literal of the trampoline of ${call.name}, ${image.describe(literal)}, does not hold ${literalText(program, value)}`;
    return wrongBytes(program, 'TP012', place, message, undefined, image.arch.trampolineSize);
  } catch (error) {
    // A key that cannot be read is another rule's finding.
    if (error instanceof TextpokeError && error.code !== 'defect') return undefined;
    throw error;
  }
}

/** What a literal has to hold, for people. */
function literalText(program: Program, value: CallValue): string {
  const must = literalFunction(program, value);
  return must === undefined ? describeValue(program.image, value) : program.image.describe(must);
}
