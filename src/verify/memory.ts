// The passes of verify over the memory of a running system, top to bottom: every site that is still there holds what
// its key, as the memory has it, demands. Tables come from the image, since a kernel gives some of its own back.
import { placeOf } from '../arch/code-pointer.ts';
import { keySize, readKey } from '../demand/keys.ts';
import { type Program, withoutEntries, withSites } from '../demand/program.ts';
import type { Image } from '../image/image.ts';
import { isFreed, kernelBanner } from '../image/kernel.ts';
import { hasNoSites } from '../image/static-calls.ts';
import { keyOf } from '../kinds/kind.ts';
import { droppedLocks, lockState } from '../kinds/lock-prefix/demand.ts';
import { lockPrefix } from '../kinds/lock-prefix/kind.ts';
import { isReplaced } from '../kinds/one-cpu/demand.ts';
import { oneCpu } from '../kinds/one-cpu/kind.ts';
import { kinds, programOf } from '../kinds/registry.ts';
import { staticBranch } from '../kinds/static-branch/kind.ts';
import { staticCall } from '../kinds/static-call/kind.ts';
import { hasTrampoline } from '../kinds/static-call/trampoline.ts';
import { describeValue, readCallValue } from '../kinds/static-call/values.ts';
import { MemoryImage } from '../memory/image.ts';
import type { RunningKernel } from '../memory/kernel/kernel.ts';
import type { FoundModule } from '../memory/kernel/module-files.ts';
import type { ImagePlace } from '../memory/memory.ts';
import type { ReplayedModule, ReplayedText, TextNotCompared } from '../text/result.ts';
import { checkBarriers } from './barriers.ts';
import { type ComparedTable, type Counted, Sieve } from './compared.ts';
import { checkEntries } from './entries.ts';
import type { Finding } from './finding.ts';
import { checkInstructions } from './instructions.ts';
import { checkLinkage } from './linkage.ts';
import type { LinkedKeys } from './linkage-check.ts';
import { checkLocks } from './locks.ts';
import { checkLostSites } from './lost-sites.ts';
import { checkModuleTexts } from './module-text.ts';
import { type ComparedModule, compareModule, mapModules, withModuleCalls } from './modules.ts';
import { byRuleAndAddress, withoutConsequences } from './order-findings.ts';
import type { RuleId } from './rules.ts';
import { checkText } from './text.ts';

/** What is known of a kernel beyond its image. */
export interface KernelBeyond {
  readonly running: RunningKernel;
  /** The modules with their files, oldest first; undefined where nobody said where files are. */
  readonly files: readonly FoundModule[] | undefined;
  /** What its text must be, against what it is; undefined where it cannot be replayed at all. */
  readonly text?: ReplayedText | TextNotCompared | undefined;
  /** The same of its modules; undefined where no text is replayed, or nobody said where files are. */
  readonly moduleTexts?: readonly ReplayedModule[] | undefined;
}

export interface VerifiedModules extends KernelBeyond {
  /** In the order of `files`. */
  readonly compared: readonly ComparedModule[];
  readonly linkage: readonly LinkedKeys[];
}

export interface VerifiedMemory {
  /** The image as it stands in the dump. */
  readonly image: MemoryImage;
  readonly findings: readonly Finding[];
  readonly tables: readonly ComparedTable[];
  readonly keys: readonly { readonly address: number; readonly enabled: number }[];
  /** `code` is where a function lies as linked. */
  readonly calls: readonly {
    readonly name: string;
    readonly address: number;
    readonly value: string;
    readonly code: number | undefined;
  }[];
  /** What is known of a kernel's modules; undefined for what is no kernel. */
  readonly modules?: VerifiedModules | undefined;
  /** One or several, as the locks or the kernel's sites for one CPU have it; undefined without such sites. */
  readonly cpus: 'one' | 'several' | undefined;
}

/**
 * Compares. `cpus` is how many run, if that is known; `kernel` is what is known of it beyond its image. Errors:
 * `table-malformed`, `memory-unsupported`.
 */
