// The command line: options and their help. What they take is in arguments.ts, what a command does is in commands/; its
// outcome becomes the exit status here.
import { Argument, Command, CommanderError, Option } from 'commander';
import type { AnnotateOptions } from './annotate/options.ts';
import {
  address,
  debugDirectory,
  expandLimit,
  partsOfRaw,
  physicalPart,
  positive,
  processId,
  ruleArgument,
  updateStep,
} from './arguments.ts';
import type { BootStep } from './boot/steps.ts';
import { runAnnotate } from './commands/annotate.ts';
import { type AnnotateArguments, workerFlag } from './commands/annotate-file.ts';
import { type BootArguments, runBoot } from './commands/boot.ts';
import { runCc } from './commands/cc.ts';
import { type ControlAction, type ControlArguments, controlActions, runControl } from './commands/ctl.ts';
import { type DiffArguments, runDiff } from './commands/diff.ts';
import { type DumpArguments, runDump } from './commands/dump.ts';
import { type ExplainArguments, runExplain } from './commands/explain.ts';
import { runLdscript } from './commands/ldscript.ts';
import { type RuntimeArguments, runRuntime } from './commands/runtime.ts';
import { runStates, type StatesArguments } from './commands/states.ts';
import { runVerify, type VerifyArguments } from './commands/verify.ts';
import { profileNames } from './demand/profiles.ts';
import { ExitCode } from './errors.ts';
import { abandon } from './files/publish.ts';
import { listedKinds } from './kinds/registry.ts';
import { diffFormats } from './library/diff.ts';
import { verifyFormats } from './library/verify-report.ts';
import { commandLineError, print, tellError } from './output/console.ts';
import { partsOf } from './output/help/command-line.ts';
import { completionScript, type Shell, shells } from './output/help/completion.ts';
import { manPage } from './output/help/man.ts';
import { version } from './version.ts';

/** Options of verify that are about files. */
const imageOptions = ['original', 'baseline', 'linked', 'locks'];

/** Options that say which sites are listed, and how. */
function siteOptions(command: Command): Command {
  for (const { flags, description, choices } of listedKinds.flatMap(
    ({ annotate }) => annotate?.options ?? [],
  )) {
    const option = new Option(flags, description);
    command.addOption(choices ? option.choices(choices) : option);
  }
  return command
    .option('--relative', 'make absolute jump entries (32-bit ARM) PC-relative')
    .option('--module', 'kernel module rules: trampolines replace missing keys');
}

