// Annotated objects link as before, with every linker and by every way, and each linked program runs, boots and
// verifies. How many entries an image has to list is known from its objects.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { longTest, rowsOf, run, testOfTurn, toolTest, tryRun, turnOf } from '../tools.ts';
import {
  addressOf,
  assertSameFile,
  assertVerified,
  boot,
  comdatOutput,
  comdatUnits,
  countEntries,
  done,
  expected,
  fresh,
  imageSymbols,
  type Link,
  link,
  linkers,
  once,
  output,
  readTables,
  type Script,
  units,
} from './programs.ts';

const tools = ['gcc', 'clang', 'ld.bfd', 'ld.lld', 'readelf'];
const cxx = [...tools, 'g++', 'clang++'];
const compilers = ['gcc', 'clang'];
const scripts: readonly Script[] = ['none', 'ldscript'];
/** Each linker without and with a script. */
const linked = linkers.flatMap((linker) => scripts.map((script) => ({ linker, script })));
/** Each linker, directly and behind either's -r. */
const joined = linkers.flatMap((linker) =>
  [undefined, ...linkers].map((via) => ({ linker, ...(via ? { via } : {}) })),
);

/** Sites of the sample program: 21 static branches, 16 static calls (clang -Os writes one that gcc writes too), 6 locks. */
const entries: [number, number, number] = [21, 16, 6];

/** Links, runs, verifies; boots, runs, verifies. */
function prove(request: Link, prints: string, counts: readonly number[]): void {
  const what = JSON.stringify(request);
  const linked = link(request);
  assert.equal(output(linked), prints, what);
  assert.deepEqual(countEntries(linked.image), counts, what);
  assertVerified(linked.image, ['--linked'], what);
  const booted = boot(linked.image);
  assert.equal(output(linked, booted), prints, `booted: ${what}`);
  assertVerified(booted, ['--original', linked.image], `booted: ${what}`);
}

for (const compiler of compilers) {
  for (const level of rowsOf(['O2', 'O0', 'Os'], 3)) {
    toolTest(
      `annotated objects of ${compiler} -${level} link to a dynamic and to a static program that runs, boots and verifies: both linkers, with and without script`,
      tools,
      () => {
        const all = linked.flatMap((row) =>
          (['no-pie', 'static'] as const).map((kind) => ({ ...row, kind })),
        );
        for (const row of rowsOf(all, 5)) prove({ set: `${compiler}-${level}`, ...row }, expected(), entries);
      },
    );
  }
  for (const set of rowsOf(['O2-ffunction-sections', 'O0-fPIE'], 2)) {
    testOfTurn(compilers.indexOf(compiler), 2)(
      `annotated objects of ${compiler} -${set} link to a PIE that runs, boots and verifies`,
      tools,
      () => {
        for (const row of turnOf(linked, 1 + compilers.indexOf(compiler)))
          prove({ set: `${compiler}-${set}`, kind: 'PIE', ...row }, expected(), entries);
      },
    );
  }
  testOfTurn(compilers.indexOf(compiler) + 1, 2)(
    `annotated objects of ${compiler} -O2-fPIC link to a shared object that the program runs with, booted too`,
    tools,
    () => {
      for (const row of turnOf(linked, 3 * compilers.indexOf(compiler)))
        prove({ set: `${compiler}-O2-fPIC`, kind: 'shared', ...row }, expected(), entries);
    },
  );
  for (const via of rowsOf(linkers, 2)) {
    testOfTurn(compilers.indexOf(compiler), 2)(
      `annotated objects of ${compiler} that ld.${via} -r put together first keep every entry`,
      tools,
      () => {
        const all = linked.flatMap((row) => [
          { set: `${compiler}-O2`, kind: 'no-pie', via, ...row } as const,
          { set: `${compiler}-O2-ffunction-sections`, kind: 'PIE', via, ...row } as const,
        ]);
        for (const row of rowsOf(all, 5)) prove(row, expected(), entries);
      },
    );
  }
}

/** One copy of comdat_branch (3 branches) and comdat_locked, three instances of comdat_calls, one branch outside. */
const comdatEntries = [4, 3, 1];

for (const compiler of compilers) {
  longTest(
    `an inline function that two objects of ${compiler} hold is linked once, with one entry a site: both linkers, directly and after ld -r`,
    cxx,
    () => {
      const ways = joined.flatMap((row) =>
        scripts.map((script) => ({ set: 'O2', kind: 'no-pie', script, ...row }) as const),
      );
      const sets = linkers.flatMap((linker) =>
        (
          [
            ['O0', 'static'],
            ['Os', 'no-pie'],
            ['O0-fPIE', 'PIE'],
            ['O2-ffunction-sections', 'PIE'],
            ['O2-fPIC', 'shared'],
          ] as const
        ).map(([set, kind]) => ({ set, kind, script: 'none', linker }) as const),
      );
      for (const { set, ...row } of [...rowsOf(ways, 16), ...turnOf(sets, 3 * compilers.indexOf(compiler))])
        prove({ set: `${compiler}-${set}`, names: comdatUnits, ...row }, comdatOutput, comdatEntries);
      for (const linker of linkers) {
        const { image } = link({
          set: `${compiler}-O2`,
          linker,
          kind: 'no-pie',
          script: 'ldscript',
          names: comdatUnits,
        });
        const branch = imageSymbols(image).filter((s) => s.name === '_Z13comdat_branchv');
        assert.equal(branch.length, 1);
        const inside = readTables(image).branches.filter(
          ({ code }) => code >= branch[0]!.value && code < branch[0]!.value + branch[0]!.size,
        );
        assert.equal(inside.length, 3);
      }
    },
  );
}

