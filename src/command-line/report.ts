// The command report, which is loaded when it is called: no build step needs it.
import { type Command, InvalidArgumentError } from 'commander';
import type { ReportArguments } from '../commands/report.ts';
import {
  debugDirectory,
  expandLimit,
  type Finish,
  positive,
  rawBase,
  rawPhysical,
  withParts,
} from './arguments.ts';

interface Update {
  readonly call: string;
  readonly value: string;
}

function update(text: string, all: readonly Update[] = []): Update[] {
  const at = text.indexOf('=');
  if (at <= 0 || at === text.length - 1) throw new InvalidArgumentError('CALL=FUNCTION is required.');
  return [...all, { call: text.slice(0, at), value: text.slice(at + 1) }];
}

export function addReport(program: Command, finish: Finish): void {
  program
    .command('report')
    .description('make an HTML page of an image or of two builds: a map, keys, a boot to play with')
    .argument('<image...>', 'one image; two: the old and the new build; or several')
    .option('-o, --output <file>', 'write the page to this file instead of standard output')
    .option('--update <call=function>', 'what a call may be redirected to in the page (repeatable)', update)
    .option('--verify', 'with the findings of verify')
    .option('--linked', 'verify: the image is as the linker left it')
    .option('--cpus <n>', 'verify: number of CPUs', positive)
    .option('--original <file>', 'verify: the image before patching')
    .option('--memory <dump>', 'verify: the memory of a system that runs the image')
    .addOption(rawBase())
    .addOption(rawPhysical())
    .addOption(expandLimit())
    .addOption(debugDirectory())
    .addHelpText('after', '\nExample:\n  textpoke report old/vmlinux new/vmlinux -o report.html')
    .action(async (files: string[], args: ReportArguments) => {
      const { runReport } = await import('../commands/report.ts');
      finish(await runReport(files, withParts(args)));
    });
}
