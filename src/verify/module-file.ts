// A module that is not loaded, by its own tables: its sites are what its own keys require, and what it was built for where
// a key is the kernel's (kernel/jump_label.c, jump_label_add_module; kernel/static_call_inline.c, static_call_add_module).
import type { Program } from '../demand/program.ts';
import type { Image } from '../image/image.ts';
import { readStaticCalls } from '../image/static-calls.ts';
import { countGroups, countSites, moduleSites, programOf } from '../kinds/registry.ts';
import { checkCoverage } from './coverage.ts';
import { checkEntries } from './entries.ts';
import type { Finding } from './finding.ts';
import { checkInstructions } from './instructions.ts';
import { checkLocks } from './locks.ts';
import { byRuleAndAddress, withoutConsequences } from './order-findings.ts';
import type { Verified } from './passes.ts';
import { provenOf } from './proven.ts';

/**
 * Runs the checks that a module allows without its kernel; `kernel` is what stands in for that one, with the module mapped
 * beside it. Errors: `table-malformed`, `step-refused`.
 */
export function checkModuleFile(kernel: Image, module: Image, cpus: number | undefined): Verified {
  const own = programOf(kernel);
  const calls = new Map([...own.calls, ...readStaticCalls(module)]);
  const program: Program = { ...own, calls, sites: moduleSites(module, kernel) };
  const options = { state: 'linked', cpus, locks: 'listed' } as const;
  const counts = countGroups(program);
  if (countSites(program) === 0)
    return { findings: [], counts, proven: { ...provenOf(program, program, options, []), isModule: true } };
  const { findings: causes, sound } = checkEntries(program, options);
  const inModule = (of: Program): Program => ({ ...of, image: module });
  const findings: Finding[] = [
    ...causes,
    ...checkInstructions(sound, options),
    // Calls without a site are for other modules, or for tracepoints that nobody hits.
    ...[...checkCoverage(inModule(program), inModule(sound))].filter(({ rule }) => rule !== 'TP024'),
    ...checkLocks(inModule(sound), inModule(program), options),
  ];
  const ordered = withoutConsequences(findings).sort(byRuleAndAddress);
  return {
    findings: ordered,
    counts,
    proven: { ...provenOf(program, sound, options, ordered), isModule: true },
  };
}
