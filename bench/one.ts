// One file and one process: what is waited for where a build starts textpoke for each object. Needs gcc and binutils.
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Cost, costOf, costOfTextpoke } from './cost.ts';
import { type MakeRows, type Missing, once, type Row } from './rows.ts';

const root = join(import.meta.dirname, '..');

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

/** Compilers of the other machines. */
const others = {
  AArch64: ['aarch64-linux-gnu-gcc', '-mno-outline-atomics'],
  ARM: ['arm-linux-gnueabihf-gcc', '-marm', '-fno-section-anchors'],
  Thumb: ['arm-linux-gnueabihf-gcc', '-mthumb', '-fno-section-anchors'],
} as const;

export const rows: MakeRows = (scratch) => {
  const compile = (name: string, functions: number, compiler: readonly string[] = ['gcc']): string => {
    const object = join(scratch, `${name}.o`);
    writeFileSync(join(scratch, `${name}.c`), sourceOf(functions));
    const [command, ...flags] = compiler as [string, ...string[]];
    const files = ['-c', join(scratch, `${name}.c`), '-o', object];
    execFileSync(command, [...flags, '-O2', `-I${join(root, 'include')}`, ...files]);
    return object;
  };
  /** An object of the wanted size in bytes, within a function or so. */
  const sized = (name: string, size: number, compiler: readonly string[]): string => {
    let functions = 155;
    let object = compile(name, functions, compiler);
    for (let i = 0; i < 3; i++) {
      functions = Math.round((functions * size) / statSync(object).size);
      object = compile(name, functions, compiler);
    }
    return object;
  };
  const inPlace = (object: () => string) => {
    const copy = join(scratch, 'copy.o');
    return (tree: string): Cost => {
      copyFileSync(object(), copy);
      return costOfTextpoke(tree, ['annotate', copy]);
    };
  };
  const node = () => costOf(process.execPath, ['-e', '0']);

  const object = once(() => compile('fifty', 155));
  const annotateOnce = inPlace(object);
  const anywhere = Object.entries(others).map(([machine, compiler]): Row | Missing => {
    const work = `annotate an object of 46 kB, ${machine}`;
    if (spawnSync(compiler[0], ['--version']).error) return { work, needs: compiler[0] };
    const other = once(() => sized(machine, statSync(object()).size, compiler));
    return {
      ...{ work, anchor: 'the same for x86-64', budget: { cpu: 'any' }, runs: 21 },
      ...{ ours: inPlace(other), beside: annotateOnce },
    };
  });
  const [few, many] = [1000, 10_000].map((count) => once(() => compile(`large${count}`, count))) as [
    () => string,
    () => string,
  ];
  const output = join(scratch, 'out.o');
  const to = (file: () => string) => (tree: string) =>
    costOfTextpoke(tree, ['annotate', file(), '-o', output]);
  const annotated = once(() => {
    const path = join(scratch, 'annotated.o');
    costOfTextpoke(root, ['annotate', few(), '-o', path]);
    return path;
  });

  return [
    {
      ...{ work: 'textpoke --version', anchor: 'node -e 0', budget: { cpu: 'any', wall: 'any' }, runs: 21 },
      ...{ ours: (tree) => costOfTextpoke(tree, ['--version']), beside: node },
    },
    {
      ...{ work: 'annotate an object of 46 kB', anchor: 'node -e 0', runs: 21 },
      budget: { cpu: { times: 1.45 }, wall: { times: 1.45 } },
      ...{ ours: annotateOnce, beside: node },
    },
    ...anywhere,
    {
      ...{ work: 'annotate 40,000 sites in an object', anchor: 'the same of 4,000', runs: 5 },
      budget: { cpu: { times: 11 } },
      ...{ ours: to(many), beside: to(few) },
    },
    {
      ...{ work: 'dump an object of 4,000 sites', anchor: 'readelf -aW', budget: { cpu: 'any' }, runs: 9 },
      ours: (tree) => costOfTextpoke(tree, ['dump', annotated()]),
      beside: () => costOf('readelf', ['-aW', annotated()]),
    },
    {
      ...{ work: 'the demo', budget: { wall: 'any' }, runs: 5 },
      ours: (tree) => costOf(process.execPath, [join(tree, 'samples', 'demo', 'demo.js')]),
    },
  ];
};
