// Scenarios: steps as JSON (docs/scenario.schema.json). What is wrong is said with the number of the step and the
// name of the field.
import { parseJson } from '../bytes/json.ts';
import { type ErrorCode, errorCodes, TextpokeError } from '../errors.ts';
import type { Expectation } from './expectation.ts';
import type { BootStep, Operation } from './steps.ts';

export const scenarioSchema = 'textpoke.scenario/1';

type Json = unknown;
type Fields = Readonly<Record<string, Json>>;

/** Reads one value, or says what it has to be. */
interface Reader<T> {
  readonly what: string;
  readonly read: (value: Json) => T | undefined;
}

const text: Reader<string> = {
  what: 'a non-empty string',
  read: (value) => (typeof value === 'string' && value !== '' ? value : undefined),
};
const whole: Reader<number> = {
  what: 'an integer of 0 or more',
  read: (value) => (isWhole(value) && value >= 0 ? value : undefined),
};
const integer: Reader<number> = {
  what: 'an integer',
  read: (value) => (isWhole(value) ? value : undefined),
};
const size: Reader<number> = {
  what: 'an integer of 1 or more',
  read: (value) => (isWhole(value) && value > 0 ? value : undefined),
};
const flag: Reader<boolean> = {
  what: 'true or false',
  read: (value) => (typeof value === 'boolean' ? value : undefined),
};
const yes: Reader<true> = { what: 'true', read: (value) => (value === true ? true : undefined) };
const target: Reader<string> = {
  what: 'a function, null or "RET0"',
  read: (value) => (value === null ? 'NULL' : text.read(value)),
};
const digits: Reader<string> = {
  what: 'a string of two-digit hexadecimal bytes',
  read: (value) => (typeof value === 'string' && /^([0-9a-f]{2})+$/i.test(value) ? value : undefined),
};
const errorCode: Reader<ErrorCode> = {
  what: 'an error code, such as "site-mismatch"',
  read: (value) => (typeof value === 'string' && value in errorCodes ? (value as ErrorCode) : undefined),
};

function isWhole(value: Json): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value);
}

function isFields(value: Json): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fail(where: string, message: string): never {
  throw new TextpokeError('scenario-malformed', `${where}: ${message}`);
}

function show(value: Json): string {
  const shown = JSON.stringify(value) ?? 'nothing';
  return shown.length > 60 ? `${shown.slice(0, 57)}...` : shown;
}

function take<T>(where: string, value: Json, reader: Reader<T>): T {
  const read = reader.read(value);
  return read === undefined ? fail(where, `${reader.what} is required, found ${show(value)}`) : read;
}

/** Fields of an object that has these and no others; `required` ones must be there. */
function fieldsOf(
  where: string,
  value: Json,
  known: readonly string[],
  required: readonly string[] = [],
): Fields {
  if (!isFields(value)) fail(where, `an object is required, found ${show(value)}`);
  for (const name of Object.keys(value)) {
    if (!known.includes(name))
      fail(where, `unknown field ${JSON.stringify(name)}; known fields: ${known.join(', ')}`);
  }
  for (const name of required) if (!(name in value)) fail(where, `the field ${name} is required`);
  return value;
}

function optional<T>(where: string, fields: Fields, name: string, reader: Reader<T>): T | undefined {
  return fields[name] === undefined ? undefined : take(`${where}.${name}`, fields[name], reader);
}

const key =
  (operation: 'enable' | 'disable' | 'inc' | 'dec' | 'flush') =>
  (where: string, value: Json): Operation => ({ do: operation, key: take(where, value, text) });
const plain =
  (operation: 'forceReinit' | 'freeInit') =>
  (where: string, value: Json): Operation => {
    take(where, value, yes);
    return { do: operation };
  };

