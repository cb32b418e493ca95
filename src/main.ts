// The command line: its commands in the order of the help. Their options are in command-line/, what they do is in
// commands/; the outcome becomes the exit status here.
import { Argument, Command, CommanderError, type Option } from 'commander';
import { debugDirectory, expandLimit, type Finish } from './command-line/arguments.ts';
import { addAnnotate, addCc, addConfig, addInit, addLdscript, addRuntime } from './command-line/build.ts';
import { type Manners, mannersOptions, mayLast } from './command-line/every-command.ts';
import { addBoot, addDiff, addDump, addStates } from './command-line/images.ts';
import { addNames } from './command-line/names.ts';
import { addReport } from './command-line/report.ts';
import { addCtl, addExplain, addVerify } from './command-line/verify.ts';
import { workerFlag } from './commands/annotate-file.ts';
import { keepMangled } from './engines/demangler.ts';
import { ExitCode, TextpokeError } from './errors.ts';
import { ownSignals } from './files/signals.ts';
import { endProgress, print, setManners, startProgress, tellError, tellUsage } from './output/console.ts';
import { partsOf } from './output/help/command-line.ts';
import { completionScript, type Shell, shells } from './output/help/completion.ts';
import { manPage } from './output/help/man.ts';
import { version } from './version.ts';

function makeProgram(finish: Finish): Command {
  const program = new Command('textpoke')
    .description('Self-patching ELF code: annotate objects, replay the patching, verify the image.')
    .version(version, '--version')
    .helpOption('-h, --help', 'show help')
    .configureOutput({ writeOut: print, outputError: () => {} }) // `main` tells errors
    // Descriptions name the choices themselves, and fit a line.
    .configureHelp({ optionDescription: ({ description }) => description })
    .enablePositionalOptions()
    .exitOverride()
    .hook('preAction', (_, command) => beginCommand(command));

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

  program.addHelpText('after', everyCommand);
  for (const command of program.commands) {
    command.exitOverride().helpOption('-h, --help', 'show help');
    for (const option of mannersOptions()) command.addOption(option);
  }
  return program;
}

/** The part of the help that is about all commands. */
function everyCommand(): string {
  const linesOf = (options: readonly Option[]) =>
    options.map(({ flags, description }) => `  ${flags.padEnd(44)} ${description}`);
  return [
    ...['', 'Options of every command:', ...linesOf(mannersOptions())],
    ...['', 'Options of commands that read images:', ...linesOf([debugDirectory(), expandLimit()])],
  ].join('\n');
}

/** Takes what every command takes, and says what it begins to do where that may last. */
async function beginCommand(command: Command): Promise<void> {
  const manners = command.opts<Manners>();
  setManners(manners);
  if (manners.demangle === false) keepMangled();
  for (const option of mannersOptions()) command.setOptionValue(option.attributeName(), undefined);
  const { args } = command;
  if (mayLast(command))
    await startProgress(`textpoke ${command.name()} ${args[0] ?? ''}${args.length > 1 ? ' ...' : ''}`);
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
    const isUsage =
      error instanceof CommanderError || (error instanceof TextpokeError && error.code === 'usage');
    if (!isUsage) return tellError(error);
    if (error instanceof CommanderError && error.exitCode === 0) return ExitCode.done;
    const named = program.commands.find((command) => command.name() === argv[0]);
    tellUsage(error.message, named ? `textpoke ${named.name()}` : 'textpoke');
    return ExitCode.usage;
  } finally {
    endProgress();
  }
}

/** Starts the program in this process. */
export async function start(): Promise<void> {
  if (process.argv.includes(workerFlag)) {
    const { serveAnnotate } = await import('./commands/annotate-workers.ts');
    return serveAnnotate();
  }
  ownSignals();
  process.exitCode = await main(process.argv.slice(2));
}
