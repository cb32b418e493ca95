// What a booted program keeps in memory: its sites, its keys, its calls, its modules. Phases and operations
// (jump-label.ts, static-key.ts, static-call.ts, smp-locks.ts, modules.ts) work on it.
import type { CallSupport } from '../arch/arch.ts';
import { keptLocks, smpLocks, type TableRow } from '../bytes/schema.ts';
import { type Profile, profileOf } from '../demand/profiles.ts';
import { TextpokeError } from '../errors.ts';
import type { Guest, Image } from '../image/image.ts';
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
import type { Reserved } from './reserved.ts';
import { TextPoker } from './text-poke.ts';

/** A WARN of the kernel's: the program goes on. */
export interface Warning {
  /** What a person gave the step: `step 3: dec off_key`. */
  readonly step: string | undefined;
  /** `static_key_dec_not_one: WARN_ON_ONCE(v == 0)`: function and condition as the kernel's source has them. */
  readonly warning: string;
  readonly about: string;
  /** WARN_ON_ONCE prints once; a repetition is silent there. */
  readonly repeated: boolean;
}

/** What one image brings to the program. */
export interface Sites {
  branches: readonly BranchSite[];
  callSites: readonly CallSite[];
  readonly locks: readonly LockSite[];
}

/** A module that is loaded; its addresses can be asked of the program's image. */
export interface Module extends Sites, Guest {
  readonly calls: ReadonlyMap<number, StaticCall>;
  /** Modules whose symbols it uses. */
  readonly uses: ReadonlySet<string>;
  /** Symbols outside it that it names. */
  readonly imports: ReadonlySet<string>;
}

/** A decrement that waits (static_key_slow_dec_deferred). */
export interface Deferred {
  readonly key: number;
  /** Time in milliseconds at which it is carried out. */
  readonly at: number;
}

type RuntimeState = Pick<
  Runtime,
  | 'branches'
  | 'callSites'
  | 'modules'
  | 'now'
  | 'deferred'
  | 'initFreed'
  | 'cpus'
  | 'onOneCpu'
  | 'locksListed'
>;

export interface RuntimeSource {
  /** Where tables are read from, when the image is the memory of a system that has freed some of its own. */
  readonly tables?: Image;
  readonly profile?: Profile | undefined;
}

export class Runtime implements Sites {
  readonly image: Image;
  readonly profile: Profile;
  readonly poker: TextPoker;
  branches: readonly BranchSite[];
  callSites: readonly CallSite[];
  locks: readonly LockSite[];
  barriers: readonly BarrierSite[];
  /** The kernel's sites for one CPU. */
  alternatives: readonly AlternativeSite[];
  /** Locks that are never dropped. */
  readonly keptLocks: readonly LockSite[];
  /** Static calls of image and modules, by the address of their key. */
  readonly calls: Map<number, StaticCall>;
  readonly support: CallSupport;
  readonly returnZero: number | undefined;
  /** Oldest first. */
  modules: readonly Module[] = [];
  /** What a person has to know though nothing was refused. */
  readonly notes: string[] = [];
  readonly warnings: Warning[] = [];
  /** What queries found. */
  readonly results: { readonly step: string; readonly reserved: Reserved }[] = [];
  private readonly warned = new Set<string>();
  /** The step that runs, as a person knows it. */
  step: string | undefined;
  /** Milliseconds since boot, which only a step lets pass. */
  now = 0;
  deferred: readonly Deferred[] = [];
  /** True once init text is gone (free_initmem): nothing touches it any more. */
  initFreed = false;
  /** CPUs that run, by number. */
  cpus: ReadonlySet<number> = new Set([0]);
  /** True while locks are dropped (uniproc_patched); undefined before anybody has said. */
  onOneCpu: boolean | undefined;
  /** True once locks were dropped: from then on they are reserved (smp_alt_modules). */
  locksListed = false;

  /** `image` must lie in memory of its own: it is written to. Errors: `table-malformed`. */
  constructor(image: Image, { tables = image, profile = profileOf(tables) }: RuntimeSource = {}) {
    this.image = image;
    this.profile = profile;
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
    this.support = callSupport(image, profile, tables);
    this.returnZero =
      profile.returnZero === 'clear' ? image.symbols.addressOf('__static_call_return0') : undefined;
  }

  /** What steps change besides memory and the record; whoever refuses one puts it back. */
  get state(): RuntimeState {
    const { branches, callSites, modules, now, deferred, initFreed, cpus, onOneCpu, locksListed } = this;
    return { branches, callSites, modules, now, deferred, initFreed, cpus, onOneCpu, locksListed };
  }
  set state(state: RuntimeState) {
    Object.assign(this, state);
  }

  /** Sites of all kinds; without any there is nothing to boot or to verify. */
  get entryCount(): number {
    const { branches, callSites, locks, barriers, alternatives } = this;
    return branches.length + callSites.length + locks.length + barriers.length + alternatives.length;
  }

  /** Image and modules in the order of the kernel's lists: the newest module first, the image last. */
  get parts(): readonly Sites[] {
    return [...[...this.modules].reverse(), this];
  }

  /** Static branches of a key, in the order in which they are patched. */
  branchesOf(key: number): readonly BranchSite[] {
    return this.parts.flatMap(({ branches }) => byKey(branches).get(key) ?? []);
  }

  /** Static call sites of a key, in the order in which they are patched. */
  callSitesOf(key: number): readonly CallSite[] {
    return this.parts.flatMap(({ callSites }) => byKey(callSites).get(key) ?? []);
  }

  /** False for a site that a running program does not touch: freed init text, a kernel's .exit.text. */
  isPatched(address: number, isInit: boolean): boolean {
    const { image, profile } = this;
    if (profile.version !== undefined && image.isExitText(address)) return false;
    // Modules are loaded in one step, at whose end their init text is freed.
    return !isInit || (!this.initFreed && !this.modules.some((m) => m.image.contains(address)));
  }

  /** Records a WARN; `once` for WARN_ON_ONCE. */
  warn(warning: string, about: string): void {
    const repeated = this.warned.has(warning);
    this.warned.add(warning);
    this.warnings.push({ step: this.step, warning, about, repeated });
  }

  /** What the kernel of this profile does not survive: error `kernel-bug`. */
  bug(message: string): never {
    throw new TextpokeError(
      'kernel-bug',
      `${message}; a kernel of profile ${this.profile.name} stops here (BUG)`,
      {
        file: this.image.file.path,
      },
    );
  }
}

const groups = new WeakMap<readonly { readonly key: number }[], Map<number, unknown[]>>();

/** Sites by key; made once for a list. */
function byKey<S extends { readonly key: number }>(sites: readonly S[]): Map<number, S[]> {
  let found = groups.get(sites) as Map<number, S[]> | undefined;
  if (!found) {
    found = new Map();
    for (const site of sites) {
      const known = found.get(site.key);
      if (known) known.push(site);
      else found.set(site.key, [site]);
    }
    groups.set(sites, found);
  }
  return found;
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
export function callSupport(image: Image, profile: Profile, tables = image): CallSupport {
  return {
    returnStub: image.symbols.addressOf('__static_call_return'),
    returnThunk: returnThunk(image, tables),
    warnTrap: profile.warnTrap ? image.symbols.addressOf('__WARN_trap') : undefined,
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
