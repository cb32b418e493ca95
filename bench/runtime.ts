// What sites of libtextpoke cost while they are off, beside what one would write instead, and what changes cost: npx tsx bench/runtime.ts
// Needs gcc. Medians of rounds that take turns; a ratio is the median of the ratios of each round.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { annotate } from '../src/library/annotate.ts';
import { linkerScript } from '../src/library/linker-script.ts';
import { median } from './statistics.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const rounds = Number(process.env.TEXTPOKE_ROUNDS) || 15;
const scratch = mkdtempSync(join(tmpdir(), 'textpoke-bench-runtime-'));

/** One round: what was measured, by name. */
type Round = Readonly<Record<string, number>>;

function build(): string {
  const [object, script, program] = ['runtime.o', 'textpoke.ld', 'runtime'].map((name) =>
    join(scratch, name),
  ) as [string, string, string];
  const flags = ['-O2', `-I${root}include`];
  execFileSync('gcc', [...flags, '-c', join(root, 'bench', 'runtime.c'), '-o', object]);
  writeFileSync(object, annotate(object).bytes);
  writeFileSync(script, linkerScript(process.arch === 'arm64' ? 'AArch64' : 'x86-64'));
  const library = [join(root, 'runtime', 'textpoke.c'), '-pthread', `-Wl,-T,${script}`];
  execFileSync('gcc', [...flags, object, ...library, '-o', program]);
  return program;
}

type Rows = readonly (readonly [name: string, words: string])[];

/** A median, and how many times that of the first row it is. */
function cell(all: readonly Round[], name: string, base: string, unit: string): string {
  const value = median(all.map((round) => round[name] as number));
  const ratio = median(all.map((round) => (round[name] as number) / (round[base] as number)));
  const [shown, times] = [value, ratio].map((number) => number.toFixed(number < 100 ? 2 : 0));
  return `${shown} ${unit} (${times})`;
}

/** A table of medians, one column for each list of rounds. */
function show(
  title: string,
  columns: readonly { name: string; all: readonly Round[] }[],
  rows: Rows,
  unit: string,
) {
  const [base] = rows[0] as Rows[number];
  const line = (first: string, cells: readonly string[]) =>
    console.log(`${first.padEnd(46)}${cells.map((text) => text.padStart(24)).join('')}`);
  console.log();
  line(
    title,
    columns.map(({ name }) => name),
  );
  for (const [name, words] of rows) {
    if (!columns.every(({ all }) => all.every((round) => name in round))) continue; // retpolines are of x86-64
    line(
      words,
      columns.map(({ all }) => cell(all, name, base, unit)),
    );
  }
}

const branches = [
  ['plain_if', 'if (flag)'],
  ['hinted_if', 'if (flag), with a hint that it is unlikely'],
  ['atomic_relaxed', 'if (atomic load of flag), relaxed'],
  ['atomic_acquire', 'if (atomic load of flag), acquire'],
  ['branch_off', 'static_branch_unlikely, off'],
  ['branch_likely_on', 'static_branch_likely, on'],
  ['branch_on', 'static_branch_unlikely, on'],
] as const;

const calls = [
  ['pointer_call', 'call by a function pointer'],
  ['pointer_retpoline', 'call by a function pointer, with a retpoline'],
  ['static_call', 'static_call'],
  ['direct_call', 'direct call'],
] as const;

const hooks = [
  ['pointer_null', 'if (pointer) pointer(), NULL'],
  ['static_call_null', 'static_call_cond, NULL'],
] as const;

const changes = [
  ['key_1', 'a key with 1 site'],
  ['key_100', 'a key with 100 sites'],
  ['key_10000', 'a key with 10,000 sites'],
  ['keys_as_one', '100 keys with 1 site each, as one batch'],
  ['keys_one_by_one', '100 keys with 1 site each, one after another'],
  ['call', 'a call with 11 sites'],
] as const;

const ways = ['mem, membarrier', 'memfd, membarrier', 'mem, signals', 'memfd, signals'];

try {
  const program = build();
  const ask = (args: readonly string[], way: string) => {
    const env = { ...process.env, TEXTPOKE_WAYS: way };
    const lines = execFileSync(program, args, { env, encoding: 'utf8' }).trimEnd().split('\n');
    return lines.map((line) => JSON.parse(line));
  };
  const sites: Round[] = [];
  const byWay = ways.map((name) => ({ name, all: [] as Round[] }));
  for (let i = 0; i < rounds; i++) {
    sites.push(...ask(['sites', '3'], ''));
    // Where the system does not have a way, another one is taken.
    for (const { name, all } of byWay)
      all.push(...ask(['changes', '1', '1'], name).filter((round) => round.ways === name));
  }
  const columns = [{ name: `${sites.length} rounds`, all: sites }];
  show('a branch', columns, branches, 'ns');
  show('a call', columns, calls, 'ns');
  show('a call of nothing', columns, hooks, 'ns');
  const here = byWay.filter(({ all }) => all.length > 0);
  show(`a change, of ${rounds} rounds`, here, changes, 'us');
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
