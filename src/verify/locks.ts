// Lock prefixes: each listed one is a prefix and in the state that the number of CPUs demands; each other lock
// of the code is listed.
import type { LockPrefix } from '../arch/arch.ts';
import { hexBytes } from '../bytes/integer.ts';
import type { Address } from '../bytes/named-numbers.ts';
import { countUpTo } from '../bytes/search.ts';
import type { Program } from '../demand/program.ts';
import type { CodeRange } from '../image/code-space.ts';
import { kernelBanner } from '../image/kernel.ts';
import { provableRange } from '../image/provable.ts';
import { unitNotes } from '../image/unit-notes.ts';
import { droppedLocks, isInFront, lockState, mayStay } from '../kinds/lock-prefix/demand.ts';
import { keptLock, lockPrefix } from '../kinds/lock-prefix/kind.ts';
import { kinds } from '../kinds/registry.ts';
import { replacedCode } from '../kinds/replaced-code.ts';
import type { LockPolicy } from '../object/found.ts';
import { AstrayInOrder } from './astray.ts';
import { type Finding, type Judge, later } from './finding.ts';
import type { VerifyOptions } from './options.ts';
import type { RuleId } from './rules.ts';

/**
 * TP002 (a listed place is no prefix), TP010, TP011, TP025; `listing` is the program with the entries at fault, each of
 * which stands for a lock that is not reported as unlisted.
 */
export function* checkLocks(program: Program, listing: Program, options: VerifyOptions): Generator<Finding> {
  const { image } = program;
  const locks = program.sites.of(lockPrefix);
  const prefix = image.arch.lockPrefix;
  if (!prefix) return;
  const policy = lockPolicyOf(program, options);
  if (policy === 'none') return;
  const entryOf = new Map(locks.map((site) => [site.address, site.entry.address]));
  const listed = new Set(entryOf.keys());
  const kept = new Set(program.sites.of(keptLock).map((site) => site.address));
  const misplaced = new Set<number>();
  const unlisted: number[] = [];
  const proveLocks = lockProof(program);
  // A running kernel's alternatives may have replaced the code that a lock stood in.
  const isReplaced = replacedCode(image, options.original);
  // A kernel leaves those of its init text alone, whatever the number of CPUs.
  const droppable = new Set(droppedLocks(program, image, locks).map((site) => site.address));
  let locked = 0;
  let dropped = 0;
  /** What is said of a lock by its address, with what stands there if it matters. */
  const say =
    (rule: RuleId, message: string | ((found: Uint8Array) => string), besides: 'entry' | 'byte'): Judge =>
    (address) => {
      const found = image.read(address, 1).slice();
      const text = typeof message === 'string' ? message : message(found);
      const place = image.describe(address);
      const more = besides === 'entry' ? { entry: entryOf.get(address) } : { found };
      return { rule, address, place, message: text, ...more };
    };
  const says = {
    noPrefix: say('TP002', 'a lock entry names a byte that is not a prefix of an instruction', 'entry'),
    noLock: say('TP011', (found) => `the entry lists a lock, but the site holds ${hexBytes(found)}`, 'byte'),
    missing: say('TP011', `the lock is missing, for ${cpusText(options.cpus)}`, 'byte'),
    there: say('TP011', `the lock is still in place, for ${cpusText(options.cpus)}`, 'byte'),
    listedToStay: say(
      'TP025',
      'the lock must stay for any number of CPUs, but .smp_locks lists the lock',
      'entry',
    ),
    goneToStay: say('TP011', 'the lock must stay for any number of CPUs, but the lock is missing', 'byte'),
  };
  const [inOrder, keptInOrder] = [listed, kept].map((of) => Float64Array.from(of).sort()) as [
    Float64Array,
    Float64Array,
  ];
  for (const range of image.code) {
    const within = (addresses: Float64Array): number[] => {
      const [from, to] = [range.address, range.address + range.size].map((a) => countUpTo(addresses, a - 1));
      return [...addresses.subarray(from, to)];
    };
    const inRange = within(inOrder).filter((address) => !isInFront(program, address));
    if (inRange.length === 0 && kept.size === 0 && policy === 'listed') continue;
    let { code } = range;
    // Read as it would be with every listed lock in place: then each of them has to be found as a prefix. A byte
    // that can be none is put there in a second reading, since a wrong entry would garble what follows it.
    const byteAt = (address: number) => range.code[address - range.address] as number;
    const isState = (address: number) => lockState(program, address, byteAt(address)) !== undefined;
    const find = (places: readonly number[]) => {
      // Where all locks are in place, which is the rule, nothing is copied.
      if (places.some((address) => code[address - range.address] !== prefix.lock)) {
        if (code === range.code) code = code.slice();
        for (const address of places) code[address - range.address] = prefix.lock;
      }
      return new Set(Array.from(prefix.find(code, image.codeMap(range)), (at) => range.address + at));
    };
    const prefixes = find(inRange.filter(isState));
    const doubtful = inRange.filter((a) => !isState(a));
    const besides = doubtful.length > 0 ? find(doubtful) : prefixes;
    for (const address of inRange) {
      const byte = byteAt(address);
      const isPrefix = prefixes.has(address) || (besides.has(address) && !isState(address));
      if ((!isPrefix || !isState(address)) && isReplaced(address)) continue;
      if (!isPrefix) {
        misplaced.add(address);
        yield* findings(says.noPrefix, address);
        continue;
      }
      if (byte === prefix.lock) locked += droppable.has(address) && !mayStay(program, address) ? 1 : 0;
      else if (isState(address)) dropped++;
      else {
        yield* findings(says.noLock, address);
        continue;
      }
      const wantsLock = options.cpus === undefined ? undefined : options.cpus > 1 || !droppable.has(address);
      const isRight = wantsLock === (byte === prefix.lock) || (!wantsLock && mayStay(program, address));
      if (wantsLock !== undefined && !isRight && !isReplaced(address))
        yield* findings(wantsLock ? says.missing : says.there, address);
    }
    for (const address of within(keptInOrder)) {
      if (listed.has(address)) yield* findings(says.listedToStay, address);
      else if (!prefixes.has(address)) yield* findings(says.goneToStay, address);
    }
    if (policy === 'listed') continue;
    const open = [...prefixes].filter((address) => !listed.has(address) && !kept.has(address));
    const proven = open.length > 0 ? proveLocks(range, code, open) : undefined;
    for (const [i, address] of open.entries()) if (proven?.[i] === 1) unlisted.push(address);
  }
  const isAstray = (address: Address) => misplaced.has(address) || !listed.has(address);
  const astray = new AstrayInOrder(
    listing.sites.of(lockPrefix).map(({ address }) => (isAstray(address) ? undefined : address)),
  );
  const unlistedLock: Judge = (address) => {
    const message = 'the lock prefix has no entry in .smp_locks';
    return { rule: 'TP010', address, place: image.describe(address), message };
  };
  for (const address of unlisted.sort((a, b) => a - b)) {
    if (!astray.takes(address)) yield* findings(unlistedLock, address);
  }
  if (options.cpus === undefined && locked > 0 && dropped > 0) {
    const first = locks[0]?.address ?? 0;
    yield {
      rule: 'TP011',
      address: first,
      place: image.describe(first),
      message: `${locked} locks are in place and ${dropped} are dropped; all must be in one state`,
    };
  }
}

