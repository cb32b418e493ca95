// The command line: its commands in the order of the help. Their options are in command-line/, what they do is in
// commands/; the outcome becomes the exit status here.
import { Argument, Command, CommanderError, Option } from 'commander';
import type { Finish } from './command-line/arguments.ts';
import { addAnnotate, addCc, addConfig, addInit, addLdscript, addRuntime } from './command-line/build.ts';
import { addBoot, addDiff, addDump, addStates } from './command-line/images.ts';
import { addNames } from './command-line/names.ts';
import { addReport } from './command-line/report.ts';
import { addCtl, addExplain, addVerify } from './command-line/verify.ts';
import { workerFlag } from './commands/annotate-file.ts';
import { keepMangled } from './engines/demangler.ts';
import { ExitCode } from './errors.ts';
import { abandon } from './files/publish.ts';
import { commandLineError, endPager, print, tellError } from './output/console.ts';
import { partsOf } from './output/help/command-line.ts';
import { completionScript, type Shell, shells } from './output/help/completion.ts';
import { manPage } from './output/help/man.ts';
import { version } from './version.ts';

/** Commands that print names of symbols. */
const showsNames: ReadonlySet<string> = new Set(['dump', 'boot', 'verify', 'ctl', 'explain', 'diff']);

function makeProgram(finish: Finish): Command {
  const program = new Command('textpoke')
    .description('Self-patching ELF code: annotate objects, replay the patching, verify the image.')
    .version(version, '--version')
    .helpOption('-h, --help', 'show help')
    .configureOutput({ writeOut: print, outputError: (text, write) => write(commandLineError(text)) })
    // Descriptions name the choices themselves, and fit a line.
    .configureHelp({ optionDescription: ({ description }) => description })
    .option('--no-demangle', 'of every command that shows names: C++ and Rust ones as the linker has them')
    .enablePositionalOptions()
    .showHelpAfterError('(textpoke --help lists the commands)')
    .exitOverride();

  addAnnotate(program, finish);
  addCc(program, finish);
  addDump(program, finish);
  addBoot(program, finish);
  addVerify(program, finish);
  addCtl(program, finish);
  addExplain(program, finish);
  addStates(program, finish);
  addDiff(program, finish);
  addReport(program, finish);
  addLdscript(program, finish);
  addConfig(program, finish);
  addInit(program, finish);
  addRuntime(program, finish);

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

  addNames(program, finish);

  for (const command of program.commands) command.exitOverride().helpOption('-h, --help', 'show help');
  for (const command of program.commands)
    if (showsNames.has(command.name()))
      command.addOption(new Option('--no-demangle', 'C++ and Rust names as the linker has them').hideHelp());
  program.hook('preAction', (_, action) => {
    if (action.optsWithGlobals().demangle === false || program.opts().demangle === false) keepMangled();
    action.setOptionValue('demangle', undefined);
  });
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
      await endPager();
      process.kill(process.pid, signal);
    });
  }
  process.exitCode = await main(process.argv.slice(2));
}
