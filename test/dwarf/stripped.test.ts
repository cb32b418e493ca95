// Programs and objects whose debug information other tools took away: the lines are those of the file before.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { linesOfAddresses, linesOfPlaces, type SourceLine } from '../../src/dwarf/source-lines.ts';
import { buildIdOf } from '../../src/elf/build-id.ts';
import { ET_REL, SHF_EXECINSTR } from '../../src/elf/constants.ts';
import { readElfFrom } from '../../src/elf/read.ts';
import { fileSource } from '../../src/files/source.ts';
import { longTest, rowsOf, run, scratch, testOfTurn, toolTest, tryRun, turnOf } from '../tools.ts';
import { askAddr2line, assertSame } from './addr2line.ts';

const sources = {
  'inc.h': 'static inline int half(int x) { return x / 2; }\n',
  'a.c':
    '#include "inc.h"\nextern int twice(int);\nint once(int x) {\n  return half(x) + 1;\n}\nint main(int n, char **v) {\n  return twice(n) + once(n);\n}\n',
  'b.c':
    '#include "inc.h"\n__attribute__((cold)) int rare(int x) {\n  return half(x) - 1;\n}\nint twice(int x) {\n  return x > 7 ? rare(x) : 2 * x;\n}\n',
};

/** Compiles both units in a directory of its own; returns it. */
function compiled(t: TestContext, ...flags: readonly string[]): string {
  const directory = scratch(t);
  for (const [name, text] of Object.entries(sources)) writeFileSync(join(directory, name), text);
  run('gcc', ['-g', '-O2', '-ffunction-sections', ...flags, '-c', 'a.c', 'b.c'], directory);
  return directory;
}

function program(t: TestContext, ...flags: readonly string[]): string {
  const directory = compiled(t, ...flags);
  run('gcc', ['-Wl,--build-id', 'a.o', 'b.o', '-o', 'p'], directory);
  return directory;
}

interface Asked {
  readonly lines: readonly (SourceLine | undefined)[];
  readonly problem: string | undefined;
}

/** The lines of all code of a file, where debug files may be in `debug` beside it. */
function linesOf(path: string, debugDirectory = join(dirname(path), 'debug')): Asked {
  const source = fileSource(path);
  try {
    const file = readElfFrom(path, source);
    const places = { directories: [debugDirectory], path };
    const code = file.sections.filter(({ flags }) => (flags & SHF_EXECINSTR) !== 0);
    const bytes = code.flatMap(({ index, addr, size }) =>
      Array.from({ length: size }, (_, offset) => ({ section: index, offset, address: addr + offset })),
    );
    if (file.header.type === ET_REL) return linesOfPlaces(file, bytes, places);
    return linesOfAddresses(
      file,
      bytes.map(({ address }) => address),
      places,
    );
  } finally {
    source.close();
  }
}

function buildId(path: string): string {
  const source = fileSource(path);
  try {
    return Buffer.from(buildIdOf(readElfFrom(path, source)) ?? []).toString('hex');
  } finally {
    source.close();
  }
}

const byBuildId = (id: string) => join('.build-id', id.slice(0, 2), `${id.slice(2)}.debug`);

function requireSame(path: string, truth: Asked): void {
  assert.ok(truth.lines.filter((line) => line !== undefined).length > 20, 'there are lines to compare');
  assert.deepEqual(linesOf(path), { lines: truth.lines, problem: undefined });
}

