// What `verify` finds when one thing is broken on purpose: the right rule at the right place, and nothing else.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { run, toolTest } from '../tools.ts';
import { broken, type Change, callEntry, jumpEntry, s32, s64 } from './broken.ts';
import {
  addressOf,
  assertVerified,
  boot,
  bytesAt,
  findings,
  fresh,
  hex,
  type ImageTables,
  imageSections,
  type Link,
  link,
  lockPolicyFor,
  once,
  onlyListed,
  readTables,
  textpoke,
} from './programs.ts';

const tools = ['gcc', 'clang', 'ld.bfd', 'ld.lld', 'readelf'];

const requests: readonly Link[] = [
  { set: 'gcc-O2', linker: 'bfd', kind: 'no-pie', script: 'ldscript' },
  { set: 'clang-O2-ffunction-sections', linker: 'lld', kind: 'PIE', script: 'none' },
];

/** An image as boot leaves it for two CPUs. */
function booted(request: Link): string {
  return once(`booted ${JSON.stringify(request)}`, (path) => {
    assert.equal(textpoke(['boot', link(request).image, '--cpus', '2', '-o', path]).status, 0);
  });
}

/** One change and what has to be found: `rule address`. */
interface Fault {
  readonly name: string;
  readonly changes: (image: string, tables: ImageTables) => readonly Change[];
  readonly finds: (image: string, tables: ImageTables) => readonly string[];
  readonly args?: readonly string[];
  /** Also against the image before it was broken, with the same findings. */
  readonly original?: boolean;
}

const sitesOfKey = (image: string, tables: ImageTables, key: string) =>
  tables.branches.filter((b) => (b.key & ~3) === addressOf(image, key));
const callOf = (image: string, tables: ImageTables, name: string) =>
  tables.calls.filter((c) => (c.key & ~3) === addressOf(image, `__SCK__${name}`));
const last = <T>(list: readonly T[]): T => list[list.length - 1]!;