/** Operations by the field that names them. */
const operations: Readonly<Record<string, (where: string, value: Json) => Operation>> = {
  enable: key('enable'),
  disable: key('disable'),
  inc: key('inc'),
  dec: key('dec'),
  flush: key('flush'),
  decDeferred(where, value) {
    const fields = fieldsOf(where, value, ['key', 'timeout'], ['key', 'timeout']);
    return {
      do: 'decDeferred',
      key: take(`${where}.key`, fields.key, text),
      timeout: take(`${where}.timeout`, fields.timeout, whole),
    };
  },
  update(where, value) {
    const fields = fieldsOf(where, value, ['call', 'to', 'by'], ['call', 'to']);
    return {
      do: 'update',
      call: take(`${where}.call`, fields.call, text),
      value: take(`${where}.to`, fields.to, target),
      by: optional(where, fields, 'by', text),
    };
  },
  forceReinit: plain('forceReinit'),
  freeInit: plain('freeInit'),
  load: (where, value) => ({ do: 'load', file: take(where, value, text) }),
  unload: (where, value) => ({ do: 'unload', module: take(where, value, text) }),
  cpuUp: (where, value) => ({ do: 'cpuUp', cpu: take(where, value, whole) }),
  cpuDown(where, value) {
    if (!isFields(value)) return { do: 'cpuDown', cpu: take(where, value, whole) };
    const fields = fieldsOf(where, value, ['cpu', 'dropLocks'], ['cpu']);
    return {
      do: 'cpuDown',
      cpu: take(`${where}.cpu`, fields.cpu, whole),
      dropLocks: optional(where, fields, 'dropLocks', flag),
    };
  },
  advance: (where, value) => ({ do: 'advance', milliseconds: take(where, value, whole) }),
  queryReserved(where, value) {
    const fields = fieldsOf(where, value, ['start', 'size'], ['start']);
    return {
      do: 'queryReserved',
      start: take(`${where}.start`, fields.start, text),
      size: optional(where, fields, 'size', size) ?? 1,
    };
  },
};

function table<T>(where: string, value: Json, reader: Reader<T>): Record<string, T> | undefined {
  if (value === undefined) return undefined;
  if (!isFields(value)) fail(where, `an object that maps names to values is required, found ${show(value)}`);
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, take(`${where}.${name}`, item, reader)]),
  );
}

function readExpectation(where: string, value: Json): Expectation {
  const fields = fieldsOf(where, value, ['keys', 'calls', 'bytes', 'warnings', 'reserved', 'refused']);
  const { warnings } = fields;
  if (warnings !== undefined && !Array.isArray(warnings)) {
    fail(`${where}.warnings`, `an array of strings is required, found ${show(warnings)}`);
  }
  if (fields.reserved !== undefined)
    fieldsOf(`${where}.reserved`, fields.reserved, ['branches', 'calls', 'locks']);
  return {
    keys: table(`${where}.keys`, fields.keys, integer),
    calls: table(`${where}.calls`, fields.calls, target),
    bytes: table(`${where}.bytes`, fields.bytes, digits),
    warnings: (warnings as Json[] | undefined)?.map((item, i) => take(`${where}.warnings[${i}]`, item, text)),
    reserved: table(`${where}.reserved`, fields.reserved, flag),
    refused: optional(where, fields, 'refused', errorCode),
  };
}

function readStep(value: Json, number: number): BootStep {
  const place = `step ${number}`;
  if (!isFields(value)) fail(place, `an object is required, found ${show(value)}`);
  const names = Object.keys(value).filter((name) => name !== 'expect' && name !== 'comment');
  const [name] = names;
  if (value.comment !== undefined) take(`${place}: comment`, value.comment, text);
  const expect = value.expect === undefined ? undefined : readExpectation(`${place}: expect`, value.expect);
  if (name === undefined) {
    return expect
      ? { do: 'expect', place, expect }
      : fail(place, 'an operation or an expectation is required');
  }
  if (names.length > 1) fail(place, `one operation is required, found ${names.join(' and ')}`);
  const read = Object.hasOwn(operations, name) ? operations[name] : undefined;
  if (!read)
    return fail(
      place,
      `unknown operation ${JSON.stringify(name)}; known operations: ${Object.keys(operations).join(', ')}`,
    );
  return { ...read(`${place}: ${name}`, value[name]), place, expect };
}

/** The steps of a scenario's JSON text. Error `scenario-malformed`, which names the step and the field. */
export function parseScenario(source: string): BootStep[] {
  let document: Json;
  try {
    document = parseJson(source);
  } catch (error) {
    fail('scenario', `the file is not valid JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const fields = fieldsOf(
    'scenario',
    document,
    ['$schema', 'schema', 'comment', 'steps'],
    ['schema', 'steps'],
  );
  if (fields.schema !== scenarioSchema) {
    fail('schema', `${JSON.stringify(scenarioSchema)} is required, found ${show(fields.schema)}`);
  }
  const { steps } = fields;
  if (!Array.isArray(steps)) return fail('steps', `an array is required, found ${show(steps)}`);
  return steps.map((step, i) => readStep(step, i + 1));
}
