// Names of C++ as the command line shows and takes them: those of the source, or with --no-demangle those of the linker.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { builtProgram } from '../built.ts';
import { run, scratch, toolTest } from '../tools.ts';

const source = `#include <textpoke/static_key.h>
namespace app {
DEFINE_STATIC_KEY_FALSE(tracing);
template <int N> __attribute__((noinline)) int work(int n) { return static_branch_unlikely(&tracing) ? N : n; }
}
int all(int n) { return app::work<3>(n) + app::work<5>(n); }
`;

toolTest(
  'text has names of the source, with --no-demangle of the linker; JSON has these, --key takes both',
  ['g++'],
  (t) => {
    const directory = scratch(t);
    writeFileSync(join(directory, 'a.cpp'), source);
    run('g++', ['-O1', `-I${join(import.meta.dirname, '../../include')}`, '-c', 'a.cpp'], directory);
    const textpoke = (...args: readonly string[]) => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [builtProgram(), ...args], {
        cwd: directory,
        encoding: 'utf8',
      });
      assert.deepEqual([status, stderr], [0, '']);
      return stdout;
    };
    textpoke('annotate', 'a.o');
    const dump = (...args: readonly string[]) => textpoke('dump', 'a.o', '--table', 'jump', ...args);
    const plain = dump();
    assert.match(plain, / app::work<3>\(int\)\S* .* app::tracing /);
    // The names of sections stay as they are.
    assert.doesNotMatch(plain, / _ZN/);
    const linkers = dump('--no-demangle');
    assert.match(linkers, / _ZN3app4workILi3EEEii\S* .* _ZN3app7tracingE /);
    assert.doesNotMatch(linkers, /::/);
    const json = dump('--json');
    assert.match(json, /"_ZN3app7tracingE"/);
    assert.equal(dump('--json', '--no-demangle'), json);
    const entries = (text: string) => text.split('\n').filter((line) => /^ +\d+ /.test(line));
    assert.equal(entries(plain).length, 2);
    for (const name of ['app::tracing', '_ZN3app7tracingE', 'app::*'])
      assert.deepEqual(entries(dump('--key', name)), entries(plain), name);
    assert.match(textpoke('explain', 'app::tracing', 'a.o'), /^app::tracing: static key$/m);
    assert.match(
      textpoke('explain', 'app::tracing', 'a.o', '--no-demangle'),
      /^_ZN3app7tracingE: static key$/m,
    );
  },
);
