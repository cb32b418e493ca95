// What happens to a program once it runs, one operation a step, and what a step may be expected to lead to.
import type { UpFill } from '../demand/patch.ts';
import type { ElfFile } from '../elf/file.ts';
import { printable, TextpokeError } from '../errors.ts';
import { type Input, nameOf } from '../files/input.ts';
import { exported } from '../image/exports.ts';
import { resolvePlace } from '../image/names.ts';
import type { StaticCall } from '../image/static-calls.ts';
import { cpuDown, cpuUp } from './cpus.ts';
import { checkExpectation, type Expectation } from './expectation.ts';
import { sealKeys } from './link-keys.ts';
import type { Reserved } from './log.ts';
import { requireComplete } from './losses.ts';
import { loadModule, unloadModule } from './modules.ts';
import { textReserved } from './reserved.ts';
import type { Runtime } from './runtime.ts';
import { callsNamed, forceReinit, updateStaticCall } from './static-call.ts';
import {
  advance,
  decrementKey,
  decrementKeyLater,
  disableKey,
  enableKey,
  flushKey,
  incrementKey,
  keysNamed,
} from './static-key.ts';

/** static_key_enable, _disable, _slow_inc, _slow_dec, and the flush of decrements that wait. */
export type KeyOperation = 'enable' | 'disable' | 'inc' | 'dec' | 'flush';

const keyOperations: Readonly<Record<KeyOperation, (runtime: Runtime, key: number) => void>> = {
  enable: enableKey,
  disable: disableKey,
  inc: incrementKey,
  dec: decrementKey,
  flush: flushKey,
};

/**
 * An operation on a program that runs. Keys, calls and places are names, `file.c:name`, addresses (`0x…`) or patterns
 * (`*` and `?`); `timeout` and `milliseconds` are milliseconds, `size` is bytes, `cpu` is a CPU's number.
 */
export type Operation =
  | { readonly do: KeyOperation; readonly key: string }
  | { readonly do: 'decDeferred'; readonly key: string; readonly timeout: number }
  | {
      readonly do: 'update';
      readonly call: string;
      /** A function, `NULL` or `RET0`. */
      readonly value: string;
      /** The module that asks for it, which may have been given the trampoline alone. */
      readonly by?: string | undefined;
    }
  | { readonly do: 'forceReinit' | 'freeInit' | 'expect' }
  /** A module is called as its file is, without the directory and what follows the last dot. */
  | { readonly do: 'load'; readonly file: Input }
  | { readonly do: 'unload'; readonly module: string }
  | { readonly do: 'cpuUp'; readonly cpu: number }
  | { readonly do: 'cpuDown'; readonly cpu: number; readonly dropLocks?: boolean | undefined }
  | { readonly do: 'advance'; readonly milliseconds: number }
  | { readonly do: 'queryReserved'; readonly start: string; readonly size: number };

/** A step: an operation, and what it is expected to lead to. */
export type BootStep = Operation & {
  /** How messages call the step: `step 3`. */
  readonly place?: string | undefined;
  readonly expect?: Expectation | undefined;
};

export interface StepSurroundings {
  readonly upFill: UpFill;
  /** Opens a module's file. */
  readonly openModule: (file: Input) => ElfFile;
}

/** The step in a few words: `dec off_key`. */
export function describeStep(step: BootStep): string {
  switch (step.do) {
    case 'update':
      return `update ${step.call}=${step.value}`;
    case 'load':
      return `load ${nameOf(step.file)}`;
    case 'unload':
      return `unload ${step.module}`;
    case 'cpuUp':
    case 'cpuDown':
      return `${step.do} ${step.cpu}`;
    case 'advance':
      return `advance ${step.milliseconds} ms`;
    case 'queryReserved':
      return `queryReserved ${step.start}`;
    case 'forceReinit':
    case 'freeInit':
    case 'expect':
      return step.do;
    default:
      return `${step.do} ${step.key}`;
  }
}

/**
 * Carries out a step and holds it against its expectation. A step that is refused has changed nothing. Errors:
 * `expectation-failed`, and those of the operation, all of them named by the step's place.
 */
export function runStep(runtime: Runtime, step: BootStep, surroundings: StepSurroundings): void {
  const { poker, log } = runtime;
  const marks = { records: poker.records.length, warnings: log.warnings.length };
  const before = runtime.state;
  log.step = step.place;
  let reserved: Reserved | undefined;
  try {
    try {
      reserved = carryOut(runtime, step, surroundings);
    } catch (error) {
      poker.rollBack(marks.records);
      runtime.state = before;
      if (!(error instanceof TextpokeError) || error.code !== step.expect?.refused) throw error;
      log.note(`refused, as expected: ${error.message}`);
      return;
    }
    if (reserved) log.results.push({ step: step.place ?? describeStep(step), reserved });
    if (step.expect) checkExpectation(runtime, step.expect, log.warnings.slice(marks.warnings), reserved);
  } catch (error) {
    if (error instanceof TextpokeError && step.place !== undefined) {
      error.message = printable(`${step.place} (${describeStep(step)}): ${error.message}`);
    }
    throw error;
  } finally {
    log.step = undefined;
  }
}

function carryOut(
  runtime: Runtime,
  step: BootStep,
  { upFill, openModule }: StepSurroundings,
): Reserved | undefined {
  const { image } = runtime;
  switch (step.do) {
    case 'update':
      for (const call of callsNamed(runtime, step.call)) {
        if (step.by !== undefined) requireKeyOf(runtime, step.by, call);
        updateStaticCall(runtime, call, step.value);
      }
      break;
    case 'decDeferred':
      for (const key of keysOf(runtime, step.key)) decrementKeyLater(runtime, key, step.timeout);
      break;
    case 'load':
      loadModule(runtime, openModule(step.file), upFill);
      break;
    case 'unload':
      unloadModule(runtime, step.module);
      break;
    case 'cpuUp':
      cpuUp(runtime, step.cpu);
      break;
    case 'cpuDown':
      cpuDown(runtime, step.cpu, step.dropLocks ?? false, upFill);
      break;
    case 'advance':
      advance(runtime, step.milliseconds);
      break;
    case 'freeInit':
      runtime.change({ initFreed: true });
      sealKeys(runtime);
      break;
    case 'forceReinit':
      forceReinit(runtime);
      break;
    case 'queryReserved': {
      const start = resolvePlace(image, step.start);
      return textReserved(runtime, start, start + step.size - 1);
    }
    case 'expect':
      break;
    default:
      for (const key of keysOf(runtime, step.key)) keyOperations[step.do](runtime, key);
  }
  return undefined;
}

/** The keys of a name that a step changes. Errors as `keysNamed` and `requireComplete`. */
function keysOf(runtime: Runtime, text: string): number[] {
  const keys = keysNamed(runtime, text);
  requireComplete(runtime.program, text);
  return keys;
}

/** A module that was given the trampoline alone may call, but not update. Error `step-refused`. */
function requireKeyOf({ image, state: { modules } }: Runtime, name: string, call: StaticCall): void {
  const module = modules.find((m) => m.name === name);
  if (!module) throw new TextpokeError('step-refused', `the module ${name} is not loaded`);
  if (module.image.contains(call.key)) return;
  if ([image, ...modules.map((m) => m.image)].some((of) => exported(of, `__SCK__${call.name}`) === call.key))
    return;
  throw new TextpokeError(
    'step-refused',
    `the key of ${call.name} is not exported, so the module ${name} can call ${call.name}, but cannot update it`,
  );
}
