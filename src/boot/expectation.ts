// What a step is expected to have led to.
import { hexBytes } from '../bytes/integer.ts';
import { readKey } from '../demand/keys.ts';
import { TextpokeError } from '../errors.ts';
import { resolvePlace } from '../image/names.ts';
import type { Reserved, Warning } from './log.ts';
import type { Runtime } from './runtime.ts';
import { callsNamed, describeCall, describeNamedValue } from './static-call.ts';
import { keysNamed } from './static-key.ts';

/** What is expected of a step; fields that are absent are not looked at. */
export interface Expectation {
  /** Counts of static keys, by name. */
  readonly keys?: Readonly<Record<string, number>> | undefined;
  /** What static calls go to, by name: a function, `NULL` or `RET0`. */
  readonly calls?: Readonly<Record<string, string>> | undefined;
  /** Bytes in hexadecimal digits, by place: a name, `name+0x10` or an address (`0x…`). */
  readonly bytes?: Readonly<Record<string, string>> | undefined;
  /** A part of each warning of this step, in order; an empty list: it warns of nothing. */
  readonly warnings?: readonly string[] | undefined;
  /** What a query finds. */
  readonly reserved?: Reserved | undefined;
  /** The error code that the step is refused with. */
  readonly refused?: string | undefined;
}

function require(what: string, expected: string, found: string): void {
  if (expected === found) return;
  throw new TextpokeError('expectation-failed', `${what}: expected ${expected}, found ${found}`);
}

/** Throws `expectation-failed` with the first thing that is otherwise; `warnings` are those of the step. */
export function checkExpectation(
  runtime: Runtime,
  expected: Expectation,
  warnings: readonly Warning[],
  reserved: Reserved | undefined,
): void {
  const { image } = runtime;
  if (expected.refused !== undefined) {
    throw new TextpokeError(
      'expectation-failed',
      `expected the error ${expected.refused}, but the step was not refused`,
    );
  }
  for (const [name, count] of Object.entries(expected.keys ?? {})) {
    for (const key of keysNamed(runtime, name)) {
      require(`count of ${image.describe(key)}`, String(count), String(readKey(image, key).enabled));
    }
  }
  for (const [name, value] of Object.entries(expected.calls ?? {})) {
    for (const call of callsNamed(runtime, name)) {
      require(`function of ${call.name}`, describeNamedValue(runtime, value), describeCall(runtime, call));
    }
  }
  for (const [name, digits] of Object.entries(expected.bytes ?? {})) {
    const found = hexBytes(image.readUpTo(resolvePlace(image, name), digits.length / 2));
    require(`bytes at ${name}`, digits.toLowerCase(), found);
  }
  if (expected.warnings) {
    const texts = warnings.map(({ warning, about }) => `${warning}: ${about}`);
    const list = (all: readonly string[]) => (all.length > 0 ? all.join('; ') : 'no warning');
    const { length } = expected.warnings;
    if (texts.length !== length || !expected.warnings.every((part, i) => texts[i]?.includes(part))) {
      require('warnings', list(expected.warnings), list(texts));
    }
  }
  for (const [what, is] of Object.entries(expected.reserved ?? {})) {
    const found = reserved?.[what];
    require(`reserved for ${what}`, String(is), found === undefined
      ? 'no query in this step'
      : String(found));
  }
}
