// What every command says the same way: diagnostics to stderr, results to stdout, colour only on a terminal.
import type { ChalkInstance } from 'chalk';
import { ExitCode, printable, TextpokeError } from '../errors.ts';
import { reasonOf } from '../files/source.ts';
import { coloursOf } from './colours.ts';

function hasColour(stream: { isTTY?: boolean }): boolean {
  const forced = process.env.FORCE_COLOR;
  if (process.env.NO_COLOR) return false;
  return stream.isTTY === true || (forced !== undefined && forced !== '0');
}

/** True where standard output takes colours: not in a pipe, not with NO_COLOR. */
export function isOutputColoured(): boolean {
  return hasColour(process.stdout);
}

/** Colours for standard output, where it takes any. */
export function outputColours(): ChalkInstance {
  return coloursOf(isOutputColoured());
}

/** A reader that goes away (`| head`) is no error; a full disk is one. */
function endOnFailedOutput(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(process.exitCode);
  printError(`standard output: cannot write: ${reasonOf(error)} [write-failed]`);
  process.exit(ExitCode.io);
}

let listening = false;

/** The stream for results; asked for late, because making it costs more than a small annotate. */
function output(): NodeJS.WriteStream {
  if (!listening) process.stdout.on('error', endOnFailedOutput);
  listening = true;
  return process.stdout;
}

/** Writes results. */
export function print(text: string): void {
  output().write(text.endsWith('\n') ? text : `${text}\n`);
}

/** Writes one diagnostic line. */
export function warn(text: string): void {
  process.stderr.write(`textpoke: ${text}\n`);
}

/** Writes one error line. */
export function printError(text: string): void {
  const { red } = coloursOf(hasColour(process.stderr));
  process.stderr.write(`textpoke: ${red('error')}: ${text}\n`);
}

/** The line for an error that reached the top, and the exit status it ends in. */
export function describeError(error: unknown): { text: string; exitCode: number } {
  if (error instanceof TextpokeError) return { text: error.describe(), exitCode: error.exitCode };
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { text: `a defect of textpoke, please report it: ${text} [defect]`, exitCode: 70 };
}

/** One line on standard error that says what is being done, for a person who waits; nothing where none looks. */
export class Progress {
  private readonly start = performance.now();
  private shown = false;

  /** Says it, unless the command has only just begun: short work needs no word. */
  show(what: string): void {
    if (!process.stderr.isTTY || performance.now() - this.start < 300) return;
    process.stderr.write(`\r\x1b[K${printable(what)} ...`);
    this.shown = true;
  }

  /** Takes the line away. */
  clear(): void {
    if (this.shown) process.stderr.write('\r\x1b[K');
    this.shown = false;
  }
}