export function verifyMemory(
  linked: Image,
  place: ImagePlace,
  cpus: number | undefined,
  kernel?: KernelBeyond,
): VerifiedMemory {
  const text = kernel?.text && 'compared' in kernel.text ? kernel.text.compared : undefined;
  const image = new MemoryImage(linked, place, text?.missing === 0 ? text : undefined);
  const modules = mapModules(image, linked, kernel?.files ?? []);
  const all = withModuleCalls(programOf(image, { tables: linked }), modules);
  const { program: present, sieve } = sift(all, image);
  const running = cpus ?? countCpus(present);
  const options = { state: 'booted', cpus: running, locks: 'listed', original: linked } as const;
  // What is wrong with an entry in the file is said of the file; the memory is compared with sound entries.
  const inFile = programOf(linked);
  const { findings: causes, sound: soundInFile } = checkEntries(inFile, { ...options, state: 'linked' });
  const faulty = new Set(causes.flatMap(({ entry }) => (entry === undefined ? [] : [entry])));
  const sound = withoutEntries(present, faulty);
  let found = [
    ...causes,
    ...checkInstructions(sound, options),
    ...checkLocks(sound, all, options),
    ...checkBarriers(sound, options),
  ].filter(({ address }) => address === undefined || !sieve.leftOut.has(address));
  // So is what notes tell of sites without entry: in memory such a site looks like any other code.
  for (const finding of checkLostSites(inFile, soundInFile, found))
    if (finding.address === undefined || !isFreed(linked, finding.address)) found.push(finding);
  const compared = modules.map((of) => compareModule(all, of, running));
  for (const finding of ofModules(compared, found)) found.push(finding);
  const linkage = kernel && checkLinkage(all, linked, kernel.running, modules);
  for (const finding of linkage?.findings ?? []) found.push(finding);
  if (kernel?.text && 'compared' in kernel.text) {
    const { text, moduleTexts = [] } = kernel;
    for (const finding of checkText(linked, kernel.text, kernel.running, found)) found.push(finding);
    for (const finding of checkModuleTexts(moduleTexts, kernel.running, found)) found.push(finding);
    found = withoutChanging(found, [...text.changing, ...moduleTexts.flatMap((of) => of.changing)]);
  }
  if (found.every(({ rule }) => rule !== 'TP016'))
    for (const finding of nothingCompared(sieve.counted, linked)) found.push(finding);
  const findings = withoutConsequences(found).sort(byRuleAndAddress);
  return {
    image,
    findings,
    tables: sieve.tables(findings),
    ...keysAndCalls(sound, image),
    modules: kernel && {
      ...kernel,
      compared: compared.map((of) => of.compared),
      linkage: linkage?.keys ?? [],
    },
    cpus: running === undefined ? undefined : running === 1 ? 'one' : 'several',
  };
}

/** What is said of the bytes at a site: a wrong or half-patched instruction, a wrong trampoline. */
const siteRules: ReadonlySet<RuleId> = new Set(['TP007', 'TP008', 'TP012']);

/** A site that was being changed holds a breakpoint, which is none of its forms: the text knows better. */
function withoutChanging(found: readonly Finding[], changing: readonly number[]): Finding[] {
  if (changing.length === 0) return [...found];
  const places = new Set<number>(changing);
  return found.filter(({ rule, address }) => !siteRules.has(rule) || !places.has(address as number));
}

/** What was found in modules, and not before: a wrong trampoline of the kernel is found by the sites of each of them. */
function ofModules(
  compared: readonly ReturnType<typeof compareModule>[],
  before: readonly Finding[],
): Finding[] {
  const named = ({ rule, address }: Finding) => `${rule} ${address}`;
  const told = new Set(before.map(named));
  const findings: Finding[] = [];
  for (const finding of compared.flatMap((of) => of.findings)) {
    if (!told.has(named(finding))) findings.push(finding);
    told.add(named(finding));
  }
  const count = compared.length;
  if (count > 0 && compared.every((of) => of.compared.why !== undefined)) {
    const message = `nothing was compared: none of the ${count} modules has a file that fits`;
    findings.push({ rule: 'TP029', address: undefined, place: 'modules', message });
  }
  return findings;
}

