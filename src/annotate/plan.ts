// What annotate is going to write into one object: entries for sites that have none, symbols they need, and the
// rewrite of build-time jumps. Planning changes nothing; `AnnotationPlan.change` is what rewrite.ts carries out.

import {
  callTail,
  jumpTable,
  keptLocks,
  smpBarriers,
  smpLocks,
  staticCallSites,
  type TableRow,
} from '../bytes/schema.ts';
import { keyNameOf } from '../bytes/static-call-names.ts';
import type { ElfChange } from '../elf/change.ts';
import { TextpokeError } from '../errors.ts';
import { findBarriers } from '../object/find-barriers.ts';
import { findLocks } from '../object/find-locks.ts';
import { findStaticCalls, type StaticCallSite } from '../object/find-static-calls.ts';
import { asJumpEntry, checkJumpEntries, entryOfMarker, makeRelative } from '../object/jump-entries.ts';
import { type Markers, readMarkers } from '../object/markers.ts';
import type { CodeSection, ObjectCode } from '../object/object-code.ts';
import { readObjectTable } from '../object/tables.ts';
import { Trampolines } from '../object/trampolines.ts';
import { encodeTables, type FieldTarget, type NewEntry, SymbolAdditions } from './encode.ts';

/** Which locks are listed: all, only those listed already (the rest reported), or none. */
export type LockPolicy = 'all' | 'listed' | 'none';

export interface AnnotateOptions {
  readonly staticCall: boolean;
  readonly staticBranch: boolean;
  readonly smpLocks: boolean;
  /** Barriers between CPUs (ARM); only who knows that the program shares no memory with other CPUs may ask. */
  readonly smpBarriers?: boolean | undefined;
  /** Undefined: all, but `listed` in an object that has a `.smp_locks` already. */
  readonly locks?: LockPolicy | undefined;
  /** Kernel module rules: a missing key is represented by its trampoline, tables are plain sections. */
  readonly module: boolean;
  /** Makes absolute jump entries (32-bit ARM kernels) PC-relative. */
  readonly relative?: boolean | undefined;
  /** Holds the instructions that the annotated object lists against another reader; throws when it disagrees. */
  readonly crossCheck?: ((annotated: ObjectCode) => void) | undefined;
}

/** What one object gave. Counts of entries written, already there, and of build-time jumps rewritten. */
export interface AnnotateStats {
  file: string;
  staticCalls: number;
  staticBranches: number;
  locks: number;
  /** Locks marked to be kept, listed in a table of their own. */
  keptLocks: number;
  barriers: number;
  alreadyListed: number;
  rewrittenJumps: number;
  /** Absolute jump entries made relative. */
  madeRelative: number;
  keysAdded: string[];
  unlistedLocks: number;
}

export class AnnotationPlan {
  readonly object: ObjectCode;
  readonly options: AnnotateOptions;
  readonly stats: AnnotateStats;
  readonly entries: NewEntry[] = [];
  readonly symbols: SymbolAdditions;
  readonly patches: ElfChange['patches'][number][] = [];
  readonly retyped: ElfChange['retyped'][number][] = [];
  readonly realigned: ElfChange['realigned'][number][] = [];
  private readonly markers = new Map<CodeSection, Markers>();

  constructor(object: ObjectCode, options: AnnotateOptions) {
    this.object = object;
    this.options = options;
    this.symbols = new SymbolAdditions(object);
    this.stats = {
      file: object.file.path,
      staticCalls: 0,
      staticBranches: 0,
      locks: 0,
      keptLocks: 0,
      barriers: 0,
      alreadyListed: 0,
      rewrittenJumps: 0,
      madeRelative: 0,
      keysAdded: [],
      unlistedLocks: 0,
    };
  }

  /** The markers of a code section, read once. */
  markersIn(code: CodeSection): Markers {
    let found = this.markers.get(code);
    if (!found) {
      found = readMarkers(this.object, code);
      this.markers.set(code, found);
    }
    return found;
  }

  /** Entries that the annotated object has to have. */
  get expectedEntries(): number {
    const { alreadyListed, staticCalls, staticBranches, locks, keptLocks, barriers } = this.stats;
    return alreadyListed + staticCalls + staticBranches + locks + keptLocks + barriers;
  }

  /** Writes the plan down; call it once, when every kind of site has been planned. */
  change(): ElfChange {
    const tables = encodeTables(this.object, this.entries, this.symbols, !this.options.module);
    return {
      symbols: this.symbols.added,
      sections: tables.sections,
      groups: tables.groups,
      patches: this.patches,
      retyped: this.retyped,
      realigned: this.realigned,
      osabi: tables.osabi,
    };
  }
}

