// Long output on a terminal goes through a pager, by the rules of git: TEXTPOKE_PAGER, PAGER or less; `cat` and nothing for
// none; LESS=FRX unless the user has a LESS of his own. What fits the screen is printed as it is.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';
import { printPieces, throughPager } from './console.ts';
import { widthOf } from './width.ts';

/** Characters for which git has a shell read the command (prepare_shell_cmd of run-command.c). */
const forShell = /[|&;<>()$`\\"' \t\n*?[#~=%]/;

/** The pager that the user wants; undefined for none. */
export function pagerCommand(env: NodeJS.ProcessEnv): string | undefined {
  // A terminal that cannot move its cursor cannot page.
  if (env.TERM === 'dumb') return undefined;
  const wanted = env.TEXTPOKE_PAGER ?? env.PAGER ?? 'less';
  return wanted.trim() === '' || wanted === 'cat' ? undefined : wanted;
}

/** Environment of the pager: what less and lv need to show colours. */
function pagerEnvironment(env: NodeJS.ProcessEnv, isWide: boolean): NodeJS.ProcessEnv {
  // With long lines, S has less scroll to the side.
  return { ...env, LESS: env.LESS ?? (isWide ? 'FRSX' : 'FRX'), LV: env.LV ?? '-c' };
}

export interface PagerOptions {
  /** Lines and columns of the terminal. */
  readonly rows: number;
  readonly columns: number;
  /** Lines may be longer than the terminal is wide. */
  readonly isWide: boolean;
  /** Exit status of a process whose reader goes away. */
  readonly status: () => number;
}

/** Prints pieces: through the pager as soon as they do not fit the screen. */
export async function printPaged(pieces: AsyncIterable<string>, options: PagerOptions): Promise<void> {
  const command = pagerCommand(process.env);
  let held: string[] | undefined = command === undefined ? undefined : [];
  let lines = 0;
  let pager: Pager | undefined;
  const print = async (text: string): Promise<boolean> => {
    if (pager && (await pager.write(text))) return true;
    // Why nobody reads is known once the pager has ended.
    await pager?.end();
    const unread = pager ? pager.unread : [text];
    pager = undefined;
    for (const piece of unread ?? []) await printPieces(piece, options.status());
    return unread !== undefined;
  };
  for await (const piece of pieces) {
    held?.push(piece);
    if (held) lines += linesOf(piece, options.columns);
    // The prompt needs a line.
    if (held && lines < options.rows) continue;
    if (held) pager = await Pager.start(command as string, options.isWide);
    const due: readonly string[] = held ?? [piece];
    held = undefined;
    for (const text of due) if (!(await print(text))) return;
  }
  for (const text of held ?? []) await print(text);
  if (!pager) return;
  await pager.end();
  for (const text of pager.unread ?? []) await printPieces(text, options.status());
}

/** Lines of the screen that a text takes; long ones are broken. */
function linesOf(text: string, columns: number): number {
  let lines = 0;
  for (const line of text.split('\n').slice(0, -1))
    lines += line.length <= columns ? 1 : Math.max(1, Math.ceil(widthOf(line) / columns));
  return lines;
}

/** What a shell ends with that found no command, or none that can be run. */
const notRun = [126, 127];
/** Characters that a pipe may swallow in front of a command that is not there. */
const mostKept = 1 << 20;

/** A pager that runs. */
class Pager {
  private readonly child: ChildProcess;
  private readonly gone: Promise<unknown>;
  private isGone = false;
  /** Everything that was written, while a shell may yet say that there is no such pager. */
  private sent: string[] | undefined;
  private kept = 0;

  private constructor(child: ChildProcess, isShell: boolean) {
    this.child = child;
    this.sent = isShell ? [] : undefined;
    // A reader that goes away is no error.
    child.stdin?.on('error', () => {});
    child.on('error', () => {});
    this.gone = once(child, 'close').then(
      () => this.left(),
      () => this.left(),
    );
    throughPager({ write: (text) => child.stdin?.write(text), end: () => this.end() });
    process.on('SIGINT', ignore);
  }

  private left(): void {
    this.isGone = true;
    throughPager(undefined);
    process.off('SIGINT', ignore);
  }

  /** Starts a pager; undefined where there is none of this name. */
  static async start(command: string, isWide: boolean): Promise<Pager | undefined> {
    const isShell = forShell.test(command);
    if (!isShell && !isCommand(command)) return undefined;
    const [program, ...args] = isShell ? ['sh', '-c', command] : [command];
    // Most output needs no pager; build.js has the module loaded where it is asked for.
    const { spawn } = await import('node:child_process');
    const child = spawn(program as string, args, {
      stdio: ['pipe', 'inherit', 'inherit'],
      env: pagerEnvironment(process.env, isWide),
    });
    return new Pager(child, isShell);
  }

  /** Writes no faster than is read. False: nobody reads any more. */
  async write(text: string): Promise<boolean> {
    const { stdin } = this.child;
    if (this.sent) {
      this.sent.push(text);
      this.kept += text.length;
      if (this.kept > mostKept) this.sent = undefined;
    }
    if (this.isGone || !stdin?.writable) return false;
    if (!stdin.write(text)) await Promise.race([once(stdin, 'drain').catch(() => {}), this.gone]);
    return !this.isGone;
  }

  /** Tells the pager that this was all, and waits until its user has seen enough. */
  async end(): Promise<void> {
    this.child.stdin?.end();
    await this.gone;
  }

  /** What was meant for a pager that a shell did not find; undefined for one that was there. */
  get unread(): readonly string[] | undefined {
    return notRun.includes(this.child.exitCode ?? 0) ? this.sent : undefined;
  }
}

/** Ctrl-C is the pager's own, as long as it runs; a process in front of it would leave it without a terminal. */
function ignore(): void {}

function isCommand(name: string): boolean {
  const places = name.includes('/')
    ? [name]
    : (process.env.PATH ?? '').split(':').map((path) => join(path, name));
  return places.some((path) => {
    try {
      accessSync(path, constants.X_OK);
      return statSync(path).isFile();
    } catch {
      return false;
    }
  });
}
