// Rules about entries by themselves, on images linked in memory and broken by hand.
import assert from 'node:assert/strict';
import test from 'node:test';
import { replayBoot as boot } from '../../src/boot/passes.ts';
import { STT_FUNC } from '../../src/elf/constants.ts';
import type { Section } from '../../src/elf/file.ts';
import { readElf } from '../../src/elf/read.ts';
import { Image } from '../../src/image/image.ts';
import { encodeImageEntry } from '../../src/image/tables.ts';
import { branchFields, jumpTable, readBranchSites } from '../../src/kinds/static-branch/table.ts';
import { callFields, readCallSites, staticCallSites } from '../../src/kinds/static-call/table.ts';
import { linkObjects } from '../../src/link/link.ts';
import { noteSection, readUnitNotes } from '../../src/object/unit-notes.ts';
import { checkImage as verifyImage } from '../../src/verify/passes.ts';
import { imageOf, linkedBytes, programUnits, sampleBytes } from '../samples.ts';

const linked = linkedBytes('gcc-O2', programUnits);

/** A booted image that nothing is wrong with. */
function good(): Image {
  const image = imageOf(linked);
  boot(image, { cpus: 2, upFill: 'ds', steps: [] });
  return image;
}

function rulesOf(image: Image, original?: Image): string[] {
  const options = { state: 'booted', cpus: 2, locks: undefined, original } as const;
  return [...new Set(verifyImage(image, options).findings.map((f) => f.rule))];
}

test('a booted image has no findings, with its original or without', () => {
  assert.deepEqual(rulesOf(good()), []);
  assert.deepEqual(rulesOf(good(), imageOf(linked)), []);
});

/** Makes the notes of an image unknown ones, so that nothing tells of sites without entries. */
function forgetNotes(image: Image): void {
  const { addr, size } = image.file.sections.find(({ name }) => name === noteSection) as Section;
  const bytes = image.read(addr, size);
  for (const { offset } of [...readUnitNotes(bytes, true)]) bytes[offset + 8] = 0x7f;
}

test('identical entries are TP019, unless the function has two names, as folded code has', () => {
  const image = good();
  const [first, second] = readBranchSites(image);
  const fields = branchFields(first!);
  image
    .read(second!.entry.address, 16)
    .set(encodeImageEntry(image, jumpTable, second!.entry.address, fields));
  // One entry twice is another one missing, where a note tells of it.
  assert.deepEqual(rulesOf(image), ['TP032']);
  forgetNotes(image);
  assert.deepEqual(rulesOf(imageOf(image.file.source.read(0, image.file.source.size))), ['TP019']);
  const folded = imageOf(image.file.source.read(0, image.file.source.size));
  const { table } = folded.symbols;
  const functions = Array.from({ length: table!.count }, (_, i) => i).filter(
    (i) => table!.type(i) === STT_FUNC,
  );
  const home = functions.find(
    (i) => first!.address - table!.value[i]! < table!.size[i]! && first!.address >= table!.value[i]!,
  );
  const other = functions.find((i) => table!.name(i) === 'main');
  table!.value[other!] = table!.value[home!]!;
  table!.size[other!] = table!.size[home!]!;
  assert.deepEqual(rulesOf(folded), []);
});

test('entries of one site that contradict each other are TP003', () => {
  const image = good();
  const [first, second] = readBranchSites(image);
  const [code, target] = branchFields(first!) as [number, number];
  const fields = [code, target, branchFields(second!)[2] as number];
  assert.notEqual(first!.key + Number(first!.branch), second!.key + Number(second!.branch));
  image
    .read(second!.entry.address, 16)
    .set(encodeImageEntry(image, jumpTable, second!.entry.address, fields));
  assert.deepEqual(rulesOf(image), ['TP003']);
});

test('a static call site inside a static branch site is inside an instruction: TP002', () => {
  const image = good();
  const branch = readBranchSites(image)[0]!;
  const call = readCallSites(image)[0]!;
  const fields = [branch.address + 2, callFields(call)[1] as number];
  image.read(call.entry.address, 8).set(encodeImageEntry(image, staticCallSites, call.entry.address, fields));
  assert.deepEqual(rulesOf(image), ['TP002']);
});

test('a key that is not aligned to 4 bytes is TP005', () => {
  const booted = good().file.source;
  const image = imageOf(booted.read(0, booted.size));
  const { table } = image.symbols;
  const site = readBranchSites(image).find((s) => s.key === image.symbols.addressOf('off_key'))!;
  // The symbol moves by two bytes, as a packed structure would have it; the entry follows.
  for (let i = 1; i < table!.count; i++) if (table!.name(i) === 'off_key') table!.value[i] = site.key + 2;
  const fields = [...branchFields(site)];
  fields[2] = (fields[2] as number) + 2;
  image.read(site.entry.address, 16).set(encodeImageEntry(image, jumpTable, site.entry.address, fields));
  assert.deepEqual(rulesOf(image), ['TP005']);
});

test('an image whose tables are empty is TP016, not a success', () => {
  const image = imageOf(linkObjects([readElf('branch.o', sampleBytes('gcc-O2', 'branch'))]).bytes);
  assert.deepEqual(rulesOf(image), ['TP016']);
});

test('an image in a Buffer is verified as one in any other array, and stays as it is', () => {
  const source = good().file.source;
  const bytes = Buffer.from(source.read(0, source.size));
  const before = Buffer.from(bytes);
  const image = new Image(readElf('image', bytes));
  assert.deepEqual(verifyImage(image, { cpus: 2 }).findings, []);
  const locks = verifyImage(image, { cpus: 1 }).findings;
  assert.deepEqual([...new Set(locks.map(({ rule }) => rule))], ['TP011']);
  assert.deepEqual(bytes, before);
});

test('a key that no number can hold is no key: TP006', () => {
  const booted = good().file.source;
  const image = imageOf(booted.read(0, booted.size));
  const site = readBranchSites(image)[0]!;
  image.read(site.entry.address + 8, 8).fill(0x7f);
  const { findings } = verifyImage(image, { cpus: 2 });
  assert.deepEqual(
    findings.map(({ rule, address }) => [rule, address]),
    [['TP006', site.entry.address]],
  );
});
