// Features of x86 processors by name. Those that a kernel shows in /proc/cpuinfo have their names in the kernel itself
// (x86_cap_flags, x86_bug_flags). The others, which Linux made up, have no name there, and their numbers move: they stand
// here, by the versions whose numbers are known (arch/x86/include/asm/cpufeatures.h of 5.10, 6.1, 6.12 and 7.3).
import { TextpokeError } from '../../../errors.ts';
import type { Image } from '../../../image/image.ts';
import type { X86State } from '../state.ts';

const wordBits = 32;
/** The number of a bit of a word. */
export const bit = (word: number, of: number): number => word * wordBits + of;

/** Bits of CPUID, whose numbers never change. */
export const cpuid = {
  sse2: bit(0, 26),
  longMode: bit(1, 29),
  amd3dNow: bit(1, 31),
  pcid: bit(4, 17),
  xsave: bit(4, 26),
  hypervisor: bit(4, 31),
  svm: bit(6, 2),
  prefetchW: bit(6, 8),
  fsgsbase: bit(9, 0),
  rtm: bit(9, 11),
  smap: bit(9, 20),
  xsavec: bit(10, 1),
  xsaves: bit(10, 3),
  avx: bit(4, 28),
  rdrand: bit(4, 30),
  rdseed: bit(9, 18),
  invlpgb: bit(13, 3),
  amdIbpb: bit(13, 12),
  amdIbrs: bit(13, 14),
  amdStibp: bit(13, 15),
  amdSsbd: bit(13, 24),
  virtSsbd: bit(13, 25),
  amdSsbNo: bit(13, 26),
  btcNo: bit(13, 29),
  amdIbpbRet: bit(13, 30),
  xsaveErPtr: bit(13, 2),
  pku: bit(16, 3),
  shstk: bit(16, 7),
  la57: bit(16, 16),
  specCtrl: bit(18, 26),
  intelStibp: bit(18, 27),
  archCapabilities: bit(18, 29),
  specCtrlSsbd: bit(18, 31),
  verwClear: bit(20, 5),
  nullSelectorClearsBase: bit(20, 6),
  autoIbrs: bit(20, 8),
  ibpbBrType: bit(20, 28),
  srsoNo: bit(20, 29),
  srsoUserKernelNo: bit(20, 30),
} as const;

