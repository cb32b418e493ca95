// boot with scenarios, profiles, modules and states, from the command line to programs that run.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { gzipSync } from 'node:zlib';
import { annotated } from '../samples.ts';
import { longTest, run, scratch, toolTest, tryRun } from '../tools.ts';
import {
  addressOf,
  assertSameFile,
  assertVerified,
  bytesAt,
  expected,
  fresh,
  imageSections,
  link,
  output,
  readTables,
  textpoke,
} from './programs.ts';

const tools = ['gcc', 'clang', 'ld.bfd', 'ld.lld', 'readelf'];

function scenarioFile(steps: readonly unknown[]): string {
  const path = fresh('scenario.json');
  writeFileSync(path, JSON.stringify({ schema: 'textpoke.scenario/1', steps }));
  return path;
}

/** An image of annotated samples, by the in-memory link of the command line. */
function memoryImage(units: readonly string[], set = 'gcc-O2'): string {
  const objects = units.map((unit) => {
    const path = fresh(`${unit}.o`);
    writeFileSync(path, annotated(set, unit));
    return path;
  });
  const path = fresh('image');
  assert.equal(textpoke(['boot', ...objects, '-o', path]).status, 0);
  return path;
}

longTest('a program runs as the scenario left it, and as the same steps by options leave it', tools, () => {
  const linked = link({ set: 'gcc-O2', linker: 'bfd', kind: 'no-pie', script: 'ldscript' });
  const booted = fresh('booted');
  const scenario = scenarioFile([
    { inc: 'off_key', expect: { keys: { off_key: 1 }, warnings: [] } },
    { disable: 'on_key' },
    { update: { call: 'math', to: 'add_ten' }, expect: { calls: { math: 'add_ten' } } },
    { cpuDown: { cpu: 1, dropLocks: true } },
  ]);
  const result = textpoke(['boot', linked.image, '--cpus', '2', '--scenario', scenario, '-o', booted]);
  assert.equal(result.status, 0, result.stderr);
  assert.match(result.stdout, /^changed +off_key\.enabled = 1$/m);
  assert.match(result.stdout, /^changed +__SCK__math\.func = add_ten$/m);
  const options = fresh('options');
  const steps = ['--enable', 'off_key', '--disable', 'on_key', '--update', 'math=add_ten'];
  assert.equal(textpoke(['boot', linked.image, '--cpus', '1', ...steps, '-o', options]).status, 0);
  assertSameFile(booted, options);
  assertVerified(booted, ['--original', linked.image, '--cpus', '1']);
  assert.equal(
    output(linked, booted),
    expected({
      'likely true': 0,
      'likely false': 1,
      'unlikely true': 0,
      'unlikely false': 1,
      nested: 1,
      'cold body': 1001,
      'cold jump': 2,
      call: 60,
      'tail call': 31,
      'query add_one': 0,
    }),
  );
});

test('a failed expectation ends in status 1 with step, expected and found, and writes nothing', () => {
  const image = memoryImage(['branch']);
  const path = fresh('refused');
  const scenario = scenarioFile([{ inc: 'off_key' }, { inc: 'off_key', expect: { keys: { off_key: 1 } } }]);
  const result = textpoke(['boot', image, '--scenario', scenario, '-o', path]);
  assert.deepEqual([result.status, result.stdout], [1, '']);
  assert.equal(
    result.stderr,
    'textpoke: error: step 2 (inc off_key): count of off_key: expected 1, found 2 [expectation-failed]\n',
  );
  assert.equal(existsSync(path), false);
});

test('a scenario that is none ends in status 3 with its name, step and field', () => {
  const scenario = scenarioFile([{ enable: 'a' }, { update: { call: 'b' } }]);
  const result = textpoke(['boot', memoryImage(['branch']), '--scenario', scenario]);
  assert.equal(result.status, 3);
  assert.match(
    result.stderr,
    /scenario\.json: step 2: update: the field to is required \[scenario-malformed\]\n$/,
  );
});

