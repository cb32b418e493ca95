// What must and may stand at a barrier between CPUs: the barrier, or the NOP that tells which one it was.
import type { SmpBarrier } from '../../arch/arch.ts';
import { barrierAt } from '../../arch/barriers.ts';
import type { Patch, State } from '../../demand/patch.ts';
import type { Program } from '../../demand/program.ts';
import type { Site } from '../../demand/sites.ts';
import { TextpokeError } from '../../errors.ts';
import type { Image } from '../../image/image.ts';

/** The barrier that stands at a place, dropped or not; undefined where there is neither. */
export function barrierForm(image: Image, address: number): SmpBarrier | undefined {
  return barrierAt(image.instructionsAt(address), image.readUpTo(address, image.arch.maxSite), 0);
}

/** What drops the barriers for one CPU, or puts them back for several. Error `table-malformed`. */
export function barrierPatches({ image }: Program, barriers: readonly Site[], cpus: number): Patch[] {
  return barriers.map(({ address, entry }): Patch => {
    const form = barrierForm(image, address);
    const allowed = (form ? [form] : image.instructionsAt(address).smpBarriers).flatMap(
      ({ name, barrier, nop }) => [
        { bytes: barrier, meaning: name },
        { bytes: nop, meaning: `NOP for ${name}` },
      ],
    );
    const name = form?.name ?? 'a barrier';
    const bytes = form && (cpus === 1 ? form.nop : form.barrier);
    if (!image.codeAt(address) || allowed.length === 0) {
      throw new TextpokeError(
        'table-malformed',
        `the barrier ${image.describe(address)} of an entry is not in executable code`,
        { file: image.file.path, section: '.smp_barriers', offset: entry.address },
      );
    }
    return {
      address,
      allowed,
      bytes: bytes ?? (allowed[0]?.bytes as Uint8Array), // neither is there: the check refuses it
      reason: cpus === 1 ? `one CPU: ${name} becomes a NOP` : `${cpus} CPUs: ${name}`,
    };
  });
}

/** Every byte string that may stand at a listed barrier. */
export function barrierStates({ image }: Program, { address }: Site): State[] {
  const form = barrierForm(image, address);
  if (!form) return [];
  return [
    { bytes: form.barrier, meaning: 'several CPUs' },
    { bytes: form.nop, meaning: 'one CPU' },
  ];
}
