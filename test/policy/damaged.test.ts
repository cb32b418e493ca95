// Kernels whose tables are not what they should be: policies of them are refused by an error that docs/errors.md has, after
// work that the size of the tables bounds.
import assert from 'node:assert/strict';
import test from 'node:test';
import { readElf } from '../../src/elf/read.ts';
import { TextpokeError } from '../../src/errors.ts';
import { Image } from '../../src/image/image.ts';
import { makePolicy } from '../../src/policy/make.ts';
import { type MadeKernel, rodataAt } from '../kinds/made-kernel.ts';
import { workOf } from '../work.ts';
import { functions, kernelBytes, relocations, sites, textAt } from './kernel.ts';

type Change = (made: MadeKernel) => MadeKernel;

const withSymbols =
  (symbols: Readonly<Record<string, number>>): Change =>
  (made) => ({ ...made, symbols: { ...made.symbols, ...symbols } });

const table = rodataAt + 0xa00;

/** A table of alternatives in place of the kernel's own: place, length, replacement, its length, feature. */
const withAlternatives =
  (entries: readonly (readonly [number, number, number, number, number])[]): Change =>
  (made) => {
    const bytes = Buffer.alloc(14 * entries.length);
    for (const [i, [site, length, by, size, feature]] of entries.entries()) {
      bytes.writeInt32LE(textAt + site - (table + 14 * i), 14 * i);
      bytes.writeInt32LE(textAt + by - (table + 14 * i + 4), 14 * i + 4);
      bytes.writeUInt16LE(feature, 14 * i + 8);
      bytes.writeUInt8(length, 14 * i + 12);
      bytes.writeUInt8(size, 14 * i + 13);
    }
    return withSymbols({ __alt_instructions: table, __alt_instructions_end: table + bytes.length })({
      ...made,
      bytes: [...(made.bytes ?? []), [table, Uint8Array.from(bytes)]],
    });
  };

const returning = 0x1850;
/** A place that asks for so many features, and is replaced by a return. */
const asking = (site: number, features: number) =>
  Array.from({ length: features }, (_, i) => [site, 5, returning, 5, 100 + i] as const);

const rows: readonly (readonly [what: string, change: Change, code: string, message: RegExp])[] = [
  [
    'a table of returns with half an entry',
    withSymbols({ __return_sites_end: rodataAt + 0x380 + 10 }),
    'table-malformed',
    /10 bytes/,
  ],
  [
    'a table of branches that ends in front of its start',
    withSymbols({ __stop___jump_table: rodataAt }),
    'table-malformed',
    /bytes/,
  ],
  ['a text without an end', withSymbols({ _etext: textAt - 1 }), 'not-an-image', /_etext/],
  [
    'code that counts calls and fits in front of no function',
    withSymbols({ skl_call_thunk_tail: functions.skl_call_thunk_template + textAt + 0x400 }),
    'table-malformed',
    /1024 bytes/,
  ],
  [
    'calls that are checked (kCFI)',
    withSymbols({ __cfi_sites: rodataAt + 0x380, __cfi_sites_end: rodataAt + 0x384 }),
    'elf-unsupported',
    /kCFI/,
  ],
  [
    'a place that asks for nine features',
    withAlternatives(asking(sites.twice, 9)),
    'too-large',
    /9 features/,
  ],
  [
    'twelve places that ask for eight features, and have branches and returns in all forms',
    withAlternatives(
      Array.from({ length: 12 }, () => asking(sites.inner, 8).concat(asking(0x800, 1))).flat(),
    ),
    'too-large',
    /more ways/,
  ],
];

for (const [what, change, code, message] of rows)
  test(`refused: ${what}`, () => {
    const bytes = kernelBytes('7.3.0', change);
    let error: unknown;
    const work = workOf(() => {
      try {
        makePolicy(new Image(readElf('vmlinux', bytes)), relocations);
      } catch (thrown) {
        error = thrown;
      }
    });
    assert.ok(error instanceof TextpokeError, `${error}`);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    assert.ok(work < 40_000_000, `${work} units of work`);
  });

test('what is no kernel of x86-64 is refused', () => {
  const arm = kernelBytes('7.3.0', (made) => ({ ...made, machine: 183 }));
  assert.throws(() => makePolicy(new Image(readElf('vmlinux', arm)), undefined), { code: 'not-an-image' });
});
