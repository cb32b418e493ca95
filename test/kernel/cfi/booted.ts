// A kernel with kCFI and FineIBT is built, booted with every form that its checks can have, and dumped; verify must explain
// every byte of its text and of its modules'. Then bits of the text are changed, and what verify reads of the checks.
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findChanges } from '../distro/changes.ts';
import { type Combination, dumpGuest } from '../distro/combination.ts';
import type { DistroKernel } from '../distro/kernels.ts';
import { type Result, type Text, verifyDump } from '../distro/verify.ts';
import type { Report } from '../report.ts';
import { buildCfiKernel } from './build.ts';
import { hasParanoid } from './extract.ts';

const kernel: DistroKernel = {
  ...{ name: 'kcfi', arch: 'amd64', image: /./, modules: 'compared' },
  loads: ['fuse', 'kobject_example', 'trace_events_sample'],
};

/** A boot: what the processor is, and what is said of the checks. FineIBT works without IBT, so that any processor does. */
interface Boot {
  readonly cpu: string;
  readonly words: string;
  readonly isTraced?: true;
  /** Bits are changed in its dump. */
  readonly isChanged?: true;
}

const retpoline = 'spectre_v2=retpoline';
/** Kernels of all versions. */
const usual: readonly Boot[] = [
  { cpu: 'qemu64', words: '' },
  { cpu: 'qemu64', words: 'cfi=off', isTraced: true },
  { cpu: 'qemu64', words: 'cfi=kcfi', isTraced: true, isChanged: true },
  { cpu: 'Skylake-Server', words: `cfi=kcfi,norand ${retpoline}`, isTraced: true },
  { cpu: 'EPYC', words: `cfi=fineibt ${retpoline}`, isTraced: true },
  { cpu: 'max', words: 'cfi=fineibt,norand nokaslr' },
];
/** Since 6.15. Icelake-Server has ITS, whose thunks end the paranoid checks. */
const late: readonly Boot[] = [
  { cpu: 'Icelake-Server', words: `cfi=fineibt ${retpoline}` },
  { cpu: 'Icelake-Server', words: `cfi=fineibt,paranoid ${retpoline}`, isTraced: true },
  { cpu: 'Icelake-Server', words: `cfi=fineibt,paranoid,bhi ${retpoline}`, isTraced: true, isChanged: true },
  { cpu: 'qemu64', words: 'cfi=fineibt,paranoid,norand' },
  { cpu: 'Skylake-Server', words: 'cfi=fineibt,bhi', isTraced: true },
  { cpu: 'qemu64', words: 'cfi=fineibt,bhi,warn' },
  { cpu: 'EPYC-Milan', words: 'cfi=fineibt,paranoid mitigations=off' },
];
/**
 * How often a boot is tried. These kernels write a call's check in two steps and take interrupts in between
 * (cfi_rewrite_callers), so that now and then an interrupt handler meets a hash that is half written, and the kernel stops.
 */
const tries = 4;
/** What the console has then. */
const halfWritten = /__apply_fineibt|alternative_instructions/;

const number = (value: number | undefined) => value?.toLocaleString('en') ?? 'not compared';
const cellsOf = ({ bytes, differ, unexplained, kinds }: Text) => [
  ...[bytes, differ, kinds?.find(({ kind }) => kind === 'cfi')?.bytes, unexplained].map(number),
];
const columns = ['CPU', 'words', 'text', 'differs', 'of it kCFI', 'not explained'];
const moduleColumns = ['modules', 'their text', 'differs', 'of it kCFI', 'not explained', 'findings'];
const row = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;

/** `bits` and `inputs` say how many are changed in each of some dumps. */
export async function verifyCfiKernel(
  report: Report,
  directory: string,
  source: string,
  { bits, inputs, keep }: { readonly bits: number; readonly inputs: number; readonly keep: boolean },
): Promise<void> {
  const built = buildCfiKernel(directory, source);
  const isLate = hasParanoid(readFileSync(join(source, 'arch/x86/kernel/alternative.c'), 'utf8'));
  const head = [...columns, ...moduleColumns];
  const rows = [row(head), row(head.map(() => '---'))];
  for (const boot of [...usual, ...(isLate ? late : [])]) {
    const options = { name: 'kcfi', words: boot.words, processors: 1, note: false };
    const combination: Combination = {
      kernel,
      cpu: boot.cpu,
      options: { ...options, ...(boot.isTraced && { isTraced: true }) },
    };
    const what = `${built.release} ${boot.cpu} ${boot.words}${boot.isTraced ? ', traced' : ''}`;
    let dump = '';
    try {
      const loaded = await tried(report, what, () =>
        dumpGuest(directory, combination, built, ['physical'], (_, path) => {
          dump = path;
        }),
      );
      const result = verifyDump(built, 'physical', dump, combination);
      judge(report, what, result, loaded.length);
      rows.push(
        row([
          ...[boot.cpu, `\`${boot.words}\`${boot.isTraced ? ', traced' : ''}`, ...cellsOf(result.text)],
          ...[result.modules, ...cellsOf(result.moduleText), result.findings.length],
        ]),
      );
      if (boot.isChanged) await change(report, { ...built, dump }, bits, inputs);
    } catch (error) {
      report.expect(false, `${what}: ${(error as Error).message}`);
    } finally {
      if (dump !== '' && keep) {
        mkdirSync(join(directory, 'dumps'), { recursive: true });
        renameSync(
          dump,
          join(directory, 'dumps', `kcfi_${boot.cpu}_${boot.words.replaceAll(/[ =,]/g, '_')}`),
        );
      } else rmSync(dump, { force: true });
    }
    // After each, so that a run that is ended early has told what it found.
    writeFileSync(join(directory, 'kcfi.md'), `${rows.join('\n')}\n`);
  }
  report.say('');
  for (const one of rows) report.say(one);
}

/** Boots again where the kernel stopped in between; a guest that ends or stops says so after a while. */
async function tried<T>(report: Report, what: string, boot: () => Promise<T>): Promise<T> {
  for (let time = 1; ; time++) {
    try {
      return await boot();
    } catch (error) {
      if (!halfWritten.test((error as Error).message) || time >= tries) throw error;
      report.say(`  ${what}: an interrupt met a check that was half written; once more`);
    }
  }
}

function judge(report: Report, what: string, result: Result, loaded: number): void {
  const { findings, left, modules, sites, text, moduleText } = result;
  for (const finding of findings) report.say(`  ${finding}`);
  for (const module of left) report.say(`  not compared: ${module}`);
  for (const { what: of, count } of [...(text.left ?? []), ...(moduleText.left ?? [])])
    report.say(`  not replayed: ${of} (${count})`);
  const isExplained = text.unexplained === 0 && moduleText.unexplained === 0 && findings.length === 0;
  report.expect(
    isExplained && sites > 0 && loaded > 0 && modules === loaded && left.length === 0,
    `${what}: ${text.unexplained} bytes of ${text.bytes} not explained, of ${modules} modules of ${loaded} ${moduleText.unexplained}`,
  );
}

/** Bits of the kernel's text, then of its modules'; and inputs. */
async function change(
  report: Report,
  { image, dump, modules }: { image: string; dump: string; modules: string | undefined },
  bits: number,
  inputs: number,
): Promise<void> {
  await findChanges(report, { image, dump }, bits, inputs);
  await findChanges(report, { image, dump, modules }, bits >> 2, 0);
}
