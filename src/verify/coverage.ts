// Calls of trampolines that no entry lists, which would go through them for ever; and the other way round, static
// calls that no entry lists a site of.
import { placeOf } from '../arch/code-pointer.ts';
import type { Address } from '../bytes/named-numbers.ts';
import { keyPrefix, trampolinePrefix } from '../bytes/static-call-names.ts';
import type { Program } from '../demand/program.ts';
import { hasNoSites } from '../image/static-calls.ts';
import { staticCall } from '../kinds/static-call/kind.ts';
import type { CallSite } from '../kinds/static-call/table.ts';
import { Astray } from './astray.ts';
import type { Finding } from './finding.ts';

/** TP009, TP021 (a call that no entry could list), TP024; `sound` is the program without the entries at fault. */
export function* checkCoverage(program: Program, sound: Program): Generator<Finding> {
  const { image } = program;
  if (hasNoSites(image)) return;
  const trampolines = new Map<number, string>();
  for (const { name, address } of image.symbols.named(() => true, { starts: trampolinePrefix })) {
    trampolines.set(placeOf(image.arch, address), name);
  }
  if (trampolines.size === 0) return;
  const entries = program.sites.of(staticCall);
  const listed = new Set(entries.map((site) => site.address));
  const astray = new Astray(trampolinesOfFaulty(sound, entries));
  const stubs = new Map<number, number>();
  const findings: Finding[] = [];
  const called = new Set<number>();
  for (const range of image.code) {
    const stubRange = range.name.startsWith('.plt');
    image.arch.forEachBranch(range.code, image.codeMap(range), (offset, to, _, short) => {
      const address = range.address + offset;
      const pointer = image.addressAt(range.address, to);
      let target = placeOf(image.arch, pointer);
      if (stubRange || listed.has(address) || trampolines.has(address)) return;
      if (!trampolines.has(target)) {
        // Few branches leave their range; only those, and those to a veneer, can go to a stub.
        const inside = target >= range.address && target < range.address + range.code.length;
        if (inside && !image.stubs.mayLeadOn(pointer, range.code, target - range.address)) return;
        let through = stubs.get(pointer);
        if (through === undefined) {
          const callee = image.contains(target) ? image.stubs.callee(pointer) : undefined;
          through = callee?.kind === 'address' ? placeOf(image.arch, callee.address) : target;
          stubs.set(pointer, through);
        }
        if (!trampolines.has(through)) return;
        target = through;
      }
      called.add(target);
      if (image.stubs.jumpsOverStubs(address) || image.stubs.isInVeneer(address)) return;
      // An entry of this call's key that names no site was made for it: one defect, which is said already.
      if (astray.takes(target)) return;
      const name = trampolines.get(target);
      const why = short
        ? image.instructionsAt(address).explainShort(range.code, offset)
        : 'has no entry in .static_call_sites; annotate its object';
      findings.push({
        rule: short ? 'TP021' : 'TP009',
        address,
        place: image.describe(address),
        message: `the branch to ${name} ${why}`,
      });
    });
  }
  yield* findings;
  yield* checkUse(sound, entries, called);
}

/** The trampolines of the entries that were left out as faulty and name no branch. */
function trampolinesOfFaulty({ image, calls, sites }: Program, entries: readonly CallSite[]): Address[] {
  const sound = new Set(sites.of(staticCall).map((site) => site.address));
  return entries.flatMap(({ address, key }) => {
    const trampoline = calls.get(key)?.trampoline;
    return sound.has(address) || trampoline === undefined ? [] : [placeOf(image.arch, trampoline)];
  });
}

/** Says nothing of calls that others may use: those of a shared object, and a kernel's, whose modules bring sites. */
function* checkUse(program: Program, entries: readonly CallSite[], called: Set<number>): Generator<Finding> {
  const { image } = program;
  const used = new Set(entries.map((site) => site.key));
  // An entry at fault may have been for any call.
  if (image.symbols.hasExports || program.sites.of(staticCall).length < entries.length) return;
  const { dynsym } = image.file;
  const dynamic = dynsym && image.file.symbols(dynsym);
  const exported = new Set<string>();
  for (let i = 1; dynamic && i < dynamic.count; i++) exported.add(dynamic.name(i));
  for (const { name, key, trampoline } of program.calls.values()) {
    if (used.has(key) || (trampoline !== undefined && called.has(placeOf(image.arch, trampoline)))) continue;
    const names = [keyPrefix + name, trampolinePrefix + name];
    if (names.some((n) => exported.has(n))) continue;
    const message = `the static call ${name} has no site`;
    yield { rule: 'TP024', address: key, place: image.describe(key), message };
  }
}
