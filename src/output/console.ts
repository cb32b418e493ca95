// What every command says the same way: diagnostics to stderr, results to stdout, colour only on a terminal.
import { once } from 'node:events';
import { asTooLarge, ExitCode, TextpokeError } from '../errors.ts';
import { reasonOf } from '../files/source.ts';
import { hasHyperlinks, withHyperlinks } from './hyperlinks.ts';
import { type Colours, coloursOf, lineOf, textOf } from './text.ts';

function hasColour(stream: { isTTY?: boolean }): boolean {
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
}

/** For handlers of signals: waits until the pager has given the terminal back. */
export async function endPager(): Promise<void> {
  await pager?.end();
}

function diagnose(text: string): void {
  if (pager && process.stderr.isTTY) pager.write(text);
  else process.stderr.write(text);
}

/** Writes one diagnostic line. */
export function warn(text: string): void {
  diagnose(textOf([`textpoke: ${text}`]));
}

/** Writes one error line, and what belongs to it in lines of their own. */
export function printError(text: string, details: readonly string[] = []): void {
  const { red } = coloursOf(hasColour(process.stderr));
  diagnose(textOf([`textpoke: ${red('error')}: ${text}`, ...details]));
}

/** Says what is wrong with a command line, in the words of commander: a line, and a suggestion below it. */
export function commandLineError(text: string): string {
  const [, line, suggestion] = /^([\s\S]*?)(?:\n(\(Did you mean [^\n]*))?\n?$/.exec(text) as RegExpExecArray;
  return textOf(suggestion === undefined ? [line as string] : [line as string, suggestion]);
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

/** One line on standard error that says what is being done, for a person who waits; nothing where none looks. */
export class Progress {
  private readonly start = performance.now();
  private shown = false;

  /** Says it, unless the command has only just begun: short work needs no word. */
  show(what: string): void {
    if (!process.stderr.isTTY || performance.now() - this.start < 300) return;
    process.stderr.write(`\r\x1b[K${lineOf(what)} ...`);
    this.shown = true;
  }

  /** Takes the line away. */
  clear(): void {
    if (this.shown) process.stderr.write('\r\x1b[K');
    this.shown = false;
  }
}
