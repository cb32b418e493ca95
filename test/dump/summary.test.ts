// The summary of dump: its numbers against the entries that dump lists, its states against the sources, its text against
// the width of a terminal.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { FileSummary, SiteGroup } from '../../src/dump/summary.ts';
import { boot, dump, summarize } from '../../src/index.ts';
import { type DumpedEntry, type DumpedPlace, isDead, keyName } from '../../src/kinds/shown.ts';
import { summaryText } from '../../src/output/summary-text.ts';
import { widthOf } from '../../src/output/width.ts';
import { archiveOf } from '../elf/archives.ts';
import { makeObject } from '../elf/objects.ts';
import { annotated, linkedBytes, sampleBytes } from '../samples.ts';

async function summaryOf(bytes: Uint8Array, options = {}): Promise<FileSummary> {
  const { document } = await summarize({ name: 'file', bytes }, options);
  assert.equal(document.files.length, 1);
  return document.files[0] as FileSummary;
}

type Entry = DumpedEntry & { readonly site?: DumpedPlace; readonly key?: DumpedPlace };

/** Entries with a site, by the table's name in JSON. */
async function sitesOf(bytes: Uint8Array): Promise<[table: string, entry: Entry & { site: DumpedPlace }][]> {
  const { document } = await dump({ name: 'file', bytes });
  return document.files.flatMap((file) =>
    Object.entries(file).flatMap(([table, entries]) =>
      Array.isArray(entries)
        ? (entries as Entry[])
            .filter((entry) => typeof entry === 'object' && !isDead(entry) && entry.site !== undefined)
            .map((entry): [string, Entry & { site: DumpedPlace }] => [table, entry as never])
        : [],
    ),
  );
}

/** How often each value occurs, most often first and then by name. */
function counted(values: readonly string[]): [string, number][] {
  const numbers = new Map<string, number>();
  for (const value of values) numbers.set(value, (numbers.get(value) ?? 0) + 1);
  return [...numbers].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
}

const namesAndSites = (groups: readonly SiteGroup[]) => groups.map(({ name, sites }) => [name, sites]);

const units = ['branch', 'call', 'lock'];

for (const set of [
  'gcc-O2-g',
  'clang-O2-g',
  'aarch64-gcc-O2-g',
  'aarch64_be-gcc-O2',
  'arm-gcc-O2-g',
  'armeb-gcc-O2',
]) {
  test(`the summary of a program of ${set} has the numbers of its entries`, async () => {
    const bytes = linkedBytes(
      set,
      units.filter((unit) => !(unit === 'lock' && /^(aarch64|arm)/.test(set))),
    );
    const summary = await summaryOf(bytes);
    const sites = await sitesOf(bytes);
    assert.ok(sites.length > 20, `${sites.length} sites`);
    const { document } = await dump({ name: 'file', bytes });
    for (const { table, entries, bytes: size } of summary.tables) {
      const listed = (document.files[0] as unknown as Record<string, unknown[]>)[table] as unknown[];
      assert.equal(entries, listed.length, table);
      assert.ok(size >= 4 * entries, table);
    }
    const addresses = new Set(sites.map(([, { site }]) => site.address));
    assert.equal(summary.text.sites, addresses.size);
    const keyed = sites.flatMap(([, { key }]) => (key ? [keyName(key)] : []));
    assert.deepEqual(namesAndSites(summary.keys), counted(keyed));
    const functions = sites.map(([, { site }]) => site.symbol ?? '');
    assert.deepEqual(namesAndSites(summary.functions), counted(functions));
    const files = sites.flatMap(([, { site }]) => site.file ?? []);
    assert.deepEqual(namesAndSites(summary.files), counted(files));
    assert.deepEqual(
      namesAndSites(summary.sections),
      counted(sites.map(([, { site }]) => site.section ?? '')),
    );
    assert.deepEqual(summary.counts, {
      keys: summary.keys.length,
      functions: summary.functions.length,
      files: summary.files.length,
      sections: summary.sections.length,
    });
    for (const list of [summary.keys, summary.functions, summary.sections] as const)
      for (const { sites: all, tables } of list)
        assert.equal(
          Object.values(tables).reduce((sum, number) => sum + number, 0),
          all,
        );
  });

  test(`the keys of ${set} have the states of the sources, in objects and once linked`, async () => {
    const states = {
      on_key: 'on',
      off_key: 'off',
      'on_keys+0x10': 'on',
      off_keys: 'off',
      'off_keys+0x20': 'off',
      device: 'off',
    };
    for (const bytes of [annotated(set, 'branch'), linkedBytes(set, ['branch'])]) {
      const { keys } = await summaryOf(bytes);
      const half = /^arm/.test(set);
      const expected = Object.entries(states).map(([name, state]) => [
        half ? name.replace('0x10', '0x8').replace('0x20', '0x10') : name,
        { state },
      ]);
      assert.deepEqual(keys.map(({ name, state }) => [name, state]).sort(), expected.sort());
    }
    for (const bytes of [annotated(set, 'call'), linkedBytes(set, ['call'])]) {
      const { keys } = await summaryOf(bytes);
      const found = Object.fromEntries(keys.map(({ name, state }) => [name, state]));
      assert.deepEqual(found.notify, { state: 'null' });
      assert.equal(found.math?.state, 'function');
      assert.equal(found.probe?.state, 'return 0');
    }
  });
}