/** Checks the entries that are there, rewrites their build-time jumps, and lists marked branches without entry. */
export function planStaticBranches(plan: AnnotationPlan): void {
  const { object, stats } = plan;
  const entries = readObjectTable(object, jumpTable).map(asJumpEntry);
  const checked = checkJumpEntries(object, entries);
  plan.patches.push(...checked.patches);
  plan.retyped.push(...checked.retyped);
  stats.rewrittenJumps += checked.patches.length;
  stats.alreadyListed += entries.length;
  const isAbsolute = entries[0]?.entry.absolute === true;
  if (isAbsolute && plan.options.relative) {
    const { retyped, realigned } = makeRelative(object, entries);
    plan.retyped.push(...retyped);
    plan.realigned.push(...realigned);
    stats.madeRelative += entries.length;
  }
  for (const code of object.siteSections) {
    for (const marker of plan.markersIn(code).branches) {
      if (checked.listed.has(`${code.section.index}:${marker.offset}`)) continue;
      if (isAbsolute && !plan.options.relative) {
        throw new TextpokeError(
          'table-malformed',
          'the object lists static branches in absolute entries, and no table may mix these with relative ones; ' +
            'annotate with --relative makes all of them relative',
          { section: jumpTable.name },
        );
      }
      plan.entries.push(entryOfMarker(object, code, marker));
      stats.staticBranches++;
    }
  }
}

/** Lists branches to trampolines. */
export function planStaticCalls(plan: AnnotationPlan): void {
  const { object, stats } = plan;
  const listed = listedSites(plan, staticCallSites);
  const trampolines = new Trampolines(object);
  for (const site of findStaticCalls(object, trampolines)) {
    if (listed.has(`${site.section}:${site.offset}`)) continue;
    plan.entries.push({
      row: staticCallSites,
      code: site.section,
      fields: [{ section: site.section, offset: site.offset }, keyOfCall(plan, trampolines, site)],
    });
    stats.staticCalls++;
  }
}

/** Lists lock prefixes, or counts them where the object's own list is to stand; those to be kept apart. */
export function planLocks(plan: AnnotationPlan): void {
  const { object, options, stats } = plan;
  const listed = listedSites(plan, smpLocks);
  const kept = listedSites(plan, keptLocks);
  const policy = options.locks ?? (listed.size > 0 ? 'listed' : 'all');
  if (policy === 'none') return;
  for (const code of object.siteSections) {
    for (const lock of findLocks(object, code, plan.markersIn(code).keptLocks)) {
      if ((lock.kept ? kept : listed).has(`${lock.section}:${lock.offset}`)) continue;
      if (policy === 'listed' && !lock.kept) {
        stats.unlistedLocks++;
        continue;
      }
      plan.entries.push({ row: lock.kept ? keptLocks : smpLocks, code: lock.section, fields: [lock] });
      if (lock.kept) stats.keptLocks++;
      else stats.locks++;
    }
  }
}

/** Lists barriers between CPUs, but for those that are marked to be kept. */
export function planBarriers(plan: AnnotationPlan): void {
  const { object, stats } = plan;
  const listed = listedSites(plan, smpBarriers);
  for (const code of object.siteSections) {
    const section = code.section.index;
    for (const offset of findBarriers(object, code, plan.markersIn(code).keptLocks)) {
      if (listed.has(`${section}:${offset}`)) continue;
      plan.entries.push({ row: smpBarriers, code: section, fields: [{ section, offset }] });
      stats.barriers++;
    }
  }
}

/** `section:offset` of every site that a table lists already. */
function listedSites(plan: AnnotationPlan, row: TableRow): Set<string> {
  const entries = readObjectTable(plan.object, row);
  plan.stats.alreadyListed += entries.length;
  return new Set(entries.map(({ fields: [site] }) => `${site?.section}:${site?.offset}`));
}

/** The key's symbol; a missing one is added, or (kernel modules) represented by the trampoline. */
function keyOfCall(plan: AnnotationPlan, trampolines: Trampolines, site: StaticCallSite): FieldTarget {
  const offset = site.kind === 'call' ? 0 : callTail;
  const symbol = trampolines.keyOf(site.trampoline);
  if (symbol !== undefined) return { symbol, offset };
  if (plan.options.module) return { symbol: site.trampoline, offset };
  const name = keyNameOf(plan.object.symbols.name(site.trampoline));
  if (!plan.stats.keysAdded.includes(name)) plan.stats.keysAdded.push(name);
  return { symbol: plan.symbols.undefinedSymbol(name), offset };
}
