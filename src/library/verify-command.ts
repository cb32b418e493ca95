// The command line that verifies as a call of the library does, for a person to run it again with another option.
import { hex } from '../bytes/integer.ts';
import { type Input, nameOf } from '../files/input.ts';
import { shellLine } from '../output/shell.ts';
import { addressOf } from './numbers.ts';
import type { VerifyMemoryOptions, VerifyOptions } from './verify-options.ts';

/** What memory is compared: a dump, that of the machine, or that of a process. */
export type ComparedMemory =
  | { readonly dump: string }
  | { readonly running: true }
  | { readonly pid: number };

/** `textpoke verify vmlinux --linked`, as options of the library say it. */
export function verifyCommand(
  input: Input,
  options: VerifyOptions & VerifyMemoryOptions,
  memory?: ComparedMemory,
): string {
  const { original, baseline, locks, linked, cpus, slide, modules, base, physical } = options;
  const { expandLimit, suppressions, suppressionsName, debugDirectories, failOn } = options;
  const value = (option: string, given: string | number | undefined) =>
    given === undefined ? [] : [option, `${given}`];
  const number = (option: string, given: number | bigint | undefined) =>
    value(option, given === undefined ? undefined : hexOf(option, given));
  return shellLine([
    'textpoke',
    'verify',
    fileWord(nameOf(input)),
    ...(linked ? ['--linked'] : []),
    ...value('--original', original && fileWord(nameOf(original))),
    ...value('--baseline', baseline && fileWord(nameOf(baseline))),
    ...value('--cpus', cpus),
    ...value('--locks', locks),
    ...(memory && 'dump' in memory ? ['--memory', fileWord(memory.dump)] : []),
    ...(memory && 'running' in memory ? ['--running'] : []),
    ...(memory && 'pid' in memory ? ['--pid', `${memory.pid}`] : []),
    ...number('--slide', slide),
    ...value('--modules', modules && fileWord(modules)),
    ...number('--base', base),
    ...(physical?.length === 0 ? ['--physical'] : []),
    ...(physical ?? []).flatMap(({ address, offset = 0 }) => [
      '--physical',
      `${hexOf('--physical', address)}@${offset}`,
    ]),
    ...value('--expand-limit', expandLimit),
    ...(debugDirectories ?? []).flatMap((directory) => ['--debug-dir', fileWord(directory)]),
    ...value(
      '--config',
      suppressions === undefined ? undefined : fileWord(suppressionsName ?? 'suppressions'),
    ),
    ...value('--fail-on', failOn === 'warning' ? failOn : undefined),
  ]);
}

function hexOf(option: string, given: number | bigint): string {
  return hex(addressOf(option, given) as number);
}

/** A name that no option can be mistaken for. */
function fileWord(name: string): string {
  return name.startsWith('-') ? `./${name}` : name;
}
