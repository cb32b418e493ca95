// Barriers by number of CPUs on ARM: textpoke's own table, which goes both ways, and the kernel's .alt.smp.init,
// which goes one way (arch/arm/kernel/head.S, __do_fixup_smp_on_up).
import { hexBytes, sameBytes } from '../bytes/integer.ts';
import { altSmp, smpBarriers } from '../bytes/schema.ts';
import { TextpokeError } from '../errors.ts';
import { barrierAt } from '../object/find-barriers.ts';
import type { Runtime } from './runtime.ts';
import type { Patch } from './text-poke.ts';

/** Drops the barriers for one CPU, or puts them back for several. Errors: `table-malformed`, `site-mismatch`. */
export function setBarriers(runtime: Runtime, cpus: number): void {
  const { image, poker, barriers } = runtime;
  const patches = barriers.map(({ address, entry }): Patch => {
    const instructions = image.instructionsAt(address);
    const form = barrierAt(instructions, image.readUpTo(address, image.arch.maxSite), 0);
    const allowed = (form ? [form] : instructions.smpBarriers).flatMap(({ name, barrier, nop }) => [
      { bytes: barrier, meaning: name },
      { bytes: nop, meaning: `NOP for ${name}` },
    ]);
    const name = form?.name ?? 'a barrier';
    const bytes = form && (cpus === 1 ? form.nop : form.barrier);
    if (!image.codeAt(address) || allowed.length === 0) {
      throw new TextpokeError(
        'table-malformed',
        `the barrier ${image.describe(address)} of an entry does not lie in executable code`,
        { file: image.file.path, section: smpBarriers.name, offset: entry.address },
      );
    }
    return {
      address,
      allowed,
      bytes: bytes ?? (allowed[0]?.bytes as Uint8Array), // neither is there: the check refuses it
      reason: cpus === 1 ? `one CPU: ${name} becomes a NOP` : `${cpus} CPUs: ${name}`,
    };
  });
  poker.poke(patches);
  applyAlternatives(runtime, cpus);
}

/** The kernel's replacements for one CPU. What they replace is recorded nowhere, so there is no way back. */
function applyAlternatives(runtime: Runtime, cpus: number): void {
  const { image, poker, alternatives } = runtime;
  const patches: Patch[] = [];
  let replaced = 0;
  for (const { address, replacement, entry } of alternatives) {
    // Tables of functions and processors, and smp_on_up itself, are data (arch/arm/kernel/head.S, mm/proc-v7.S).
    if (!image.isInstructionStart(address) && !image.isData(address, replacement.length)) {
      throw new TextpokeError(
        'table-malformed',
        `the site ${image.describe(address)} of an entry is neither an instruction nor data of the image`,
        { file: image.file.path, section: altSmp.name, offset: entry.address },
      );
    }
    const current = image.read(address, replacement.length).slice();
    if (sameBytes(current, replacement)) replaced++;
    patches.push({
      address,
      allowed: [{ bytes: current, meaning: 'for several CPUs' }],
      bytes: replacement,
      reason: `one CPU: ${hexBytes(replacement)}`,
    });
  }
  if (cpus === 1) poker.poke(patches);
  else if (replaced > 0) {
    runtime.notes.push(
      `${replaced} of ${patches.length} sites of ${altSmp.name} hold what one CPU needs; the table does not say what stood there before`,
    );
  }
}