type Split = (directory: string, name: string) => void;
/** How NAME loses its debug information to NAME.debug. */
const splits: Readonly<Record<string, { tools: readonly string[]; split: Split }>> = {
  'objcopy and strip -g': {
    tools: ['objcopy', 'strip'],
    split: (directory, name) => {
      run('objcopy', ['--only-keep-debug', name, `${name}.debug`], directory);
      run('strip', ['-g', name], directory);
      run('objcopy', [`--add-gnu-debuglink=${name}.debug`, name], directory);
    },
  },
  'objcopy with zlib': {
    tools: ['objcopy', 'strip'],
    split: (directory, name) => {
      const packed = ['--only-keep-debug', '--compress-debug-sections=zlib', name, `${name}.debug`];
      run('objcopy', packed, directory);
      run('strip', ['-g', name], directory);
      run('objcopy', [`--add-gnu-debuglink=${name}.debug`, name], directory);
    },
  },
  'eu-strip -f': {
    tools: ['eu-strip'],
    split: (directory, name) => void run('eu-strip', ['-g', '-f', `${name}.debug`, name], directory),
  },
};

for (const [turn, [way, { tools, split }]] of Object.entries(splits).entries()) {
  for (const flags of turnOf([[], ['-gdwarf-4'], ['-fPIE', '-gdwarf-5']], turn)) {
    testOfTurn(turn, 2)(
      `a program that ${way} has split (${flags.join(' ')}) keeps its lines`,
      ['gcc', ...tools],
      (t) => {
        const directory = program(t, ...flags);
        const path = join(directory, 'p');
        const truth = linesOf(path);
        split(directory, 'p');
        requireSame(path, truth);
        // Whatever moves the debug file, the build id finds it.
        const id = buildId(path);
        mkdirSync(join(directory, 'debug', '.build-id', id.slice(0, 2)), { recursive: true });
        renameSync(join(directory, 'p.debug'), join(directory, 'debug', byBuildId(id)));
        requireSame(path, truth);
        rmSync(join(directory, 'debug'), { recursive: true });
        assert.deepEqual(
          linesOf(path).lines,
          truth.lines.map(() => undefined),
        );
      },
    );
  }
  toolTest(
    `an object that ${way} has split keeps its lines, whatever numbers its sections get`,
    ['gcc', ...tools],
    (t) => {
      const directory = compiled(t);
      run('ld', ['-r', 'a.o', 'b.o', '--build-id', '-o', 'm.ko'], directory);
      const path = join(directory, 'm.ko');
      const truth = linesOf(path);
      split(directory, 'm.ko');
      requireSame(path, truth);
    },
  );
}

toolTest('a program without any symbol has the lines of its debug file', ['gcc', 'objcopy', 'strip'], (t) => {
  const directory = program(t);
  const path = join(directory, 'p');
  const truth = linesOf(path);
  run('objcopy', ['--only-keep-debug', 'p', 'p.debug'], directory);
  run('strip', ['-s', 'p'], directory);
  requireSame(path, truth);
});

toolTest(
  'a module of the kernel has its lines in DIR/lib/modules, compressed or not',
  ['gcc', 'objcopy', 'strip'],
  (t) => {
    const directory = compiled(t);
    run('ld', ['-r', 'a.o', 'b.o', '--build-id', '-o', 'm.ko'], directory);
    const path = join(directory, 'm.ko');
    const truth = linesOf(path);
    for (const name of ['m.ko', 'm.ko.debug']) {
      const kept = join(directory, 'debug', directory, name);
      mkdirSync(dirname(kept), { recursive: true });
      run('objcopy', ['--only-keep-debug', 'm.ko', kept], directory);
      cpSync(path, join(directory, 'whole'));
      run('strip', ['-g', 'm.ko'], directory);
      requireSame(path, truth);
      renameSync(join(directory, 'whole'), path);
      rmSync(join(directory, 'debug'), { recursive: true });
    }
  },
);

longTest('what dwz has put together keeps its lines', ['gcc', 'dwz', 'objcopy', 'strip'], (t) => {
  for (const flags of [['-gdwarf-4'], ['-gdwarf-5']]) {
    const directory = program(t, ...flags);
    const path = join(directory, 'p');
    run('gcc', ['-g', ...flags, '-O1', 'a.c', 'b.c', '-o', 'q'], directory);
    const truth = linesOf(path);
    run('dwz', ['-m', 'shared', 'p', 'q'], directory);
    requireSame(path, truth);
    (splits['objcopy and strip -g'] as { split: Split }).split(directory, 'p');
    requireSame(path, truth);
  }
});

