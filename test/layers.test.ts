// Reads the imports of src/ and holds them against the layers of DESIGN.md.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../src/', import.meta.url));

/** Earlier layers first; a file may import from its own layer and from those in front of it. */
const layers = [
  ['errors.ts', 'version.ts'],
  ['bytes/'],
  ['files/'],
  ['elf/'],
  ['dwarf/'],
  ['arch/'],
  ['engines/'],
  ['object/'],
  ['annotate/'],
  ['image/'],
  ['link/'],
  ['memory/'],
  ['demand/'],
  ['boot/'],
  ['verify/'],
  ['dump/'],
  ['diff/'],
  ['output/'],
  ['pipeline.ts'],
  ['commands/'],
  ['main.ts', 'index.ts'],
  ['cli.ts'],
];

/** Packages and the only files that may import them. */
const adapters: Record<string, RegExp> = {
  elfy: /^elf\/recheck\.ts$/,
  'capstone-wasm': /^engines\/disassembler\.ts$/,
  'keystone-wasm': /^engines\/assembler\.ts$/,
  fzstd: /^bytes\/decompress\.ts$/,
  'xz-decompress': /^bytes\/decompress\.ts$/,
  diff: /^diff\/compare\.ts$/,
  chalk: /^(output\/.*|main\.ts)$/,
  commander: /^(main|output\/help\/command-line)\.ts$/,
  sarif: /^output\/sarif\.ts$/, // types alone
};

const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter(
  (f) => f.endsWith('.ts') && !f.endsWith('.d.ts'),
);
const imports = files.flatMap((file) => {
  const text = readFileSync(join(source, file), 'utf8');
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((m) => ({ file, to: m[1] as string }));
});

function layerOf(file: string): number {
  return layers.findIndex((members) =>
    members.some((m) => (m.endsWith('/') ? file.startsWith(m) : file === m)),
  );
}

test('every file belongs to a layer', () => {
  assert.deepEqual(
    files.filter((f) => layerOf(f) < 0),
    [],
  );
  assert.ok(imports.length > 100, 'imports were found');
});

test('imports point only to the same or an earlier layer', () => {
  const wrong = imports
    .filter(({ to }) => to.startsWith('.'))
    .map(({ file, to }) => ({ file, target: normalize(join(dirname(file), to)) }))
    .filter(({ file, target }) => layerOf(target) < 0 || layerOf(target) > layerOf(file));
  assert.deepEqual(wrong, []);
});

test('packages are imported by their adapters alone', () => {
  const wrong = imports.filter(({ file, to }) => {
    if (to.startsWith('.') || to.startsWith('node:')) return false;
    const allowed = adapters[to];
    return !allowed?.test(file);
  });
  assert.deepEqual(wrong, []);
});

/** Cycles that are being removed, each as its files in order; empty when that is done. */
const knownCycles = [
  'boot/reserved.ts boot/runtime.ts',
  'verify/barriers.ts verify/entries.ts verify/init.ts verify/instructions.ts verify/locks.ts verify/order.ts verify/overlaps.ts verify/verify.ts',
  'verify/report.ts verify/suppressions.ts',
];

/** The files of each cycle: those that reach one another through imports, of types alone too. */
function cyclesOf(edges: readonly { readonly file: string; readonly target: string }[]): string[] {
  const reached = new Map<string, Set<string>>();
  for (const { file } of edges) {
    const found = new Set<string>();
    const open = [file];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      for (const edge of edges) {
        if (edge.file !== at || found.has(edge.target)) continue;
        found.add(edge.target);
        open.push(edge.target);
      }
    }
    reached.set(file, found);
  }
  const cycles = [...reached]
    .filter(([file, found]) => found.has(file))
    .map(([file, found]) =>
      [...found]
        .filter((other) => reached.get(other)?.has(file))
        .sort()
        .join(' '),
    );
  return [...new Set(cycles)].sort();
}

test('no file imports itself through others', () => {
  assert.deepEqual(
    cyclesOf([
      { file: 'a', target: 'b' },
      { file: 'b', target: 'c' },
      { file: 'c', target: 'b' },
      { file: 'd', target: 'd' },
    ]),
    ['b c', 'd'],
  );
  const edges = imports
    .filter(({ to }) => to.startsWith('.'))
    .map(({ file, to }) => ({ file, target: normalize(join(dirname(file), to)) }));
  assert.deepEqual(
    cyclesOf(edges).filter((cycle) => !knownCycles.includes(cycle)),
    [],
  );
});
