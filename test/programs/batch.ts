// One executable of random programs, proved: its output is what model.ts says as compiled, annotated, booted, behind
// random steps and back, and verify has nothing to say.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { annotate, type BootOptions, boot, linkerScript, verify } from '../../src/index.ts';
import type { Random } from '../seeded.ts';
import {
  type Compiler,
  compileCommand,
  linkCommands,
  type Machine,
  randomCompiling,
  randomLinking,
} from './build.ts';
import { sourcesOf } from './emit.ts';
import { generate, randomSteps } from './generate.ts';
import { expectedTrace, initialState } from './model.ts';

/** What a program must not do. */
export class Failure extends Error {}

/** A compiler that broke down by itself, so that there is no program. */
export class BrokenCompiler extends Error {}
const brokeDown = /internal compiler error|PLEASE submit a bug report/;

/** One executable in a directory of its own. */
export class Batch {
  private readonly machine: Machine;
  private readonly directory: string;
  readonly commands: string[] = [];

  constructor(machine: Machine, directory: string) {
    this.machine = machine;
    this.directory = directory;
  }

  private run(command: readonly string[], folder = ''): void {
    const cwd = join(this.directory, folder);
    this.commands.push(`(cd ${cwd} && ${command.map((word) => `'${word}'`).join(' ')})`);
    const { status, stderr, error } = spawnSync(command[0] as string, command.slice(1), {
      cwd,
      encoding: 'latin1',
    });
    if (status === 0) return;
    const why = `${command.join(' ')}: ${error ?? stderr.slice(0, 2000)}`;
    throw brokeDown.test(stderr) ? new BrokenCompiler(why) : new Failure(why);
  }

  /** What a program prints. */
  private start(program: string): string {
    const [command = program, ...args] = [...this.machine.emulator, program];
    const { stdout, status, signal } = spawnSync(command, args, { encoding: 'latin1', timeout: 60_000 });
    return status === 0 ? stdout : `${stdout}ended with ${signal ?? status}\n`;
  }

  private expect(program: string, trace: string, what: string): void {
    const printed = this.start(program);
    if (printed === trace) return;
    const [found, wanted] = [printed.split('\n'), trace.split('\n')];
    const line = wanted.findIndex((text, i) => found[i] !== text);
    throw new Failure(
      `${what}: line ${line + 1} is ${JSON.stringify(found[line])}, and ${JSON.stringify(wanted[line])} is required`,
    );
  }

  private async verified(image: string, given: Parameters<typeof verify>[1], what: string): Promise<void> {
    const { document } = await verify(image, given);
    const [finding] = document.findings;
    if (finding) throw new Failure(`${what}: ${finding.rule} ${finding.place}: ${finding.message}`);
  }

  /** Boots an image to a folder of its own, with the program beside it if that is another file. */
  private async booted(
    { program, image }: { program: string; image: string },
    folder: string,
    given: BootOptions,
  ): Promise<{ program: string; image: string }> {
    const to = join(this.directory, folder);
    mkdirSync(to, { recursive: true });
    const { bytes } = await boot(image, given);
    const result = { program: join(to, basename(program)), image: join(to, basename(image)) };
    if (program !== image) copyFileSync(program, result.program);
    writeFileSync(result.image, bytes);
    chmodSync(result.image, 0o755);
    return result;
  }

  async prove(random: Random, count: number): Promise<void> {
    const { machine, directory } = this;
    const linking = randomLinking(random, machine);
    const kinds = Array.from({ length: count }, () => {
      const compiling = randomCompiling(random, machine, linking);
      const isCpp = random.chance(0.5);
      return {
        ...compiling,
        isCpp,
        hasCoroutines: isCpp && compiling.compiler.hasCoroutines && random.chance(0.5),
        // clang (14 to 19) joins such a jump with another one behind a static branch, and loses its target.
        hasComputedGoto: !compiling.compiler.isClang,
        hasKeptLocks: compiling.compiler.keepsTiedOperands,
      };
    });
    const { memberOffset } = machine;
    const program = generate(
      random,
      kinds.map((kind) => ({ ...kind, memberOffset })),
    );
    for (const [name, text] of sourcesOf(program)) writeFileSync(join(directory, name), text);
    writeFileSync(join(directory, 'start.c'), 'int run_all(void); int main(void) { return run_all(); }\n');
    writeFileSync(join(directory, 'textpoke.ld'), linkerScript(machine.script, linking.script !== 'gc'));
    const [first] = (machine.compilers[0] as Compiler).c as [string];
    this.run([first, ...machine.flags, '-c', 'start.c', '-fPIE', '-o', 'start.o']);
    const noMain = linking.kind === 'shared' ? ['-DNO_MAIN', '-fPIC'] : ['-fPIE'];
    this.run([first, ...machine.flags, ...noMain, '-c', 'main.c', '-o', 'main.c.o']);
    program.units.forEach((unit, u) => {
      this.run(compileCommand(kinds[u] as (typeof kinds)[0], unit));
    });
    const objects = program.units.map(({ file }) => `${file}.o`);
    const initial = expectedTrace(program, initialState(program));
    const build = (folder: string, names: readonly string[]) => {
      mkdirSync(join(directory, folder));
      const { commands, ...made } = linkCommands(machine, linking, names, join(directory, folder));
      for (const command of commands) this.run(command, folder);
      return made;
    };
    this.expect(build('plain', objects).program, initial, 'not annotated');
    const annotated = objects.map((name) => {
      const path = join(directory, name);
      writeFileSync(`${path}.tp.o`, annotate(path, { smpBarriers: machine.name !== 'x86-64' }).bytes);
      return `${name}.tp.o`;
    });
    const linked = build('linked', annotated);
    this.expect(linked.program, initial, 'annotated');
    const locks = linking.kind === 'static' ? ('listed' as const) : undefined;
    await this.verified(linked.image, { linked: true, locks }, 'verify of the linked image');
    const cpus = random.pick([1, 2]);
    const booted = await this.booted(linked, 'booted', { cpus });
    this.expect(booted.program, initial, `booted for ${cpus} CPUs`);
    const original = linked.image;
    await this.verified(booted.image, { original, cpus, locks }, 'verify of the booted image');
    const { steps, back, state } = randomSteps(
      random,
      program,
      linking.kind === 'pie' || linking.kind === 'shared',
    );
    this.commands.push(JSON.stringify({ cpus, steps, back }));
    const now = random.pick([1, 2]);
    const changed = await this.booted(booted, 'changed', { cpus: now, steps });
    this.expect(changed.program, expectedTrace(program, state), `behind the steps, for ${now} CPUs`);
    await this.verified(changed.image, { original, cpus: now, locks }, 'verify behind the steps');
    const again = await this.booted(changed, 'again', { cpus, steps: back });
    if (!readFileSync(again.image).equals(readFileSync(booted.image)))
      throw new Failure('the steps and those that take them back give another image');
  }
}