toolTest(
  'addr2line follows .gnu_debuglink to the same lines',
  ['gcc', 'objcopy', 'strip', 'addr2line'],
  (t) => {
    const directory = program(t, '-no-pie');
    const path = join(directory, 'p');
    (splits['objcopy and strip -g'] as { split: Split }).split(directory, 'p');
    const source = fileSource(path);
    const text = readElfFrom(path, source).named('.text') as { addr: number; size: number };
    source.close();
    const addresses = Array.from({ length: text.size }, (_, i) => text.addr + i);
    const truth = askAddr2line('addr2line', path, undefined, addresses);
    const places = { directories: [], path };
    const file = readElfFrom(path, fileSource(path));
    const { lines } = linesOfAddresses(file, addresses, places, { inlines: true });
    assert.ok(assertSame(lines, truth, path) > 20, 'there are lines to compare');
  },
);

/** Where gdb looks for the debug file of `d/p`; `@` stands for its directory. */
const gdbPlaces = ['d/p.debug', 'd/.debug/p.debug', 'debug/@/p.debug', 'debug/ID'];
for (const at of rowsOf(gdbPlaces, 4)) {
  toolTest(
    `gdb finds a debug file at ${at}, and so does textpoke`,
    ['gcc', 'objcopy', 'strip', 'gdb'],
    (t) => {
      const made = program(t);
      (splits['objcopy and strip -g'] as { split: Split }).split(made, 'p');
      const directory = join(made, 'd');
      mkdirSync(directory);
      const path = join(directory, 'p');
      renameSync(join(made, 'p'), path);
      const place = join(made, at.replace('@', directory).replace('ID', byBuildId(buildId(path))));
      const gdb = () =>
        tryRun('gdb', [
          '-nx',
          '-batch',
          '-iex',
          `set debug-file-directory ${join(made, 'debug')}`,
          '-ex',
          'info line twice',
          path,
        ]).stdout;
      const ours = () => linesOf(path, join(made, 'debug')).lines.some((line) => line?.file.endsWith('b.c'));
      assert.doesNotMatch(gdb(), /b\.c/);
      assert.equal(ours(), false);
      mkdirSync(dirname(place), { recursive: true });
      cpSync(join(made, 'p.debug'), place);
      assert.match(gdb(), /Line \d+ of "b\.c"/);
      assert.equal(ours(), true);
    },
  );
}

toolTest(
  'of another build neither gdb nor textpoke takes a debug file',
  ['gcc', 'objcopy', 'strip', 'gdb'],
  (t) => {
    const directory = program(t);
    const path = join(directory, 'p');
    (splits['objcopy and strip -g'] as { split: Split }).split(directory, 'p');
    const bytes = readFileSync(join(directory, 'p.debug'));
    writeFileSync(join(directory, 'b.c'), `\n${sources['b.c']}`);
    const changed = compiled(t, '-O1');
    run('gcc', ['-Wl,--build-id', 'a.o', 'b.o', '-o', 'p.debug'], changed);
    cpSync(join(changed, 'p.debug'), join(directory, 'p.debug'));
    const { stdout, stderr } = tryRun('gdb', ['-nx', '-batch', '-ex', 'info line twice', path]);
    assert.doesNotMatch(stdout, /b\.c/);
    assert.match(stderr, /does not match/);
    const { lines, problem } = linesOf(path);
    assert.equal(
      lines.find((line) => line !== undefined),
      undefined,
    );
    assert.match(problem ?? '', /p\.debug: its build id is [0-9a-f]{40}; [0-9a-f]{40} is required$/);
    writeFileSync(join(directory, 'p.debug'), bytes);
    assert.equal(linesOf(path).problem, undefined);
  },
);
