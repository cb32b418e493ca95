// What explain says of places and keys: what each way to ask for one finds, and what it says where nothing is found.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { ExplainDocument, Input } from '../../src/index.ts';
import { dump, explain, TextpokeError } from '../../src/index.ts';
import { annotated, linkedBytes, programUnits } from '../samples.ts';

const image = { name: 'image', bytes: linkedBytes('gcc-O2', programUnits) };
const object = { name: 'branch.o', bytes: annotated('gcc-O2-g', 'branch') };
const inlined = { name: 'inlined.o', bytes: annotated('gcc-O2-g', 'inlined') };
const kernelModule = { name: 'work.ko', bytes: annotated('gcc-O2', 'branch', { module: true }) };

const sitesIn = ({ files }: ExplainDocument) => files.flatMap(({ sites }) => sites);
const keysIn = ({ files }: ExplainDocument) => files.flatMap(({ keys }) => keys);

/** `FUNCTION of KEY` for each site. */
const told = (document: ExplainDocument) =>
  sitesIn(document).map(({ place, key }) => `${place.symbol} of ${key?.symbol}`);

const rows: readonly (readonly [what: string, input: Input, asked: string, sites: readonly string[]])[] = [
  ['a function', image, 'unlikely_false', ['unlikely_false of off_key']],
  ['a function and an offset', image, 'nested+0x5', ['nested of on_key']],
  [
    'a function with several sites',
    image,
    'nested',
    ['nested of off_key', 'nested of on_key', 'nested of on_key'],
  ],
  ['an element of an array of keys', image, 'on_keys+0x10', ['array_true of on_keys']],
  ['a structure with one key in it', image, 'device', ['member_key of device']],
  ['a pattern of keys', image, 'off_keys*', ['array_false of off_keys', 'in_loop of off_keys']],
  [
    'a name that two keys have',
    image,
    'local_key',
    ['local_branch of local_key', 'local2_branch of local_key'],
  ],
  ['a line of an object', object, 'branch.c:22', ['likely_false of off_key']],
  [
    'a line that is inlined in several functions',
    inlined,
    'inlined.c:10',
    ['outermost of deep_key', 'outermost of deep_key', 'another of deep_key', 'another of deep_key'],
  ],
  ['a line that calls what is inlined', inlined, 'inlined.c:28', ['another of deep_key']],
  ['the start of a function of a module', kernelModule, 'likely_true+0x0', ['likely_true of on_key']],
];
for (const [what, input, asked, sites] of rows) {
  test(`${what}: ${asked}`, async () => assert.deepEqual(told(await explain(input, asked)), sites));
}

test('an address means the site there, also in the middle of its instruction, and no other', async () => {
  const { document } = await dump(image);
  const entry = document.files[0]?.jumpTable?.[3];
  assert.ok(entry && 'key' in entry, 'an entry of live code');
  const { index, key } = entry;
  const address = entry.site.address as string;
  for (const by of [0, 1, 4]) {
    const found = await explain(image, `0x${(Number(address) + by).toString(16)}`);
    assert.deepEqual(
      sitesIn(found).map((one) => [one.index, one.place.address, one.key]),
      [[index, address, key]],
    );
  }
  const before = await explain(image, `0x${(Number(address) - 1).toString(16)}`).catch((error) => error);
  assert.ok(
    before instanceof TextpokeError || !sitesIn(before).some((one) => one.index === index),
    'in front',
  );
});

test('a key says its value, and all sites that ask for it; a site says what may stand there and when', async () => {
  const found = await explain(image, 'off_key');
  const { document } = await dump(image);
  const entries =
    document.files[0]?.jumpTable?.filter((one) => 'key' in one && one.key.symbol === 'off_key') ?? [];
  assert.ok(entries.length > 2, 'a key with several sites');
  assert.deepEqual(
    sitesIn(found).map(({ place }) => place.address),
    entries.map((one) => 'site' in one && one.site.address),
  );
  const [key, ...others] = keysIn(found);
  assert.deepEqual([key?.kind, key?.value, key?.sites, others], ['key', 'disabled', entries.length, []]);
  for (const { changedBy, states = [], kind } of sitesIn(found)) {
    assert.deepEqual([kind, changedBy, states.length], ['static branch', 'key', 2]);
    assert.deepEqual(states.map(({ isThere }) => isThere).sort(), [false, true], 'one of them stands there');
  }
});

test('sites of objects and modules have no addresses, and say what may stand there all the same', async () => {
  for (const input of [object, kernelModule]) {
    const found = await explain(input, 'off_key');
    assert.equal(keysIn(found)[0]?.value, undefined);
    for (const { states, statesProblem } of sitesIn(found))
      assert.deepEqual([states?.length, statesProblem], [2, undefined]);
  }
});

for (const [asked, message] of [
  ['main', /^main is a function of \d+ bytes in \.text and no site and no key/],
  ['0x400000', /^0x400000 is an address in the image, where no symbol is and no site and no key/],
  ['nested+0x1001', /no site and no key/],
  ['of_key', /^"of_key" is no site and no key; .*; did you mean (\w+, )*\w+ or \w+\?$/],
  ['neted', /; did you mean nested\?$/],
  ['branch.c:1', /^"branch\.c:1" is no site and no key/],
  ['', /no site and no key/],
] as const) {
  test(`what is no site and no key is refused: ${JSON.stringify(asked)}`, async () => {
    await assert.rejects(explain(image, asked), (error) => {
      assert.ok(error instanceof TextpokeError && error.code === 'unknown-key', `${error}`);
      assert.match(error.message, message);
      return true;
    });
  });
}
