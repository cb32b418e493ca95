// The command that completion scripts ask for names; no help shows it.
import { Argument, type Command } from 'commander';
import { type CompletedNames, completedNames, runNames } from '../commands/names.ts';
import { partsOf } from '../output/help/command-line.ts';
import { namesCommand } from '../output/help/completion.ts';
import type { Finish } from './arguments.ts';

export function addNames(program: Command, finish: Finish): void {
  program
    .command(namesCommand, { hidden: true })
    .addArgument(new Argument('<what>').choices(completedNames))
    .argument('<prefix>', 'how the names begin')
    .argument('[words...]', 'the command line')
    .action(async (what: CompletedNames, prefix: string, words: string[]) =>
      finish(await runNames(what, prefix, words, partsOf(program))),
    );
}
