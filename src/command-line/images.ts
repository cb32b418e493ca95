// Commands that read images or replay what patches them: dump, boot, states, diff.
import { type Command, Option } from 'commander';
import type { BootStep } from '../boot/steps.ts';
import { type BootArguments, bootFormats, runBoot } from '../commands/boot.ts';
import { type DiffArguments, runDiff } from '../commands/diff.ts';
import { type DumpArguments, dumpFormats, runDump } from '../commands/dump.ts';
import { runStates, type StatesArguments } from '../commands/states.ts';
import { profileNames } from '../demand/profiles.ts';
import { groupOrders } from '../dump/groups.ts';
import { diffFormats } from '../library/diff.ts';
import { groupings } from '../output/summary.ts';
import {
  address,
  debugDirectory,
  expandLimit,
  type Finish,
  outputForm,
  positive,
  rawBase,
  rawPhysical,
  updateStep,
  withParts,
} from './arguments.ts';

export function addDump(program: Command, finish: Finish): void {
  const command = program
    .command('dump')
    .description('show the tables of objects, archives and linked images')
    .argument('<file...>')
    .option('--table <name>', 'only this table: jump, call, lock, return and so on, or its section name')
    .option('--key <pattern>', 'only entries of keys that match (* and ?)')
    .option('--inlines', 'source lines with those of what was inlined there')
    .option('--disassemble', 'show instructions as capstone decodes them')
    .option('--cpu-features <dump>', 'instead: what the memory of a kernel tells of its processor, for boot')
    .addOption(rawBase())
    .addOption(rawPhysical())
    .addOption(expandLimit())
    .addOption(debugDirectory())
    .option('--summary', 'what the tables amount to, instead of their entries')
    .addOption(new Option('--by <group>', `all sites by ${groupings.join(', ')}`).choices(groupings))
    .addOption(new Option('--sort <order>', `of --by: ${groupOrders.join(', ')}`).choices(groupOrders))
    .option('--limit <n>', 'only so many groups of --by, or entries of a table', positive)
    .option('--wide', 'whole names and all columns on a terminal')
    .option('--no-pager', 'no pager on a terminal')
    .addHelpText('after', '\nExample:\n  textpoke dump vmlinux --table jump --key "sched_*"')
    .action(async (files: string[], args: DumpArguments) => finish(await runDump(files, withParts(args))));
  outputForm(command, dumpFormats);
}

export function addBoot(program: Command, finish: Finish): void {
  const steps: BootStep[] = [];
  const step = (made: BootStep) => {
    steps.push(made);
    return undefined;
  };
  const command = program
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
    .addOption(expandLimit())
    .option('--raw', 'also store pointers of keys to entries, as in memory')
    .option('--states', 'print every byte string that each place can hold')
    .option('--trace', 'show each write: before, after, reason')
    .option('--key <pattern>', 'with --trace: only writes that follow such a key (* and ?)')
    .addOption(debugDirectory())
    .addHelpText(
      'after',
      '\nExample:\n  textpoke boot prog --cpus 1 --enable tracing --update greet=greet_loud -o prog.up',
    )
    .action(async (files: string[], args: BootArguments) => finish(await runBoot(files, args, steps)));
  outputForm(command, bootFormats);
}

export function addStates(program: Command, finish: Finish): void {
  program
    .command('states')
    .description('what may be written to the text of an x86-64 kernel: a policy for monitors')
    .argument('<file>', 'vmlinuz, or vmlinux for a kernel that is not moved')
    .option('-o, --output <file>', 'write the compact form to this file, print nothing')
    .addOption(expandLimit())
    .addHelpText('after', '\nExample:\n  textpoke states /boot/vmlinuz -o kernel.policy')
    .action(async (file: string, args: StatesArguments) => finish(await runStates(file, args)));
}

export function addDiff(program: Command, finish: Finish): void {
  const command = program
    .command('diff')
    .description('compare the sites of two builds by function and order; status 1 if one is gone')
    .argument('<old-file>', 'object, archive or image')
    .argument('<new-file>')
    .option('--table <name>', 'only this table, as dump takes it')
    .addOption(expandLimit())
    .addOption(debugDirectory())
    .addHelpText('after', '\nExample:\n  textpoke diff release/prog build/prog --format markdown')
    .action(async (old: string, now: string, args: DiffArguments) => finish(await runDiff(old, now, args)));
  outputForm(command, diffFormats);
}
