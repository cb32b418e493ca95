// Code of arm64 kernels that runs elsewhere than in their text: among read-only data, and what is told by its bytes alone.
import assert from 'node:assert/strict';
import test from 'node:test';
import { EM_AARCH64 } from '../../../src/elf/constants.ts';
import { type DataText, dataText, dataTextPages, isEntryPage } from '../../../src/text/aarch64/data-text.ts';
import { isBpfPage, isTrap } from '../../../src/text/aarch64/generated-forms.ts';
import { madeImage, wordsOf } from '../made-image.ts';

const pageSize = 4096;
const text = -0x7fff_0000;
const data = text + 0x10_0000;
const slide = 0x20_0000;

const image = madeImage({
  machine: EM_AARCH64,
  class: 64,
  sections: [
    { name: '.text', address: text, bytes: wordsOf(0xd65f03c0), what: 'code' },
    { name: '.rodata', address: data, bytes: new Uint8Array(4 * pageSize).fill(7), what: 'data' },
  ],
});

/** Where symbols lie that begin with `__`, from the start of the data on. */
const named =
  (places: Readonly<Record<string, number>>) =>
  (name: string): number | undefined => {
    const at = places[name.slice(2)];
    return at === undefined ? undefined : data + at;
  };

test('code among read-only data has whole pages, up to the last part of it', () => {
  const names = { entry_tramp_text_start: pageSize, entry_tramp_text_end: 2 * pageSize };
  const [entry, all] = [names, { ...names, idmap_text_end: 2 * pageSize + 100 }].map((of) =>
    dataText(image, named(of)),
  ) as [DataText, DataText];
  assert.deepEqual(
    [entry, all].map(({ text: of, entryBytes }) => [of.start - data, of.file.length, entryBytes]),
    [
      [pageSize, pageSize, pageSize],
      [pageSize, 2 * pageSize, pageSize],
    ],
  );
  assert.deepEqual(
    dataTextPages(all, slide).map(({ address }) => address - data - slide),
    [pageSize, 2 * pageSize],
  );
  // What is mapped again must be what the passes make of the first part.
  all.text.write(data + pageSize + 8, Uint8Array.of(1), 'alternative');
  const page = new Uint8Array(pageSize).fill(7);
  assert.equal(isEntryPage(all, page), false);
  page[8] = 1;
  assert.equal(isEntryPage(all, page), true);
});

for (const [what, places] of [
  ['nothing names it', {}],
  ['its end is in front of its start', { entry_tramp_text_start: pageSize, entry_tramp_text_end: 0 }],
  ['it lies outside of the image', { entry_tramp_text_start: 0, entry_tramp_text_end: 8 * pageSize }],
  ['it does not begin with a page', { entry_tramp_text_start: 8, entry_tramp_text_end: pageSize }],
] as const)
  test(`there is no such code where ${what}`, () => {
    assert.equal(dataText(image, named(places)), undefined);
  });

const trap = 0xd420_2000;
const program = [0x910003c9, 0xd503201f, 0xd503233f, 0xa9bf7bfd];
const page = (...words: number[]) => {
  const made = wordsOf(...new Array<number>(pageSize / 4).fill(trap));
  made.set(wordsOf(...words));
  return made;
};

test('a program of BPF on pages of its own begins behind its size and traps', () => {
  assert.equal(isBpfPage(page(pageSize, trap, trap, ...program)), true);
  assert.equal(isBpfPage(page(2 * pageSize, trap, 0xd50324df, ...program)), true);
  for (const other of [
    page(pageSize + 4, trap, ...program),
    page(0, trap, ...program),
    page(pageSize, 0xd503201f, ...program),
    page(pageSize, trap, ...program.slice(1)),
    page(pageSize),
  ])
    assert.equal(isBpfPage(other), false);
});

test('free memory holds brk', () => {
  assert.deepEqual([page().every(isTrap), page(0xd65f03c0).every(isTrap)], [true, false]);
});
