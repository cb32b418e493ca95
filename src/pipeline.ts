// The passes of annotate and boot, top to bottom.
import { archOf } from './arch/registry.ts';
import { jumpLabelInit, setStaticKey } from './boot/jump-label.ts';
import { Runtime } from './boot/runtime.ts';
import { setLocks, type UpFill } from './boot/smp-locks.ts';
import { parseCallValue, staticCallInit, updateStaticCall } from './boot/static-call.ts';
import { isArchive, readArchive, rewriteArchive } from './elf/archive.ts';
import { type ElfChange, isEmptyChange } from './elf/change.ts';
import { SHF_EXECINSTR } from './elf/constants.ts';
import type { ElfFile } from './elf/file.ts';
import { isElf, readElf } from './elf/read.ts';
import { recheck } from './elf/recheck.ts';
import { rewriteObject } from './elf/rewrite.ts';
import { inFile, TextpokeError } from './errors.ts';
import type { Image } from './image/image.ts';
import { findStaticCall, findStaticKey } from './image/sites.ts';
import { findLocks } from './sites/lock-prefix.ts';
import { readMarkers } from './sites/markers.ts';
import { ObjectCode } from './sites/object-code.ts';
import { findStaticCalls, type StaticCallSite } from './sites/static-call.ts';
import { keyNameOf, Trampolines } from './sites/trampolines.ts';
import { encodeTables, type FieldTarget, type NewEntry, SymbolAdditions } from './tables/encode.ts';
import { asJumpEntry, checkJumpEntries, entryOfMarker } from './tables/jump-entries.ts';
import { readObjectTable } from './tables/object-tables.ts';
import { callTail, jumpTable, smpLocks, staticCallSites, type TableRow } from './tables/schema.ts';

/** Which locks are listed: all, only those listed already (the rest reported), or none. */
export type LockPolicy = 'all' | 'listed' | 'none';

export interface AnnotateOptions {
  readonly staticCall: boolean;
  readonly staticBranch: boolean;
  readonly smpLocks: boolean;
  /** Undefined: all, but `listed` in an object that has a `.smp_locks` already. */
  readonly locks?: LockPolicy | undefined;
  /** Kernel module rules: a missing key is represented by its trampoline, tables are plain sections. */
  readonly module: boolean;
  /** Holds the instructions that the annotated object lists against another reader; throws when it disagrees. */
  readonly crossCheck?: ((annotated: ObjectCode) => void) | undefined;
}

/** What one object gave. Counts of entries written, already there, and of build-time jumps rewritten. */
export interface AnnotateStats {
  file: string;
  staticCalls: number;
  staticBranches: number;
  locks: number;
  alreadyListed: number;
  rewrittenJumps: number;
  keysAdded: string[];
  unlistedLocks: number;
}

export interface Annotated {
  /** The new file, or undefined when every byte would stay as it is. */
  readonly bytes: Uint8Array | undefined;
  readonly stats: AnnotateStats[];
}

function emptyStats(file: string): AnnotateStats {
  return {
    file,
    staticCalls: 0,
    staticBranches: 0,
    locks: 0,
    alreadyListed: 0,
    rewrittenJumps: 0,
    keysAdded: [],
    unlistedLocks: 0,
  };
}

/** Slim GCC LTO objects are ELF files without machine code. */
function refuseSlimLto(file: ElfFile): void {
  const lto = file.sections.some((s) => s.name.startsWith('.gnu.lto_'));
  if (lto && !file.sections.some((s) => (s.flags & SHF_EXECINSTR) !== 0 && s.size > 0)) {
    throw new TextpokeError(
      'lto-object',
      'the object holds GCC LTO bytecode and no machine code; link it first (gcc -flto -r -flinker-output=nolto-rel) ' +
        'or compile with -ffat-lto-objects or without -flto',
    );
  }
}

/** Finds the sites of an object, checks what it lists already, and says what has to change. */
export function planAnnotation(
  object: ObjectCode,
  options: AnnotateOptions,
  stats: AnnotateStats,
): ElfChange {
  const symbols = new SymbolAdditions(object);
  const entries: NewEntry[] = [];
  const patches: ElfChange['patches'][number][] = [];
  const voided: ElfChange['voided'][number][] = [];
  if (options.staticBranch) {
    const listed = readObjectTable(object, jumpTable).map(asJumpEntry);
    const checked = checkJumpEntries(object, listed);
    patches.push(...checked.patches);
    voided.push(...checked.voided);
    stats.rewrittenJumps += checked.patches.length;
    stats.alreadyListed += listed.length;
    for (const code of object.codeSections) {
      for (const marker of readMarkers(object, code).branches) {
        if (checked.listed.has(`${code.section.index}:${marker.offset}`)) continue;
        entries.push(entryOfMarker(object, code, marker));
        stats.staticBranches++;
      }
    }
  }
  if (options.staticCall) {
    const listed = listedSites(object, staticCallSites, stats);
    const trampolines = new Trampolines(object);
    for (const site of findStaticCalls(object, trampolines)) {
      if (listed.has(`${site.section}:${site.offset}`)) continue;
      entries.push(entryOfCall(object, trampolines, site, options.module, symbols, stats));
      stats.staticCalls++;
    }
  }
  if (options.smpLocks) {
    const listed = listedSites(object, smpLocks, stats);
    const policy = options.locks ?? (listed.size > 0 ? 'listed' : 'all');
    for (const code of policy === 'none' ? [] : object.codeSections) {
      for (const lock of findLocks(object, code, readMarkers(object, code).keptLocks)) {
        if (listed.has(`${lock.section}:${lock.offset}`)) continue;
        if (policy === 'listed') stats.unlistedLocks++;
        else {
          entries.push({ row: smpLocks, code: lock.section, fields: [lock] });
          stats.locks++;
        }
      }
    }
  }
  // From here on the set of sites is final; what follows only writes it down.
  const tables = encodeTables(object, entries, symbols, !options.module);
  return {
    symbols: symbols.added,
    sections: tables.sections,
    groups: tables.groups,
    patches,
    voided,
    osabi: tables.osabi,
  };
}