const collecting: readonly Script[] = [...scripts, 'ldscript --gc-sections'];

/** With --gc-sections: the sample program and four dead functions with a static branch each, which nothing calls. */
function collect(compiler: string, script: Script, counts: readonly number[], dead: number): void {
  const turn = collecting.indexOf(script) + collecting.length * compilers.indexOf(compiler);
  for (const row of turnOf(joined, turn)) {
    const request: Link = {
      set: `${compiler}-O2-ffunction-sections`,
      kind: 'PIE',
      script,
      names: [...units, 'icf'],
      flags: ['-Wl,--gc-sections'],
      ...row,
    };
    prove(request, expected(), counts);
    const kept = imageSymbols(link(request).image).filter((s) =>
      /^icf_(first|second|same|same_again)$/.test(s.name),
    );
    assert.equal(kept.length, dead, JSON.stringify(request));
  }
}

for (const compiler of compilers) {
  const who = `objects of ${compiler} -ffunction-sections, GNU ld and lld alike, directly and after either's -r`;
  testOfTurn(compilers.indexOf(compiler), 2)(
    `--gc-sections without a script: live code keeps its entries, dead functions go with theirs (${who})`,
    tools,
    () => collect(compiler, 'none', entries, 0),
  );
  testOfTurn(compilers.indexOf(compiler) + 1, 2)(
    `--gc-sections with "ldscript --gc-sections": live code keeps its entries, dead functions go with theirs (${who})`,
    tools,
    () => collect(compiler, 'ldscript --gc-sections', entries, 0),
  );
  testOfTurn(compilers.indexOf(compiler), 2)(
    `--gc-sections with plain "ldscript": its KEEP keeps dead functions with their entries (${who})`,
    tools,
    () => collect(compiler, 'ldscript', [entries[0] + 4, entries[1], entries[2]], 4),
  );
  testOfTurn(compilers.indexOf(compiler) + 1, 2)(
    `--gc-sections over objects of ${compiler} without -ffunction-sections keeps every entry: both linkers, each script`,
    tools,
    () => {
      const all = linkers.flatMap((linker) => collecting.map((script) => ({ linker, script })));
      const flags = ['-Wl,--gc-sections'];
      for (const row of turnOf(all, 4 * compilers.indexOf(compiler)))
        prove({ set: `${compiler}-O2`, kind: 'no-pie', flags, ...row }, expected(), entries);
    },
  );
}

const foldedMain = `#include <stdio.h>
int icf_first(void), icf_second(void), icf_same(void), icf_same_again(void);
int main(void) { printf("%d %d %d %d\\n", icf_first(), icf_second(), icf_same(), icf_same_again()); }
`;

for (const compiler of compilers) {
  testOfTurn(compilers.indexOf(compiler) + 1, 2)(
    `lld --icf=all folds what is the same and keeps apart what differs in its key alone: each key of objects of ${compiler} works by itself`,
    tools,
    () => {
      const main = once('folded-main.o', (path) => {
        writeFileSync(`${path}.c`, foldedMain);
        run('gcc', ['-c', '-O2', '-fPIE', `${path}.c`, '-o', path]);
      });
      for (const script of rowsOf(['none', 'ldscript', 'ldscript --gc-sections'] as const, 3)) {
        for (const via of rowsOf([undefined, ...linkers], 3)) {
          const request: Link = {
            set: `${compiler}-O2-ffunction-sections`,
            linker: 'lld',
            kind: 'PIE',
            script,
            names: ['icf'],
            more: [main],
            flags: ['-Wl,--icf=all'],
            ...(via ? { via } : {}),
          };
          const linked = link(request);
          const { image } = linked;
          assert.notEqual(addressOf(image, 'icf_first'), addressOf(image, 'icf_second'));
          assert.equal(addressOf(image, 'icf_same'), addressOf(image, 'icf_same_again'));
          // Two of the entries are the same: one for each of the functions that became one.
          assert.deepEqual(countEntries(image), [4, 0, 0]);
          prove(request, '0 0 0 0\n', [4, 0, 0]);
          for (const [key, prints] of [
            ['icf_a', '1 0 2 2\n'],
            ['icf_b', '0 1 0 0\n'],
          ] as const) {
            const enabled = boot(image, ['--enable', key]);
            assert.equal(output(linked, enabled), prints);
            assertVerified(enabled, ['--original', image]);
            const back = boot(enabled, ['--disable', key]);
            assert.equal(output(linked, back), '0 0 0 0\n');
            assertVerified(back, ['--original', image]);
          }
        }
      }
    },
  );
}

