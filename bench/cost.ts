// What a command takes: CPU time of all its threads and of the processes that it waited for, time by the clock, memory.
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtProgram } from '../test/built.ts';

export interface Cost {
  /** Seconds of user and system. */
  readonly cpu: number;
  /** Seconds by the clock. */
  readonly wall: number;
  /** Megabytes (1,000,000 bytes) at most, of the largest process. */
  readonly memory: number;
}

export interface Running {
  readonly cwd?: string;
  /** A file that gets standard output. */
  readonly output?: string;
  /** Exit statuses that are no failure; 0 alone without it. */
  readonly statuses?: readonly number[];
  readonly env?: Readonly<Record<string, string>>;
}

// With it every Node reads a system's certificates at its start, and looks slower than it is.
const { NODE_EXTRA_CA_CERTS: _, ...cleanEnv } = process.env;

let built: string | undefined;

/** The program that runs and measures others. */
function measurer(): string {
  if (built !== undefined) return built;
  const directory = mkdtempSync(join(tmpdir(), 'textpoke-cost-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  built = join(directory, 'cost');
  execFileSync('cc', ['-O2', join(import.meta.dirname, 'cost.c'), '-o', built]);
  return built;
}

/** Runs a command to its end, and says what it took; throws when it fails. */
export function costOf(command: string, args: readonly string[], options: Running = {}): Cost {
  const output = options.output === undefined ? 'ignore' : openSync(options.output, 'w');
  try {
    const { output: said, stderr } = spawnSync(measurer(), [command, ...args], {
      cwd: options.cwd,
      env: { ...cleanEnv, ...options.env },
      stdio: ['ignore', output, 'pipe', 'pipe'],
    });
    const [cpu, wall, memory, status] = String(said?.[3] ?? '')
      .split(' ')
      .map(Number);
    if (status === undefined || !(options.statuses ?? [0]).includes(status))
      throw new Error(`${command} ${args.join(' ')}: exit status ${status}: ${stderr}`);
    return {
      cpu: (cpu as number) / 1e6,
      wall: (wall as number) / 1e6,
      memory: ((memory as number) * 1024) / 1e6,
    };
  } finally {
    if (typeof output === 'number') closeSync(output);
  }
}

/** The same for textpoke as it was built in a checkout. */
export function costOfTextpoke(tree: string, args: readonly string[], options: Running = {}): Cost {
  return costOf(process.execPath, [builtProgram('textpoke.js', tree), ...args], options);
}
