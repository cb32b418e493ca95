// The headers' first promise: a program that was never annotated runs correctly, whatever compiled and linked it.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { longTest, rowsOf, run, scratch, testOfTurn, toolTest, turnOf } from '../tools.ts';
import { compile, everyCompiler, languages, readSections, root, sampleSources } from './compilers.ts';

const units = ['main', 'branch', 'call', 'lock', 'local', 'local2', 'key-def', 'key-use'];
const linkers = ['bfd', 'lld'];
const levels = ['-O0', '-O2', '-Os'];

const expected = `likely true 1
likely false 0
unlikely true 1
unlikely false 0
array true 1
array false 0
member 0
nested 2
loop 6
cold body 2
cold jump 1001
call 42
tail call 22
cond call 1
cond tail call 1
cond jump 1
ret0 call 5
ret0 tail call 0
call behind branch 40
query add_one 1
locks 719
locks again 483
kept lock 30
local branch 2
local call 6
local2 branch 3
local2 call 10
shared key 1
shared call 203
`;

type Build = {
  readonly name: string;
  readonly flags: readonly string[];
  /** `link` runs the compiler with the flag that chooses the linker. */
  readonly link: (link: (args: string[]) => void, objects: string[], output: string) => void;
};

const builds: readonly Build[] = [
  {
    name: 'static',
    flags: ['-fno-pie'],
    link: (link, objects, output) => link(['-static', ...objects, '-o', output]),
  },
  {
    name: 'PIE, sections of their own, garbage collected',
    flags: ['-fPIE', '-ffunction-sections', '-fdata-sections'],
    link: (link, objects, output) => link(['-pie', '-Wl,--gc-sections', ...objects, '-o', output]),
  },
  {
    name: 'shared object',
    flags: ['-fPIC'],
    link: (link, objects, output) => {
      const library = `${output}.so`;
      const [main, ...rest] = objects;
      link(['-shared', ...rest, '-o', library]);
      link(['-pie', main!, library, '-o', output]);
    },
  },
];

for (const [first, language] of languages.entries()) {
  for (const [second, build] of builds.entries()) {
    testOfTurn(first + 4 * second, 5)(
      `the sample program runs unannotated: ${language.name}, ${build.name}`,
      [language.compiler, 'ld.bfd', 'ld.lld'],
      (t) => {
        const directory = scratch(t);
        for (const level of turnOf(levels, first + second)) {
          const sub = join(directory, level);
          mkdirSync(sub);
          compile(
            language,
            [level, ...build.flags],
            units.map((unit) => join(sampleSources, `${unit}.c`)),
            sub,
          );
          const objects = units.map((unit) => join(sub, `${unit}.o`));
          for (const linker of turnOf(linkers, second)) {
            const program = join(sub, linker);
            const link = (args: string[]) => run(language.compiler, [`-fuse-ld=${linker}`, ...args]);
            build.link(link, objects, program);
            assert.equal(run(program, []), expected, `${level} ${linker}`);
          }
        }
      },
    );
  }
}

longTest(
  'units that share inline functions with sites link, also through ld -r and with garbage collection',
  [...everyCompiler, 'ld.bfd', 'ld.lld'],
  (t) => {
    const names = ['comdat', 'comdat2', 'comdat-main'];
    for (const compiler of rowsOf(['clang++', 'g++'], 2)) {
      const directory = scratch(t);
      const language = { name: compiler, compiler, flags: ['-std=c++17'] };
      compile(
        language,
        ['-O2', '-fPIE', '-ffunction-sections'],
        names.map((name) => join(sampleSources, `${name}.cpp`)),
        directory,
      );
      const objects = names.map((name) => join(directory, `${name}.o`));
      for (const linker of linkers) {
        const together = join(directory, 'together.ro');
        run(`ld.${linker}`, ['-r', ...objects, '-o', together]);
        for (const input of [objects, [together]]) {
          const program = join(directory, 'program');
          run(compiler, ['-pie', `-fuse-ld=${linker}`, '-Wl,--gc-sections', ...input, '-o', program]);
          assert.equal(run(program, []), 'first 2004\nsecond 2005\n');
          assert.equal(
            readSections(program).some((section) => section.name.startsWith('.textpoke')),
            false,
            `${compiler} ${linker}: .textpoke.keys stays out of images`,
          );
        }
      }
    }
  },
);

toolTest(
  'the demo runs without libc, from objects linked at a fixed address and as PIE',
  ['ld.bfd', 'ld.lld'],
  (t) => {
    const directory = scratch(t);
    const objects = ['main.o', 'work.o'].map((name) => join(root, 'samples', 'demo', name));
    for (const linker of ['ld.bfd', 'ld.lld']) {
      for (const flags of [[], ['-pie', '--no-dynamic-linker']]) {
        const program = join(directory, 'demo');
        run(linker, [...flags, ...objects, '-o', program]);
        assert.equal(run(program, []), 'call: hello\ncounter: 3\nbranch: off\n');
      }
    }
  },
);