function makeProgram(finish: (exitCode: number) => void): Command {
  const program = new Command('textpoke')
    .description('Self-patching ELF code: annotate objects, replay the patching, verify the image.')
    .version(version, '--version')
    .helpOption('-h, --help', 'show help')
    .configureOutput({ writeOut: print, outputError: (text, write) => write(commandLineError(text)) })
    // Descriptions name the choices themselves, and fit a line.
    .configureHelp({ optionDescription: ({ description }) => description })
    .enablePositionalOptions()
    .showHelpAfterError('(textpoke --help lists the commands)')
    .exitOverride();

  siteOptions(
    program
      .command('annotate')
      .description('find the sites of objects and archives and write the tables that list them')
      .argument('[object...]', 'objects or .a archives, in place; @FILE lists names')
      .option('-o, --output <file>', 'write to this file instead (one input)'),
  )
    .option('--mark', 'also mark objects that have no sites')
    .option('--dry-run', 'print what would change, write nothing')
    .option('--backup', 'keep the old file as FILE.orig')
    .option('--stats', 'print the number of sites')
    .option('--json', 'print the numbers as JSON')
    .option('-j, --jobs <n>', 'worker threads', positive)
    .option('--files-from <list>', 'read more names from a list, one per line; - is stdin')
    .option('--depfile <file>', 'with -o: write a dependency file (Ninja, Make)')
    .option('--cross-check', 'check encodings with keystone and results with capstone')
    .addHelpText('after', '\nExample:\n  gcc -c -O2 -Iinclude x.c && textpoke annotate x.o --stats')
    .action(async (files: string[], args: AnnotateArguments) => finish(await runAnnotate(files, args)));

  siteOptions(
    program
      .command('cc')
      .description('run a compiler, then annotate the objects it made')
      .usage('[options] -- <compiler> [argument...]')
      .argument('[compiler...]', 'the compiler and its arguments'),
  )
    .passThroughOptions()
    .addHelpText(
      'after',
      '\nExamples:\n  textpoke cc -- gcc -c x.c -o x.o\n  make CC="textpoke cc -- gcc"\n  cmake -DCMAKE_C_COMPILER_LAUNCHER="textpoke;cc;--" ...',
    )
    .action(async (words: string[], args: AnnotateOptions) => finish(await runCc(words, args)));

  program
    .command('dump')
    .description('show the tables of objects, archives and linked images')
    .argument('<file...>')
    .option('--table <name>', 'only this table: jump, call, lock, return and so on, or its section name')
    .option('--key <pattern>', 'only entries of keys that match (* and ?)')
    .option('--disassemble', 'show instructions as capstone decodes them')
    .option('--cpu-features <dump>', 'instead: what the memory of a kernel tells of its processor, for boot')
    .option('--base <address>', 'virtual address of the first byte of a raw dump', address)
    .addOption(
      new Option('--physical [address@byte]', 'raw dump of physical memory (repeatable: parts)')
        .argParser(physicalPart)
        .conflicts('base'),
    )
    .addOption(expandLimit('a compressed file'))
    .addOption(debugDirectory())
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  textpoke dump vmlinux --table jump --key "sched_*"')
    .action(async (files: string[], { physical, ...args }: DumpArguments) =>
      finish(
        await runDump(files, {
          ...args,
          ...(physical !== undefined && { physical: partsOfRaw(physical) }),
        }),
      ),
    );

  const steps: BootStep[] = [];
  const step = (made: BootStep) => {
    steps.push(made);
    return undefined;
  };
  program
    .command('boot')
    .description('replay boot-time patching over an image, or over objects linked in memory')
    .argument('<file...>', 'one linked image, or relocatable objects')
    .option('-o, --output <file>', 'write the patched image')
    .option('--cpus <n>', 'number of CPUs; 1 drops locks and barriers', positive)
    .option('--enable <key>', 'static_key_enable, after boot (repeatable, in order)', (key) =>
      step({ do: 'enable', key }),
    )
    .option('--disable <key>', 'static_key_disable', (key) => step({ do: 'disable', key }))
    .option('--update <call=function>', 'static_call_update; also =NULL and =RET0', (text) =>
      step(updateStep(text)),
    )
    .addOption(
      new Option('--up-fill <byte>', 'byte for a dropped lock: ds (default) or nop')
        .choices(['ds', 'nop'])
        .default('ds'),
    )
    .addOption(
      new Option('--profile <name>', `rules to use: ${profileNames.join(' ')}`).choices(profileNames),
    )
    .option(
      '--module <file>',
      'load a kernel module after boot (repeatable)',
      (file, all: string[]) => [...all, file],
      [],
    )
    .option('--scenario <file>', 'run the steps of a JSON file at the end')
    .option('--cpu <model>', 'all phases of an x86-64 kernel (skylake-server,tcg)')
    .option('--cpu-features <file>', 'the same for what dump tells, or /proc/cpuinfo')
    .option('--command-line <text>', 'with --cpu: of the kernel, such as mitigations=off')
    .option('--slide <bytes>', 'with --cpu: how far KASLR moves the kernel', address)
    .addOption(expandLimit('packed input'))
    .option('--raw', 'also store pointers of keys to entries, as in memory')
    .option('--states', 'print every byte string that each place can hold')
    .option('--trace', 'show each write: before, after, reason')
    .addOption(debugDirectory())
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  textpoke boot prog --cpus 1 --enable tracing --update greet=greet_loud -o prog.up',
    )
    .action(async (files: string[], args: BootArguments) => finish(await runBoot(files, args, steps)));

  program
    .command('verify')
    .description('check that every site of a patched image is correct')
    .argument('[image]', 'with --running or --pid: if it is another than what runs')
    .option('--original <image>', 'the image before patching: only patches may differ')
    .option('--baseline <file>', 'an earlier build: none of its sites may be missing')
    .addOption(expandLimit('packed input'))
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
    .option('--base <address>', 'virtual address of the first byte of a raw dump', address)
    .addOption(
      new Option('--physical [address@byte]', 'raw dump of physical memory (repeatable: parts)')
        .argParser(physicalPart)
        .conflicts('base'),
    )
    .addOption(debugDirectory())
    .option('--config <file>', 'file with the accepted findings (JSON)')
    .addOption(
      new Option('--fail-on <severity>', 'findings of status 1: error (default) or warning')
        .choices(['error', 'warning'])
        .default('error'),
    )
    .addOption(
      new Option('--format <format>', 'text (default), json, sarif, junit or github')
        .choices(verifyFormats)
        .default('text'),
    )
    .addHelpText('after', '\nExample:\n  textpoke verify vmlinux --linked --format sarif > textpoke.sarif')
    .action(
      async (file: string | undefined, { physical, ...args }: VerifyArguments & { physical?: unknown }) =>
        finish(
          await runVerify(file, {
            ...args,
            ...(physical !== undefined && { physical: partsOfRaw(physical) }),
          }),
        ),
    );

  program
    .command('ctl')
    .description('list and change the keys of a program that runs with libtextpoke')
    .argument('<process>', 'its number, or the path of its socket')
    .addArgument(new Argument('<action>', 'what to do').choices(controlActions))
    .argument('[names...]', 'keys (patterns too), CALL=FUNCTION for update, the number for cpus')
    .option('--json', 'print JSON (list, get)')
    .addHelpText('after', '\nExamples:\n  textpoke ctl 1234 list\n  textpoke ctl 1234 enable tracing "log_*"')
    .action(async (process: string, action: ControlAction, names: string[], args: ControlArguments) =>
      finish(await runControl(process, action, names, args)),
    );

  program
    .command('explain')
    .description('explain a rule of verify, or list all rules')
    .addArgument(ruleArgument())
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  textpoke explain TP007')
    .action((rule: string | undefined, args: ExplainArguments) => finish(runExplain(rule, args)));

  program
    .command('states')
    .description('what may be written to the text of an x86-64 kernel: a policy for monitors')
    .argument('<file>', 'vmlinuz, or vmlinux for a kernel that is not moved')
    .option('-o, --output <file>', 'write the compact form to this file, print nothing')
    .addOption(expandLimit('a compressed kernel'))
    .addHelpText('after', '\nExample:\n  textpoke states /boot/vmlinuz -o kernel.policy')
    .action(async (file: string, args: StatesArguments) => finish(await runStates(file, args)));

  program
    .command('diff')
    .description('compare the sites of two builds by function and order; status 1 if one is gone')
    .argument('<old-file>', 'object, archive or image')
    .argument('<new-file>')
    .option('--table <name>', 'only this table, as dump takes it')
    .addOption(expandLimit('a compressed file'))
    .addOption(debugDirectory())
    .addOption(
      new Option('--format <format>', 'text (default), json or markdown')
        .choices(diffFormats)
        .default('text'),
    )
    .addHelpText('after', '\nExample:\n  textpoke diff release/prog build/prog --format markdown')
    .action(async (old: string, now: string, args: DiffArguments) => finish(await runDiff(old, now, args)));

  program
    .command('ldscript')
    .description('print the linker script fragment for GNU ld and lld')
    .option('--machine <name>', 'machine of the fragment', 'x86-64')
    .option('--gc-sections', 'without KEEP: the linker drops entries of dead functions')
    .addHelpText('after', '\nExample:\n  textpoke ldscript > textpoke.ld && gcc *.o -Wl,-T,textpoke.ld')
    .action((args: { machine: string; gcSections?: boolean }) => finish(runLdscript(args)));

  program
    .command('runtime')
    .description('print where libtextpoke is: a C library that changes keys and calls of a running program')
    .option('--cflags', 'words to compile with')
    .option('--source', 'the library as one C file, to be compiled and linked with a program')
    .option('--libs', 'words to link with, behind the source')
    .addHelpText('after', '\nExample:\n  gcc x.o $(textpoke runtime) -Wl,-T,textpoke.ld -o x')
    .action((args: RuntimeArguments) => finish(runRuntime(args)));

  program
    .command('completion')
    .description('print a shell script that completes commands and options')
    .addArgument(new Argument('<shell>', 'name of the shell').choices(shells))
    .addHelpText(
      'after',
      '\nExample:\n  textpoke completion bash > ~/.local/share/bash-completion/completions/textpoke',
    )
    .action((shell: Shell) => print(completionScript(partsOf(program), shell)));

  program
    .command('man')
    .description('print the manual page')
    .addHelpText('after', '\nExample:\n  textpoke man | man -l -')
    .action(() => print(manPage(program.description(), partsOf(program))));

  for (const command of program.commands) command.exitOverride().helpOption('-h, --help', 'show help');
  return program;
}

/** Runs the command line; returns the exit status. */
export async function main(argv: readonly string[]): Promise<number> {
  let exitCode: number = ExitCode.done;
  const program = makeProgram((code) => {
    exitCode = code;
  });
  try {
    if (argv.length === 0) {
      program.outputHelp({ error: true });
      return ExitCode.usage;
    }
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.done : ExitCode.usage;
    return tellError(error);
  }
}

/** Starts the program in this process. */
export async function start(): Promise<void> {
  if (process.argv.includes(workerFlag)) {
    const { serveAnnotate } = await import('./commands/annotate-workers.ts');
    return serveAnnotate();
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, async () => {
      await abandon();
      process.kill(process.pid, signal);
    });
  }
  process.exitCode = await main(process.argv.slice(2));
}
