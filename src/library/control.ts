// The library's control of programs that run with libtextpoke: what their keys are, and changes of them. The program knows
// addresses alone; names come from the files of the program and its libraries.
import { basename } from 'node:path';
import { isPattern } from '../bytes/glob.ts';
import { hex } from '../bytes/integer.ts';
import type { ControlCall, ControlDocument, ControlKey } from '../control/document.ts';
import { type ChangeLine, Control, type ControlledKey, socketOf } from '../control/socket.ts';
import { requireCallKey } from '../demand/keys.ts';
import type { Program } from '../demand/program.ts';
import { TextpokeError } from '../errors.ts';
import { resolveStaticCalls, splitScope } from '../image/names.ts';
import { keysOfProgram, programOf } from '../kinds/registry.ts';
import { parseCallValue } from '../kinds/static-call/values.ts';
import { openProcess } from '../memory/live-process.ts';
import { locateImage } from '../memory/locate.ts';
import { withImage } from './image.ts';
import { imagesOfProcess } from './verify-running.ts';

/** What is done with a static key. */
export type ControlOperation = 'enable' | 'disable' | 'inc' | 'dec';

/** A change of keys or calls, which are given by name, `FILE:NAME`, or pattern. */
export type ControlChange =
  | { readonly do: ControlOperation; readonly key: string }
  /** `value` is a function, `FILE:FUNCTION`, NULL or RET0. */
  | { readonly do: 'update'; readonly call: string; readonly value: string };

/** A file of a process, open. */
interface Placed {
  readonly file: string;
  readonly program: Program;
  /** What is linked at A runs at A + slide. */
  readonly slide: number;
}

/** What each of some files of a process has to say. */
async function ofImages<T>(pid: number, files: readonly string[], ask: (of: Placed) => T): Promise<T[]> {
  const answers: T[] = [];
  for (const file of files)
    answers.push(
      await withImage(file, {}, (image) => {
        const memory = openProcess(pid, image.file.header);
        try {
          const { slide } = locateImage(image, memory, undefined);
          return ask({ file, program: programOf(image), slide });
        } finally {
          memory.close();
        }
      }),
    );
  return answers;
}

/** `target` is the number of a process, or the path of its socket. Error `read-failed`. */
async function withControl<T>(target: number | string, body: (control: Control) => Promise<T>): Promise<T> {
  const control = await Control.open(typeof target === 'number' ? socketOf(target) : target);
  try {
    return await body(control);
  } finally {
    control.close();
  }
}

/**
 * The static keys and calls of a program that runs with libtextpoke, by the number of its process or the path of its socket.
 * Errors: `read-failed`, those of images.
 */
export function listControl(target: number | string): Promise<ControlDocument> {
  return withControl(target, async (control) => {
    const rows = await control.list();
    const files = await imagesOfProcess(control.pid);
    const parts = await ofImages(control.pid, files, (of) => namedRows(of, rows));
    const names = new Map(parts.flatMap(({ functions }) => [...functions]));
    return {
      schema: 'textpoke.control/1',
      pid: control.pid,
      keys: parts.flatMap(({ keys }) => keys),
      calls: parts.flatMap(({ calls }) =>
        calls.map(({ target: to, ...call }) => ({ ...call, function: names.get(to) ?? functionName(to) })),
      ),
      refused: parts.flatMap(({ refused }) => refused),
    };
  });
}

const functionName = (pointer: number) => (pointer === 0 ? 'NULL' : hex(pointer));

/** The rows that an image has names for. */
function namedRows({ file, program, slide }: Placed, rows: readonly ControlledKey[]) {
  const { image } = program;
  const isHere = (address: number) => image.contains(address - slide);
  const keys: ControlKey[] = [];
  const calls: (Omit<ControlCall, 'function'> & { readonly target: number })[] = [];
  const refused: { file: string; message: string }[] = [];
  const functions = new Map<number, string>();
  for (const row of rows) {
    if (row.what === 'refused') {
      if (isHere(row.start)) refused.push({ file, message: row.message });
      continue;
    }
    if (row.what === 'call' && isHere(row.function)) {
      const at = row.function - slide;
      functions.set(row.function, at === program.returnZero ? 'RET0' : image.describe(at));
    }
    if (!isHere(row.key)) continue;
    const place = { file, address: hex(row.key), sites: row.sites };
    const at = row.key - slide;
    if (row.what === 'key') keys.push({ key: image.describe(at), ...place, enabled: row.count });
    else
      calls.push({ call: program.calls.get(at)?.name ?? image.describe(at), ...place, target: row.function });
  }
  return { keys, calls, refused, functions };
}