/** Numbers by the row of the version; null: there is no such feature. */
const made = {
  SYSCALL32: [bit(3, 14), bit(3, 14), bit(3, 14), bit(3, 14)],
  SYSENTER32: [bit(3, 15), bit(3, 15), bit(3, 15), bit(3, 15)],
  REP_GOOD: [bit(3, 16), bit(3, 16), bit(3, 16), bit(3, 16)],
  LFENCE_RDTSC: [bit(3, 18), bit(3, 18), bit(20, 2), bit(20, 2)],
  ALWAYS: [bit(3, 21), bit(3, 21), bit(3, 21), bit(3, 21)],
  XTOPOLOGY: [bit(3, 22), bit(3, 22), bit(3, 22), bit(3, 22)],
  OSXSAVE: [bit(4, 27), bit(4, 27), bit(4, 27), bit(4, 27)],
  XCOMPACTED: [null, bit(7, 10), bit(7, 10), bit(7, 10)],
  PTI: [bit(7, 11), bit(7, 11), bit(7, 11), bit(7, 11)],
  KERNEL_IBRS: [bit(7, 12), bit(7, 12), bit(7, 12), bit(7, 12)],
  RSB_VMEXIT: [bit(7, 13), bit(7, 13), bit(7, 13), bit(7, 13)],
  MSR_SPEC_CTRL: [bit(7, 16), bit(7, 16), bit(7, 16), bit(7, 16)],
  SSBD: [bit(7, 17), bit(7, 17), bit(7, 17), bit(7, 17)],
  RSB_CTXSW: [bit(7, 19), bit(7, 19), bit(7, 19), bit(7, 19)],
  USE_IBPB: [bit(7, 21), bit(7, 21), bit(7, 21), null],
  USE_IBRS_FW: [bit(7, 22), bit(7, 22), bit(7, 22), bit(7, 22)],
  LS_CFG_SSBD: [bit(7, 24), bit(7, 24), bit(7, 24), bit(7, 24)],
  IBRS: [bit(7, 25), bit(7, 25), bit(7, 25), bit(7, 25)],
  IBPB: [bit(7, 26), bit(7, 26), bit(7, 26), bit(7, 26)],
  STIBP: [bit(7, 27), bit(7, 27), bit(7, 27), bit(7, 27)],
  ZEN: [bit(7, 28), bit(7, 28), bit(7, 28), bit(7, 28)],
  IBRS_ENHANCED: [bit(7, 30), bit(7, 30), bit(7, 30), bit(7, 30)],
  VMMCALL: [bit(8, 15), bit(8, 15), bit(8, 15), bit(8, 15)],
  FENCE_SWAPGS_USER: [bit(11, 4), bit(11, 4), bit(11, 4), bit(11, 4)],
  FENCE_SWAPGS_KERNEL: [bit(11, 5), bit(11, 5), bit(11, 5), bit(11, 5)],
  INDIRECT_THUNK_ITS: [bit(11, 9), bit(21, 5), bit(21, 6), bit(21, 10)],
  ENTRY_IBPB: [bit(11, 10), bit(11, 10), bit(11, 10), bit(11, 10)],
  RETPOLINE: [bit(11, 12), bit(11, 12), bit(11, 12), bit(11, 12)],
  RETPOLINE_LFENCE: [bit(11, 13), bit(11, 13), bit(11, 13), bit(11, 13)],
  RETHUNK: [bit(11, 14), bit(11, 14), bit(11, 14), bit(11, 14)],
  UNRET: [bit(11, 15), bit(11, 15), bit(11, 15), bit(11, 15)],
  USE_IBPB_FW: [bit(11, 16), bit(11, 16), bit(11, 16), bit(11, 16)],
  RSB_VMEXIT_LITE: [bit(11, 17), bit(11, 17), bit(11, 17), bit(11, 17)],
  CLEAR_CPU_BUF: [bit(11, 19), bit(11, 18), bit(3, 18), bit(3, 18)],
  CALL_DEPTH: [null, null, bit(11, 19), bit(11, 19)],
  USER_SHSTK: [null, null, bit(11, 23), bit(11, 23)],
  SRSO: [bit(11, 24), bit(11, 24), bit(11, 24), bit(11, 24)],
  SRSO_ALIAS: [bit(11, 25), bit(11, 25), bit(11, 25), bit(11, 25)],
  IBPB_ON_VMEXIT: [bit(11, 26), bit(11, 26), bit(11, 26), bit(11, 26)],
  APIC_MSRS_FENCE: [bit(11, 27), bit(11, 27), bit(11, 27), bit(11, 27)],
  ZEN2: [bit(11, 28), bit(11, 28), bit(11, 28), bit(11, 28)],
  ZEN3: [bit(11, 29), bit(11, 29), bit(11, 29), bit(11, 29)],
  ZEN4: [bit(11, 30), bit(11, 30), bit(11, 30), bit(11, 30)],
  ZEN1: [bit(11, 31), bit(11, 31), bit(11, 31), bit(11, 31)],
  ZEN5: [null, null, bit(3, 5), bit(3, 5)],
  OSPKE: [bit(16, 4), bit(16, 4), bit(16, 4), bit(16, 4)],
  BHI_CTRL: [bit(11, 8), bit(21, 2), bit(21, 2), bit(21, 2)],
  CLEAR_BHB_LOOP: [null, bit(21, 1), bit(21, 1), bit(21, 1)],
  CLEAR_BHB_HW: [null, bit(21, 3), bit(21, 3), bit(21, 3)],
  CLEAR_BHB_VMEXIT: [null, bit(21, 4), bit(21, 4), bit(21, 4)],
  CLEAR_CPU_BUF_VM: [bit(22, 13), bit(21, 13), bit(21, 13), bit(21, 13)],
  IBPB_EXIT_TO_USER: [bit(22, 14), bit(21, 14), bit(21, 14), bit(21, 14)],
} as const satisfies Readonly<Record<string, readonly (number | null)[]>>;
export type MadeFeature = keyof typeof made;

