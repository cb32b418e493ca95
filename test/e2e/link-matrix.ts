// One program through every linker and every way to link that its docs name (docs/linking.md): what becomes of its
// tables. Either the image is right, before boot and after, or verify says what is wrong with it.
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { annotate, boot, linkerScript, type RuleId, verify } from '../../src/index.ts';
import { run, tryRun } from '../tools.ts';

const include = fileURLToPath(new URL('../../include', import.meta.url));

/** Linkers by the name that -fuse-ld takes, or by their program. */
export const matrixLinkers = ['bfd', 'gold', 'lld', 'lld-19', 'mold'] as const;
export type MatrixLinker = (typeof matrixLinkers)[number];

export const kinds = ['no-pie', 'PIE', 'shared'] as const;
export const scripts = ['none', 'script'] as const;
export const ways = ['plain', '-r', 'gc', 'gc after -r', 'icf=safe', 'icf=all'] as const;

export interface Cell {
  readonly linker: MatrixLinker;
  readonly kind: (typeof kinds)[number];
  readonly way: (typeof ways)[number];
  readonly script: (typeof scripts)[number];
  /** Compiled with -ffunction-sections. */
  readonly split: boolean;
}

/** What became of a cell: the rules of verify's findings, none where all is right; or why there is no image. */
export type Outcome = readonly RuleId[] | string;

export const headers = `#include <textpoke/static_key.h>
#include <textpoke/static_call.h>
int show(const char *, int);
int one(void), two(void);
DECLARE_STATIC_KEY_FALSE(k);
DECLARE_STATIC_CALL(c, one);
int work(int), same(int), other(int), first(void), second(void);
`;

/** A local function of one name in two units, dead code, two functions that are alike, a lock in each unit. */
const sources = {
  main: `${headers}DEFINE_STATIC_KEY_FALSE(k);
DEFINE_STATIC_CALL(c, one);
int one(void) { return 1; }
int two(void) { return 2; }
__attribute__((noinline)) static int helper(int x) {
  if (static_branch_unlikely(&k)) return x + 10;
  return x;
}
int first(void) { return helper(1); }
int (*volatile kept)(void) = two;
int main(void) {
  show("first", first());
  show("second", second());
  show("work", work(3));
  show("same", same(5));
  show("other", other(7));
  show("call", static_call(c)());
  return 0;
}
`,
  work: `${headers}static int count;
__attribute__((noinline)) static int helper(int x) {
  if (static_branch_unlikely(&k)) return x + 20;
  return x;
}
int second(void) { return helper(2); }
int work(int x) {
  __atomic_fetch_add(&count, 1, 5);
  if (static_branch_likely(&k)) return x + 100;
  return x;
}
int same(int x) { if (static_branch_unlikely(&k)) return x + 1000; return x; }
int other(int x) { if (static_branch_unlikely(&k)) return x + 1000; return x; }
int dead(int x) { if (static_branch_likely(&k)) return x; return static_call(c)(); }
`,
  show: `#include <stdio.h>
int show(const char *what, int value) { static int n; __atomic_fetch_add(&n, 1, 5); return printf("%s %d\\n", what, value); }
`,
} as const;

/** Runs the main of a shared object. */
const starter = `#include <dlfcn.h>
int main(int n, char **v) {
  void *l = dlopen(v[1], RTLD_NOW);
  return l ? ((int (*)(void))dlsym(l, "main"))() : 99;
}
`;

export const before = 'first 1\nsecond 2\nwork 3\nsame 5\nother 7\ncall 1\n';
export const after = 'first 11\nsecond 22\nwork 103\nsame 1005\nother 1007\ncall 2\n';

/** Objects of a cell, annotated, in a directory of their own. */
function objectsOf({ kind, split }: Cell, directory: string): string[] {
  const flags = kind === 'no-pie' ? ['-fno-pie'] : [kind === 'PIE' ? '-fPIE' : '-fPIC'];
  return Object.entries(sources).map(([name, text]) => {
    const object = join(directory, `${name}-${kind}-${split}.o`);
    const source = join(directory, `${name}.c`);
    try {
      readFileSync(object);
    } catch {
      writeFileSync(source, text);
      run('gcc', [
        '-O2',
        '-I',
        include,
        ...flags,
        ...(split ? ['-ffunction-sections'] : []),
        '-c',
        source,
        '-o',
        object,
      ]);
      writeFileSync(object, annotate(object).bytes);
    }
    return object;
  });
}