test('a key that another object defines is elsewhere', async () => {
  const { keys, states } = await summaryOf(annotated('gcc-O2', 'key-use'));
  assert.deepEqual(states, { elsewhere: 4 });
  assert.deepEqual(keys.map(({ name }) => name).sort(), [
    'shared_call',
    'shared_false',
    'shared_keys+0x30',
    'shared_true',
  ]);
});

test('states are those of the file: after a boot the keys that were switched on are on', async () => {
  const booted = await boot(
    { name: 'file', bytes: linkedBytes('gcc-O2', ['branch']) },
    {
      steps: [
        { do: 'enable', key: 'off_key' },
        { do: 'disable', key: 'on_key' },
        // By the name that dump gives it.
        { do: 'enable', key: 'device' },
      ],
    },
  );
  const { keys } = await summaryOf(booted.bytes);
  const states = Object.fromEntries(keys.map(({ name, state }) => [name, state.state]));
  assert.deepEqual([states.off_key, states.on_key, states.device], ['on', 'off', 'on']);
});

test('sites in init text are counted, in objects by section', async () => {
  const { text, tables, functions } = await summaryOf(annotated('gcc-O2', 'kernel-entries'));
  assert.deepEqual([text.sites, text.initSites], [6, 1]);
  assert.ok(text.initBytes > 0 && text.initBytes < text.bytes, `${text.initBytes} of ${text.bytes}`);
  assert.deepEqual(
    tables.map(({ table, initSites, keys }) => [table, initSites, keys]),
    [['jumpTable', 1, 2]],
  );
  const init = functions.filter(({ initSites }) => initSites > 0);
  assert.deepEqual(namesAndSites(init), [['kernel_init', 1]]);
});

test('the bytes of sites are those of their instructions, and each counts once', async () => {
  const bytes = linkedBytes('gcc-O2', ['branch', 'call', 'lock']);
  const { text } = await summaryOf(bytes);
  const sites = (await sitesOf(bytes)) as unknown as [
    string,
    { site: DumpedPlace; instruction?: { bytes: string } },
  ][];
  const covered = new Set(
    sites.flatMap(([, { site, instruction }]) =>
      Array.from(
        { length: instruction ? instruction.bytes.length / 2 : 1 },
        (_, i) => Number(site.address) + i,
      ),
    ),
  );
  assert.equal(text.patchableBytes, covered.size);
});

test('--key and --table choose what is counted', async () => {
  const bytes = linkedBytes('gcc-O2', ['branch', 'call']);
  const { keys, tables } = await summaryOf(bytes, { key: 'off_*' });
  assert.deepEqual(keys.map(({ name }) => name).sort(), ['off_key', 'off_keys', 'off_keys+0x20']);
  assert.equal(
    tables.reduce((sum, { entries }) => sum + entries, 0),
    keys.reduce((sum, { sites }) => sum + sites, 0),
  );
  const calls = await summaryOf(bytes, { table: 'call' });
  assert.deepEqual(
    calls.tables.map(({ table }) => table),
    ['staticCallSites'],
  );
});

