// What a booted program keeps in memory: the program itself, its modules, its CPUs, what waits. Phases and operations
// (jump-label.ts, static-key.ts, static-call.ts, cpus.ts, modules.ts) work on it.
import { type Program, withSites } from '../demand/program.ts';
import type { KeyedSite, Site, SiteKind, SiteLists } from '../demand/sites.ts';
import { TextpokeError } from '../errors.ts';
import type { Guest, Image } from '../image/image.ts';
import type { StaticCall } from '../image/static-calls.ts';
import type { Kind } from '../kinds/kind.ts';
import { Log } from './log.ts';
import { TextPoker } from './text-poke.ts';

/** What one image brings to the program. */
export interface Part {
  readonly image: Image;
  readonly sites: SiteLists;
}

/** A module that is loaded; its addresses can be asked of the program's image. */
export interface Module extends Part, Guest {
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

export interface Cpus {
  /** CPUs that run, by number. */
  readonly up: ReadonlySet<number>;
  /** True while locks are dropped (uniproc_patched); undefined before anybody has said. */
  readonly isOne: boolean | undefined;
  /** True once locks were dropped: from then on they are reserved (smp_alt_modules). */
  readonly haveDropped: boolean;
}

/** What steps change besides memory and the record. A step makes another state; whoever refuses one keeps the old. */
export interface RunState {
  readonly program: Program;
  /** Oldest first. */
  readonly modules: readonly Module[];
  readonly cpus: Cpus;
  /** Milliseconds since boot, which only a step lets pass. */
  readonly now: number;
  readonly deferred: readonly Deferred[];
  /** True once init text is gone (free_initmem): nothing touches it any more. */
  readonly initFreed: boolean;
}

export class Runtime {
  readonly poker: TextPoker;
  readonly log = new Log();
  /** True where keys get pointers to their entries, as a kernel's have them. */
  readonly raw: boolean;
  state: RunState;

  /** The program's image must lie in memory of its own: it is written to. */
  constructor(program: Program, raw = false) {
    this.raw = raw;
    this.poker = new TextPoker(program.image);
    this.state = {
      program,
      modules: [],
      cpus: { up: new Set([0]), isOne: undefined, haveDropped: false },
      now: 0,
      deferred: [],
      initFreed: false,
    };
  }

  get program(): Program {
    return this.state.program;
  }
  get image(): Image {
    return this.program.image;
  }

  /** Replaces parts of the state. */
  change(parts: Partial<RunState>): void {
    this.state = { ...this.state, ...parts };
  }

  /** Gives the image's own sites of a kind another form or order. */
  replaceSites<S extends Site>(kind: SiteKind<S>, sites: readonly S[]): void {
    this.change({ program: withSites(this.program, kind, sites) });
  }

  /** Image and modules in the order of the kernel's lists: the newest module first, the image last. */
  get parts(): readonly Part[] {
    return [...[...this.state.modules].reverse(), this.program];
  }

  /** Sites of a key, in the order in which they are patched. */
  sitesOf<S extends KeyedSite>(kind: SiteKind<S>, key: number): readonly S[] {
    return this.parts.flatMap(({ sites }) => byKey(sites.of(kind)).get(key) ?? []);
  }

  /** The sites of a part that the program's runtime patches at all. */
  patchedSites<S extends Site>(kind: Kind<S>, { image, sites }: Part): readonly S[] {
    const all = sites.of(kind);
    return kind.patched?.(this.program, image, all) ?? all;
  }

  /** False for a site that a running program does not touch: freed init text, a kernel's .exit.text. */
  isPatched(address: number, isInit: boolean): boolean {
    const { modules, initFreed } = this.state;
    const { image, profile } = this.program;
    if (profile.version !== undefined && image.isExitText(address)) return false;
    // Modules are loaded in one step, at whose end their init text is freed.
    return !isInit || (!initFreed && !modules.some((m) => m.image.contains(address)));
  }

  /** What the kernel of this profile does not survive: error `kernel-bug`. */
  bug(message: string): never {
    const { profile, image } = this.program;
    throw new TextpokeError(
      'kernel-bug',
      `${message}; a kernel of profile ${profile.name} stops here (BUG)`,
      { file: image.file.path },
    );
  }
}

const groups = new WeakMap<readonly KeyedSite[], Map<number, unknown[]>>();

/** Sites by key; made once for a list. */
function byKey<S extends KeyedSite>(sites: readonly S[]): Map<number, S[]> {
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
