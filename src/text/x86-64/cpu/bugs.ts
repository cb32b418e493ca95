// Which bugs a kernel takes a processor to have (arch/x86/kernel/cpu/common.c, cpu_set_bug_bits; amd.c). The lists of
// processors are the kernel's own: they grow with every stable release, and its file has them.
import type { Image } from '../../../image/image.ts';
import type { Btf } from '../../../kernel/btf.ts';
import type { CpuFacts } from './facts.ts';
import { cpuid, type FeatureNames } from './feature-names.ts';

/** Bits of `driver_data` in cpu_vuln_whitelist. */
const spared = {
  speculation: 1 << 0,
  meltdown: 1 << 1,
  storeBypass: 1 << 2,
  mds: 1 << 4,
  swapgs: 1 << 6,
  spectreV2: 1 << 8,
  bhi: 1 << 11,
} as const;
/** Bits of `driver_data` in cpu_vuln_blacklist. */
const affected = {
  mmio: 1 << 1,
  retbleed: 1 << 3,
  srso: 1 << 5,
  its: 1 << 8,
  tsa: 1 << 10,
  vmscape: 1 << 11,
} as const;

/** X86_VENDOR_… (arch/x86/include/asm/processor.h), and what matches any. */
const vendors = { GenuineIntel: 0, AuthenticAMD: 2, HygonGenuine: 9 } as const;
const anyVendor = 0xffff;
/** X86_FAMILY_ANY, X86_MODEL_ANY, X86_STEPPING_ANY. */
const any = 0;
const longestTable = 4096;

/** The bits that the first entry of a list that fits a processor has; undefined where the image has no such list. */
function listed(image: Image, btf: Btf | undefined, symbol: string, cpu: CpuFacts): number | undefined {
  const start = image.symbols.addressOf(symbol);
  const size = start === undefined ? 0 : (image.symbolAt(start)?.size ?? 0);
  const entry = btf?.structSize('x86_cpu_id');
  const data = btf?.member('x86_cpu_id', 'driver_data')?.offset;
  if (start === undefined || entry === undefined || data === undefined) return undefined;
  if (size === 0 || size > longestTable || image.fileOffset(start, size) === undefined) return undefined;
  const bytes = image.read(start, size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, size);
  const stepping = 1 << cpu.stepping;
  for (let at = 0; at + entry <= size; at += entry) {
    const [vendor, family, model, steppings] = [0, 2, 4, 6].map((of) => view.getUint16(at + of, true));
    const bits = view.getUint32(at + data, true);
    if (vendor === 0 && family === 0 && model === 0 && bits === 0) break;
    if (vendor !== anyVendor && vendor !== vendors[cpu.vendor]) continue;
    if (family !== any && family !== cpu.family) continue;
    if (model !== any && model !== cpu.model) continue;
    if (steppings !== any && ((steppings as number) & stepping) === 0) continue;
    return bits;
  }
  return 0;
}

/** The names of the bugs, as /proc/cpuinfo has them; undefined where the image does not have the lists. */
export function bugsOf(
  image: Image,
  btf: Btf | undefined,
  cpu: CpuFacts,
  names: FeatureNames,
): ReadonlySet<string> | undefined {
  const white = listed(image, btf, 'cpu_vuln_whitelist', cpu);
  const black = listed(image, btf, 'cpu_vuln_blacklist', cpu);
  if (white === undefined || black === undefined) return undefined;
  const bugs = new Set<string>();
  const has = (feature: number) => cpu.bits.has(feature);
  const isAmd = cpu.vendor !== 'GenuineIntel';
  const isGuest = has(cpuid.hypervisor);
  const add = (name: string, is: boolean) => {
    if (is && names.bugs.has(name)) bugs.add(name);
  };
  if (isAmd) addAmdBugs(cpu, add);
  add('ibpb_no_ret', has(cpuid.amdIbpb) && !has(cpuid.amdIbpbRet));
  if ((white & spared.speculation) !== 0) return bugs;
  add('spectre_v1', true);
  add('spectre_v2', (white & spared.spectreV2) === 0);
  add('spec_store_bypass', (white & spared.storeBypass) === 0 && !has(cpuid.amdSsbNo));
  add('mds', (white & spared.mds) === 0);
  add('swapgs', (white & spared.swapgs) === 0);
  add('taa', !isAmd && has(cpuid.rtm));
  add('mmio_stale_data', (black & affected.mmio) !== 0);
  add('retbleed', (black & affected.retbleed) !== 0 && !has(cpuid.btcNo));
  add('srso', (black & affected.srso) !== 0 && !has(cpuid.srsoNo));
  add('bhi', (white & spared.bhi) === 0 && (isGuest || has(cpuid.autoIbrs)));
  add('its', !isAmd && (isGuest || (black & affected.its) !== 0));
  // A guest of a Zen has the bug as well, but the kernel does not know yet that it is one.
  add('tsa', isAmd && (black & affected.tsa) !== 0);
  add('vmscape', (black & affected.vmscape) !== 0 && !isGuest);
  add('cpu_meltdown', (white & spared.meltdown) === 0);
  return bugs;
}

/** init_amd, init_amd_k8, init_amd_zen1. */
function addAmdBugs({ family, model, bits }: CpuFacts, add: (name: string, is: boolean) => void): void {
  const isGuest = bits.has(cpuid.hypervisor);
  const isZen2 = family === 0x17 || family === 0x18;
  add('fxsave_leak', !bits.has(cpuid.xsaveErPtr));
  add('null_seg', !bits.has(cpuid.nullSelectorClearsBase) && (isGuest || !isZen2));
  add('sysret_ss_attrs', true);
  add('swapgs_fence', family === 0xf);
  add('div0', isZen1(family, model));
  add('tlbi', bits.has(cpuid.invlpgb));
}

/** The first generation of Zen (bsp_init_amd). */
export function isZen1(family: number, model: number): boolean {
  return family === 0x17 && (model <= 0x2f || (model >= 0x50 && model <= 0x5f));
}