toolTest(
  'hand-written assembly links and verifies: calls the assembler resolved, conditional tails, data in code',
  tools,
  () => {
    const main = once('hand-main.o', (path) => {
      writeFileSync(`${path}.c`, 'int hand_branches(void); int main(void) { return hand_branches(); }\n');
      run('gcc', ['-c', '-O2', '-fno-pie', `${path}.c`, '-o', path]);
    });
    for (const compiler of compilers) {
      const all = joined.flatMap((row) => scripts.map((script) => ({ script, ...row })));
      for (const row of turnOf(all, 7 * compilers.indexOf(compiler))) {
        const set = `${compiler}-O2`;
        const { image } = link({ set, kind: 'no-pie', names: ['hand'], more: [main], ...row });
        assert.deepEqual(countEntries(image), [4, 11, 11]);
        assertVerified(image, ['--linked']);
        assertVerified(boot(image), ['--original', image]);
      }
    }
  },
);

/** Flags that change how calls reach trampolines and functions: endbr64 and PLTs of their own kind, no PLT, prefixes. */
const unusual: readonly { compiler: string; compile: string[]; link: string[] }[] = [
  {
    compiler: 'gcc',
    compile: ['-O2', '-fPIC', '-fcf-protection=full'],
    link: ['-fuse-ld=bfd', '-Wl,-z,ibtplt', '-Wl,-z,now'],
  },
  {
    compiler: 'clang',
    compile: ['-O2', '-fPIC', '-fcf-protection=full'],
    link: ['-fuse-ld=lld', '-Wl,-z,force-ibt'],
  },
  { compiler: 'gcc', compile: ['-O2', '-fPIC', '-fno-plt'], link: ['-fuse-ld=lld', '-Wl,-z,now'] },
  {
    compiler: 'gcc',
    compile: ['-O2', '-fPIC', '-Wa,-mbranches-within-32B-boundaries'],
    link: ['-fuse-ld=bfd'],
  },
  {
    compiler: 'gcc',
    compile: ['-O3', '-fPIC', '-fno-semantic-interposition'],
    link: ['-fuse-ld=bfd', '-Wl,-Bsymbolic'],
  },
  { compiler: 'clang', compile: ['-O1', '-fPIC', '-fsanitize=undefined'], link: ['-fuse-ld=lld'] },
];

/** What clang links when it sanitizes: a package of its own, which clang's does not need. */
const sanitizer = join(
  `${tryRun('clang', ['-print-resource-dir']).stdout ?? ''}`.trim(),
  'lib/linux/libclang_rt.ubsan_standalone-x86_64.a',
);

for (const [turn, { compiler, compile, link: flags }] of unusual.entries()) {
  testOfTurn(turn, 6)(
    `a shared object of ${compiler} ${compile.join(' ')}, linked with ${flags.join(' ')}, boots, changes and goes back`,
    compile.includes('-fsanitize=undefined') ? [...tools, sanitizer] : tools,
    () => {
      const directory = fresh('unusual');
      mkdirSync(directory);
      const path = (name: string) => join(directory, name);
      const include = fileURLToPath(new URL('../../include', import.meta.url));
      const sources = units.map((unit) =>
        fileURLToPath(new URL(`../../samples/src/${unit}.c`, import.meta.url)),
      );
      run(compiler, [...compile, `-I${include}`, '-c', ...sources], directory);
      const objects = units.map((unit) => path(`${unit}.o`));
      done(['annotate', ...objects]);
      const sanitize = compile.filter((flag) => flag.startsWith('-fsanitize'));
      const library = path('library.so');
      run(compiler, [...sanitize, '-shared', ...flags, ...objects.slice(1), '-o', library]);
      const rest = [`-L${directory}`, '-l:library.so', '-Wl,-rpath,$ORIGIN', '-o', path('program')];
      run(compiler, [...sanitize, flags[0]!, objects[0]!, ...rest]);
      const linked = { program: path('program'), image: library };
      assert.equal(output(linked), expected());
      assertVerified(library, ['--linked']);
      const booted = boot(library);
      assert.equal(output(linked, booted), expected());
      assertVerified(booted, ['--original', library]);
      const changed = boot(booted, ['--update', 'math=add_ten', '--update', 'probe=real_probe']);
      const changes = {
        call: 60,
        'tail call': 31,
        'query add_one': 0,
        'ret0 call': 26,
        'ret0 tail call': 21,
      };
      assert.equal(output(linked, changed), expected(changes));
      assertVerified(changed, ['--original', library]);
      const back = boot(changed, ['--update', 'math=add_one', '--update', 'probe=RET0']);
      assertSameFile(back, booted);
    },
  );
}
