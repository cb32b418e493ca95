// The command line as data: what help, completion scripts and the man page are made from.
import type { Command, Option } from 'commander';

export interface Choice {
  readonly short: string | undefined;
  readonly long: string;
  readonly description: string;
  /** Name of the value; undefined for a switch. */
  readonly value: string | undefined;
  readonly choices: readonly string[];
}

export interface Part {
  readonly name: string;
  readonly description: string;
  readonly options: readonly Choice[];
  /** Options that it shares with others; its own help leaves them out. */
  readonly common: readonly Choice[];
  /** Words of the first argument, where they are known. */
  readonly words: readonly string[];
  readonly takesFiles: boolean;
  /** Whether its arguments are names in the files of a process. */
  readonly takesNames: boolean;
  readonly usage: string;
  /** Command lines. */
  readonly examples: readonly string[];
}

/** Values that name files. */
const fileValues = new Set(['file', 'image', 'dump', 'object', 'directory']);

export function isFileValue(name: string): boolean {
  return fileValues.has(name.replace(/^(old|new)-/, ''));
}

function choiceOf(option: Option): Choice {
  return {
    short: option.short,
    long: option.long ?? option.flags,
    description: option.description,
    value: /[<[]([^>\].]+)/.exec(option.flags)?.[1],
    choices: option.argChoices ?? [],
  };
}

/** What a command's help says behind its options. */
function examplesOf(command: Command): string[] {
  let help = '';
  const { writeOut } = command.configureOutput();
  command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  command.configureOutput(writeOut ? { writeOut } : {});
  const [, text = ''] = help.split(/^Examples?:\n/m);
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

/** The commands that are shown, in the order of the help. */
export function partsOf(program: Command): Part[] {
  return program
    .createHelp()
    .visibleCommands(program)
    .filter((command) => command.name() !== 'help')
    .map((command) => {
      const args = command.registeredArguments;
      return {
        name: command.name(),
        description: command.description(),
        options: [
          ...command.options.filter((option) => !option.hidden).map(choiceOf),
          { short: '-h', long: '--help', description: 'show help', value: undefined, choices: [] },
        ],
        common: command.options.filter((option) => option.hidden).map(choiceOf),
        words: args[0]?.argChoices ?? [],
        takesFiles: args.some((argument) => isFileValue(argument.name())),
        takesNames: args.some((argument) => argument.name() === 'names'),
        usage: command.usage(),
        examples: examplesOf(command),
      };
    });
}
