// CPUs that come and go (arch/x86/kernel/smpboot.c, native_cpu_up: alternatives_enable_smp).
import { TextpokeError } from '../errors.ts';
import type { Runtime } from './runtime.ts';
import { setBarriers } from './smp-barriers.ts';
import { setLocks, type UpFill } from './smp-locks.ts';

/** The number of CPUs at boot; undefined: as many as the image was made for, whose locks stay as they are. */
export function startCpus(runtime: Runtime, cpus: number | undefined, fill: UpFill): void {
  if (cpus === undefined) return;
  runtime.cpus = new Set(Array.from({ length: cpus }, (_, cpu) => cpu));
  runtime.poker.phase = 'SMP alternatives';
  setLocks(runtime, cpus, fill);
  setBarriers(runtime, cpus);
}

/** Brings a CPU up. The second one finds every lock and barrier in place before it runs. */
export function cpuUp(runtime: Runtime, cpu: number): void {
  if (runtime.cpus.has(cpu)) {
    runtime.notes.push(`CPU ${cpu} is up already`);
    return;
  }
  const cpus = new Set([...runtime.cpus, cpu]);
  if (runtime.onOneCpu !== false) {
    setLocks(runtime, cpus.size, 'ds');
    setBarriers(runtime, cpus.size);
  }
  runtime.cpus = cpus;
}

/** Takes a CPU down. Locks stay when one is left, as the kernel leaves them, unless `dropLocks` asks otherwise. */
export function cpuDown(runtime: Runtime, cpu: number, dropLocks: boolean, fill: UpFill): void {
  const cpus = new Set(runtime.cpus);
  if (!cpus.delete(cpu)) throw new TextpokeError('step-refused', `CPU ${cpu} is not up`);
  if (cpus.size === 0) throw new TextpokeError('step-refused', `CPU ${cpu} is the last one`);
  if (dropLocks && cpus.size > 1) {
    throw new TextpokeError('step-refused', `${cpus.size} CPUs are left, which need their locks`);
  }
  if (dropLocks) {
    setLocks(runtime, 1, fill);
    setBarriers(runtime, 1);
  }
  runtime.cpus = cpus;
}
