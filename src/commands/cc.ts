// textpoke cc -- COMPILER ...: runs the compiler, then annotates the objects it made. Its exit status, its output and
// its signals are the compiler's.
//
// The compiler writes beside the object, and a rename publishes what annotate made of it: make takes an object that is
// newer than its source for done, so whoever is killed between the two must not leave one that was never annotated.
import { lstatSync, renameSync, rmSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname } from 'node:path';
import type { AnnotateOptions } from '../annotate/options.ts';
import { annotate } from '../annotate/passes.ts';
import { ExitCode, TextpokeError } from '../errors.ts';
import { readInput } from '../files/input.ts';
import { discard, discardPending, renameInto, replace, siblingOf } from '../files/publish.ts';
import { reasonOf } from '../files/source.ts';
import { describeError, printError, warn } from '../output/console.ts';
import { tellUnlisted } from './annotate.ts';
import { type CompiledObject, readCompilerLine } from './compiler-line.ts';

interface Ended {
  readonly status: number;
  readonly signal?: NodeJS.Signals | undefined;
}

const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/** Runs the compiler on this process's own files; whatever asks this process to end is passed on to it. */
async function runCompiler(words: readonly string[]): Promise<Ended> {
  const { spawn } = await import('node:child_process'); // what annotate does not load
  const [command, ...args] = words as [string, ...string[]];
  const forward = (signal: NodeJS.Signals) => child.kill(signal);
  const others = forwarded.map((signal) => process.rawListeners(signal) as NodeJS.SignalsListener[]);
  // One listener or the other is there at any time, or a signal would be lost.
  forwarded.forEach((signal, i) => {
    process.on(signal, forward);
    for (const listener of others[i] ?? []) process.removeListener(signal, listener);
  });
  const child = spawn(command, args, { stdio: 'inherit' });
  const ended = await new Promise<Ended>((resolve) => {
    child.on('error', (error: NodeJS.ErrnoException) => {
      printError(`cannot run ${command}: ${error.code}`);
      resolve({ status: error.code === 'ENOENT' ? 127 : 126 }); // as shells have it
    });
    child.on('exit', (status, signal) => resolve({ status: status ?? 0, signal: signal ?? undefined }));
  });
  forwarded.forEach((signal, i) => {
    for (const listener of others[i] ?? []) process.on(signal, listener);
    process.removeListener(signal, forward);
  });
  return ended;
}

/** Dies as the compiler died, so that make and the shell see the same. */
function endAs(signal: NodeJS.Signals): number {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  return 128 + constants.signals[signal];
}

function isFile(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/** Whether a rename may put a file there; /dev/null is one place where it may not, a missing directory another. */
function isReplaceable(path: string): boolean {
  if (!statSync(dirname(path), { throwIfNoEntry: false })?.isDirectory()) return false;
  return isFile(path) || lstatSync(path, { throwIfNoEntry: false }) === undefined;
}

/** Takes an object away from where the compiler had to put it; undefined when there is none. */
function takeAway(path: string): string | undefined {
  if (!isFile(path)) return undefined;
  const sibling = siblingOf(path);
  try {
    renameSync(path, sibling);
    return sibling;
  } catch (error) {
    discard(sibling);
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined; // another build has been faster
    throw new TextpokeError('write-failed', `cannot write: ${reasonOf(error)}`, { file: path });
  }
}

/** Annotates what was made and gives it its name. An object without sites stays the file that the compiler made. */
function finish(made: string, path: string, options: AnnotateOptions): void {
  const { bytes, stats } = annotate(path, readInput(made), options);
  tellUnlisted(stats);
  try {
    if (!bytes) {
      renameInto(made, path);
    } else {
      // A new file: ccache may have made a hard link of what lies in its cache.
      replace(path, bytes, statSync(made).mode);
      discard(made);
    }
  } catch (error) {
    throw new TextpokeError('write-failed', `cannot write: ${reasonOf(error)}`, { file: path });
  }
}

/** Why an object is none of textpoke's business, by the error that says so. */
const leftAlone: Readonly<Record<string, string>> = {
  'lto-object': 'the object has no machine code before the link; annotate the output of `ld -r`',
  'not-elf': 'the file is not an ELF object',
  'machine-unsupported': 'textpoke does not support the machine of the object',
};

/** Finishes one object; returns the exit status. */
function finishOrRemove(made: string, path: string, options: AnnotateOptions): number {
  try {
    finish(made, path, options);
    return ExitCode.done;
  } catch (error) {
    const reason = error instanceof TextpokeError ? leftAlone[error.code] : undefined;
    if (reason !== undefined) {
      renameInto(made, path);
      warn(`${path}: not annotated, left unchanged: ${reason}`);
      return ExitCode.done;
    }
    const { text, exitCode } = describeError(error);
    printError(text);
    // As a compiler does that fails: no object is there that a next build would take for a good one.
    discard(made);
    rmSync(path, { force: true });
    return exitCode;
  }
}

/** Where the compiler is to write instead, when its line leaves one object whose name means nothing to it. */
function besideOf(objects: readonly CompiledObject[]): { path: string; words: string[] } | undefined {
  const [object] = objects;
  if (!object?.under || !isReplaceable(object.path)) return undefined;
  const path = siblingOf(object.path);
  return { path, words: object.under(path) };
}

/** Runs the command; returns the compiler's exit status, or that of annotate when it fails. */
export async function runCc(words: readonly string[], options: AnnotateOptions): Promise<number> {
  if (words.length === 0) {
    throw new TextpokeError('usage', 'a compiler is required: textpoke cc -- gcc -c x.c');
  }
  const { objects, linkedAtOnce } = readCompilerLine(words);
  if (linkedAtOnce.length > 0) {
    warn(
      `${linkedAtOnce.join(' ')}: not annotated, because the command compiles and links at once; use -c and link the objects`,
    );
  }
  const beside = besideOf(objects);
  const { status, signal } = await runCompiler(beside?.words ?? words);
  if (signal || status !== 0) {
    discardPending();
    return signal ? endAs(signal) : status;
  }
  const made = beside
    ? [isFile(beside.path) ? beside.path : undefined]
    : objects.map(({ path }) => takeAway(path));
  const statuses = objects.map(({ path }, i) =>
    made[i] ? finishOrRemove(made[i], path, options) : ExitCode.done,
  );
  return statuses.find((one) => one !== ExitCode.done) ?? ExitCode.done;
}
