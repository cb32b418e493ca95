// What a booted program keeps in memory: its sites, its keys, its calls. Phases and operations (jump-label.ts,
// static-call.ts, smp-locks.ts) work on it.
import type { CallSupport } from '../arch/arch.ts';
import { TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { isFreed, kernelBanner } from '../image/kernel.ts';
import {
  type AlternativeSite,
  type BarrierSite,
  type BranchSite,
  type CallSite,
  type LockSite,
  readAlternatives,
  readBarrierSites,
  readBranchSites,
  readCallSites,
  readLockSites,
  readStaticCalls,
  type StaticCall,
} from '../image/sites.ts';
import { keptLocks, smpLocks, type TableRow } from '../tables/schema.ts';
import { TextPoker } from './text-poke.ts';

export class Runtime {
  readonly image: Image;
  readonly poker: TextPoker;
  branches: readonly BranchSite[];
  callSites: readonly CallSite[];
  locks: readonly LockSite[];
  barriers: readonly BarrierSite[];
  /** The kernel's sites for one CPU. */
  alternatives: readonly AlternativeSite[];
  /** Locks that are never dropped. */
  readonly keptLocks: readonly LockSite[];
  readonly calls: ReadonlyMap<number, StaticCall>;
  readonly support: CallSupport;
  readonly returnZero: number | undefined;
  /** What a person has to know though nothing was refused. */
  readonly notes: string[] = [];

  /**
   * `image` must lie in memory of its own: it is written to. Its tables are read from `tables`, where `image` is the
   * memory of a system that has freed some of them. Errors: `table-malformed`.
   */
  constructor(image: Image, tables = image) {
    this.image = image;
    this.poker = new TextPoker(image);
    this.branches = readBranchSites(tables);
    this.callSites = readCallSites(tables);
    this.locks = readLockSites(tables, smpLocks);
    this.keptLocks = readLockSites(tables, keptLocks);
    this.barriers = readBarrierSites(tables);
    this.alternatives = readAlternatives(tables);
    if (this.entryCount > 0 && image.unreadable !== undefined)
      throw new TextpokeError('elf-unsupported', image.unreadable, { file: image.file.path });
    this.calls = readStaticCalls(image);
    this.support = callSupport(image, tables);
    this.returnZero = image.symbols.addressOf('__static_call_return0');
  }

  /** Sites of all kinds; without any there is nothing to boot or to verify. */
  get entryCount(): number {
    const { branches, callSites, locks, barriers, alternatives } = this;
    return branches.length + callSites.length + locks.length + barriers.length + alternatives.length;
  }
}

/** Throws unless a key of either kind can lie at an address: `key-unaligned`, `table-malformed` (in `table`). */
export function requireKey(image: Image, key: number, table: TableRow): void {
  if (key % 4 !== 0) {
    throw new TextpokeError('key-unaligned', `the key ${image.describe(key)} is not aligned to 4 bytes`, {
      file: image.file.path,
    });
  }
  if (!image.contains(key, 2 * image.arch.wordSize)) {
    throw new TextpokeError('table-malformed', `the key at ${image.describe(key)} lies outside the image`, {
      file: image.file.path,
      section: table.name,
    });
  }
}

/** Code of the image's own that encodings go to: see `CallSupport`. */
export function callSupport(image: Image, tables = image): CallSupport {
  return {
    returnStub: image.symbols.addressOf('__static_call_return'),
    returnThunk: returnThunk(image, tables),
  };
}

/**
 * What the image returns through. A kernel lists its returns: at start-up each becomes a plain one, or a jump to
 * what the processor needs (arch/x86/kernel/alternative.c, apply_returns), so one of them tells. A kernel without the
 * list (no CONFIG_RETHUNK) has no use for the thunk; in a program the symbol says enough.
 */
function returnThunk(image: Image, tables: Image): number | undefined {
  const start = image.symbols.addressOf('__return_sites');
  const end = image.symbols.addressOf('__return_sites_end');
  if (start === undefined || end === undefined)
    return kernelBanner(tables) === undefined ? image.symbols.addressOf('__x86_return_thunk') : undefined;
  for (let entry = start; entry + 4 <= end; entry += 4) {
    const site = entry + tables.readS32(entry);
    if (isFreed(tables, site) || !tables.codeAt(site)) continue;
    const found = image.instructionAt(site);
    return found.kind === 'jump' ? image.addressAt(site, found.displacement) : undefined;
  }
  return undefined;
}
