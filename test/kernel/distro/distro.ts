// Boots Debian's kernels as their packages have them, on many CPUs and with many options, and has verify find nothing in
// their memory. Writes a table of what was compared.
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Report } from '../report.ts';
import { Apt, type Unpacked } from './apt.ts';
import {
  allCombinations,
  type Combination,
  dumpGuest,
  type Form,
  formsOf,
  nameOf,
  pairedCombinations,
} from './combination.ts';
import { type Architecture, type DistroKernel, distroKernels } from './kernels.ts';
import { verifyMoments } from './moments.ts';
import { verifyRunning } from './running.ts';
import { expectedFindings, functionOf, type Result, verifyDump } from './verify.ts';

/** Which combinations run: lists of names with commas between; none of these runs `usual`. */
export interface Pick {
  readonly kernels?: string | undefined;
  readonly cpus?: string | undefined;
  readonly options?: string | undefined;
  /** Each kernel with each CPU, each time with the next options. */
  readonly pairs?: boolean | undefined;
  readonly all?: boolean | undefined;
  /** Whether dumps stay, in `dumps` of the directory. */
  readonly keep?: boolean | undefined;
}

/** One of each difference: how processors return and call, where the image lies, how many CPUs there are. */
const usual = [
  '5.10 EPYC nokaslr',
  '6.1 EPYC-Rome kaslr',
  '6.12 qemu64 kaslr',
  '6.12 Cascadelake-Server kaslr',
  '6.12 Cascadelake-Server stuff',
  '6.12 qemu64 traced',
  '6.12 Icelake-Server lfence',
  '6.18 max stuff',
  '7.0 Skylake-Server kaslr',
  '7.3 Icelake-Server off',
  '7.3 EPYC-Milan kaslr',
  'arm64-6.12 cortex-a53 kaslr',
  'arm64-7.3 cortex-a76 nokaslr',
  'arm-6.1 cortex-a15 kaslr',
];

/** Whether nothing is asked for. */
const isUsual = ({ kernels, cpus, options, pairs, all }: Pick): boolean =>
  !all && !pairs && !kernels && !cpus && !options;

/** The combinations that are asked for. Throws when a name is unknown, or nothing is left. */
function pick(asked: Pick): Combination[] {
  const { kernels, cpus, options } = asked;
  const known = asked.pairs ? pairedCombinations() : allCombinations();
  if (isUsual(asked)) return known.filter((combination) => usual.includes(nameOf(combination)));
  const wanted = (list: string | undefined, of: (combination: Combination) => string) => {
    const names = list?.split(',');
    const other = names?.find((name) => !known.some((combination) => of(combination) === name));
    if (other !== undefined)
      throw new Error(`there is no ${other}; known: ${[...new Set(known.map(of))].join(', ')}`);
    return (combination: Combination) => names?.includes(of(combination)) ?? true;
  };
  const tests = [
    wanted(kernels, ({ kernel }) => kernel.name),
    wanted(cpus, ({ cpu }) => cpu),
    wanted(options, (combination) => combination.options.name),
  ];
  const picked = known.filter((combination) => tests.every((test) => test(combination)));
  if (picked.length === 0) throw new Error('no kernel, CPU and option of those go together');
  return picked;
}

export async function distro(report: Report, directory: string, picked: Pick): Promise<void> {
  const apts = new Map<Architecture, Apt>();
  const kernels = new Map<DistroKernel, Unpacked | undefined>();
  const unpacked = (kernel: DistroKernel): Unpacked | undefined => {
    if (kernels.has(kernel)) return kernels.get(kernel);
    const apt = apts.get(kernel.arch) ?? new Apt(directory, kernel.arch);
    apts.set(kernel.arch, apt);
    const found = apt.unpack(directory, kernel);
    kernels.set(kernel, found);
    report.expect(found !== undefined, `${kernel.name}: ${found?.release ?? `no suite has ${kernel.image}`}`);
    if (found && !found.modules) report.say(`${kernel.name}: the suites have no modules of it any more`);
    return found;
  };
  const rows: string[] = [];
  for (const combination of pick(picked)) {
    const kernel = unpacked(combination.kernel);
    if (kernel) rows.push(...(await compareGuest(report, directory, combination, kernel, picked.keep)));
    // After each, so that a run that is ended early has told what it found.
    writeFileSync(join(directory, 'distro.md'), `${[...head, ...rows].join('\n')}\n`);
  }
  if (isUsual(picked)) {
    await running(report, directory);
    await moments(report, directory, picked);
  }
  report.say('');
  for (const row of [...head, ...rows]) report.say(row);
}