test("an image with conditional tail calls is refused as 6.1 would, and 6.6's runtime takes it", () => {
  const image = memoryImage(
    ['call', 'branch', 'main', 'lock', 'local', 'local2', 'key-def', 'key-use'],
    'clang-Os',
  );
  const path = fresh('refused');
  // The trampolines, which textpoke has settled, are as a kernel wants them too.
  const refused = textpoke(['boot', image, '--profile', '6.1', '-o', path]);
  assert.equal(refused.status, 1);
  assert.match(
    refused.stderr,
    /unexpected static_call insn opcode 0xf at \S+; a kernel of profile 6\.1 stops here \(BUG\) \[kernel-bug\]/,
  );
  assert.equal(existsSync(path), false);
  assert.equal(textpoke(['boot', image, '--profile', '6.6', '-o', path]).status, 0);
  const unknown = textpoke(['boot', image, '--profile', '6.2']);
  assert.equal(unknown.status, 2);
});

test('what -o writes with a module loaded is the image, and JSON shows the sites of the module', (t) => {
  const directory = scratch(t);
  const module = join(directory, 'key-use.ko');
  writeFileSync(module, annotated('gcc-O2', 'key-use'));
  const image = memoryImage(['branch', 'call', 'lock', 'local', 'local2', 'key-def', 'main']);
  const path = fresh('with-module');
  const args = ['boot', image, '--module', module, '--enable', 'shared_false'];
  const result = textpoke([...args, '-o', path]);
  assert.equal(result.status, 0, result.stderr);
  assert.match(result.stdout, /^module +key_use: \d+ static branches, 2 static calls, 0 lock prefixes$/m);
  assert.match(result.stderr, /contains only the image; patches in modules are not stored/);
  const json = JSON.parse(textpoke([...args, '--json']).stdout);
  assert.deepEqual(json.modules[0].sites, { branches: 3, calls: 2, locks: 0 });
  const inModule = json.writes.filter(
    (w: { symbol: string; what: string }) => /^use_shared/.test(w.symbol) && w.what === 'text',
  );
  assert.match(inModule.map((w: { reason: string }) => w.reason).join('\n'), /shared_false enabled/);
  assert.match(
    textpoke([...args, '--trace']).stdout,
    /use_shared_key\+0x\w+: shared_false enabled: jump to use_shared_key/,
  );
  const missing = textpoke(['boot', memoryImage(['branch']), '--module', module]);
  assert.equal(missing.status, 3);
  assert.match(missing.stderr, /key-use\.ko: unknown symbol .*shared_true \[link-failed\]/);
});

test('a scenario names modules relative to itself, compressed ones too', (t) => {
  const directory = scratch(t);
  writeFileSync(join(directory, 'key-use.ko.gz'), gzipSync(annotated('gcc-O2', 'key-use')));
  const scenario = join(directory, 's.json');
  const steps = [{ load: 'key-use.ko.gz' }, { enable: 'shared_*' }, { unload: 'key_use' }];
  writeFileSync(scenario, JSON.stringify({ schema: 'textpoke.scenario/1', steps }));
  const image = memoryImage(['branch', 'call', 'lock', 'local', 'local2', 'key-def', 'main']);
  const result = textpoke(['boot', image, '--scenario', scenario]);
  assert.equal(result.status, 0, result.stderr);
});

