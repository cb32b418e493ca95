// Numbers of the features of x86 processors that patching asks for by name (arch/x86/include/asm/cpufeatures.h). Those that
// Linux made up move from version to version, and stable branches give them other numbers again. So the kernel's own code is
// asked: a function that looks at a feature has an alternative of it (_static_cpu_has), which carries the number.
import type { Alternatives } from '../../image/alternatives.ts';
import type { Image } from '../../image/image.ts';

/** Bits of a word of features. */
const wordBits = 32;
/** X86_FEATURE_ALWAYS, which every kernel sets: the other half of each alternative that asks for a feature. */
export const featureAlways = 3 * wordBits + 21;

/** A function that asks for a feature, and the how manieth of the features it asks for this is. */
interface Asker {
  readonly function: string;
  readonly nth: number;
}

const askers: Readonly<Record<string, readonly Asker[]>> = {
  RETPOLINE: [{ function: 'apply_retpolines', nth: 0 }],
  RETPOLINE_LFENCE: [{ function: 'apply_retpolines', nth: 1 }],
  RETHUNK: [
    { function: 'cpu_wants_rethunk', nth: 0 },
    { function: 'apply_returns', nth: 0 },
  ],
  INDIRECT_THUNK_ITS: [{ function: 'its_init_mod', nth: 0 }],
  CALL_DEPTH: [{ function: 'callthunks_patch_builtin_calls', nth: 0 }],
  IBT: [{ function: 'ibt_save', nth: 0 }],
};

/** Numbers that have been the same since there is the feature (5.10.133, 6.1.44 and later). */
const fixed: Readonly<Record<string, number>> = {
  ALWAYS: featureAlways,
  UP: 3 * wordBits + 9,
  UNRET: 11 * wordBits + 15,
  SRSO: 11 * wordBits + 24,
  SRSO_ALIAS: 11 * wordBits + 25,
};

/** Bits that every processor has on which a 64-bit kernel starts (arch/x86/kernel/verify_cpu.S, required-features.h). */
export const requiredFeatures: readonly number[] = [
  0, // fpu
  5, // msr
  6, // pae
  8, // cx8
  13, // pge
  15, // cmov
  24, // fxsr
  25, // sse
  26, // sse2
  1 * wordBits + 29, // lm
  featureAlways,
];

/** Whether a bit is set in the words of boot_cpu_data.x86_capability. */
export function hasFeature(features: Uint32Array): (feature: number) => boolean {
  return (feature) => (((features[feature >>> 5] ?? 0) >>> (feature & 31)) & 1) !== 0;
}

/** Tells the numbers of features in the kernel of an image; undefined for one that its code does not ask for. */
export function featureNumbers(
  image: Image,
  alternatives: Alternatives | undefined,
): (name: string) => number | undefined {
  const known = new Map<string, number | undefined>();
  return (name) => {
    if (!known.has(name)) known.set(name, featureNumber(image, alternatives, name));
    return known.get(name);
  };
}

function featureNumber(
  image: Image,
  alternatives: Alternatives | undefined,
  name: string,
): number | undefined {
  const number = fixed[name];
  if (number !== undefined) return number;
  for (const asker of askers[name] ?? []) {
    const start = image.symbols.addressOf(asker.function);
    const size = start === undefined ? 0 : (image.symbolAt(start)?.size ?? 0);
    if (start === undefined || !alternatives) continue;
    const asked: number[] = [];
    for (const { feature } of alternatives.between(start, start + size))
      if (feature !== featureAlways && !asked.includes(feature)) asked.push(feature);
    if (asked[asker.nth] !== undefined) return asked[asker.nth];
  }
  return undefined;
}