/** Which locks need an entry. */
export function lockPolicyOf({ image, sites }: Program, { locks }: VerifyOptions): LockPolicy {
  if (locks !== undefined) return locks;
  // A kernel has locks that it keeps on one CPU too, without a table of them (arch/x86/include/asm/sync_bitops.h).
  const usual = kernelBanner(image) === undefined ? 'all' : 'listed';
  return sites.of(lockPrefix).length > 0 || unitNotes(image).hasLocks ? usual : 'none';
}

function* findings(judge: Judge, which: number): Generator<Finding> {
  const finding = later(judge, which);
  if (finding) yield finding;
}

function cpusText(cpus: number | undefined): string {
  return cpus === 1 ? 'one CPU' : `${cpus} CPUs`;
}

/** What tells, as annotate does of an object, which of the ascending addresses of locks in a range are code for sure. */
function lockProof(
  program: Program,
): (range: CodeRange, code: Uint8Array, locks: readonly number[]) => Uint8Array {
  const { image, sites } = program;
  let entries: readonly Address[] | undefined;
  return (range, code, locks) => {
    entries ??= kinds.flatMap((kind) =>
      kind.target
        ? sites
            .of(kind)
            .flatMap((site) => [site.address + kind.sizeOf(image, site), kind.target?.(site) as Address])
        : [],
    );
    const provable = provableRange(image, range, code, entries);
    const offsets = Uint32Array.from(locks, (address) => address - range.address);
    return (image.arch.lockPrefix as LockPrefix).prove(provable, offsets);
  };
}
