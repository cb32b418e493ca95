// The mitigations that a kernel chooses (arch/x86/kernel/cpu/bugs.c). Up to 6.12 each is chosen in turn; since 6.17 all are
// chosen first and applied then, which differs where one depends on another.
import type { CpuFacts, MitigationOptions } from './facts.ts';
import { cpuid } from './feature-names.ts';
import type { FeatureSet } from './feature-set.ts';

/** From this version on mitigations are chosen before any is applied. */
const twoSteps = 6017;

type SpectreV2 = 'none' | 'eibrs' | 'ibrs' | 'retpoline' | 'lfence';

/**
 * Sets the features of the mitigations; the name of the return thunk that goes with them, undefined for the compiler's.
 * `hasSymbol` tells what the kernel was built with.
 */
export function chooseMitigations(
  set: FeatureSet,
  cpu: CpuFacts,
  version: number,
  options: MitigationOptions,
  hasSymbol: (name: string) => boolean,
): string | undefined {
  // Without a microcode update nothing is cleared for TSA by the newer code; older code tries it in guests all the same.
  const { bugs } = set;
  if (options.off) return undefined;
  const isIntel = cpu.vendor === 'GenuineIntel';
  set.set('PTI', bugs.has('cpu_meltdown'));
  const clears =
    bugs.has('mds') ||
    (bugs.has('taa') && set.has(cpuid.rtm)) ||
    (bugs.has('mmio_stale_data') && bugs.has('mds')) ||
    (bugs.has('tsa') && (set.has(cpuid.verwClear) || (version < twoSteps && set.has(cpuid.hypervisor))));
  set.set('CLEAR_CPU_BUF', clears);
  set.set('CLEAR_CPU_BUF_VM', clears);
  fenceSwapgs(set);
  const mode = spectreV2(set, isIntel, options);
  applySpectreV2(set, mode, isIntel);
  set.set('USE_IBPB', set.has('IBPB'));
  if (mode !== 'none' && bugs.has('bhi')) clearHistory(set, mode);
  return returnThunk(set, cpu, version, mode, options, hasSymbol);
}

/** spectre_v1_apply_mitigation. */
function fenceSwapgs(set: FeatureSet): void {
  const { bugs } = set;
  if (!bugs.has('spectre_v1')) return;
  const smapWorks = set.has(cpuid.smap) && !bugs.has('cpu_meltdown');
  if (!set.has(cpuid.fsgsbase) && smapWorks) return;
  set.set('FENCE_SWAPGS_USER', bugs.has('swapgs') && !set.has('PTI'));
  set.set('FENCE_SWAPGS_KERNEL');
}

function spectreV2(set: FeatureSet, isIntel: boolean, options: MitigationOptions): SpectreV2 {
  const { bugs } = set;
  if (!bugs.has('spectre_v2') || options.spectreV2 === 'off') return 'none';
  if (options.spectreV2 === 'lfence' && set.has('LFENCE_RDTSC')) return 'lfence';
  if (options.spectreV2 === 'retpoline') return 'retpoline';
  if (set.has('IBRS_ENHANCED')) return 'eibrs';
  const wantsIbrs = isIntel && bugs.has('retbleed') && options.retbleed === undefined && set.has('IBRS');
  return wantsIbrs ? 'ibrs' : 'retpoline';
}

function applySpectreV2(set: FeatureSet, mode: SpectreV2, isIntel: boolean): void {
  if (mode === 'none') return;
  set.set('KERNEL_IBRS', mode === 'ibrs');
  set.set('RETPOLINE_LFENCE', mode === 'lfence');
  set.set('RETPOLINE', mode === 'lfence' || mode === 'retpoline');
  set.set('RSB_CTXSW', mode !== 'eibrs');
  set.set('RSB_VMEXIT', mode !== 'eibrs');
  if (set.bugs.has('retbleed') && set.has('IBPB') && !isIntel) set.set('USE_IBPB_FW');
  else set.set('USE_IBRS_FW', set.has('IBRS') && mode !== 'ibrs' && mode !== 'eibrs');
}

/** bhi_select_mitigation: a retpoline that is not behind a fence is enough. */
function clearHistory(set: FeatureSet, mode: SpectreV2): void {
  if (mode === 'retpoline') return;
  if (set.has('BHI_CTRL')) {
    set.set('CLEAR_BHB_HW');
    return;
  }
  set.set('CLEAR_BHB_LOOP');
  set.set('CLEAR_BHB_VMEXIT');
}

/** retbleed, its and srso, in the order in which the last one counts. */
function returnThunk(
  set: FeatureSet,
  cpu: CpuFacts,
  version: number,
  mode: SpectreV2,
  options: MitigationOptions,
  hasSymbol: (name: string) => boolean,
): string | undefined {
  const { bugs } = set;
  const isIntel = cpu.vendor === 'GenuineIntel';
  const counting = ['call_depth_return_thunk', '__x86_return_skl'].find(hasSymbol);
  const mayCount = counting !== undefined && (isIntel || version < twoSteps);
  let thunk: string | undefined;
  if (bugs.has('retbleed') && options.retbleed === 'stuff' && mayCount && mode === 'retpoline') {
    set.set('RETHUNK');
    set.set('CALL_DEPTH');
    thunk = counting;
  } else if (
    bugs.has('retbleed') &&
    options.retbleed !== 'off' &&
    !isIntel &&
    hasSymbol('retbleed_return_thunk')
  ) {
    set.set('RETHUNK');
    set.set('UNRET');
    thunk = 'retbleed_return_thunk';
  }
  if (
    bugs.has('its') &&
    mode !== 'none' &&
    mode !== 'lfence' &&
    hasSymbol('its_return_thunk') &&
    !set.has('CALL_DEPTH')
  ) {
    set.set('INDIRECT_THUNK_ITS', !set.has('RETPOLINE'));
    set.set('RETHUNK');
    thunk = 'its_return_thunk';
  }
  if (safeReturns(set, cpu, version) && hasSymbol('srso_return_thunk')) {
    set.set('RETHUNK');
    set.set('UNRET');
    const isAlias = cpu.family === 0x19;
    set.set(isAlias ? 'SRSO_ALIAS' : 'SRSO');
    thunk = isAlias ? 'srso_alias_return_thunk' : 'srso_return_thunk';
  }
  if (bugs.has('vmscape') && set.has('IBPB')) set.set('IBPB_EXIT_TO_USER');
  return thunk;
}

/** srso_select_mitigation: the first two generations are safe without a second thread in a core. */
function safeReturns(set: FeatureSet, { family, hasThreads }: CpuFacts, version: number): boolean {
  if (!set.bugs.has('srso') || set.has(cpuid.srsoUserKernelNo)) return false;
  const isBare = !set.has(cpuid.hypervisor);
  const hasMicrocode = set.has(cpuid.ibpbBrType) || (isBare && family === 0x17 && set.has(cpuid.amdIbpb));
  return !(family < 0x19 && !hasThreads && (version >= twoSteps || hasMicrocode));
}