test('the summary of an archive is about all members: global keys are one, local functions are told apart', async () => {
  const members = [
    ['a.o', annotated('gcc-O2', 'key-use')],
    ['b.o', annotated('gcc-O2', 'key-def')],
    ['c.o', annotated('gcc-O2', 'branch')],
    ['d.o', annotated('clang-O2', 'branch')],
    ['plain.o', sampleBytes('gcc-O2', 'key-def')],
    ['none.o', makeObject({ sections: [{ name: '.text', flags: 6, data: Uint8Array.of(0xc3) }] })],
  ] as const;
  const summary = await summaryOf(archiveOf(members));
  const { keys, functions, tables, text, members: told } = summary;
  assert.equal(told?.total, 6);
  const shared = keys.filter(({ name }) => name === 'shared_true');
  assert.equal(shared.length, 1);
  assert.equal(shared[0]?.state.state === 'elsewhere' || shared[0]?.state.state === 'on', true);
  const parts = await Promise.all(members.map(([, bytes]) => summaryOf(bytes)));
  assert.equal(
    text.bytes,
    parts.reduce((sum, part) => sum + part.text.bytes, 0),
  );
  for (const { table, entries } of tables)
    assert.equal(
      entries,
      parts.reduce((sum, part) => sum + (part.tables.find((one) => one.table === table)?.entries ?? 0), 0),
    );
  assert.deepEqual(
    functions
      .filter(({ name }) => name === 'likely_true')
      .map(({ member }) => member)
      .sort(),
    ['c.o', 'd.o'],
  );
  const jumps = tables.find(({ table }) => table === 'jumpTable');
  assert.equal(jumps?.keys, keys.filter((key) => 'jumpTable' in key.tables).length);
});

test('each line of the text fits the terminal, the name of the file aside', async () => {
  const summary = await summaryOf(linkedBytes('gcc-O2-g', units));
  const long = {
    ...summary,
    keys: summary.keys.map((key) => ({ ...key, name: `${'a_very_long_name_'.repeat(9)}${key.name}` })),
    functions: summary.functions.map((group) => ({
      ...group,
      name: `名前${'関数'.repeat(40)}${group.name}`,
    })),
  };
  for (const width of [80, 120, 200]) {
    for (const by of [undefined, 'key', 'function', 'file', 'section'] as const) {
      const lines = summaryText(long, { width, by }).split('\n');
      for (const line of lines) assert.ok(widthOf(line) <= width, `${widthOf(line)} of ${width}: ${line}`);
    }
  }
  assert.ok(summaryText(summary).split('\n').length < 40, 'it fits a screen');
});

test('lists are in the order that was asked for, and no longer', async () => {
  const summary = await summaryOf(linkedBytes('gcc-O2', units));
  const names = (options: object) =>
    summaryText(summary, { by: 'function', ...options })
      .split('\n')
      .slice(3, -1)
      .map((line) => line.trim().split(/ +/).at(-1));
  const all = names({});
  assert.equal(all.length, summary.counts.functions);
  assert.deepEqual(names({ sort: 'name' }), [...all].sort());
  assert.deepEqual(names({ limit: 3 }), all.slice(0, 3));
  const addresses = summary.functions.map(({ name, address }) => [Number(address), name] as const);
  assert.deepEqual(
    names({ sort: 'address' }),
    addresses.sort(([a], [b]) => a - b).map(([, name]) => name),
  );
});

test('an object without tables says so, and an archive without an object has no summary', async () => {
  assert.match(summaryText(await summaryOf(sampleBytes('gcc-O2', 'lock'))), /\n {2}no tables\n$/);
  const { document } = await summarize({ name: 'a', bytes: new TextEncoder().encode('!<arch>\n') });
  assert.deepEqual(document.files, []);
});
