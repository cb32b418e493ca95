// The passes of annotate and boot, top to bottom.

import {
  type AnnotateOptions,
  type AnnotateStats,
  AnnotationPlan,
  planBarriers,
  planLocks,
  planStaticBranches,
  planStaticCalls,
} from './annotate/plan.ts';
import { archOf } from './arch/registry.ts';
import { startCpus } from './boot/hotplug.ts';
import { jumpLabelInit } from './boot/jump-label.ts';
import { Runtime } from './boot/runtime.ts';
import type { UpFill } from './boot/smp-locks.ts';
import { staticCallInit } from './boot/static-call.ts';
import { type BootStep, describeStep, runStep } from './boot/steps.ts';
import { jumpTable, keptLocks, smpBarriers, smpLocks, staticCallSites } from './bytes/schema.ts';
import type { Profile } from './demand/profiles.ts';
import { withSymbolTable } from './elf/add-symbol-table.ts';
import { isArchive, readArchive, rewriteArchive } from './elf/archive.ts';
import { isEmptyChange } from './elf/change.ts';
import { ET_REL, SHF_EXECINSTR } from './elf/constants.ts';
import type { ElfFile } from './elf/file.ts';
import { isElf } from './elf/magic.ts';
import { readElf, readElfFrom } from './elf/read.ts';
import { recheck } from './elf/recheck.ts';
import { rewriteObject } from './elf/rewrite.ts';
import { inFile, TextpokeError } from './errors.ts';
import { fileSource } from './files/source.ts';
import type { Image } from './image/image.ts';
import { ObjectCode } from './object/object-code.ts';
import { readObjectTable } from './object/tables.ts';

export type { AnnotateOptions, AnnotateStats, LockPolicy } from './annotate/plan.ts';
export type { BootStep } from './boot/steps.ts';

export interface Annotated {
  /** The new file, or undefined when every byte would stay as it is. */
  readonly bytes: Uint8Array | undefined;
  readonly stats: AnnotateStats[];
}

function hasCode(file: ElfFile): boolean {
  return file.sections.some((s) => (s.flags & SHF_EXECINSTR) !== 0 && s.size > 0);
}

/** Slim GCC LTO objects are ELF files without machine code. */
function refuseSlimLto(file: ElfFile): void {
  if (!hasCode(file) && file.sections.some((s) => s.name.startsWith('.gnu.lto_'))) {
    throw new TextpokeError(
      'lto-object',
      'the object holds GCC LTO bytecode and no machine code; link it first (gcc -flto -r -flinker-output=nolto-rel) ' +
        'or compile with -ffat-lto-objects or without -flto',
    );
  }
}

/** Annotates one object in memory. `path` names it in messages. */
function annotateObject(path: string, bytes: Uint8Array, options: AnnotateOptions): Annotated {
  return inFile(path, () => {
    const read = readElf(path, bytes);
    const arch = archOf(read.header);
    refuseSlimLto(read);
    const file = read.header.type === ET_REL ? withSymbolTable(read) : read;
    // Stripped of everything, an object may have no symbol table; without code there is nothing to miss.
    if (!file.symtab && file.header.type === ET_REL && !hasCode(file)) return { bytes: undefined, stats: [] };
    const plan = new AnnotationPlan(new ObjectCode(file, arch), options);
    if (options.staticBranch) planStaticBranches(plan);
    if (options.staticCall) planStaticCalls(plan);
    if (options.smpLocks) planLocks(plan);
    if (options.smpBarriers) planBarriers(plan);
    // From here on the set of sites is final; what follows only writes it down.
    const change = plan.change();
    const isChanged = !isEmptyChange(change);
    const result = isChanged ? rewriteObject(file, change) : undefined;
    const annotated = result ? checkResult(path, result, plan) : plan.object;
    options.crossCheck?.(annotated);
    return { bytes: result, stats: [plan.stats] };
  });
}

/** Re-reads the result with both readers and holds its tables against the plan. */
function checkResult(path: string, bytes: Uint8Array, plan: AnnotationPlan): ObjectCode {
  const file = recheck(path, bytes);
  const object = new ObjectCode(file, archOf(file.header));
  const { options } = plan;
  const rows = [
    ...(options.staticBranch ? [jumpTable] : []),
    ...(options.staticCall ? [staticCallSites] : []),
    ...(options.smpLocks ? [smpLocks, keptLocks] : []),
    ...(options.smpBarriers ? [smpBarriers] : []),
  ];
  const found = rows.reduce((sum, row) => sum + readObjectTable(object, row).length, 0);
  if (found !== plan.expectedEntries) {
    throw new TextpokeError(
      'defect',
      `the result lists ${found} sites where ${plan.expectedEntries} were planned`,
    );
  }
  return object;
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

export interface BootOptions {
  /** Number of CPUs; undefined leaves locks and barriers as they are. */
  readonly cpus: number | undefined;
  readonly upFill: UpFill;
  readonly steps: readonly BootStep[];
  /** Which runtime patches; undefined: the one that the image asks for. */
  readonly profile?: Profile | undefined;
  /** Opens a module's file, for steps that load one. */
  readonly openModule?: ((file: string) => ElfFile) | undefined;
  /** Told of each phase and step as it begins. */
  readonly progress?: ((what: string) => void) | undefined;
}

/**
 * Replays boot and the steps after it over an image that lies in memory of its own; the image changes in place.
 * Errors: `site-mismatch` (a site is not what it must be), `kernel-bug`, `table-malformed`, `key-unaligned`,
 * `branch-range`, `store-refused`, `step-refused`, `expectation-failed`, `unknown-key`, `ambiguous-name`. What was
 * written before an error is worthless: drop the image.
 */
export function boot(image: Image, options: BootOptions): Runtime {
  const { upFill, progress = () => {} } = options;
  progress('reading the tables');
  const runtime = new Runtime(image, { profile: options.profile });
  progress('jump_label_init');
  jumpLabelInit(runtime);
  progress('static_call_init');
  staticCallInit(runtime);
  progress('SMP alternatives');
  startCpus(runtime, options.cpus, upFill);
  // From here on the program runs: every site is what its key demands, and writes go one breakpoint at a time.
  runtime.poker.phase = 'run time';
  runtime.poker.live = true;
  const openModule = options.openModule ?? ((file) => readElfFrom(file, fileSource(file)));
  for (const step of options.steps) {
    progress(step.place ?? describeStep(step));
    runStep(runtime, step, { upFill, openModule });
  }
  return runtime;
}
