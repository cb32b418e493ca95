// textpoke ctl: keys of a program that runs with libtextpoke, by the socket that it has opened.
import { globMatcher, isPattern } from '../bytes/glob.ts';
import { didYouMean } from '../bytes/nearest.ts';
import type { ControlDocument } from '../control/document.ts';
import { ExitCode, TextpokeError } from '../errors.ts';
import { type ControlChange, changeControl, listControl, setControlCpus } from '../library/control.ts';
import { printPieces } from '../output/console.ts';
import { controlText, valuesText } from '../output/control.ts';
import { documentText } from '../output/pieces.ts';

export const controlActions = ['list', 'get', 'enable', 'disable', 'inc', 'dec', 'update', 'cpus'] as const;
export type ControlAction = (typeof controlActions)[number];

export interface ControlArguments {
  json?: boolean;
}

/** Runs the command; returns the exit status. `process` is the number of a process, or the path of a socket. */
export async function runControl(
  process: string,
  action: ControlAction,
  names: readonly string[],
  { json = false }: ControlArguments,
): Promise<number> {
  const target = /^[1-9]\d{0,6}$/.test(process) ? Number(process) : process;
  if (json && action !== 'list' && action !== 'get')
    throw new TextpokeError('usage', `--json is for list and get; ${action} prints nothing`);
  switch (action) {
    case 'list':
    case 'get': {
      if (action === 'get') requireNames(action, names);
      const all = await listControl(target);
      const document = names.length === 0 ? all : namedIn(all, names);
      const text = json
        ? documentText(document)
        : action === 'get'
          ? valuesText(document)
          : controlText(document);
      await printPieces(text, ExitCode.done);
      break;
    }
    case 'cpus':
      await setControlCpus(target, cpusIn(names));
      break;
    default:
      requireNames(action, names);
      await changeControl(
        target,
        names.map((name) => changeIn(action, name)),
      );
  }
  return ExitCode.done;
}

function requireNames(action: ControlAction, names: readonly string[]): void {
  const what = action === 'update' ? 'CALL=FUNCTION' : 'a key';
  if (names.length === 0) throw new TextpokeError('usage', `${action}: ${what} is required`);
}

function cpusIn(names: readonly string[]): number {
  const [number = ''] = names;
  if (names.length === 1 && /^[1-9]\d{0,4}$/.test(number)) return Number(number);
  throw new TextpokeError('usage', 'cpus: the number of CPUs is required');
}

function changeIn(action: Exclude<ControlAction, 'list' | 'get' | 'cpus'>, name: string): ControlChange {
  if (action !== 'update') return { do: action, key: name };
  const at = name.indexOf('=');
  if (at > 0 && at < name.length - 1)
    return { do: action, call: name.slice(0, at), value: name.slice(at + 1) };
  throw new TextpokeError('usage', 'update: CALL=FUNCTION, CALL=NULL or CALL=RET0 is required');
}

/** Those that one of the names or patterns means. Errors: `unknown-key` where a name means none, `no-match` for a pattern. */
function namedIn(all: ControlDocument, names: readonly string[]): ControlDocument {
  const matchers = names.map((name) => globMatcher(name));
  const known = [...all.keys.map(({ key }) => key), ...all.calls.map(({ call }) => call)];
  const unknown = names.find((_, i) => !known.some((name) => matchers[i]?.(name)));
  if (unknown !== undefined) {
    const hint = didYouMean(unknown.replace(/[*?]/g, ''), known);
    const what = `process ${all.pid} has no key or call ${unknown} with sites${hint}`;
    throw new TextpokeError(isPattern(unknown) ? 'no-match' : 'unknown-key', what);
  }
  const isMeant = (name: string) => matchers.some((matches) => matches(name));
  return {
    ...all,
    keys: all.keys.filter(({ key }) => isMeant(key)),
    calls: all.calls.filter(({ call }) => isMeant(call)),
  };
}
