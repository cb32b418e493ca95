// Hyperlinks to source files (OSC 8) for terminals that have them. They are put into what is printed, behind all
// columns, so that no width has to know of them.
import { statSync } from 'node:fs';
import { hostname } from 'node:os';
import { resolve } from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

/** A version such as `3.4.12` is not below another. */
function isFrom(version: string | undefined, major: number, minor: number): boolean {
  const [a = 0, b = 0] = (version ?? '').split('.').map(Number);
  return a > major || (a === major && b >= minor);
}

/** Terminals by what they say of themselves, each from the version that has hyperlinks. */
const terminals: readonly ((of: Environment) => boolean)[] = [
  ({ VTE_VERSION = '0' }) => Number(VTE_VERSION) > 5000,
  ({ KONSOLE_VERSION = '0' }) => Number(KONSOLE_VERSION) >= 201200,
  ({ WT_SESSION, DOMTERM }) => WT_SESSION !== undefined || DOMTERM !== undefined,
  ({ TERM = '' }) => /^(xterm-kitty|xterm-ghostty|alacritty|foot)/.test(TERM),
  ({ TERM_PROGRAM }) => ['WezTerm', 'ghostty', 'zed', 'rio'].includes(TERM_PROGRAM ?? ''),
  ({ TERM_PROGRAM, TERM_PROGRAM_VERSION: version }) =>
    (TERM_PROGRAM === 'iTerm.app' && isFrom(version, 3, 1)) ||
    (TERM_PROGRAM === 'vscode' && isFrom(version, 1, 72)),
];

/**
 * True where links are put into an output: FORCE_HYPERLINK decides if it is set (0 for no); else a terminal that is
 * known to have them, outside of build servers and multiplexers.
 */
export function hasHyperlinks(isTerminal: boolean, environment: Environment): boolean {
  const { FORCE_HYPERLINK: forced, CI, TEAMCITY_VERSION, TMUX, STY } = environment;
  if (forced !== undefined && forced !== '') return forced !== '0';
  if (!isTerminal || CI || TEAMCITY_VERSION || TMUX || STY) return false;
  return terminals.some((has) => has(environment));
}

/** Files that were looked for; a kernel has some thousands. */
const mostFiles = 100_000;
const known = new Map<string, boolean>();

function isFile(path: string): boolean {
  let is = known.get(path);
  if (is === undefined) {
    try {
      is = statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
    } catch {
      is = false;
    }
    if (known.size >= mostFiles) known.clear();
    known.set(path, is);
  }
  return is;
}

/** `file.c:12` as a word, or behind a colour: the name of a file holds no blank here. */
const esc = '\x1b';
const sourceLine = new RegExp(`(?<=^|[\\s(]|${esc}\\[\\d+m)([^\\s():${esc}]+):(\\d+)(?![\\w.])`, 'gm');

/** The address of a line, by a form with `{host}`, `{path}` and `{line}`. */
function urlOf(form: string, path: string, line: string): string {
  const values = {
    host: encodeURIComponent(hostname()),
    path: encodeURI(path).replace(/[?#]/g, encodeURIComponent),
    line,
  };
  return form.replace(/\{(host|path|line)\}/g, (_, name: keyof typeof values) => values[name]);
}

/** What a link leads to, unless TEXTPOKE_HYPERLINK says otherwise (`vscode://file{path}:{line}`). */
const usualForm = 'file://{host}{path}';

/** Finished text in which the lines of files that are there lead to these; a relative name starts in `directory`. */
export function withHyperlinks(text: string, form = usualForm, directory = process.cwd()): string {
  // An escape sequence in the form would end the link.
  const safe = form.replace(/[^\x21-\x7e]/g, '');
  return text.replace(sourceLine, (found, file: string, line: string) => {
    const path = resolve(directory, file);
    if (!isFile(path)) return found;
    return `\x1b]8;;${urlOf(safe, path, line)}\x1b\\${found}\x1b]8;;\x1b\\`;
  });
}
