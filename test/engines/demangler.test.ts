// Names of C++ and Rust: what c++filt makes of them, what is none, and what would never end.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { demangled, withDemangled } from '../../src/engines/demangler.ts';
import { run, toolTest } from '../tools.ts';

const names = [
  ['_ZN2ns3fooEv', 'ns::foo()'],
  ['_ZN2ns1gIiEET_S1_', 'int ns::g<int>(int)'],
  ['_ZZ4workvE3key', 'work()::key'],
  ['_ZL3key', 'key'],
  ['_ZN3FooC1ERKS_', 'Foo::Foo(Foo const&)'],
  ['_ZN2ns3fooEv.cold', 'ns::foo() [clone .cold]'],
] as const;

toolTest(
  'a name is the one that c++filt gives, but for the type that a function returns',
  ['c++filt'],
  () => {
    for (const [name, text] of names) {
      assert.equal(run('c++filt', [name]).trim(), text, name);
      assert.equal(demangled(name), text.replace(/^int /, ''), name);
    }
  },
);

test('both manglings of Rust are read, without hashes', () => {
  assert.equal(demangled('_ZN4core3fmt9Formatter3new17h0123456789abcdefE'), 'core::fmt::Formatter::new');
  assert.equal(demangled('_RNvCs15kBYyAo9fc_7mycrate7example'), 'mycrate::example');
});

test('what is no mangled name stays as it is', () => {
  for (const name of ['foo', '_Read', '_ZN2ns9__SCK__xE', '_Z', '_R', '__ZN2ns3fooEv', '_Z3fo', ''])
    assert.equal(demangled(name), undefined, name);
});

test('names are found within a text, also behind the prefix of a static call', () => {
  assert.equal(
    withDemangled('<_ZN2ns3fooEv+0x10> __SCK___ZL3key x_ZN2ns3fooEv a.c:_ZL3key.'),
    '<ns::foo()+0x10> __SCK__key x_ZN2ns3fooEv a.c:key.',
  );
});

/** Each argument holds the one in front twice. */
function doubled(times: number): string {
  let text = '1AIiiE';
  for (let i = 0; i < times; i++) {
    const last = `S${i.toString(36).toUpperCase()}_`;
    text += `S_I${last}${last}E`;
  }
  return `_Z1f${text}`;
}

test('names that grow without end stay as they are, and a process gives up after a few', () => {
  const script = `
    import { demangled } from ${JSON.stringify(join(fileURLToPath(new URL('../../src/', import.meta.url)), 'engines/demangler.ts'))};
    const doubled = ${doubled};
    const before = demangled('_ZL3key');
    const found = Array.from({ length: 1000 }, (_, i) => demangled(doubled(20 + (i % 9)) + '.' + i));
    console.log(JSON.stringify([before, found.every((name) => name === undefined), demangled('_ZL5other')]));
  `;
  const tsx = fileURLToPath(import.meta.resolve('tsx'));
  const said = run(process.execPath, ['--import', tsx, '--input-type=module', '-e', script]);
  assert.deepEqual(JSON.parse(said), ['key', true, null]);
});

test('names of any nesting end in an answer', () => {
  for (const name of [
    `_Z1f${'P'.repeat(2000)}i`,
    `_ZN${'1a'.repeat(1000)}E`,
    `_R${'Y'.repeat(2000)}`,
    `_Z1fI${'XadL_Z'.repeat(300)}`,
  ])
    assert.doesNotThrow(() => demangled(name), name.slice(0, 8));
  assert.equal(demangled('_ZN2ns3fooEv'), 'ns::foo()');
});