const faults: readonly Fault[] = [
  {
    name: 'a flipped byte in the NOP of a static branch is TP007',
    changes: (image, tables) => [[sitesOfKey(image, tables, 'off_key')[0]!.code + 4, '01']],
    finds: (image, tables) => [`TP007 ${hex(sitesOfKey(image, tables, 'off_key')[0]!.code)}`],
    original: true,
  },
  {
    name: 'a static call that goes one byte too far is TP007',
    changes: (image, tables) => {
      const { site } = callOf(image, tables, 'math')[0]!;
      return [[site + 1, s32(Buffer.from(bytesAt(image, site + 1, 4), 'hex').readInt32LE(0) + 1)]];
    },
    finds: (image, tables) => [`TP007 ${hex(callOf(image, tables, 'math')[0]!.site)}`],
    original: true,
  },
  {
    name: 'a breakpoint left in a static branch is TP008',
    changes: (image, tables) => [[sitesOfKey(image, tables, 'on_key')[0]!.code, 'cc']],
    finds: (image, tables) => [`TP008 ${hex(sitesOfKey(image, tables, 'on_key')[0]!.code)}`],
    original: true,
  },
  {
    name: 'a breakpoint left in a static call is TP008',
    changes: (image, tables) => [[callOf(image, tables, 'shared_call')[0]!.site, 'cc']],
    finds: (image, tables) => [`TP008 ${hex(callOf(image, tables, 'shared_call')[0]!.site)}`],
    original: true,
  },
  {
    name: 'two entries of __jump_table in the wrong order are TP004 at the second',
    changes: (_, { branches: [a, b] }) => [...jumpEntry(a!.entry, b!), ...jumpEntry(b!.entry, a!)],
    finds: (_, { branches: [, b] }) => [`TP004 ${hex(b!.entry)}`],
    original: true,
  },
  {
    name: 'two entries of .static_call_sites in the wrong order are TP004 at the second',
    changes: (_, { calls: [a, b] }) => [...callEntry(a!.entry, b!), ...callEntry(b!.entry, a!)],
    finds: (_, { calls }) => [`TP004 ${hex(calls[1]!.entry)}`],
    original: true,
  },
  {
    name: 'a key enabled by hand leaves each of its sites TP007',
    changes: (image) => [[addressOf(image, 'off_key'), '01000000']],
    finds: (image, tables) => {
      const sites = sitesOfKey(image, tables, 'off_key');
      assert.equal(sites.length, 4);
      return sites.map(({ code }) => `TP007 ${hex(code)}`).sort();
    },
    original: true,
  },
  {
    name: 'one dropped lock of several, for two CPUs, is TP011 at that lock',
    changes: (_, tables) => [[tables.locks[3]!.lock, '3e']],
    finds: (_, tables) => [`TP011 ${hex(tables.locks[3]!.lock)}`],
    args: ['--cpus', '2'],
    original: true,
  },
  {
    name: 'locks in two states, whatever the number of CPUs, are TP011 once',
    changes: (_, tables) => [[tables.locks[3]!.lock, '3e']],
    finds: (_, tables) => [`TP011 ${hex(tables.locks[0]!.lock)}`],
  },
  {
    name: 'locks that are there, for one CPU, are TP011 at each',
    changes: () => [],
    finds: (_, tables) => tables.locks.map(({ lock }) => `TP011 ${hex(lock)}`).sort(),
    args: ['--cpus', '1'],
  },
  {
    name: 'something that is neither lock nor what replaces it is TP011',
    changes: (_, tables) => [[tables.locks[0]!.lock, '2e']],
    finds: (_, tables) => [`TP011 ${hex(tables.locks[0]!.lock)}`],
    original: true,
  },
  {
    name: 'a trampoline that goes elsewhere is TP012',
    changes: (image) => {
      const at = addressOf(image, '__SCT__math');
      return [[at + 1, s32(addressOf(image, 'add_ten') - at - 5)]];
    },
    finds: (image) => [`TP012 ${hex(addressOf(image, '__SCT__math'))}`],
    original: true,
  },
  {
    name: 'a trampoline without its signature is TP012',
    changes: (image) => [[addressOf(image, '__SCT__math') + 5, '909090']],
    finds: (image) => [`TP012 ${hex(addressOf(image, '__SCT__math'))}`],
  },
  {
    name: 'a lock entry that names the byte behind the prefix is TP002',
    changes: (_, tables) => {
      const { entry, lock } = tables.locks[0]!;
      return [[entry, s32(lock + 1 - entry)]];
    },
    // That the lock itself has no entry any more is the same defect.
    finds: (_, tables) => [`TP002 ${hex(tables.locks[0]!.lock + 1)}`],
  },
  {
    name: 'a jump entry whose site lies in data is TP001',
    changes: (image, tables) => {
      const { entry } = last(sitesOfKey(image, tables, 'off_key'));
      return [[entry, s32(addressOf(image, 'off_key') - entry)]];
    },
    finds: (image) => [`TP001 ${hex(addressOf(image, 'off_key'))}`],
  },
  {
    name: 'a key in code is TP006',
    changes: (image, tables) => {
      const { entry } = callOf(image, tables, 'math')[0]!;
      return [[entry + 4, s32((addressOf(image, 'main') & ~15) - entry - 4)]];
    },
    finds: (image) => [`TP006 ${hex(addressOf(image, 'main') & ~15)}`],
  },
  {
    name: 'an init flag on a site that is not in init text is TP015',
    changes: (image, tables) => {
      const { entry, key } = sitesOfKey(image, tables, 'off_key')[0]!;
      return [[entry + 8, s64((key | 2) - entry - 8)]];
    },
    finds: (image, tables) => [`TP015 ${hex(sitesOfKey(image, tables, 'off_key')[0]!.code)}`],
    original: true,
  },
];

for (const fault of faults) {
  toolTest(fault.name, tools, () => {
    for (const request of requests) {
      const image = booted(request);
      const tables = readTables(image);
      const wanted = fault.finds(image, tables);
      const bad = broken(image, fault.changes(image, tables));
      for (const original of fault.original ? [[], ['--original', image]] : [[]]) {
        const found = findings(bad, [...lockPolicyFor(image), ...(fault.args ?? []), ...original]);
        const all = found.map((f) => `${f.rule} ${f.address}`).sort();
        const what = `${request.set}: ${JSON.stringify(found, null, 1)}`;
        assert.deepEqual(all, wanted, what);
      }
    }
  });
}

toolTest('a byte changed elsewhere is TP013 against the original, wherever it lies', tools, () => {
  for (const request of requests) {
    const image = booted(request);
    const { address } = imageSections(image).find((s) => s.name === '.rodata')!;
    for (const at of [address + 4, addressOf(image, 'shared_other') + 1, addressOf(image, 'device')]) {
      const old = Number.parseInt(bytesAt(image, at, 1), 16);
      const bad = broken(image, [[at, Buffer.of(old ^ 0x40)]]);
      const found = findings(bad, [...lockPolicyFor(image), '--original', image]);
      assert.deepEqual(
        found.map((f) => `${f.rule} ${f.address}`),
        [`TP013 ${hex(at)}`],
      );
      assertVerified(bad);
    }
    const longer = fresh('longer');
    writeFileSync(longer, Buffer.concat([readFileSync(image), Buffer.of(0)]));
    const rules = findings(longer, [...lockPolicyFor(image), '--original', image]).map((f) => f.rule);
    assert.deepEqual(rules, ['TP013']);
  }
});

