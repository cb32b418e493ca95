// What sites of libtextpoke cost while they are off, beside what one would write instead, and what changes cost: npx tsx bench/runtime.ts
// Needs gcc, on x86-64. Medians of rounds that take turns; a ratio is the median of the ratios of each round.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { annotate } from '../src/library/annotate.ts';
import { linkerScript } from '../src/library/linker-script.ts';

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
  writeFileSync(script, linkerScript('x86-64'));
  const library = [join(root, 'runtime', 'textpoke.c'), '-pthread', `-Wl,-T,${script}`];
  execFileSync('gcc', [...flags, object, ...library, '-o', program]);
  return program;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] as number;
}

/** Medians of some figures, and how many times that of the first each is. */
function show(
  all: readonly Round[],
  rows: readonly (readonly [name: string, words: string])[],
  unit: string,
): void {
  const [base] = rows[0] as (typeof rows)[number];
  for (const [name, words] of rows) {
    const values = all.map((round) => round[name] as number);
    const ratio = median(all.map((round) => (round[name] as number) / (round[base] as number)));
    const value = median(values);
    const digits = value < 100 ? 2 : 0;
    console.log(
      `  ${words.padEnd(52)} ${value.toFixed(digits).padStart(9)} ${unit}  ratio ${ratio.toFixed(2)}`,
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
  const byWay = ways.map((way) => ({ way, all: [] as Round[] }));
  for (let i = 0; i < rounds; i++) {
    sites.push(...ask(['sites', '3'], ''));
    for (const { way, all } of byWay) {
      for (const round of ask(['changes', '1', '1'], way)) {
        if (round.ways !== way) throw new Error(`${way} were asked for, and ${round.ways} are used`);
        all.push(round);
      }
    }
  }
  console.log(`a branch, of ${sites.length} rounds:`);
  show(sites, branches, 'ns');
  console.log('a call:');
  show(sites, calls, 'ns');
  console.log('a call of nothing:');
  show(sites, hooks, 'ns');
  for (const { way, all } of byWay) {
    console.log(`a change while a thread runs the sites (${way}), of ${all.length} rounds:`);
    show(all, changes, 'us');
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
