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
import { readElfFrom } from '../elf/read.ts';
import { ExitCode, TextpokeError } from '../errors.ts';
import { destinationOf } from '../files/identity.ts';
import { readInput, withSource } from '../files/input.ts';
import { discard, discardPending, renameInto, replace, siblingOf } from '../files/publish.ts';
import { type RightsOf, rightsOf } from '../files/rights.ts';
import { reasonOf } from '../files/source.ts';
import { Image } from '../image/image.ts';
import { forgottenSources } from '../image/unit-notes.ts';
import { printError, tellError, warn } from '../output/console.ts';
import { tellUnlisted } from './annotate.ts';
import { annotatingAssembler } from './cc-assembler.ts';
import { type CompiledObject, readCompilerLine } from './compiler-line.ts';

interface Ended {
  readonly status: number;
  readonly signal?: NodeJS.Signals | undefined;
}

const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/** Runs the compiler on this process's own files; whatever asks this process to end is passed on to it. */
async function runCompiler(words: readonly string[], env: NodeJS.ProcessEnv | undefined): Promise<Ended> {
  const { spawn } = await import('node:child_process'); // what annotate does not load
  const [command, ...args] = words as [string, ...string[]];
  const forward = (signal: NodeJS.Signals) => child.kill(signal);
  const others = forwarded.map((signal) => process.rawListeners(signal) as NodeJS.SignalsListener[]);
  // One listener or the other is there at any time, or a signal would be lost.
  forwarded.forEach((signal, i) => {
    process.on(signal, forward);
    for (const listener of others[i] ?? []) process.removeListener(signal, listener);
  });
  const child = spawn(command, args, { stdio: 'inherit', env: env ?? process.env });
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

/** An object that the compiler has made: where it lies now, with its rights, and the name that it is to have. */
interface MadeObject {
  readonly rights: RightsOf;
  readonly path: string;
}

/** Files that the system makes up: what is written there goes elsewhere, and /dev/stdout is not to be replaced. */
const special = /^\/(dev|proc)\//;

/**
 * Takes an object away from where the compiler had to put it, through symbolic links; undefined when there is none, or
 * what is there is no regular file.
 */
function takeAway(path: string): MadeObject | undefined {
  if (special.test(path) || !statSync(path, { throwIfNoEntry: false })?.isFile()) return undefined;
  const real = destinationOf(path);
  const sibling = siblingOf(real);
  try {
    const { stat } = rightsOf(real); // what a rename does to its times is no sign of an ACL
    renameSync(real, sibling);
    return { rights: { path: sibling, stat }, path: real };
  } catch (error) {
    discard(sibling);
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined; // another build has been faster
    throw new TextpokeError('write-failed', `cannot write: ${reasonOf(error)}`, { file: path });
  }
}

/** Annotates what was made and gives it its name. An object without sites is marked, so that verify knows of it. */
async function finish({ rights, path }: MadeObject, name: string, options: AnnotateOptions): Promise<void> {
  const { bytes, stats } = annotate(name, readInput(rights.path), { ...options, mark: true });
  tellUnlisted(stats);
  try {
    if (!bytes) {
      renameInto(rights.path, path);
    } else {
      // A new file: ccache may have made a hard link of what lies in its cache.
      for (const note of await replace(path, bytes, rights)) warn(`${name}: ${note}`);
      discard(rights.path);
    }
  } catch (error) {
    throw new TextpokeError('write-failed', `cannot write: ${reasonOf(error)}`, { file: name });
  }
}

/** Why an object is none of textpoke's business, by the error that says so. */
const leftAlone: Readonly<Record<string, string>> = {
  'lto-object':
    'the linker compiles the object (again); with gcc, link by textpoke cc -- gcc; with clang, annotate the output of ld.lld -r and link that',
  'not-elf': 'the file is not an ELF object',
  'machine-unsupported': 'textpoke does not support the machine of the object',
};

/** Finishes one object, which the compiler's line calls by its path; returns the exit status. */
async function finishOrRemove(
  made: MadeObject,
  { path: name, isAssembled }: CompiledObject,
  options: AnnotateOptions,
): Promise<number> {
  try {
    await finish(made, name, options);
    return ExitCode.done;
  } catch (error) {
    const code = error instanceof TextpokeError ? error.code : '';
    const reason = leftAlone[code];
    if (reason !== undefined) {
      renameInto(made.rights.path, made.path);
      if (!isAssembled || code !== 'lto-object') warn(`${name}: not annotated, left unchanged: ${reason}`);
      return ExitCode.done;
    }
    const exitCode = tellError(error);
    // As a compiler does that fails: no object is there that a next build would take for a good one.
    discard(made.rights.path);
    rmSync(made.path, { force: true });
    return exitCode;
  }
}

/** Says that what the compiler wrote went by: into a pipe, or where nobody would look for it. */
function tellUnseen(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (path === '/dev/null' || stat?.isFile() === true) return; // another build's
  warn(`${path}: not annotated: the compiler wrote no regular file of this name`);
}

/** Says so when a link has code that was never annotated: the linker compiled it (LTO), or an object was left out. */
async function tellForgotten(path: string): Promise<void> {
  if (!isFile(path)) return;
  try {
    await withSource(path, (source) => {
      const file = readElfFrom(path, source);
      for (const { source: of } of file.segments.length > 0 ? forgottenSources(new Image(file)) : [])
        warn(
          `${path}: ${of ?? 'code that the linker compiled'} has static branches that were never annotated`,
        );
    });
  } catch (error) {
    if (!(error instanceof TextpokeError)) throw error; // no image that textpoke could read
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
  const { objects, linkedAtOnce, image } = readCompilerLine(words);
  const assembler = image === undefined ? undefined : await annotatingAssembler(words, options);
  const beside = besideOf(objects);
  const { status, signal } = await runCompiler(beside?.words ?? words, assembler?.environment);
  const isAssembled = assembler?.hasRun() === true;
  assembler?.remove();
  if (linkedAtOnce.length > 0 && !isAssembled) {
    warn(
      `${linkedAtOnce.join(' ')}: not annotated, because the command compiles and links at once; use -c and link the objects`,
    );
  }
  if (image !== undefined && status === 0) await tellForgotten(image);
  if (signal || status !== 0) {
    discardPending();
    return signal ? endAs(signal) : status;
  }
  const made = beside
    ? objects.map(({ path }) => (isFile(beside.path) ? { rights: rightsOf(beside.path), path } : undefined))
    : objects.map(({ path }) => takeAway(path));
  const statuses: number[] = [];
  for (const [i, object] of objects.entries()) {
    if (made[i]) statuses.push(await finishOrRemove(made[i], object, options));
  }
  if (statuses.length === 0) for (const { path } of objects) tellUnseen(path);
  return statuses.find((one) => one !== ExitCode.done) ?? ExitCode.done;
}
