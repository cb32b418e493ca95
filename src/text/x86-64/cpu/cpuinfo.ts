// /proc/cpuinfo of a machine: its first processor, by the names that its kernel has for features and bugs
// (arch/x86/kernel/cpu/proc.c).
import { TextpokeError } from '../../../errors.ts';
import type { CpuFacts, Vendor } from './facts.ts';
import { cpuid, type FeatureNames } from './feature-names.ts';

const vendors: readonly Vendor[] = ['GenuineIntel', 'AuthenticAMD', 'HygonGenuine'];
/** Longest line, far more than all flags need. */
const longestLine = 1 << 16;

/** True for a text that looks like /proc/cpuinfo of an x86 processor. */
export function isCpuinfo(text: string): boolean {
  return /^(processor|vendor_id)\s*:/m.test(text.slice(0, 4096));
}

/**
 * The processor, and the names of flags that the kernel of `names` does not have. Error `config-malformed`: a line is missing
 * or is no number, `memory-unsupported`: another vendor.
 */
export function readCpuinfo(
  path: string,
  text: string,
  names: FeatureNames,
): { readonly cpu: CpuFacts; readonly unknown: readonly string[] } {
  const end = text.search(/\n\s*\n/);
  const fields = new Map<string, string>();
  for (const line of (end < 0 ? text : text.slice(0, end)).split('\n')) {
    const at = line.indexOf(':');
    if (at > 0 && line.length <= longestLine) fields.set(line.slice(0, at).trim(), line.slice(at + 1).trim());
  }
  const field = (name: string): string => {
    const value = fields.get(name);
    if (value !== undefined) return value;
    throw new TextpokeError(
      'config-malformed',
      `no line ${JSON.stringify(name)}; /proc/cpuinfo is required`,
      {
        file: path,
      },
    );
  };
  const number = (name: string): number => {
    const value = field(name);
    if (/^\d{1,6}$/.test(value)) return Number(value);
    throw new TextpokeError('config-malformed', `${name} is ${JSON.stringify(value)}; a number is required`, {
      file: path,
    });
  };
  const vendor = vendors.find((one) => one === field('vendor_id'));
  if (!vendor) {
    const message = `the processor is made by ${JSON.stringify(field('vendor_id'))}; known: ${vendors.join(', ')}`;
    throw new TextpokeError('memory-unsupported', message, { file: path });
  }
  const bits = new Set<number>();
  const unknown: string[] = [];
  for (const flag of field('flags').split(/\s+/)) {
    const bit = names.flags.get(flag);
    if (bit !== undefined) bits.add(bit);
    else unknown.push(flag);
  }
  const family = number('cpu family');
  const shows = (flag: string) => bits.has(names.flags.get(flag) ?? Number.NaN);
  addHidden(bits, vendor, family, shows);
  // What a mitigation has set follows from the rules again.
  const pti = names.flags.get('pti');
  if (pti !== undefined) bits.delete(pti);
  return {
    cpu: {
      name: path,
      ...{ vendor, family, model: number('model'), stepping: number('stepping'), bits },
      hasTopologyLeaf: shows('xtopology'),
      hasThreads:
        fields.has('siblings') && fields.has('cpu cores') ? number('siblings') > number('cpu cores') : false,
      bugs: new Set((fields.get('bugs') ?? '').split(/\s+/).filter((name) => names.bugs.has(name))),
    },
    unknown,
  };
}

/** Bits of CPUID without a name, which what has a name tells of. */
function addHidden(
  bits: Set<number>,
  vendor: Vendor,
  family: number,
  shows: (flag: string) => boolean,
): void {
  if (shows('user_shstk')) bits.add(cpuid.shstk);
  const isIntel = vendor === 'GenuineIntel';
  if (shows('ibrs')) bits.add(isIntel ? cpuid.specCtrl : cpuid.amdIbrs);
  if (shows('ibpb') && !isIntel) bits.add(cpuid.amdIbpb);
  if (shows('stibp')) bits.add(isIntel ? cpuid.intelStibp : cpuid.amdStibp);
  if (shows('ibrs_enhanced') && !isIntel) bits.add(cpuid.autoIbrs);
  if (!shows('ssbd') || shows('virt_ssbd')) return;
  if (isIntel) bits.add(cpuid.specCtrlSsbd);
  else if (family > 0x17) bits.add(cpuid.amdSsbd);
}