const driverName = (linker: MatrixLinker) => (linker === 'lld-19' ? 'lld' : linker);

/** A directory in which gcc finds lld of another version under lld's own name. */
function driverFlags(linker: MatrixLinker, directory: string): string[] {
  const flags = [`-fuse-ld=${driverName(linker)}`];
  if (linker !== 'lld-19') return flags;
  const tools = join(directory, 'lld-19');
  mkdirSync(tools, { recursive: true });
  writeFileSync(join(tools, 'ld.lld'), '#!/bin/sh\nexec ld.lld-19 "$@"\n');
  chmodSync(join(tools, 'ld.lld'), 0o755);
  return [...flags, `-B${tools}`];
}

/** Links a cell; returns the image, or what the linker has against it. */
function linkCell(cell: Cell, directory: string): { image: string; program: string } | string {
  const { kind, way, script } = cell;
  const name = Object.values(cell).join('-').replaceAll(' ', '-').replaceAll('=', '-');
  let objects = objectsOf(cell, directory);
  const driver = driverFlags(cell.linker, directory);
  if (way.endsWith('-r')) {
    const together = join(directory, `${name}.o`);
    const joined = tryRun('gcc', [...driver, '-r', '-nostdlib', ...objects, '-o', together]);
    if (joined.status !== 0) return joined.stderr;
    objects = [together];
  }
  const flags = [...driver];
  if (way.startsWith('gc')) flags.push('-Wl,--gc-sections');
  if (way.startsWith('icf')) flags.push(`-Wl,--${way}`);
  if (script === 'script') {
    const file = join(directory, `${name}.ld`);
    writeFileSync(file, linkerScript('x86-64', !way.startsWith('gc')));
    flags.push(`-Wl,-T,${file}`);
  }
  const image = join(directory, name);
  const mode = { 'no-pie': ['-no-pie'], PIE: ['-pie'], shared: ['-shared'] }[kind];
  const linked = tryRun('gcc', [...flags, ...mode, ...objects, '-o', image]);
  if (linked.status !== 0) return linked.stderr;
  if (kind !== 'shared') return { image, program: image };
  const program = join(directory, 'starter');
  if (!existsSync(program)) {
    writeFileSync(`${program}.c`, starter);
    run('gcc', [`${program}.c`, '-o', program, '-ldl']);
  }
  return { image, program };
}

function outputOf(program: string, image: string): string {
  const { stdout, stderr, status } = program === image ? tryRun(image, []) : tryRun(program, [image]);
  return status === 0 ? stdout : `status ${status}: ${stdout}${stderr}`;
}

/** Proves a cell: right before and after boot, or found by verify. Throws for what is wrong without a word. */
export async function proveCell(cell: Cell, directory: string): Promise<Outcome> {
  const linked = linkCell(cell, directory);
  if (typeof linked === 'string') return `no image: ${linked.split('\n')[0]}`;
  const { image, program } = linked;
  const what = JSON.stringify(cell);
  const prints = outputOf(program, image);
  if (prints !== before) throw new Error(`${what}: the linked program prints ${prints}`);
  const { document } = await verify(image, { linked: true });
  const rules = [...new Set(document.findings.map(({ rule }) => rule as RuleId))];
  if (rules.length > 0) return rules;
  const { bytes } = await boot(image, {
    cpus: 1,
    steps: [
      { do: 'enable', key: 'k' },
      { do: 'update', call: 'c', value: 'two' },
    ],
  });
  const patched = `${image}.patched`;
  writeFileSync(patched, bytes, { mode: 0o755 });
  const printed = outputOf(program === image ? patched : program, patched);
  if (printed !== after)
    throw new Error(`${what}: verify says nothing, but the patched program prints ${printed}`);
  const patchedResult = await verify(patched, { original: image, cpus: 1 });
  if (!patchedResult.passed) throw new Error(`${what}: ${JSON.stringify(patchedResult.document.findings)}`);
  return [];
}

/** Every cell that a linker can be asked for: gold and mold take no fragment of a script, GNU ld folds no code. */
export function cellsOf(linker: MatrixLinker): Cell[] {
  return kinds.flatMap((kind) =>
    ways.flatMap((way) =>
      scripts.flatMap((script) =>
        [false, true].flatMap((split) => {
          const takesScript = linker !== 'gold' && linker !== 'mold';
          if ((script === 'script' && !takesScript) || (linker === 'bfd' && way.startsWith('icf'))) return [];
          return [{ linker, kind, way, script, split }];
        }),
      ),
    ),
  );
}