/** Versions whose numbers the rows have: the first, and the one behind the last. */
const rows: readonly (readonly [from: number, to: number])[] = [
  [5010, 5011],
  [6001, 6002],
  [6012, 6013],
  [6018, 7004],
];
/** Features whose numbers a kernel's own code tells; they show whether the row is the kernel's. */
const told = ['RETPOLINE', 'RETPOLINE_LFENCE', 'RETHUNK', 'INDIRECT_THUNK_ITS', 'CALL_DEPTH'] as const;

/** The numbers of one kernel. */
export interface FeatureNames {
  /** Undefined where the kernel has no such feature. */
  number(name: MadeFeature): number | undefined;
  /** By the names of /proc/cpuinfo. */
  readonly flags: ReadonlyMap<string, number>;
  readonly bugs: ReadonlyMap<string, number>;
  /** Words of features and bugs together. */
  readonly words: number;
}

/**
 * The names of the features of a kernel. Error `memory-unsupported` where its numbers are not known: another version, or one
 * whose code uses other numbers than those of its version.
 */
export function featureNames(
  image: Image,
  { version, feature }: Pick<X86State, 'version' | 'feature'>,
): FeatureNames {
  const [major, minor] = version;
  const row = rows.findIndex(([from, to]) => 1000 * major + minor >= from && 1000 * major + minor < to);
  const number = (name: MadeFeature) => made[name][row] ?? undefined;
  const caps = namesAt(image, 'x86_cap_flags');
  const bugNames = namesAt(image, 'x86_bug_flags');
  const differs = told.find((name) => {
    const found = feature(name);
    return found !== undefined && found !== number(name);
  });
  if (row < 0 || differs !== undefined || !caps || !bugNames || caps.length % wordBits !== 0) {
    const why =
      row < 0
        ? `the numbers of the features of Linux ${major}.${minor} are not known (known: 5.10, 6.1, 6.12, 6.18 to 7.3)`
        : differs === undefined
          ? 'the kernel has no names of its features (x86_cap_flags)'
          : `the kernel gives the feature ${differs} another number than Linux ${major}.${minor}`;
    throw new TextpokeError('memory-unsupported', `${why}; use features from a dump of this kernel`, {
      file: image.file.path,
    });
  }
  const byName = (names: readonly string[], from: number) =>
    new Map(names.flatMap((name, i): [string, number][] => (name === '' ? [] : [[name, from + i]])));
  return {
    number,
    flags: byName(caps, 0),
    bugs: byName(bugNames, caps.length),
    words: (caps.length + bugNames.length) / wordBits,
  };
}

/** More names than any kernel has, and longer ones. */
const mostNames = 64 * wordBits;
const longestName = 64;

/** An array of pointers to names, as the file has it; an entry without a name is ''. */
function namesAt(image: Image, symbol: string): string[] | undefined {
  const start = image.symbols.addressOf(symbol);
  const size = start === undefined ? 0 : (image.symbolAt(start)?.size ?? 0);
  const count = Math.floor(size / 8);
  if (start === undefined || count === 0 || count > mostNames) return undefined;
  if (image.fileOffset(start, count * 8) === undefined) return undefined;
  return Array.from({ length: count }, (_, i) => {
    const at = image.readWord(start + 8 * i);
    if (at === 0 || image.fileOffset(at, 1) === undefined) return '';
    const bytes = image.readUpTo(at, longestName);
    const end = bytes.indexOf(0);
    return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('latin1');
  });
}
