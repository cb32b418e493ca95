// Broken objects and images, in memory: whatever happens, it is a result or an error with a code, never another.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { annotate } from '../../src/annotate/passes.ts';
import { replayBoot as boot } from '../../src/boot/passes.ts';
import { readElf } from '../../src/elf/read.ts';
import { errorCodes, TextpokeError } from '../../src/errors.ts';
import { Image } from '../../src/image/image.ts';
import { linkObjects } from '../../src/link/link.ts';
import { checkImage as verifyImage } from '../../src/verify/passes.ts';
import { everything, linkedBytes, programUnits } from '../samples.ts';
import { casesOf, isUnit } from '../tools.ts';
import { flipped, seeded } from '../seeded.ts';

const objects = fileURLToPath(new URL('../../samples/objects/', import.meta.url));
const samples = readdirSync(objects, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.o'))
  .sort();
const bytesOf = (name: string) => new Uint8Array(readFileSync(join(objects, name)));

/** Runs `body`; any error but one of ours, with a known code and a one-line message, is a failure. */
function survives(what: string, body: () => void): 'done' | 'refused' {
  try {
    body();
    return 'done';
  } catch (error) {
    if (!(error instanceof TextpokeError)) throw new Error(`${what}: ${(error as Error).stack}`);
    assert.ok(error.code in errorCodes, what);
    assert.notEqual(error.code, 'defect', `${what}: ${error.message}`);
    assert.ok(!error.describe().includes('\n'), what);
    return 'refused';
  }
}

const bootOptions = { cpus: 1, upFill: 'ds', steps: [] } as const;
const verifyOptions = { state: 'booted', cpus: undefined, locks: undefined, original: undefined } as const;

const cutStep = isUnit ? 640 : 64;

test(`each of ${samples.length} samples, cut every ${cutStep} bytes, is refused by annotate`, () => {
  let cuts = 0;
  for (const name of samples) {
    const bytes = bytesOf(name);
    for (let size = 0; size < bytes.length; size += cutStep, cuts++) {
      const what = `${name} cut at ${size}`;
      const before = bytes.slice(0, size);
      const given = before.slice();
      assert.equal(
        survives(what, () => annotate(name, given, everything)),
        'refused',
        what,
      );
      assert.deepEqual(given, before, `${what}: the input changed`);
    }
  }
  assert.ok(cuts > casesOf(5000), `${cuts} cuts`);
});

const sampleFlips = casesOf(2000);

test(`${sampleFlips} seeded byte flips in samples end in a result or an error with a code`, () => {
  const random = seeded(1);
  for (let i = 0; i < sampleFlips; i++) {
    const name = samples[Math.floor(random() * samples.length)] as string;
    const bytes = flipped(bytesOf(name), random);
    const before = bytes.slice();
    survives(`flip ${i} in ${name}`, () => annotate(name, bytes, everything));
    assert.deepEqual(bytes, before, `flip ${i} in ${name}: the input changed`);
  }
});

const linkFlips = casesOf(1000);

test(`${linkFlips} seeded byte flips in annotated objects do not upset the in-memory link`, () => {
  const random = seeded(2);
  const names = ['gcc-O2/branch.o', 'clang-O2/call.o', 'gcc-O2/hand.o', 'clang-Os/comdat.o'].flatMap((name) =>
    ['', 'aarch64-', 'arm-', 'thumb-'].map((prefix) => prefix + name),
  );
  const annotated = names.map((name) => annotate(name, bytesOf(name), everything).bytes as Uint8Array);
  for (let i = 0; i < linkFlips; i++) {
    const bytes = flipped(annotated[i % names.length] as Uint8Array, random);
    survives(`flip ${i} in ${names[i % names.length]}`, () => {
      linkObjects([readElf('a.o', bytes)]);
    });
  }
});

const units = programUnits;
const image = linkedBytes('gcc-O2', units);
const images = [
  image,
  ...['aarch64-gcc-O2', 'arm-gcc-O2', 'thumb-clang-O2', 'armeb-gcc-O2'].map((set) =>
    linkedBytes(
      set,
      units.filter((unit) => unit !== 'main' || !set.startsWith('armeb')),
    ),
  ),
  linkedBytes('thumb-gcc-O2', ['kernel-entries']),
];

test(`images cut every ${cutStep} bytes end in a result or an error with a code`, () => {
  for (const [i, whole] of images.entries()) {
    for (let size = 0; size < whole.length; size += cutStep) {
      survives(`image ${i} cut at ${size}`, () => {
        boot(new Image(readElf('image', whole.slice(0, size))), bootOptions);
      });
      survives(`image ${i} cut at ${size}`, () => {
        verifyImage(new Image(readElf('image', whole.slice(0, size))), verifyOptions);
      });
    }
  }
});

const flips = casesOf(4000);

test(`${flips} seeded byte flips in images end in a result or an error with a code, for boot and for verify`, () => {
  const random = seeded(3);
  for (let i = 0; i < flips; i++) {
    const bytes = flipped(images[i % images.length] as Uint8Array, random);
    survives(`flip ${i}, verify`, () => {
      verifyImage(new Image(readElf('image', bytes.slice())), verifyOptions);
    });
    survives(`flip ${i}, boot`, () => {
      boot(new Image(readElf('image', bytes)), bootOptions);
    });
  }
});
