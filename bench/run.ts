// The figures that DESIGN.md's budgets are about, as ratios side by side in one run: npm run bench
// Needs gcc and objdump. Times are of whole processes, medians of paired runs.
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { builtProgram } from '../test/built.ts';
import { median } from './median.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const program = builtProgram();
const scratch = mkdtempSync(join(tmpdir(), 'textpoke-bench-'));

function timeOf(args: readonly string[]): number {
  const start = performance.now();
  const { status } = spawnSync(process.execPath, args, { stdio: 'ignore' });
  if (status !== 0) throw new Error(`${args.join(' ')}: exit status ${status}`);
  return performance.now() - start;
}

/** A C file with `count` functions, each with a static call, two static branches and a locked instruction. */
function sourceOf(count: number): string {
  const functions = Array.from(
    { length: count },
    (_, i) => `int f${i}(int a) {
  if (static_branch_unlikely(&off)) a += work(a);
  if (static_branch_likely(&on)) a *= 3;
  __atomic_fetch_add(&counter, a, __ATOMIC_SEQ_CST);
  return static_call(call)(a) + ${i};
}`,
  );
  return `#include <textpoke/static_call.h>
#include <textpoke/static_key.h>
DEFINE_STATIC_KEY_FALSE(off);
DEFINE_STATIC_KEY_TRUE(on);
int work(int);
DEFINE_STATIC_CALL(call, work);
extern int counter;
${functions.join('\n')}
`;
}

function makeObject(name: string, functions: number, compiler: readonly string[] = ['gcc']): string {
  const object = join(scratch, `${name}.o`);
  writeFileSync(join(scratch, `${name}.c`), sourceOf(functions));
  const [command, ...flags] = compiler as [string, ...string[]];
  execFileSync(command, [
    ...flags,
    '-O2',
    `-I${root}include`,
    '-c',
    join(scratch, `${name}.c`),
    '-o',
    object,
  ]);
  return object;
}

/** Compilers of the other machines; those that are not here are said to be missing. */
const others: Readonly<Record<string, readonly string[]>> = {
  AArch64: ['aarch64-linux-gnu-gcc', '-mno-outline-atomics'],
  ARM: ['arm-linux-gnueabihf-gcc', '-marm', '-fno-section-anchors'],
  Thumb: ['arm-linux-gnueabihf-gcc', '-mthumb', '-fno-section-anchors'],
};

/** An object of the wanted size in bytes, within a function or so. */
function makeSized(name: string, size: number, compiler: readonly string[]): string {
  let functions = 155;
  let object = makeObject(name, functions, compiler);
  for (let i = 0; i < 3; i++) {
    functions = Math.round((functions * size) / statSync(object).size);
    object = makeObject(name, functions, compiler);
  }
  return object;
}

/** Paired runs: B A B A …; medians of both and of their ratio. */
function compare(name: string, runs: number, a: () => number, b: () => number, what: string): void {
  a();
  b();
  const pairs = Array.from({ length: runs }, () => [a(), b()] as const);
  const [ours, theirs] = [median(pairs.map(([x]) => x)), median(pairs.map(([, y]) => y))];
  const ratio = median(pairs.map(([x, y]) => x / y));
  console.log(`${name}: ${ours.toFixed(1)} ms, ${what}: ${theirs.toFixed(1)} ms, ratio ${ratio.toFixed(2)}`);
}

try {
  const object = makeObject('fifty', 155);
  const copy = join(scratch, 'copy.o');
  const annotateOnce = () => {
    copyFileSync(object, copy);
    return timeOf([program, 'annotate', copy]);
  };
  const kilobytes = (statSync(object).size / 1000).toFixed(1);
  compare(`annotate one object of ${kilobytes} kB`, 21, annotateOnce, () => timeOf(['-e', '0']), 'node -e 0');

  const size = statSync(object).size;
  for (const [machine, compiler] of Object.entries(others)) {
    if (spawnSync(compiler[0] as string, ['--version']).error) {
      console.log(`${machine}: ${compiler[0]} is not here`);
      continue;
    }
    const other = makeSized(machine, size, compiler);
    const otherCopy = join(scratch, 'other-copy.o');
    const annotateOther = () => {
      copyFileSync(other, otherCopy);
      return timeOf([program, 'annotate', otherCopy]);
    };
    const shown = (statSync(other).size / 1000).toFixed(1);
    compare(`annotate ${machine}, ${shown} kB`, 21, annotateOther, annotateOnce, `x86-64, ${kilobytes} kB`);
  }

  const growth = [1000, 10000].map((functions) => {
    const large = makeObject(`large${functions}`, functions);
    const output = join(scratch, 'large-out.o');
    const time = median(Array.from({ length: 3 }, () => timeOf([program, 'annotate', large, '-o', output])));
    console.log(`annotate ${functions * 4} sites: ${time.toFixed(0)} ms`);
    return time;
  });
  console.log(
    `growth for ten times the sites: ${((growth[1] as number) / (growth[0] as number)).toFixed(1)} times the time`,
  );

  const demo = median(Array.from({ length: 3 }, () => timeOf([join(root, 'samples', 'demo', 'demo.js')])));
  console.log(`the demo: ${(demo / 1000).toFixed(2)} s`);
  console.log(`size of the bundle: ${statSync(join(root, 'dist', 'textpoke.cjs')).size} bytes`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
await import('./lock-walk.ts');
await import('./boot-growth.ts');
await import('./cc.ts');
await import('./runtime.ts');
