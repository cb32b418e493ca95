// Reads the imports of src/ and holds them against the rooms of DESIGN.md.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../src/', import.meta.url));

/** Earlier rooms first; a file may import from its own room and from those in front of it. */
const rooms = [
  ['errors.ts', 'version.ts'],
  ['bytes/'],
  ['files/'],
  ['elf/'],
  ['dwarf/'],
  ['arch/'],
  ['kernel/'],
  ['engines/'],
  ['object/'],
  ['image/'],
  ['demand/'],
  ['kinds/'],
  ['annotate/'],
  ['link/'],
  ['memory/'],
  ['control/'],
  ['text/'],
  ['policy/'],
  ['boot/'],
  ['verify/'],
  ['dump/'],
  ['diff/'],
  ['output/'],
  ['report/'],
  ['library/'],
  ['commands/'],
  ['command-line/'],
  ['main.ts', 'index.ts'],
  ['cli.ts'],
];

/** Packages and the only files that may import them. */
const adapters: Record<string, RegExp> = {
  elfy: /^elf\/recheck\.ts$/,
  'capstone-wasm': /^engines\/disassembler\.ts$/,
  'keystone-wasm': /^engines\/assembler\.ts$/,
  'xz-decompress': /^bytes\/decompress\.ts$/,
  diff: /^(diff\/compare|commands\/init)\.ts$/,
  chalk: /^(output\/.*|main\.ts)$/,
  commander: /^(command-line\/.*|main|output\/help\/command-line)\.ts$/,
  'string-width': /^output\/width\.ts$/,
  sarif: /^output\/sarif\.ts$/, // types alone
  '@tanstack/virtual-core': /^report\/page\/table\.tsx$/,
  'd3-scale': /^report\/page\/map\.tsx$/,
  'd3-selection': /^report\/page\/map\.tsx$/,
  'd3-zoom': /^report\/page\/map\.tsx$/,
  preact: /^report\/page\/.*\.tsx$/,
  'preact/hooks': /^report\/page\/.*\.tsx$/,
};

/** Files that may name one kind of site, outside of its own folder. */
const mostNaming = 11;

const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((f) => /\.tsx?$/.test(f) && !f.endsWith('.d.ts'))
  .sort();
const imports = files.flatMap((file) => {
  const text = readFileSync(join(source, file), 'utf8');
  const statements = text.matchAll(/^(?:import|export)\b[^;']*\bfrom '([^']+)'|\bimport\(\s*'([^']+)'/gm);
  return [...statements].map((m) => ({ file, to: (m[1] ?? m[2]) as string }));
});
/** Imports of files by files, types included. */
const inside = imports
  .filter(({ to }) => to.startsWith('.'))
  .map(({ file, to }) => ({ file, target: normalize(join(dirname(file), to)) }));

function roomOf(file: string): number {
  return rooms.findIndex((members) =>
    members.some((m) => (m.endsWith('/') ? file.startsWith(m) : file === m)),
  );
}

/** Everything that a file imports, directly or through others. */
function reachedFrom(file: string): Set<string> {
  const reached = new Set<string>();
  const queue = [file];
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    for (const { file: from, target } of inside) {
      if (from !== at || reached.has(target)) continue;
      reached.add(target);
      queue.push(target);
    }
  }
  return reached;
}

test('every file belongs to a room', () => {
  assert.deepEqual(
    files.filter((f) => roomOf(f) < 0),
    [],
  );
  assert.equal(inside.length > 500, true, 'imports were found');
});

test('imports point only to the same or an earlier room', () => {
  const wrong = inside.filter(({ file, target }) => roomOf(target) < 0 || roomOf(target) > roomOf(file));
  assert.deepEqual(wrong, []);
});

test('no file imports itself through others', () => {
  assert.deepEqual(
    files.filter((file) => reachedFrom(file).has(file)),
    [],
  );
});

test('packages are imported by their adapters alone', () => {
  const wrong = imports.filter(({ file, to }) => {
    if (to.startsWith('.') || to.startsWith('node:')) return false;
    const allowed = adapters[to];
    return !allowed?.test(file);
  });
  assert.deepEqual(wrong, []);
});

test('verify knows nothing of boot: both ask what must stand at a site', () => {
  const reached = files
    .filter((file) => file.startsWith('verify/'))
    .flatMap((file) => [...reachedFrom(file)].filter((target) => target.startsWith('boot/')));
  assert.deepEqual(reached, []);
});

test('the library prints nothing and writes no file', () => {
  const silent = ['output/console.ts', 'files/publish.ts'];
  const reached = reachedFrom('index.ts');
  assert.deepEqual(
    silent.filter((file) => reached.has(file)),
    [],
  );
  const reading =
    /process\.(stdout|stderr|exit\b|exitCode)|console\.|\b(write|append|rename|unlink|mkdir)\w*Sync\b/;
  assert.deepEqual(
    [...reached].filter((file) => reading.test(readFileSync(join(source, file), 'utf8'))),
    [],
  );
});

test('kinds of sites do not know each other, but for those that share a group', () => {
  const between = inside.flatMap(({ file, target }) => {
    const [from, to] = [file, target].map((f) => /^kinds\/([^/]+)\//.exec(f)?.[1]);
    return from && to && from !== to ? [`${from} imports ${to}`] : [];
  });
  assert.deepEqual([...new Set(between)], ['one-cpu imports barrier']);
});

for (const kind of new Set(files.flatMap((f) => /^kinds\/([^/]+)\//.exec(f)?.[1] ?? []))) {
  test(`at most ${mostNaming} files outside of its folder name the kind ${kind}`, () => {
    const folder = `kinds/${kind}/`;
    const naming = new Set(
      inside
        .filter(({ file, target }) => target.startsWith(folder) && !file.startsWith(folder))
        .map(({ file }) => file),
    );
    assert.equal(naming.has('kinds/registry.ts'), true, 'the registry lists it');
    assert.equal(naming.size <= mostNaming, true, [...naming].join(' '));
  });
}