/** The program of the sites that can be compared. */
function sift(program: Program, image: MemoryImage): { program: Program; sieve: Sieve } {
  const sieve = new Sieve(image, (address) => isFreed(image, address) || isInitData(image, address));
  let present = program;
  for (const kind of kinds) {
    const sites = sieve.compare(kind.table.name, program.sites.of(kind), kind.longest(image.arch), keyOf);
    // Kept locks are looked for whether they can be compared or not: they are in no state that changes.
    if (kind.group) present = withSites(present, kind, sites);
  }
  const called = new Set(present.sites.of(staticCall).map((site) => site.key));
  const isSiteless = hasNoSites(image);
  const trampolines = [...program.calls.values()].flatMap((call) => {
    const { literal } = call;
    const isCompared = called.has(call.key) || isSiteless;
    return isCompared && hasTrampoline(call)
      ? [{ address: placeOf(image.arch, call.trampoline), literal }]
      : [];
  });
  sieve.compare('trampolines', trampolines, image.arch.trampolineSize, ({ literal }) => literal);
  return { program: present, sieve };
}

/** A comparison of nothing proves nothing: tables of which the dump has no entry, or all of them together. */
function nothingCompared(counted: readonly Counted[], linked: Image): Finding[] {
  const finding = (place: string, message: string): Finding => ({
    rule: 'TP029',
    address: undefined,
    place,
    message,
  });
  const absent = counted.filter(({ compared, missing }) => compared === 0 && missing > 0);
  if (absent.length === 0 && counted.every(({ compared }) => compared === 0)) {
    const what = counted.length === 0 ? 'the image lists no site' : 'all sites are in init memory';
    return [finding('image', `nothing was compared: ${what}`)];
  }
  const way =
    kernelBanner(linked) === undefined
      ? '; a core has all code if coredump_filter is 0x3f when it is made'
      : '';
  return absent.map(({ name, missing, missingCode }) => {
    const lacks =
      missingCode > 0
        ? `the code of ${missingCode} of its ${missing} entries is not in the dump${way}`
        : `the keys of its ${missing} entries are not in the dump`;
    return finding(name, `nothing was compared: ${lacks}`);
  });
}

/** The keys and the calls as the memory has them. */
function keysAndCalls(program: Program, image: MemoryImage): Pick<VerifiedMemory, 'keys' | 'calls'> {
  const size = keySize(image);
  return {
    keys: [...new Set(program.sites.of(staticBranch).map((site) => site.key))]
      .sort((a, b) => a - b)
      .map((address) => ({ address, enabled: readKey(image, address).enabled })),
    calls: [...program.calls.values()]
      .filter(({ key }) => image.contains(key, size) && image.has(key, size))
      .map(({ name, key }) => {
        const value = readCallValue(program, key);
        const code = value.kind === 'function' ? value.address : undefined;
        return { name, address: key, value: describeValue(image, value), code };
      }),
  };
}

/** The number of CPUs that most sites are for: 1, or 2 for several. */
function countCpus(program: Program): number | undefined {
  const { image, sites } = program;
  const isForOne = [
    ...droppedLocks(program, image, sites.of(lockPrefix)).map(
      ({ address }) => lockState(program, address, image.read(address, 1)[0]) !== 'locked',
    ),
    ...sites.of(oneCpu).map((site) => isReplaced(program, site)),
  ];
  if (isForOne.length === 0) return undefined;
  return isForOne.filter(Boolean).length > isForOne.length / 2 ? 1 : 2;
}

/**
 * True for a site in data of a kernel that does not say where its init memory ends (kallsyms without
 * CONFIG_KALLSYMS_ALL). Only init data of 32-bit ARM has sites (arch/arm/mm/proc-v7.S, ALT_SMP of words).
 */
function isInitData(image: Image, address: number): boolean {
  return (
    image.symbols.addressOf('__init_end') === undefined &&
    kernelBanner(image) !== undefined &&
    image.codeAt(address) === undefined
  );
}
