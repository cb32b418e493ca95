// A kernel whose memory was read while a static call was updated: some of its sites call the old function still.
import assert from 'node:assert/strict';
import test from 'node:test';
import { readElf } from '../../../src/elf/read.ts';
import { Image } from '../../../src/image/image.ts';
import { programOf } from '../../../src/kinds/registry.ts';
import { staticCall } from '../../../src/kinds/static-call/kind.ts';
import type { KernelVariables } from '../../../src/memory/kernel/variables.ts';
import { ExpectedText, Texts } from '../../../src/text/expected.ts';
import { callUpdate } from '../../../src/text/x86-64/call-update.ts';
import { jumpTo } from '../../../src/text/x86-64/jump.ts';
import { linkedBytes, programUnits } from '../../samples.ts';

const image = new Image(readElf('program', linkedBytes('gcc-O2', programUnits)));
const [code] = image.code as unknown as [{ address: number; code: Uint8Array }];
const byKey = new Map<number, number[]>();
for (const { address, key } of programOf(image).sites.of(staticCall))
  byKey.set(key, [...(byKey.get(key) ?? []), address]);
const [sites, otherSites] = [...byKey.values()]
  .map((all) => all.filter((address) => image.codeAt(address)))
  .filter((all) => all.length > 1)
  .sort((a, b) => b.length - a.length) as [number[], number[]];
const [first, second] = ['add_one', 'add_ten'].map((name) => image.symbols.addressOf(name) as number) as [
  number,
  number,
];

const call = (address: number, to: number) => jumpTo(0xe8, address, to) as Uint8Array;

/** What is accepted at which sites, where memory differs from the text there; the owner of static_call_mutex. */
function accepted(memory: ReadonlyMap<number, Uint8Array>, owner = 1): number[] {
  const text = new ExpectedText('.text', code.address, code.code);
  for (const address of [...sites, ...otherSites]) text.write(address, call(address, first), 'static-call');
  const held = text.bytes.slice();
  for (const [address, bytes] of memory) held.set(bytes, address - text.start);
  const kernel = {
    at: () => 0,
    offset: () => 0,
    reader: {
      word: () => owner,
      bytes: (address: number, length: number) =>
        held.slice(address - text.start, address - text.start + length),
    },
  } as unknown as KernelVariables;
  callUpdate(kernel, (address) => image.codeAt(address) !== undefined).run({
    ...{ image, slide: 0, texts: new Texts([text]), state: undefined },
  });
  return text.others.map(({ address }) => address).sort((a, b) => a - b);
}

const at = (...places: readonly (readonly [number, Uint8Array])[]) => new Map(places);

test('there are two calls with several sites', () => {
  assert.ok(sites.length > 1 && otherSites.length > 1, `${sites.length} and ${otherSites.length} sites`);
});

test('sites of one call may call the old function while it is updated', () => {
  const [a, b] = sites as [number, number];
  assert.deepEqual(accepted(at([b, call(b, second)])), [b]);
  assert.deepEqual(accepted(at([a, call(a, second)], [b, call(b, second)])), [a, b]);
});

for (const [what, memory, owner] of [
  ['nobody updates a call', (a: number) => at([a, call(a, second)]), 0],
  [
    'sites of two calls differ',
    (a: number, _: number, c: number) => at([a, call(a, second)], [c, call(c, second)]),
    1,
  ],
  ['they call two functions', (a: number, b: number) => at([a, call(a, second)], [b, call(b, first + 1)]), 1],
  ['they call what is no code', (a: number) => at([a, call(a, 0)]), 1],
  [
    'they hold what no kernel writes there',
    (a: number) => at([a, Uint8Array.of(0x90, 0x90, 0x90, 0x90, 0x90)]),
    1,
  ],
] as const) {
  test(`nothing else is accepted: ${what}`, () => {
    const [a, b] = sites as [number, number];
    assert.deepEqual(accepted(memory(a, b, otherSites[0] as number), owner), []);
  });
}