/** `section:offset` of every site in a table whose first field is the site. */
function listedSites(object: ObjectCode, row: TableRow, stats: AnnotateStats): Set<string> {
  const entries = readObjectTable(object, row);
  stats.alreadyListed += entries.length;
  return new Set(entries.map(({ fields: [site] }) => `${site?.section}:${site?.offset}`));
}

function entryOfCall(
  object: ObjectCode,
  trampolines: Trampolines,
  site: StaticCallSite,
  module: boolean,
  symbols: SymbolAdditions,
  stats: AnnotateStats,
): NewEntry {
  const flags = site.kind === 'call' ? 0 : callTail;
  const known = trampolines.keyOf(site.trampoline);
  let key: FieldTarget;
  if (known !== undefined) key = { symbol: known, offset: flags };
  else if (module) key = { symbol: site.trampoline, offset: flags };
  else {
    const name = keyNameOf(object.symbols.name(site.trampoline));
    key = { symbol: symbols.undefinedSymbol(name), offset: flags };
    if (!stats.keysAdded.includes(name)) stats.keysAdded.push(name);
  }
  return {
    row: staticCallSites,
    code: site.section,
    fields: [{ section: site.section, offset: site.offset }, key],
  };
}

/** Annotates one object in memory. `path` names it in messages. */
function annotateObject(path: string, bytes: Uint8Array, options: AnnotateOptions): Annotated {
  return inFile(path, () => {
    const file = readElf(path, bytes);
    const arch = archOf(file.header);
    refuseSlimLto(file);
    const stats = emptyStats(path);
    if (!file.symtab && file.header.type === 1) return { bytes: undefined, stats: [stats] };
    const object = new ObjectCode(file, arch);
    const change = planAnnotation(object, options, stats);
    if (isEmptyChange(change)) {
      options.crossCheck?.(object);
      return { bytes: undefined, stats: [stats] };
    }
    const result = rewriteObject(file, change);
    checkResult(path, result, options, stats);
    return { bytes: result, stats: [stats] };
  });
}

/** Re-reads the result with both readers and holds its tables against the plan. */
function checkResult(path: string, bytes: Uint8Array, options: AnnotateOptions, stats: AnnotateStats): void {
  const file = recheck(path, bytes);
  const object = new ObjectCode(file, archOf(file.header));
  const rows = [
    ...(options.staticBranch ? [jumpTable] : []),
    ...(options.staticCall ? [staticCallSites] : []),
    ...(options.smpLocks ? [smpLocks] : []),
  ];
  const found = rows.reduce((sum, row) => sum + readObjectTable(object, row).length, 0);
  const planned = stats.alreadyListed + stats.staticCalls + stats.staticBranches + stats.locks;
  if (found !== planned) {
    throw new TextpokeError('defect', `the result lists ${found} sites where ${planned} were planned`);
  }
  options.crossCheck?.(object);
}

/**
 * Annotates an object or an archive in memory; nothing is written. Archive members that are no ELF objects stay
 * as they are. Errors: those of reading, `site-unpatchable`, `site-mismatch`, `key-unaligned`.
 */
export function annotate(path: string, bytes: Uint8Array, options: AnnotateOptions): Annotated {
  if (!isArchive(bytes)) return annotateObject(path, bytes, options);
  return inFile(path, () => {
    const members = readArchive(bytes);
    const contents = new Map<number, Uint8Array>();
    const stats: AnnotateStats[] = [];
    members.forEach((member, i) => {
      const content = bytes.subarray(member.offset, member.offset + member.size);
      if (member.special || !isElf(content)) return;
      const result = annotateObject(`${path}(${member.name})`, content, options);
      stats.push(...result.stats);
      if (result.bytes) contents.set(i, result.bytes);
    });
    return { bytes: contents.size > 0 ? rewriteArchive(bytes, members, contents) : undefined, stats };
  });
}

/** What happens to the running program, in order. */
export type BootStep =
  | { readonly do: 'enable' | 'disable'; readonly key: string }
  | { readonly do: 'update'; readonly call: string; readonly value: string };

export interface BootOptions {
  /** Number of CPUs; undefined leaves the locks as they are. */
  readonly cpus: number | undefined;
  readonly upFill: UpFill;
  readonly steps: readonly BootStep[];
}

/**
 * Replays boot and the steps after it over an image that lies in memory of its own; the image changes in place.
 * Errors: `site-mismatch` (a site is not what it must be), `table-malformed`, `key-unaligned`, `branch-range`,
 * `store-refused`, `unknown-key`, `ambiguous-name`. What was written before an error is worthless: drop the image.
 */
export function boot(image: Image, options: BootOptions): Runtime {
  const runtime = new Runtime(image);
  jumpLabelInit(runtime);
  staticCallInit(runtime);
  if (options.cpus !== undefined) setLocks(runtime, options.cpus, options.upFill);
  // From here on the program runs: every site is what its key demands, and writes go one breakpoint at a time.
  runtime.poker.phase = 'run time';
  runtime.poker.live = true;
  for (const step of options.steps) {
    if (step.do === 'update') {
      const call = findStaticCall(image, runtime.calls, step.call);
      updateStaticCall(runtime, call, parseCallValue(runtime, step.value));
    } else setStaticKey(runtime, findStaticKey(image, step.key), step.do === 'enable');
  }
  return runtime;
}