/** Kernels are stopped while they change their text. */
export async function moments(report: Report, directory: string, { kernels }: Pick): Promise<void> {
  for (const name of kernels?.split(',') ?? ['6.1', '7.3', 'arm64-6.12']) {
    const kernel = distroKernels.find((one) => one.name === name);
    const arch = kernel?.arch;
    if (!arch || arch === 'armhf') continue;
    const unpacked = new Apt(directory, arch).unpack(directory, kernel);
    report.expect(unpacked !== undefined, `${name}: there is a package`);
    if (unpacked) await verifyMoments(report, directory, unpacked, arch);
  }
}

/** A kernel verifies itself. */
export async function running(report: Report, directory: string): Promise<void> {
  const kernel = distroKernels.find(({ name }) => name === '6.12') as DistroKernel;
  const unpacked = new Apt(directory, kernel.arch).unpack(directory, kernel);
  report.expect(unpacked !== undefined, `${kernel.name}: there is a package`);
  if (unpacked) await verifyRunning(report, directory, unpacked);
}

const columns = [
  ...['kernel', 'CPU', 'options', 'dump', 'sites', 'modules', "modules' sites", 'keys linked', 'findings'],
  ...['true', 's'],
];
const head = [columns, columns.map(() => '---')].map((cells) => `| ${cells.join(' | ')} |`);

/** Boots, dumps and verifies a combination; returns its rows of the table. */
async function compareGuest(
  report: Report,
  directory: string,
  combination: Combination,
  unpacked: Unpacked,
  keep = false,
): Promise<string[]> {
  const what = nameOf(combination);
  const { kernel, cpu, options } = combination;
  const rows: string[] = [];
  const dumps = new Map<Form, string>();
  try {
    const loaded = await dumpGuest(directory, combination, unpacked, formsOf(combination), (form, dump) =>
      dumps.set(form, dump),
    );
    for (const [form, dump] of dumps) {
      const result = verifyDump(unpacked, form, dump, combination);
      const expected = expectedFindings(unpacked.release, combination);
      judge(report, `${what}, ${form}`, result, expected, kernel.modules, loaded.length);
      const { findings } = result;
      const cells = [
        unpacked.release,
        cpu,
        options.name,
        form,
        result.sites,
        result.modules,
        result.moduleSites,
      ];
      const found = [
        result.keys,
        findings.length - expected.length,
        expected.length,
        result.seconds.toFixed(1),
      ];
      rows.push(`| ${[...cells, ...found].join(' | ')} |`);
    }
  } catch (error) {
    report.expect(false, `${what}: ${(error as Error).message}`);
    rows.push(`| ${[kernel.name, cpu, options.name, ...columns.slice(3).map(() => 'failed')].join(' | ')} |`);
  } finally {
    for (const [form, dump] of dumps) {
      if (keep) keepDump(directory, `${what} ${form}`, dump);
      else rmSync(dump, { force: true });
    }
  }
  return rows;
}

function keepDump(directory: string, name: string, dump: string): void {
  const kept = join(directory, 'dumps');
  mkdirSync(kept, { recursive: true });
  renameSync(dump, join(kept, name.replaceAll(' ', '_')));
}

/** Holds what was found against what is expected. Sites that were not compared prove nothing. */
function judge(
  report: Report,
  what: string,
  { sites, modules, keys, findings, left }: Result,
  expected: readonly string[],
  compares: DistroKernel['modules'],
  loaded: number,
): void {
  const found = findings.map(functionOf).sort();
  const same = found.length === expected.length && found.every((finding, i) => finding === expected[i]);
  if (!same) for (const finding of findings) report.say(`  ${finding}`);
  for (const module of left) report.say(`  not compared: ${module}`);
  const known = compares === 'unknown' || (modules === loaded && left.length === 0);
  report.expect(
    same && sites > 0 && keys > 0 && known,
    `${what}: ${sites} sites, ${modules} of ${loaded} modules, ${keys} keys, ${findings.length} findings, ${expected.length} expected`,
  );
}
