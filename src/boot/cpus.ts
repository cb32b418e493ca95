// The number of CPUs, at boot and when one comes or goes (arch/x86/kernel/smpboot.c, native_cpu_up:
// alternatives_enable_smp; alternatives_smp_lock and _unlock of alternative.c).
import type { UpFill } from '../demand/patch.ts';
import { TextpokeError } from '../errors.ts';
import { kinds } from '../kinds/registry.ts';
import type { Part, Runtime } from './runtime.ts';

/** The number of CPUs at boot; undefined: as many as the image was made for, whose locks stay as they are. */
export function startCpus(runtime: Runtime, cpus: number | undefined, fill: UpFill): void {
  if (cpus === undefined) return;
  const up = new Set(Array.from({ length: cpus }, (_, cpu) => cpu));
  runtime.change({ cpus: { ...runtime.state.cpus, up } });
  fitCpus(runtime, cpus, fill);
}

/** Brings the sites of image and modules to a number of CPUs. Errors: `table-malformed`, `site-mismatch`. */
function fitCpus(runtime: Runtime, cpus: number, fill: UpFill): void {
  for (const part of runtime.parts) fitPart(runtime, part, cpus, fill);
  const { cpus: before } = runtime.state;
  const isOne = cpus === 1;
  runtime.change({ cpus: { ...before, isOne, haveDropped: before.haveDropped || isOne } });
}

/** The same for one part of the program: a module when it is loaded. */
export function fitPart(runtime: Runtime, part: Part, cpus: number, fill: UpFill): void {
  for (const kind of kinds) {
    if (!kind.forCpus) continue;
    const { patches, note } = kind.forCpus(runtime.program, runtime.patchedSites(kind, part), cpus, fill);
    runtime.poker.poke(patches);
    runtime.log.note(note);
  }
}

/** Brings a CPU up. The second one finds every lock and barrier in place before it runs. */
export function cpuUp(runtime: Runtime, cpu: number): void {
  const { cpus } = runtime.state;
  if (cpus.up.has(cpu)) {
    runtime.log.note(`CPU ${cpu} is already up`);
    return;
  }
  const up = new Set([...cpus.up, cpu]);
  if (cpus.isOne !== false) fitCpus(runtime, up.size, 'ds');
  runtime.change({ cpus: { ...runtime.state.cpus, up } });
}

/** Takes a CPU down. Locks stay when one is left, as the kernel leaves them, unless `dropLocks` asks otherwise. */
export function cpuDown(runtime: Runtime, cpu: number, dropLocks: boolean, fill: UpFill): void {
  const up = new Set(runtime.state.cpus.up);
  if (!up.delete(cpu)) throw new TextpokeError('step-refused', `CPU ${cpu} is not up`);
  if (up.size === 0)
    throw new TextpokeError('step-refused', `CPU ${cpu} is the last CPU; one CPU must stay up`);
  if (dropLocks && up.size > 1) {
    throw new TextpokeError(
      'step-refused',
      `${up.size} CPUs are left; locks can be dropped only for one CPU`,
    );
  }
  if (dropLocks) fitCpus(runtime, 1, fill);
  runtime.change({ cpus: { ...runtime.state.cpus, up } });
}
