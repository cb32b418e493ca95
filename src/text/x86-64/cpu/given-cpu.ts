// A state that follows from a processor by a kernel's own rules, where no dump tells of it.

import { readAlternatives } from '../../../image/alternatives.ts';
import type { Image } from '../../../image/image.ts';
import { kernelVersion } from '../../../image/kernel.ts';
import type { Btf } from '../../../kernel/btf.ts';
import { featureNumbers } from '../features.ts';
import type { GivenX86 } from '../given.ts';
import { decide } from './derive.ts';
import type { CpuFacts, MitigationOptions } from './facts.ts';
import { cpuid, type FeatureNames, featureNames } from './feature-names.ts';

/** The names of the features of an image, and its version as 1000 times the major number plus the minor one. */
export function namesOfImage(image: Image): { readonly names: FeatureNames; readonly version: number } {
  const version = kernelVersion(image) ?? [0, 0];
  const feature = featureNumbers(image, readAlternatives(image));
  return { names: featureNames(image, { version, feature }), version: 1000 * version[0] + version[1] };
}

/** Error `memory-unsupported` for a kernel whose rules are not known. */
export function givenFromCpu(
  image: Image,
  btf: Btf | undefined,
  { names, version }: ReturnType<typeof namesOfImage>,
  cpu: CpuFacts,
  options: MitigationOptions,
): GivenX86 {
  const { features, returnThunk } = decide(image, btf, names, version, cpu, options);
  const variables = new Map<string, Uint8Array>();
  const store = (name: string, value: number | undefined) => {
    if (value === undefined) return;
    const word = new Uint8Array(8);
    new DataView(word.buffer).setBigInt64(0, BigInt(value), true);
    variables.set(name, word);
  };
  if (returnThunk !== undefined) store('x86_return_thunk', image.symbols.addressOf(returnThunk));
  store('ideal_nops', image.symbols.addressOf(`${oldNops(cpu) ? 'k8' : 'p6'}_nops`));
  // TASK_SIZE_MAX, the first address behind those of user programs, less a page.
  store('USER_PTR_MAX', 2 ** (cpu.bits.has(cpuid.la57) ? 56 : 47) - 4096);
  return { features, variables, thunkPages: [] };
}

/** arch_init_ideal_nops, which kernels before 5.13 have. */
function oldNops({ vendor, family, model }: CpuFacts): boolean {
  if (vendor === 'AuthenticAMD') return family <= 0xf;
  if (vendor === 'HygonGenuine') return false;
  return family === 6 && model >= 0xf && model < 0x30 && ![0x1c, 0x26, 0x27].includes(model);
}