/** A name with the file that it is looked for in; undefined: in each. */
function scopeOf(text: string, files: readonly string[]): { name: string; only: string | undefined } {
  const { scope, symbol } = splitScope(text);
  const only =
    scope === undefined ? undefined : files.find((file) => basename(file) === scope || file === scope);
  return only === undefined ? { name: text, only } : { name: symbol, only };
}

/**
 * Changes keys and calls of such a program: all of them or none, and when it returns every thread of the program runs the new
 * code. Errors: `unknown-key`, `ambiguous-name`, `usage` for names; `step-refused` where the program refuses; `read-failed`.
 */
export function changeControl(target: number | string, changes: readonly ControlChange[]): Promise<void> {
  return withControl(target, async (control) => {
    const files = await imagesOfProcess(control.pid);
    const questions = changes.map((change) => linesOf(change, files));
    await ofImages(control.pid, files, (of) => {
      for (const { asked } of questions) for (const question of asked) question.ask(of);
    });
    const lines: ChangeLine[] = [];
    for (const { answer } of questions) for (const line of answer()) lines.push(line);
    await control.apply(lines);
  });
}

/** How many CPUs the program runs on: with one it drops its locks. Errors: `step-refused`, `read-failed`. */
export function setControlCpus(target: number | string, cpus: number): Promise<void> {
  return withControl(target, (control) => control.setCpus(cpus));
}

/** What a name is in the one file that knows it; what a pattern is in all of them. */
class Question<T> {
  private readonly text: string;
  private readonly name: string;
  private readonly only: string | undefined;
  private readonly look: (of: Placed, name: string) => readonly T[];
  private readonly found: { readonly file: string; readonly all: readonly T[] }[] = [];
  private refusal: TextpokeError | undefined;

  constructor(text: string, files: readonly string[], look: (of: Placed, name: string) => readonly T[]) {
    this.text = text;
    this.look = look;
    ({ name: this.name, only: this.only } = scopeOf(text, files));
  }

  ask(of: Placed): void {
    if (this.only !== undefined && of.file !== this.only) return;
    try {
      const all = this.look(of, this.name);
      if (all.length > 0) this.found.push({ file: of.file, all });
    } catch (error) {
      if (!(error instanceof TextpokeError) || !/^(unknown-key|no-match)$/.test(error.code)) throw error;
      this.refusal ??= error;
    }
  }

  /** Errors: `unknown-key`, `ambiguous-name`. */
  answer(): readonly T[] {
    const { found, name } = this;
    if (found.length === 0)
      throw this.refusal ?? new TextpokeError('unknown-key', `no file of the process has ${this.text}`);
    if (found.length > 1 && !isPattern(name)) {
      const which = found.map(({ file }) => `${basename(file)}:${name}`).join(', ');
      throw new TextpokeError('ambiguous-name', `${found.length} files have ${name}; use one of ${which}`);
    }
    return found.flatMap(({ all }) => all);
  }
}

/** What has to be asked for a change, and the lines that it becomes. */
function linesOf(change: ControlChange, files: readonly string[]) {
  if (change.do !== 'update') {
    const keys = new Question(change.key, files, keysOf);
    return { asked: [keys], answer: () => keys.answer().map((key) => `${change.do} ${hex(key)}`) };
  }
  const { call, value } = change;
  const calls = new Question(call, files, (of, name) => callsOf(of, name, value));
  const functions = isOwn(value) ? undefined : new Question(value, files, functionsOf);
  return {
    asked: functions ? [calls, functions] : [calls],
    answer: () =>
      calls.answer().map(({ key, trampoline, own }) => {
        const to = functions ? (functions.answer()[0] as number) : own;
        return `update ${hex(key)} ${hex(trampoline)} ${hex(to)}`;
      }),
  };
}

function keysOf({ program, slide }: Placed, name: string): number[] {
  return keysOfProgram(program, name).map((key) => key + slide);
}

/** Values that are of the file that has the call. */
const isOwn = (value: string) => value === 'NULL' || value === 'RET0';

interface ChangedCall {
  readonly key: number;
  /** 0 where it has none. */
  readonly trampoline: number;
  /** The value, where it is of this file. */
  readonly own: number;
}

function callsOf({ program, slide }: Placed, name: string, value: string): ChangedCall[] {
  const { image } = program;
  return resolveStaticCalls(image, program.calls, name).map(({ key, trampoline }) => {
    requireCallKey(image, key, program.calls.has(key));
    const [own = 0] = isOwn(value) ? functionsOf({ file: image.file.path, program, slide }, value) : [];
    return { key: key + slide, trampoline: trampoline === undefined ? 0 : trampoline + slide, own };
  });
}

function functionsOf({ program, slide }: Placed, name: string): number[] {
  const value = parseCallValue(program, name);
  return [value.kind === 'null' ? 0 : (value.address as number) + slide];
}
