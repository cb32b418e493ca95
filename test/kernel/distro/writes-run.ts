// Records what some of Debian's kernels write to their text, and holds it against the policies of their files.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { hex } from '../../../src/bytes/integer.ts';
import { withImage } from '../../../src/library/image.ts';
import { makePolicy } from '../../../src/policy/make.ts';
import type { Report } from '../report.ts';
import { Apt } from './apt.ts';
import { distroKernels } from './kernels.ts';
import { mutateWrites } from './mutations.ts';
import { recordedKernel, recordWrites } from './writes.ts';
import { replayWrites } from './writes-check.ts';

interface Guest {
  readonly kernel: string;
  readonly cpu: string;
  readonly words: string;
  readonly processors: number;
}

/**
 * One that is not moved and drops its locks, and others with return thunks of both vendors. Those up to 6.1 write NOPs of
 * alternatives in place.
 */
const guests: readonly Guest[] = [
  { kernel: '6.12', cpu: 'qemu64', words: 'nokaslr', processors: 1 },
  { kernel: '6.12', cpu: 'EPYC-Rome', words: '', processors: 2 },
  { kernel: '5.10', cpu: 'EPYC', words: '', processors: 2 },
  { kernel: '6.1', cpu: 'EPYC', words: '', processors: 2 },
  { kernel: '6.18', cpu: 'EPYC-Milan', words: '', processors: 2 },
  { kernel: '7.3', cpu: 'Skylake-Server', words: '', processors: 2 },
];

/** Writes that no kernel makes, for each guest. */
const mutations = 1_000_000;

/** Runs the guests of some kernels, or all. */
export async function checkWrites(
  report: Report,
  directory: string,
  kernels: readonly string[] | undefined,
): Promise<void> {
  const apt = new Apt(directory, 'amd64');
  for (const guest of guests) {
    if (kernels && !kernels.includes(guest.kernel)) continue;
    const kernel = distroKernels.find(({ name }) => name === guest.kernel);
    const unpacked = kernel && apt.unpack(directory, kernel);
    report.expect(unpacked !== undefined, `${guest.kernel}: there is a package`);
    if (!unpacked) continue;
    const { image, modules, release } = unpacked;
    const at = join(directory, 'writes');
    rmSync(at, { recursive: true, force: true });
    mkdirSync(at, { recursive: true });
    const recording = await recordWrites(at, { ...guest, image, modules }, (line) => report.say(`  ${line}`));
    const of = await recordedKernel(image);
    await withImage(image, {}, (linked, _, relocations) => {
      const policy = makePolicy(linked, relocations);
      const what = `${release}, ${guest.cpu}`;
      report.expect(
        recording.unrecorded.length === 0,
        `${what}: ${recording.writes} writes made all of the text (${recording.unrecorded.slice(0, 3).join(', ')})`,
      );
      const { allowed, refused, kinds } = replayWrites(policy, of, recording);
      for (const [kind, count] of [...kinds].sort()) report.say(`  ${kind}: ${count}`);
      const [first] = refused;
      report.expect(
        refused.length === 0 && allowed > 80_000,
        `${what}: ${allowed} writes are allowed, ${refused.length} are not${first ? `: ${hex(first.address)} ${first.message}` : ''}`,
      );
      const { made, right, allowed: wrong } = mutateWrites(policy, linked, of, recording, mutations);
      const all = [...made.values()].reduce((sum, count) => sum + count, 0);
      const counts = (of: ReadonlyMap<string, number>) =>
        [...of].map(([kind, count]) => `${kind}: ${count}`).join(', ');
      report.say(`  ${counts(made)}; right: ${counts(right)}`);
      report.expect(
        wrong.length === 0 && all >= 0.8 * mutations,
        `${what}: of ${all} writes that no kernel makes, ${wrong.length} are allowed`,
      );
    });
  }
}