test('--states prints one JSON document with every place of the tables', () => {
  const image = memoryImage(['branch', 'call', 'lock']);
  const result = textpoke(['boot', image, '--states', '--update', 'math=add_ten']);
  assert.equal(result.status, 0, result.stderr);
  const { schema, places } = JSON.parse(result.stdout) as {
    schema: string;
    places: { kind: string; states: { bytes: string; meaning: string; mask?: string }[]; key?: string }[];
  };
  assert.equal(schema, 'textpoke.states/1');
  const { branches, calls, locks } = readTables(image);
  const count = (kind: string) => places.filter((place) => place.kind === kind).length;
  assert.deepEqual(
    [count('static branch'), count('static call'), count('lock')],
    [branches.length, calls.length, locks.length],
  );
  const math = places.filter((place) => place.key === '__SCK__math');
  assert.ok(math.length > 2, `${math.length} places`);
  assert.deepEqual(
    new Set(math.flatMap(({ states }) => states.map(({ mask }) => mask))),
    new Set([undefined]),
  );
  const meanings = new Set(places.flatMap(({ states }) => states.map(({ meaning }) => meaning)));
  assert.ok(meanings.has('any function'), [...meanings].join(', '));
});

test('a query says what patching owns, and both ends of a site count', () => {
  const image = memoryImage(['branch', 'lock']);
  const { branches, locks } = readTables(image);
  const [site] = branches;
  const lock = locks[0]!.lock;
  const at = (address: number, size: number, reserved: Record<string, boolean>) => ({
    queryReserved: { start: `0x${address.toString(16)}`, size },
    expect: { reserved },
  });
  const run = (cpus: string, steps: readonly unknown[]) =>
    textpoke(['boot', image, '--cpus', cpus, '--scenario', scenarioFile(steps)]);
  const result = run('1', [
    at(site!.code, 1, { branches: true, calls: false }),
    at(site!.code + 1, 1, { branches: true }),
    at(lock, 2, { locks: true }),
    at(lock + 1, 2, { locks: false }),
    { cpuUp: 1 },
    at(lock, 2, { locks: true }),
  ]);
  assert.equal(result.status, 0, result.stderr);
  assert.match(result.stdout, /^reserved +step 1: branches$/m);
  // Where no lock was ever dropped nobody keeps a list of them.
  assert.equal(run('2', [at(lock, 2, { locks: false })]).status, 0);
});

toolTest("a kernel's key in .bss is stored: the file grows, stays an ELF file, and runs", tools, () => {
  const source = `#include "textpoke/static_key.h"
#include <stdio.h>
const char linux_banner[] = "Linux version 6.6.0 (a@b) #1";
struct static_key_false zeroed; /* all zero: .bss */
char much[100000];
int after = 5;
int main(void) { printf("%d %d %d\\n", static_branch_unlikely(&zeroed) ? 1 : 0, after, much[99999]); return linux_banner[0] != 'L'; }
`;
  const path = fresh('kernel');
  writeFileSync(`${path}.c`, source);
  const include = new URL('../../include', import.meta.url).pathname;
  run('gcc', ['-c', '-O1', '-fno-pie', `-I${include}`, `${path}.c`, '-o', `${path}.o`]);
  assert.equal(textpoke(['annotate', `${path}.o`]).status, 0);
  run('gcc', ['-no-pie', `${path}.o`, '-o', path]);
  const key = addressOf(path, 'zeroed');
  assert.equal(imageSections(path).find((s) => key >= s.address && key < s.address + s.size)?.type, 'NOBITS');
  const booted = fresh('booted');
  const result = textpoke(['boot', path, '--enable', 'zeroed', '-o', booted]);
  assert.equal(result.status, 0, result.stderr);
  assert.equal(run(path, []), '0 5 0\n');
  assert.equal(run(booted, []), '1 5 0\n');
  assert.equal(tryRun('readelf', ['-aW', booted]).stderr, '');
  assert.deepEqual(
    imageSections(booted).map((s) => [s.name, s.address, s.size]),
    imageSections(path).map((s) => [s.name, s.address, s.size]),
  );
  const text = addressOf(path, 'main');
  assert.notEqual(bytesAt(booted, text, 40), bytesAt(path, text, 40));
  // Nothing changed there, nothing grows.
  const plain = fresh('plain');
  assert.equal(textpoke(['boot', path, '-o', plain]).status, 0);
  assert.equal(readFileSync(plain).length, readFileSync(path).length);
});
