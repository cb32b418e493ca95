// What verify says of a dump of a distribution's kernel, and what it may say.
import { spawnSync } from 'node:child_process';
import { builtProgram } from '../../built.ts';
import type { Unpacked } from './apt.ts';
import type { Combination, Form } from './combination.ts';
import { machines } from './kernels.ts';

interface Table {
  readonly name: string;
  readonly compared: number;
  readonly mismatches: number;
}

/** Sums of text: of the kernel, or of its modules. Without numbers where it was not compared. */
export interface Text {
  readonly bytes?: number;
  readonly differ?: number;
  readonly unexplained?: number;
  readonly kinds?: readonly { kind: string; bytes: number }[];
  readonly left?: readonly { what: string; count: number }[];
}

/** What is read of `textpoke.memory/1`. */
interface Memory {
  readonly tables: readonly Table[];
  readonly modules?: readonly {
    name: string;
    notCompared?: string;
    textNotCompared?: string;
    text?: { bytes: number };
    tables: readonly Table[];
  }[];
  readonly linkage?: readonly { table: string; compared: number }[];
  readonly text?: Text & { readonly modules?: Text };
  readonly findings: readonly { rule: string; place: string; message: string }[];
}

/** A row of the table of results. */
export interface Result {
  readonly sites: number;
  readonly moduleSites: number;
  readonly modules: number;
  readonly keys: number;
  /** Findings as `RULE place`. */
  readonly findings: readonly string[];
  /** Modules that were not compared, and why. */
  readonly left: readonly string[];
  readonly text: Text;
  readonly moduleText: Text;
  readonly seconds: number;
}

export interface True {
  readonly release: RegExp;
  readonly cpus: readonly string[];
  readonly options: readonly string[];
  /** Rule and function of each. */
  readonly findings: readonly string[];
}

const textpoke = builtProgram();

/** Runs verify as a user does; throws what it says when it compares nothing. */
export function verifyDump(unpacked: Unpacked, form: Form, dump: string, combination: Combination): Result {
  const start = performance.now();
  const { kernel } = combination;
  const modules = unpacked.modules && kernel.modules !== 'unknown' ? ['--modules', unpacked.modules] : [];
  const { memory } = machines[kernel.arch];
  const where = form === 'raw' ? [`--physical=0x${memory.toString(16)}`] : [];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [textpoke, 'verify', unpacked.image, '--memory', dump, ...where, ...modules, '--format', 'json'],
    { encoding: 'utf8', maxBuffer: 1 << 28 },
  );
  if (stdout === '') throw new Error(`exit status ${status}: ${stderr.trim()}`);
  const read = JSON.parse(stdout) as Memory;
  const sum = (tables: readonly { compared: number }[]) =>
    tables.reduce((all, table) => all + table.compared, 0);
  return {
    sites: sum(read.tables),
    moduleSites: sum((read.modules ?? []).flatMap((module) => module.tables)),
    modules: (read.modules ?? []).filter((module) => module.notCompared === undefined).length,
    keys: sum(read.linkage ?? []),
    findings: read.findings.map(({ rule, place }) => `${rule} ${place}`),
    left: (read.modules ?? []).flatMap(({ name, notCompared, textNotCompared, text }) => {
      const why = notCompared ?? textNotCompared;
      if (why !== undefined) return [`${name}: ${why}`];
      return kernel.arch !== 'armhf' && text === undefined ? [`${name}: nothing is said of its text`] : [];
    }),
    text: read.text ?? {},
    moduleText: read.text?.modules ?? {},
    seconds: (performance.now() - start) / 1000,
  };
}

const amd = ['EPYC', 'EPYC-Rome', 'EPYC-Milan'];
/** Options that leave return thunks on. */
const mitigated = ['kaslr', 'nokaslr', 'stuff', 'traced', 'lfence'];

/**
 * Findings that are true: what the kernel of that release leaves undone (docs/kernel.md says why). These are tail calls
 * to nothing that hold a bare `ret`, since they were patched before return thunks were decided. `irqentry_exit` of 6.1 is
 * one more, until init.c switches the preemption.
 */
export const trueFindings: readonly True[] = [
  {
    release: /^5\.10\.0-/,
    cpus: amd,
    options: mitigated,
    findings: [
      'TP007 x86_pmu_del',
      'TP007 x86_pmu_del',
      'TP007 x86_pmu_disable',
      'TP007 x86_pmu_enable',
      'TP007 x86_pmu_read',
      'TP007 x86_pmu_sched_task',
      'TP007 x86_pmu_swap_task_ctx',
    ],
  },
  {
    // Where ITS is: not with retpolines of lfence.
    release: /^5\.10\.0-/,
    cpus: ['Skylake-Server', 'Cascadelake-Server', 'Icelake-Server'],
    options: ['kaslr', 'nokaslr', 'stuff', 'traced'],
    findings: ['TP007 x86_pmu_del', 'TP007 x86_pmu_read'],
  },
  {
    release: /^6\.1\.0-/,
    cpus: amd,
    options: mitigated,
    findings: [
      'TP007 _x86_pmu_read',
      'TP007 amd_pmu_add_event',
      'TP007 amd_pmu_del_event',
      'TP007 intel_pmu_save_and_restart',
      'TP007 intel_pmu_save_and_restart',
      'TP007 x86_pmu_del',
      'TP007 x86_pmu_disable',
      'TP007 x86_pmu_enable',
      'TP007 x86_pmu_read',
      'TP007 x86_pmu_sched_task',
      'TP007 x86_pmu_swap_task_ctx',
    ],
  },
  {
    // The thunk of ITS is used in the first half of a cache line alone, and not with retpolines of lfence.
    release: /^6\.1\.0-/,
    cpus: ['Skylake-Server', 'Cascadelake-Server', 'Icelake-Server'],
    options: ['kaslr', 'nokaslr', 'stuff', 'traced'],
    findings: [
      'TP007 amd_pmu_del_event',
      'TP007 x86_pmu_del',
      'TP007 x86_pmu_disable',
      'TP007 x86_pmu_read',
      'TP007 x86_pmu_sched_task',
      'TP007 x86_pmu_swap_task_ctx',
    ],
  },
  {
    // One for each function to which init.c attaches programs: this kernel can still write to their trampolines.
    release: /^5\.10\.0-/,
    cpus: machines.amd64.cpus,
    options: ['traced'],
    findings: Array<string>(5).fill('TP039 bpf_trampoline'),
  },
];

/** The findings that are expected of a combination, in order. */
export function expectedFindings(release: string, { cpu, options }: Combination): string[] {
  return trueFindings
    .filter(
      (row) => row.release.test(release) && row.cpus.includes(cpu) && row.options.includes(options.name),
    )
    .flatMap((row) => row.findings)
    .sort();
}

/** A finding without its offset and numbers, which another build of the same release would not have. */
export const functionOf = (finding: string): string =>
  finding.replace(/\+0x[0-9a-f]+/, '').replace(/(bpf_trampoline)[_\d]+/, '$1');
