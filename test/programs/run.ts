// npm run fuzz:programs: random C and C++ programs whose output is known (model.ts), compiled by whatever compiler and
// flags are at hand, linked, annotated, booted with random steps and taken back.
//
//   npm run fuzz:programs                            24 programs
//   npm run fuzz:programs -- --count 3000 --seed 7   more, and others
//   npm run fuzz:programs -- --machine AArch64       for one machine
//   npm run fuzz:programs -- --linkers gold,mold     with other linkers than GNU ld and lld, for x86-64
//   npm run fuzz:programs -- --only 17               one executable of them again
//
// A program is a unit with flags of its own; several are linked to one executable and use each other's keys and calls.
// What fails is kept in --out DIR (fuzz-found) with its sources, and with the commands in `commands`.
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { TextpokeError } from '../../src/errors.ts';
import { Random } from '../seeded.ts';
import { Batch, BrokenCompiler, Failure } from './batch.ts';
import { type Machine, machinesHere } from './build.ts';

const { values: options } = parseArgs({
  options: {
    count: { type: 'string', default: '24' },
    seed: { type: 'string', default: '1' },
    machine: { type: 'string' },
    only: { type: 'string' },
    linkers: { type: 'string' },
    out: { type: 'string', default: 'fuzz-found' },
  },
});

/** Programs in an executable. */
const batch = 6;

const machines = machinesHere(options.linkers?.split(',')).filter(
  ({ name }) => options.machine === undefined || name === options.machine,
);
const count = Number(options.count);
const found: string[] = [];
let broken = 0;
const done = new Map<string, number>();
const refused = new Map<string, number>();
const began = Date.now();
for (let i = 0; i * batch < count; i++) {
  if (options.only !== undefined && i !== Number(options.only)) continue;
  const machine = machines[i % machines.length] as Machine;
  const directory = mkdtempSync(join(tmpdir(), 'textpoke-programs-'));
  const one = new Batch(machine, directory);
  try {
    await one.prove(new Random(Number(options.seed), i), Math.min(batch, count - i * batch));
    done.set(machine.name, (done.get(machine.name) ?? 0) + Math.min(batch, count - i * batch));
  } catch (error) {
    if (error instanceof TextpokeError && error.code === 'site-unpatchable') {
      refused.set(machine.name, (refused.get(machine.name) ?? 0) + 1);
      process.stdout.write(`executable ${i} (${machine.name}) is refused: ${error.describe()}\n`);
    } else if (error instanceof BrokenCompiler) {
      broken++;
      process.stdout.write(`executable ${i} (${machine.name}) has no program: ${error.message}\n`);
    } else {
      const why =
        error instanceof TextpokeError
          ? error.describe()
          : error instanceof Failure
            ? error.message
            : String((error as Error).stack);
      const kept = join(options.out, `program-${options.seed}-${i}`);
      rmSync(kept, { recursive: true, force: true });
      cpSync(directory, kept, { recursive: true });
      const again = `npm run fuzz:programs -- --seed ${options.seed} --count ${count} --only ${i}${options.machine ? ` --machine ${options.machine}` : ''}${options.linkers ? ` --linkers ${options.linkers}` : ''}`;
      writeFileSync(join(kept, 'commands'), `${[...one.commands, why, again].join('\n')}\n`);
      found.push(kept);
      process.stdout.write(`FAILED executable ${i} (${machine.name}): ${why}\n  ${kept}; ${again}\n`);
    }
  }
  rmSync(directory, { recursive: true });
}
for (const [name, programs] of done)
  process.stdout.write(
    `${name.padEnd(10)}${String(programs).padStart(6)} programs, ${refused.get(name) ?? 0} executables refused\n`,
  );
const total = [...done.values()].reduce((a, b) => a + b, 0);
process.stdout.write(
  `${total} programs in ${Math.round((Date.now() - began) / 1000)} s, ${found.length} failures, ${broken} times a compiler broke down\n`,
);
if (found.length > 0 || total === 0) process.exitCode = 1;
