// Commands of a build: annotate, cc, ldscript, config, init, runtime.
import { type Command, Option } from 'commander';
import type { AnnotateOptions } from '../annotate/options.ts';
import { runAnnotate } from '../commands/annotate.ts';
import type { AnnotateArguments } from '../commands/annotate-file.ts';
import { runCc } from '../commands/cc.ts';
import { type ConfigArguments, linkers, runConfig } from '../commands/config.ts';
import { runLdscript } from '../commands/ldscript.ts';
import { type RuntimeArguments, runRuntime } from '../commands/runtime.ts';
import { listedKinds } from '../kinds/registry.ts';
import { type Finish, outputForm, positive, textOrJson, withJson } from './arguments.ts';
import { withEnvironment } from './environment.ts';

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

export function addAnnotate(program: Command, finish: Finish): void {
  const command = siteOptions(
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
    .option('-j, --jobs <n>', 'worker threads', positive)
    .option('--files-from <list>', 'read more names from a list, one per line; - is stdin')
    .option('--depfile <file>', 'with -o: write a dependency file (Ninja, Make)')
    .option('--cross-check', 'check encodings with keystone and results with capstone')
    .addHelpText('after', '\nExample:\n  gcc -c -O2 -Iinclude x.c && textpoke annotate x.o --stats')
    .action(async (files: string[], args: AnnotateArguments) =>
      finish(await runAnnotate(files, withJson(args))),
    );
  outputForm(command, textOrJson, ': the numbers');
}

export function addCc(program: Command, finish: Finish): void {
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
      '\nThe environment gives options too: TEXTPOKE_LOCKS=listed, TEXTPOKE_MODULE=1\n\nExamples:\n  textpoke cc -- gcc -c x.c -o x.o\n  make CC="textpoke cc -- gcc"\n  cmake -DCMAKE_C_COMPILER_LAUNCHER="textpoke;cc;--" ...',
    )
    .action(async (words: string[], args: AnnotateOptions, command: Command) =>
      finish(await runCc(words, withEnvironment(command, args))),
    );
}

export function addLdscript(program: Command, finish: Finish): void {
  program
    .command('ldscript')
    .description('print the linker script fragment for GNU ld and lld')
    .option('--machine <name>', 'machine of the fragment (aarch64, arm, x86_64 ...)', 'x86-64')
    .option('--gc-sections', 'without KEEP: the linker drops entries of dead functions')
    .addHelpText('after', '\nExample:\n  textpoke ldscript > textpoke.ld && gcc *.o -Wl,-T,textpoke.ld')
    .action((args: { machine: string; gcSections?: boolean }) => finish(runLdscript(args)));
}

export function addConfig(program: Command, finish: Finish): void {
  program
    .command('config')
    .description('print where the headers are and what a linker needs, as words for a compiler')
    .option('--include', 'the directory of the headers')
    .option('--cflags', 'words to compile with')
    .option('--ldflags', 'words to link with: the linker script fragment, where the linker takes one')
    .addOption(new Option('--linker <name>', 'bfd, lld, mold or gold').choices(linkers))
    .option('--gc-sections', 'words for a link that drops dead functions')
    .option('--machine <name>', 'machine to link for (aarch64, arm, x86_64 ...); the one that runs this')
    .addHelpText(
      'after',
      '\nExamples:\n  gcc $(textpoke config --cflags) -c x.c\n  gcc x.o $(textpoke config --ldflags) -o x',
    )
    .action((args: ConfigArguments) => finish(runConfig(args)));
}

export function addInit(program: Command, finish: Finish): void {
  program
    .command('init')
    .description('print what to add to a Makefile, CMakeLists.txt or meson.build, as a patch')
    .argument('[directory]', 'the project; the current directory')
    .addHelpText('after', '\nExample:\n  textpoke init | patch -p1')
    .action(async (directory?: string) => {
      const { runInit } = await import('../commands/init.ts');
      finish(await runInit(directory));
    });
}

export function addRuntime(program: Command, finish: Finish): void {
  program
    .command('runtime')
    .description('print where libtextpoke is: a C library that changes keys and calls of a running program')
    .option('--cflags', 'words to compile with')
    .option('--source', 'the library as one C file, to be compiled and linked with a program')
    .option('--libs', 'words to link with, behind the source')
    .addHelpText('after', '\nExample:\n  gcc x.o $(textpoke runtime) -Wl,-T,textpoke.ld -o x')
    .action((args: RuntimeArguments) => finish(runRuntime(args)));
}
