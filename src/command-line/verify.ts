// Commands for what is patched: verify with its rules, and programs that run.
import { Argument, type Command, Option } from 'commander';
import { type ControlAction, type ControlArguments, controlActions, runControl } from '../commands/ctl.ts';
import { type ExplainArguments, runExplain } from '../commands/explain.ts';
import { runVerify, type VerifyArguments } from '../commands/verify.ts';
import { verifyFormats } from '../library/verify-report.ts';
import {
  address,
  debugDirectory,
  expandLimit,
  type Finish,
  outputForm,
  positive,
  processId,
  rawBase,
  rawPhysical,
  ruleArgument,
  textOrJson,
  withJson,
  withParts,
} from './arguments.ts';

/** Options of verify that are about files. */
const imageOptions = ['original', 'baseline', 'linked', 'locks'];

export function addVerify(program: Command, finish: Finish): void {
  const command = program
    .command('verify')
    .description('check that every site of a patched image is correct')
    .argument('[image]', 'with --running or --pid: if it is another than what runs')
    .option('--original <image>', 'the image before patching: only patches may differ')
    .option('--baseline <file>', 'an earlier build: none of its sites may be missing')
    .addOption(expandLimit())
    .option('--cpus <n>', 'number of CPUs, for locks and barriers', positive)
    .addOption(
      new Option('--locks <which>', 'which locks need an entry: all, listed or none').choices([
        'all',
        'listed',
        'none',
      ]),
    )
    .option('--linked', 'the image is linked, but not booted yet')
    .addOption(
      new Option('--memory <dump>', 'a dump of a running system: core, kdump, LiME, raw').conflicts([
        ...imageOptions,
        'running',
      ]),
    )
    .addOption(
      new Option('--running', 'check the kernel of this machine (/proc/kcore)').conflicts([
        ...imageOptions,
        'base',
        'physical',
      ]),
    )
    .addOption(
      new Option('--pid <n>', 'check the program of this process, or a library of it')
        .argParser(processId)
        .conflicts([...imageOptions, 'memory', 'running', 'base', 'physical', 'modules']),
    )
    .option('--slide <n>', 'how far the system moved the image, in bytes', address)
    .option('--modules <dir>', 'files of modules, such as /lib/modules/VERSION')
    .addOption(rawBase())
    .addOption(rawPhysical())
    .addOption(debugDirectory())
    .option('-a, --all', 'each finding as text, not only a screen of them')
    .option('-v, --verbose', 'also say what was proved')
    .option('--config <file>', 'file with the accepted findings (JSON)')
    .addOption(
      new Option('--fail-on <severity>', 'findings of status 1: error (default) or warning')
        .choices(['error', 'warning'])
        .default('error'),
    )
    .addHelpText('after', '\nExample:\n  textpoke verify vmlinux --linked --format sarif > textpoke.sarif')
    .action(async (file: string | undefined, args: VerifyArguments) =>
      finish(await runVerify(file, withParts(args))),
    );
  outputForm(command, verifyFormats);
}

export function addExplain(program: Command, finish: Finish): void {
  const command = program
    .command('explain')
    .description('explain a rule of verify (none: list all), or a site or key of a file')
    .addArgument(ruleArgument())
    .argument('[file]', 'object, archive or image that has the site or key')
    .addOption(expandLimit())
    .addOption(debugDirectory())
    .addHelpText(
      'after',
      '\nA site is 0xADDRESS, SYMBOL+0xOFFSET, FUNCTION or FILE.c:LINE;' +
        '\na key is what dump --key takes.' +
        '\n\nExamples:\n  textpoke explain TP007\n  textpoke explain kernel/softirq.c:662 vmlinux',
    )
    .action(async (asked: string | undefined, file: string | undefined, args: ExplainArguments) =>
      finish(await runExplain(asked, file, withJson(args))),
    );
  outputForm(command, textOrJson);
}

export function addCtl(program: Command, finish: Finish): void {
  const command = program
    .command('ctl')
    .description('list and change the keys of a program that runs with libtextpoke')
    .argument('<process>', 'its number, or the path of its socket')
    .addArgument(new Argument('<action>', 'what to do').choices(controlActions))
    .argument('[names...]', 'keys (patterns too), CALL=FUNCTION for update, the number for cpus')
    .addHelpText('after', '\nExamples:\n  textpoke ctl 1234 list\n  textpoke ctl 1234 enable tracing "log_*"')
    .action(async (process: string, action: ControlAction, names: string[], args: ControlArguments) =>
      finish(await runControl(process, action, names, withJson(args))),
    );
  outputForm(command, textOrJson, ' (list, get)');
}
