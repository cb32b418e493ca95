// Calls to trampolines that no entry lists: they would go on through the trampoline for ever.
import { placeOf } from '../arch/arch.ts';
import type { Runtime } from '../boot/runtime.ts';
import type { Finding } from '../findings.ts';
import { trampolinePrefix } from '../sites/trampolines.ts';

/** TP009. */
export function* checkCoverage(runtime: Runtime): Generator<Finding> {
  const { image } = runtime;
  const trampolines = new Map<number, string>();
  for (const { name, address } of image.symbols.named((n) => n.startsWith(trampolinePrefix))) {
    trampolines.set(placeOf(image.arch, address), name);
  }
  if (trampolines.size === 0) return;
  const listed = new Set(runtime.callSites.map((site) => site.address));
  const stubs = new Map<number, number>();
  const findings: Finding[] = [];
  for (const range of image.code) {
    const stubRange = range.name.startsWith('.plt');
    image.arch.forEachBranch(range.code, image.codeMap(range), (offset, to) => {
      const address = range.address + offset;
      const pointer = image.addressAt(range.address, to);
      let target = placeOf(image.arch, pointer);
      if (stubRange || listed.has(address) || trampolines.has(address)) return;
      if (!trampolines.has(target)) {
        // Few branches leave their range; only those, and those to a veneer, can go to a stub.
        const inside = target >= range.address && target < range.address + range.code.length;
        if (inside && !image.isVeneer(target)) return;
        let through = stubs.get(pointer);
        if (through === undefined) {
          const callee = image.contains(target) ? image.callee(pointer) : undefined;
          through = callee?.kind === 'address' ? placeOf(image.arch, callee.address) : target;
          stubs.set(pointer, through);
        }
        if (!trampolines.has(through)) return;
        target = through;
      }
      if (image.jumpsOverVeneers(address) || image.isInVeneer(address)) return;
      findings.push({
        rule: 'TP009',
        address,
        place: image.describe(address),
        message: `the branch to ${trampolines.get(target)} has no entry in .static_call_sites; annotate the object it comes from`,
      });
    });
  }
  yield* findings;
}
