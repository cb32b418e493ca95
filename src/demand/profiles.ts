// Kernels differ: what a runtime does, one row a version (arch/x86/kernel/{jump_label,static_call}.c and
// kernel/{jump_label,static_call_inline}.c of each). Kernels between two rows go by the earlier one.
import { TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { kernelVersion } from '../image/kernel.ts';

export interface Profile {
  /** As `--profile` takes it. */
  readonly name: string;
  /** A kernel's major and minor version; undefined for textpoke's own runtime. */
  readonly version: readonly [major: number, minor: number] | undefined;
  /** Static branches may be short (2 bytes on x86). */
  readonly shortBranches: boolean;
  /** jump_label_init brings sites to what their keys say; else it leaves text alone. */
  readonly initWrites: boolean;
  /** jump_label_init stops at a site that should hold a NOP and does not. */
  readonly initChecksNops: boolean;
  /** jump_label_init writes the kernel's own NOP over the compiler's, where these differ (32-bit ARM). */
  readonly rewritesNops: boolean;
  /** Bit 1 of a jump entry that was left set outside init text stays, and means init for ever. */
  readonly keepsBit1: boolean;
  /** What a call of __static_call_return0 is: a call like any other, or the clear of this kernel. */
  readonly returnZero: 'call' | 'clear';
  readonly conditionalTails: boolean;
  /** Bytes behind a trampoline's jump that an update wants; `any` of those known; undefined: it does not look. */
  readonly signature: Uint8Array | 'any' | undefined;
  readonly forceReinit: boolean;
  /** Calls of __WARN_trap become an undefined instruction. */
  readonly warnTrap: boolean;
  /** static_call_init brings trampolines to their keys' values as well. */
  readonly initPatchesTrampolines: boolean;
  /** What the decrement of a count of 0 does (static_key_slow_try_dec, since then static_key_dec_not_one). */
  readonly underflow: 'goes below' | 'warns';
  /** In place of a lock beside a segment override stands that override once more; else DS, as in place of any lock. */
  readonly repeatsOverride: boolean;
}

const before517 = {
  shortBranches: false,
  initWrites: false,
  initChecksNops: true,
  rewritesNops: true,
  keepsBit1: true,
  returnZero: 'call',
  conditionalTails: false,
  signature: undefined,
  forceReinit: false,
  warnTrap: false,
  initPatchesTrampolines: false,
  underflow: 'goes below',
  repeatsOverride: false,
} as const;
const v517 = {
  ...before517,
  shortBranches: true,
  initChecksNops: false,
  keepsBit1: false,
  returnZero: 'clear',
  signature: Uint8Array.of(0x53, 0x43, 0x54), // "SCT"
} as const;
const v61 = {
  ...v517,
  rewritesNops: false, // since 6.0
  underflow: 'warns',
  signature: Uint8Array.of(0x0f, 0xb9, 0xcc), // ud1 %esp, %ecx (since 5.19)
} as const;
const v66 = {
  ...v61,
  conditionalTails: true,
  forceReinit: true,
} as const;

/** Oldest first; textpoke's own is the last. */
export const profiles: readonly Profile[] = [
  { name: '5.10', version: [5, 10], ...before517 },
  { name: '5.17', version: [5, 17], ...v517 },
  { name: '6.1', version: [6, 1], ...v61 },
  { name: '6.6', version: [6, 6], ...v66 },
  // From here on keys in .data..ro_after_init are sealed: static_key_init_ro tells modules not to link to them.
  { name: '6.12', version: [6, 12], ...v66 },
  { name: '7.0', version: [7, 0], ...v66, warnTrap: true },
  {
    name: 'textpoke',
    version: undefined,
    ...v66,
    initWrites: true,
    signature: 'any',
    initPatchesTrampolines: true,
    repeatsOverride: true,
  },
];

const own = profiles.at(-1) as Profile;

/** What `--profile` and the library take, oldest first: kernel versions, and `textpoke`. */
export const profileNames: readonly string[] = profiles.map(({ name }) => name);

/** The profile of a name. Error `usage`. */
export function profileNamed(name: string): Profile {
  const found = profiles.find((profile) => profile.name === name);
  if (found) return found;
  throw new TextpokeError('usage', `unknown profile ${name}; known profiles: ${profileNames.join(', ')}`);
}

/** The profile that an image's banner asks for; textpoke's own where there is none. */
export function profileOf(image: Image): Profile {
  const version = kernelVersion(image);
  if (!version) return own;
  const isUpTo = ({ version: of }: Profile) =>
    of !== undefined && (of[0] < version[0] || (of[0] === version[0] && of[1] <= version[1]));
  const profile = profiles.findLast(isUpTo) ?? (profiles[0] as Profile);
  return asBuilt(image, profile);
}

/** Stable kernels take over what later ones do, and between two rows some do it already: symbols show what is there. */
function asBuilt({ symbols }: Image, profile: Profile): Profile {
  const has = (name: string) => symbols.addressOf(name) !== undefined;
  return {
    ...profile,
    // The return for conditional tail calls, of 6.6 and of stable branches.
    ...(has('__static_call_return') && !profile.conditionalTails
      ? { conditionalTails: true, signature: 'any' }
      : {}),
    // Both functions are there in front of 6.0, and the second one alone behind it.
    ...(has('arch_jump_label_transform') ? { rewritesNops: has('arch_jump_label_transform_static') } : {}),
    ...(has('static_call_force_reinit') ? { forceReinit: true } : {}),
    ...(has('__WARN_trap') ? { warnTrap: true } : {}),
  };
}
