// The features that a kernel has when it applies alternatives: those of CPUID, those that it makes of them for its vendor
// (arch/x86/kernel/cpu/{common,amd,hygon,intel}.c), and those of the mitigations that it chooses (mitigations.ts).

import { TextpokeError } from '../../../errors.ts';
import type { Image } from '../../../image/image.ts';
import type { Btf } from '../../../kernel/btf.ts';
import { bugsOf, isZen1 } from './bugs.ts';
import type { CpuFacts, MitigationOptions } from './facts.ts';
import { cpuid, type FeatureNames } from './feature-names.ts';
import { FeatureSet } from './feature-set.ts';
import { chooseMitigations } from './mitigations.ts';

/** What a kernel has decided. */
export interface Decided {
  readonly features: Uint32Array;
  /** Of the function that x86_return_thunk leads to; undefined: the compiler's. */
  readonly returnThunk: string | undefined;
}

/** Error `memory-unsupported` where the kernel does not have the lists of processors and bugs. */
export function decide(
  image: Image,
  btf: Btf | undefined,
  names: FeatureNames,
  version: number,
  cpu: CpuFacts,
  options: MitigationOptions,
): Decided {
  const bugs = cpu.bugs ?? bugsOf(image, btf, cpu, names);
  if (!bugs) {
    throw new TextpokeError(
      'memory-unsupported',
      'the kernel has no lists of processors and their bugs (cpu_vuln_whitelist), or no BTF; use features from a dump of this kernel',
      { file: image.file.path },
    );
  }
  const set = new FeatureSet(names, cpu.bits, bugs);
  common(set, cpu, version);
  if (cpu.vendor === 'GenuineIntel') intel(set, cpu);
  else amd(set, cpu);
  const has = (symbol: string) => image.symbols.addressOf(symbol) !== undefined;
  const returnThunk = chooseMitigations(set, cpu, version, options, has);
  const features = new Uint32Array(names.words);
  const put = (number: number) => {
    const word = number >>> 5;
    if (word < features.length) features[word] = (features[word] as number) | (1 << (number & 31));
  };
  for (const number of set.numbers) put(number);
  for (const bug of bugs) {
    const number = names.bugs.get(bug);
    if (number !== undefined) put(number);
  }
  return { features, returnThunk };
}

function common(set: FeatureSet, cpu: CpuFacts, version: number): void {
  set.set('ALWAYS');
  set.set('LFENCE_RDTSC', set.has(cpuid.sse2));
  set.set('OSXSAVE', set.has(cpuid.xsave));
  set.set('OSPKE', set.has(cpuid.pku));
  set.set('XCOMPACTED', set.has(cpuid.xsavec) || set.has(cpuid.xsaves));
  set.set('USER_SHSTK', set.has(cpuid.shstk));
  set.set('XTOPOLOGY', cpu.hasTopologyLeaf);
  // SYSFAST32, as it is called then, is for all.
  set.set('SYSENTER32', cpu.vendor === 'GenuineIntel' || version >= 7000);
  // init_speculation_control
  const [intelIbrs, amdIbrs] = [set.has(cpuid.specCtrl), set.has(cpuid.amdIbrs)];
  set.set('IBRS', intelIbrs || amdIbrs);
  set.set('IBPB', intelIbrs || set.has(cpuid.amdIbpb));
  set.set('STIBP', set.has(cpuid.intelStibp) || set.has(cpuid.amdStibp));
  set.set('SSBD', set.has(cpuid.specCtrlSsbd) || set.has(cpuid.amdSsbd) || set.has(cpuid.virtSsbd));
  set.set(
    'MSR_SPEC_CTRL',
    set.has('IBRS') || set.has('STIBP') || set.has(cpuid.amdSsbd) || set.has(cpuid.specCtrlSsbd),
  );
  set.set('IBRS_ENHANCED', set.has(cpuid.autoIbrs));
}

function intel(set: FeatureSet, { family }: CpuFacts): void {
  set.set('REP_GOOD', family === 6);
  set.set('APIC_MSRS_FENCE');
}

function amd(set: FeatureSet, { family, model, vendor }: CpuFacts): void {
  set.set('REP_GOOD', family >= 0x10 || model >= 0x50);
  set.set('SYSCALL32');
  set.set('VMMCALL');
  if (set.has(cpuid.amd3dNow) || set.has(cpuid.longMode)) set.numbers.add(cpuid.prefetchW);
  const isZen = vendor === 'HygonGenuine' || family >= 0x17;
  set.set('ZEN', isZen);
  const isOldSsbd = !set.has(cpuid.amdSsbd) && !set.has(cpuid.virtSsbd);
  if (vendor === 'AuthenticAMD' && isOldSsbd && family >= 0x15 && family <= 0x17) {
    set.set('LS_CFG_SSBD');
    set.set('SSBD');
  }
  if (vendor !== 'AuthenticAMD') return;
  const within = (...ranges: readonly (readonly [number, number])[]) =>
    ranges.some(([from, to]) => model >= from && model <= to);
  set.set('ZEN1', isZen1(family, model));
  set.set('ZEN2', family === 0x17 && !isZen1(family, model));
  set.set('ZEN3', family === 0x19 && within([0, 0xf], [0x20, 0x5f]));
  set.set('ZEN4', family === 0x19 && within([0x10, 0x1f], [0x60, 0xaf]));
  set.set('ZEN5', family === 0x1a && within([0, 0x2f], [0x40, 0x4f], [0x60, 0x7f], [0xd0, 0xd7]));
}