toolTest(
  'an entry of the original that is gone is TP014, unless the site it was for is known to have none',
  tools,
  () => {
    const image = booted(requests[0]!);
    const tables = readTables(image);
    const [a, b] = [tables.locks[0]!, tables.locks[1]!];
    const bad = broken(image, [[b.entry, s32(a.lock - b.entry)]]);
    const found = (args: readonly string[]) =>
      findings(bad, [...args, '--original', image]).map((f) => `${f.rule} ${f.address}`);
    assert.deepEqual(found(lockPolicyFor(image)), [`TP010 ${hex(b.lock)}`]);
    assert.deepEqual(found(onlyListed), [`TP014 ${hex(b.lock)}`, `TP019 ${hex(a.lock)}`]);
  },
);

const stranger = `#include "textpoke/static_call.h"
int add_one(int n);
DECLARE_STATIC_CALL(math, add_one);
int stranger_count;
__attribute__((used)) int stranger_call(int n) { return static_call(math)(n) + 1; }
__attribute__((used)) int stranger_tail(int n) { return static_call(math)(n); }
__attribute__((used)) int stranger_lock(void) { return __atomic_fetch_add(&stranger_count, 1, __ATOMIC_SEQ_CST); }
`;

toolTest(
  'an object that was never annotated shows: its calls to trampolines are TP009, its locks TP010',
  tools,
  () => {
    const object = once('stranger.o', (path) => {
      writeFileSync(`${path}.c`, stranger);
      const include = new URL('../../include', import.meta.url).pathname;
      run('gcc', ['-c', '-O2', '-fPIE', `-I${include}`, `${path}.c`, '-o', path]);
    });
    for (const request of requests) {
      const { image } = link({ ...request, more: [object] });
      for (const [state, file] of [
        [['--linked'], image],
        [[], boot(image)],
      ] as const) {
        const seen = (args: readonly string[]) =>
          findings(file, [...args, ...state]).map((f) => `${f.rule} ${f.place.replace(/\+.*/, '')}`);
        assert.deepEqual(seen([]).sort(), [
          'TP009 stranger_call',
          'TP009 stranger_tail',
          'TP010 stranger_lock',
        ]);
        assert.deepEqual(seen(onlyListed).sort(), ['TP009 stranger_call', 'TP009 stranger_tail']);
        assert.deepEqual(seen(['--locks', 'none']).sort(), ['TP009 stranger_call', 'TP009 stranger_tail']);
      }
    }
  },
);

toolTest(
  'an image that was linked and not booted passes with --linked, and has TP007 at each call without',
  tools,
  () => {
    for (const request of requests) {
      const { image } = link(request);
      assertVerified(image, ['--linked']);
      const rules = findings(image).map((f) => f.rule);
      assert.equal(rules.filter((rule) => rule === 'TP007').length, 16);
      assert.deepEqual([...new Set(rules)].sort(), ['TP004', 'TP007']);
    }
  },
);

toolTest(
  'verify says what it found as text, too: place, rule, both byte strings with their disassembly',
  tools,
  () => {
    const image = booted(requests[0]!);
    const { site } = callOf(image, readTables(image), 'math')[0]!;
    const bad = broken(image, [[site, '9090909090']]);
    const result = textpoke(['verify', bad, ...lockPolicyFor(image)]);
    assert.equal(result.status, 1);
    assert.equal(result.stderr, '');
    assert.match(
      result.stdout,
      new RegExp(`error TP007 wrong-instruction: .*\n  ${hex(site)} call_\\w+\\+0x[0-9a-f]+(?: \\(.*\\))?: `),
    );
    assert.match(result.stdout, /found +9090909090 +nop/);
    assert.match(result.stdout, /expected +e8[0-9a-f]{8} +call add_one/);
    assert.match(result.stdout, /^1 error, 0 warnings;/m);
    const good = textpoke(['verify', image, ...lockPolicyFor(image)]);
    assert.equal(`${good.stdout}${good.stderr}`, '');
  },
);
