// What every command says the same way: diagnostics to stderr, results to stdout, colour and progress only on a terminal.
import { once } from 'node:events';
import { asTooLarge, ExitCode, TextpokeError } from '../errors.ts';
import { beforeSignals } from '../files/signals.ts';
import { reasonOf } from '../files/source.ts';
import { hasHyperlinks, withHyperlinks } from './hyperlinks.ts';
import type { Progress } from './progress.ts';
import { type Colours, coloursOf, textOf } from './text.ts';

/** When output is coloured: where a terminal takes it, or whatever it goes to. */
export const colourChoices = ['auto', 'always', 'never'] as const;
export type ColourChoice = (typeof colourChoices)[number];

let colour: ColourChoice = 'auto';
let isQuiet = false;

/** What the command line says of all output. Quiet: no notes and no progress. */
export function setManners(manners: { readonly color?: ColourChoice; readonly quiet?: boolean }): void {
  colour = manners.color ?? 'auto';
  isQuiet = manners.quiet ?? false;
}

function hasColour(stream: { isTTY?: boolean }): boolean {
  if (colour !== 'auto') return colour === 'always';
  const forced = process.env.FORCE_COLOR;
  if (process.env.NO_COLOR) return false;
  const takesColour = stream.isTTY === true && process.env.TERM !== 'dumb';
  return takesColour || (forced !== undefined && forced !== '0');
}

/** True where standard output takes colours: not in a pipe, not with NO_COLOR. */
export function isOutputColoured(): boolean {
  return hasColour(process.stdout);
}

/** Colours for standard output, where it takes any. */
export function outputColours(): Colours {
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

/** Results as the terminal takes them: with hyperlinks where it has them. */
function shown(text: string): string {
  if (!hasHyperlinks(process.stdout.isTTY === true, process.env)) return text;
  return withHyperlinks(text, process.env.TEXTPOKE_HYPERLINK || undefined);
}

/** Writes results, which `textOf` or `jsonText` has made. */
export function print(text: string): void {
  if (process.stdout.isTTY) endProgress();
  output().write(shown(text.endsWith('\n') ? text : `${text}\n`));
}

/** Columns of the terminal that results go to; undefined where they go elsewhere. */
export function terminalColumns(): number | undefined {
  if (!process.stdout.isTTY) return undefined;
  const told = Number(process.env.COLUMNS);
  return Number.isSafeInteger(told) && told > 0 ? told : process.stdout.columns || 80;
}

/** Writes results that come in pieces, no faster than they are taken. `status` ends a process whose reader goes away. */
export async function printPieces(text: string | Iterable<string>, status: number): Promise<void> {
  const before = process.exitCode;
  process.exitCode = status;
  if (process.stdout.isTTY) endProgress();
  try {
    for (const piece of typeof text === 'string' ? [text] : text)
      if (!output().write(shown(piece))) await once(output(), 'drain');
  } finally {
    process.exitCode = before;
  }
}

/** A pager that has the terminal. */
interface RunningPager {
  readonly write: (text: string) => void;
  readonly end: () => Promise<void>;
}

let pager: RunningPager | undefined;

/** Has diagnostics go through a pager, which they would spoil; undefined: it has gone. */
export function throughPager(running: RunningPager | undefined): void {
  pager = running;
  if (!running) return;
  endProgress();
  beforeSignals(running.end); // it gives the terminal back
}

function diagnose(text: string): void {
  if (pager && process.stderr.isTTY) pager.write(text);
  else process.stderr.write(text);
}

/** Writes one diagnostic line, which is no error. */
export function warn(text: string): void {
  if (isQuiet) return;
  endProgress();
  diagnose(textOf([`textpoke: ${text}`]));
}

/** Writes one error line, and what belongs to it in lines of their own. */
export function printError(text: string, details: readonly string[] = []): void {
  endProgress();
  const { red } = coloursOf(hasColour(process.stderr));
  diagnose(textOf([`textpoke: ${red('error')}: ${text}`, ...details]));
}

/** Says what is wrong with a command line, in commander's words or our own, and whose help to read. */
export function tellUsage(words: string, command: string): void {
  const [, what, meant] = /^(?:error: )?([\s\S]*?)\.?(?:\n\(Did you mean ([^\n]*)\?\))?\n*$/.exec(
    words,
  ) as RegExpExecArray;
  const suggestion = meant === undefined ? '' : `did you mean ${meant}? `;
  printError(`${what}; ${suggestion}${command} --help says what there is [usage]`);
}

/** Says what reached the top; returns the exit status it ends in. */
export function tellError(error: unknown): number {
  const known = error instanceof TextpokeError ? error : asTooLarge(error);
  if (known) {
    printError(known.describe());
    return known.exitCode;
  }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const [message, ...frames] = stack.split(/\n(?= {4}at )/);
  printError(`a defect of textpoke, please report it: ${message} [defect]`, frames);
  return ExitCode.defect;
}

let progress: Progress | undefined;

/** Says on standard error what is being done, if it takes long and a person looks, until something else is written. */
export async function startProgress(what: string): Promise<void> {
  if (isQuiet || !process.stderr.isTTY || process.env.TERM === 'dumb') return;
  const { Progress } = await import('./progress.ts'); // with threads, which a small annotate does not load
  progress ??= new Progress(what, process.stderr.columns || 80);
}

/** What is being done from now on, where that is told. */
export function sayProgress(what: string): void {
  progress?.say(what);
}

/** Takes away the line that says what is being done. */
export function endProgress(): void {
  progress?.end();
  progress = undefined;
}
