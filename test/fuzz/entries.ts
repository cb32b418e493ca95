// The entry points that cases go through, and what must hold there whatever the input is. An entry either ends or throws
// a TextpokeError; any other error, and any broken promise, is a finding.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseScenario } from '../../src/boot/scenario.ts';
import type { BootStep } from '../../src/boot/steps.ts';
import { readCompilerLine } from '../../src/commands/compiler-line.ts';
import { profileNames } from '../../src/demand/profiles.ts';
import { linesOfAddresses, linesOfPlaces } from '../../src/dwarf/source-lines.ts';
import type { Section } from '../../src/elf/file.ts';
import { readElf, readElfFrom } from '../../src/elf/read.ts';
import { recheck } from '../../src/elf/recheck.ts';
import { expandWords } from '../../src/files/response-file.ts';
import { fileSource, memorySource } from '../../src/files/source.ts';
import { Image } from '../../src/image/image.ts';
import {
  type AnnotateOptions,
  annotate,
  boot,
  diff,
  dump,
  link,
  summarize,
  verify,
  verifyMemory,
} from '../../src/index.ts';
import { dumpInput } from '../../src/library/dump.ts';
import { policy, policyDocument } from '../../src/library/policy.ts';
import { locateImage } from '../../src/memory/locate.ts';
import { readSnapshot } from '../../src/memory/open.ts';
import { dumpText } from '../../src/output/dump-text.ts';
import { summaryText } from '../../src/output/summary-text.ts';
import { textOf } from '../../src/output/text.ts';
import { policyBytes, readPolicy } from '../../src/policy/binary.ts';
import { WriteChecker } from '../../src/policy/checker.ts';
import { byId, debugFile, withoutId } from '../dwarf/made-debug-files.ts';
import { fileOf } from '../dwarf/tables.ts';
import type { Random } from '../seeded.ts';
import { dumpNames, kernelOfDump, objects, seedBytes, seedsNamed } from './seeds.ts';
import { callNames, compilerWords, functionNames, jsonWords, keyNames, responseWords } from './texts.ts';

/** What a case gives an entry point. */
export interface Given {
  /** Name of the seed. */
  readonly seed: string;
  /** The edited bytes. */
  readonly bytes: Uint8Array;
  /** For options; the same for the same case. */
  readonly random: Random;
}

export interface Entry {
  readonly name: string;
  /** How many of 100 cases, about. */
  readonly share: number;
  readonly seeds: readonly string[];
  /** Texts that may take the place of words, where seeds are text. */
  readonly words?: readonly string[];
  readonly run: (given: Given) => unknown;
}

const archives = seedsNamed('archive ');
const images = seedsNamed('image ', 'dynamic image ');
const annotatedObjects = seedsNamed('annotated ');
const lines = seedsNamed('lines ');

/** What a person may see moves no cursor: there are line ends, and no other control characters. */
function assertPrintable(text: string | undefined, what: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones
  const found = /[\x00-\x09\x0b-\x1f\x7f-\x9f]/.exec(text ?? '');
  if (found) assert.fail(`${what} has ${JSON.stringify(found[0])} in it`);
}

let directory: string | undefined;

/** A directory of this process, gone with it. */
function scratch(): string {
  if (directory === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'textpoke-fuzz-'));
    process.on('exit', () => rmSync(made, { recursive: true, force: true }));
    directory = made;
  }
  return directory;
}

function annotateOptions(random: Random): AnnotateOptions {
  const rarely = () => random.chance(0.1);
  return {
    ...(rarely() && { staticCall: false }),
    ...(rarely() && { staticBranch: false }),
    ...(rarely() && { smpLocks: false }),
    ...(random.chance(0.3) && { smpBarriers: true }),
    ...(rarely() && { module: true }),
  };
}

/** Contents that annotate has no business with: of every section that was there, but tables, symbols and names. */
function assertKept(before: Uint8Array, after: Uint8Array, rewritten: number): void {
  const [old, now] = [readElf('before', before), readElf('after', after)];
  const kept = ({ type, flags, name }: Section) =>
    type === 1 && (flags & 2) !== 0 && !/^(__jump_table|\.static_call_sites|\.smp_)/.test(name);
  const left = now.sections.filter(kept);
  let different = 0;
  let at = 0;
  for (const section of old.sections.filter(kept)) {
    while (left[at] && (left[at]?.name !== section.name || left[at]?.size !== section.size)) at++;
    const match = left[at++];
    if (!match) assert.fail(`section ${section.index} (${section.name}) is gone`);
    const [a, b] = [old.data(section), now.data(match)];
    if (Buffer.compare(a, b) === 0) continue;
    for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) different++;
    assert.ok((section.flags & 4) !== 0, `data of section ${section.index} (${section.name}) changed`);
  }
  assert.ok(different <= 6 * rewritten, `${different} bytes changed for ${rewritten} rewritten jumps`);
}

/** How much readelf has to say against a file; undefined where there is no readelf. */
function complaints(bytes: Uint8Array): number | undefined {
  const path = join(scratch(), 'shown.o');
  writeFileSync(path, bytes);
  const { stderr, status } = spawnSync('readelf', ['-aW', path], { encoding: 'latin1', maxBuffer: 1 << 28 });
  return status === null ? undefined : (stderr.match(/readelf: /g) ?? []).length;
}

function assertNoWorse(before: Uint8Array, after: Uint8Array): void {
  const [old, now] = [complaints(before), complaints(after)];
  if (old !== undefined && now !== undefined)
    assert.ok(now <= old, `readelf complains ${now} times, and ${old} times of the input`);
}

function runAnnotate({ bytes, random }: Given): void {
  const options = annotateOptions(random);
  const given = bytes.slice();
  const { bytes: result, changed, document } = annotate({ name: 'a.o', bytes: given }, options);
  assert.ok(Buffer.compare(given, bytes) === 0, 'the input changed');
  if (!changed) return;
  const again = annotate({ name: 'a.o', bytes: result }, options);
  assert.equal(again.changed, false, 'a second run changes something');
  if (random.chance(0.0005)) assertNoWorse(bytes, result);
  if (document.files.length === 1 && bytes[0] === 0x7f)
    assertKept(
      bytes,
      result,
      (document.files[0]?.rewrittenJumps ?? 0) + 2 * (document.files[0]?.madeRelative ?? 0),
    );
}

async function runDump({ bytes, random }: Given): Promise<void> {
  const options = {
    ...(random.chance(0.1) && { table: random.pick(['jump', 'call', 'lock', '.smp_locks', 'x']) }),
    ...(random.chance(0.1) && { key: random.pick(keyNames) }),
    ...(random.chance(0.02) && { disassemble: true }),
  };
  const input = { name: 'a.o', bytes };
  if (random.chance(0.3)) {
    let text = '';
    const width = random.pick([undefined, 40, 80, 200]);
    for await (const piece of dumpText(dumpInput(input, options), { width })) text += piece;
    assertPrintable(text, 'the text of dump');
    const { document } = await summarize(input, options);
    for (const summary of document.files) assertPrintable(summaryText(summary, { width }), 'a summary');
    return;
  }
  const { document } = await dump(input, options);
  if (random.chance(0.1))
    assert.equal(JSON.stringify((await dump(input, options)).document), JSON.stringify(document));
}

function runLink({ bytes, seed, random }: Given): void {
  const set = seed.slice(0, seed.indexOf('/'));
  const others = ['branch', 'call', 'lock', 'local']
    .map((unit) => `${set}/${unit}`)
    .filter((name) => name !== seed && annotatedObjects.includes(name) && random.chance(0.3));
  const inputs = [{ name: 'a.o', bytes }, ...others.map((name) => ({ name, bytes: seedBytes(name) }))];
  recheck('linked', link(inputs).bytes);
}

/** Most of the time one of the first `sound`, which the sample program has. */
const nameOf = (random: Random, names: readonly string[], sound: number) =>
  random.chance(0.9) ? (names[random.below(sound)] as string) : random.pick(names);

function randomStep(random: Random): BootStep {
  const key = nameOf(random, keyNames, 6);
  switch (random.below(10)) {
    case 0:
      return { do: 'cpuUp', cpu: random.pick([0, 1, 2, 2 ** 31]) };
    case 1:
      return { do: 'cpuDown', cpu: random.pick([0, 1, 5]), dropLocks: random.chance(0.5) };
    case 2:
      return { do: 'decDeferred', key, timeout: random.pick([0, 1, 2 ** 53]) };
    case 3:
      return { do: 'advance', milliseconds: random.pick([0, 1, 1e15]) };
    case 4:
      return { do: random.pick(['forceReinit', 'freeInit']) };
    case 5:
      return { do: 'queryReserved', start: random.pick(functionNames), size: random.pick([1, 16, 2 ** 40]) };
    case 6:
    case 7:
      return { do: 'update', call: nameOf(random, callNames, 3), value: nameOf(random, functionNames, 6) };
    default:
      return { do: random.pick(['enable', 'disable', 'inc', 'dec', 'flush']), key };
  }
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/** Bytes that differ between two files of one size lie in ranges. */
function assertOnlyIn(ranges: readonly Range[], before: Uint8Array, after: Uint8Array): void {
  const covered = new Uint8Array(before.length);
  for (const { start, end } of ranges) covered.fill(1, start, end);
  for (let i = 0; i < before.length; i++)
    if (before[i] !== after[i] && !covered[i]) assert.fail(`byte ${i} changed, and no write was there`);
}

async function runBoot({ bytes, random }: Given): Promise<void> {
  const given = { name: 'image', bytes: bytes.slice() };
  const cpus = random.pick([undefined, 1, 2]);
  const profile = random.chance(0.2) ? random.pick(profileNames) : undefined;
  const steps = Array.from({ length: random.chance(0.5) ? 0 : random.below(5) }, () => randomStep(random));
  const options = {
    cpus,
    profile,
    ...(random.chance(0.2) && { upFill: random.pick(['ds', 'nop'] as const) }),
  };
  const states = random.chance(0.1);
  const { bytes: result, document } = await boot(given, { ...options, steps, states });
  assert.ok(Buffer.compare(given.bytes, bytes) === 0, 'the input changed');
  if (result.length === bytes.length) {
    const { segments } = readElf('image', bytes);
    const ranges = document.writes.flatMap(({ address, after }) => {
      const at = Number(BigInt.asIntN(64, BigInt(address)));
      const segment = segments.find((s) => s.type === 1 && at >= s.vaddr && at < s.vaddr + s.filesz);
      const start = segment ? segment.offset + at - segment.vaddr : 0;
      return segment ? [{ start, end: start + after.length / 2 }] : [];
    });
    assertOnlyIn(ranges, bytes, result);
  }
  const booted = { name: 'booted', bytes: result };
  // A second boot finds nothing to do. Steps may leave keys that wait, and CPUs, as no boot finds them.
  if (steps.length === 0) {
    const again = await boot(booted, options);
    assert.ok(Buffer.compare(again.bytes, result) === 0, 'a second boot changes something');
    if (profile !== undefined || random.chance(0.5)) return;
    // What was sound before is sound behind boot.
    const original = { name: 'image', bytes };
    const { document: before } = await verify(original, { linked: true });
    if (before.findings.length > 0) return;
    const { document: after } = await verify(booted, { original, cpus });
    const [finding] = after.findings;
    assert.equal(
      finding && `${finding.rule} ${finding.place}: ${finding.message}`,
      undefined,
      'verify of booted',
    );
  }
}

const formats = ['text', 'json', 'sarif', 'junit', 'github'] as const;

async function runVerify({ bytes, seed, random }: Given): Promise<void> {
  const image = { name: 'image', bytes };
  const whole = { name: 'original', bytes: seedBytes(seed) };
  const [first, original] = random.chance(0.2) ? [whole, image] : [image, whole];
  const shown = random.chance(0.05) ? [...formats] : [];
  const options = {
    cpus: random.pick([undefined, 1, 2]),
    linked: random.chance(0.5),
    ...(random.chance(0.5) && { original }),
    ...(random.chance(0.1) && { baseline: original }),
    ...(random.chance(0.2) && { locks: random.pick(['all', 'listed', 'none'] as const) }),
    formats: shown,
  };
  const { document, reports } = await verify(first, options);
  for (const format of ['text', 'github'] as const) assertPrintable(reports[format], `${format} of verify`);
  if (random.chance(0.1))
    assert.equal(JSON.stringify((await verify(first, options)).document), JSON.stringify(document));
}

async function runMemory({ bytes, seed, random }: Given): Promise<void> {
  const isKernel = seed.startsWith('kernel ');
  const dumps = dumpNames.filter((name) => kernelOfDump(name) === seed);
  const image = { name: 'vmlinux', bytes: isKernel ? bytes : seedBytes(kernelOfDump(seed)) };
  const dump = { name: 'vmcore', bytes: isKernel ? seedBytes(random.pick(dumps)) : bytes };
  const { reports } = await verifyMemory(image, dump, {
    cpus: random.pick([undefined, 1, 2]),
    ...(random.chance(0.05) && { slide: random.pick([0, 0x600000, -1, 2n ** 63n, 2 ** 53]) }),
    ...(random.chance(0.05) && { physical: [{ address: random.pick([0, 0x1000000, -1, 2n ** 64n - 1n]) }] }),
    ...(random.chance(0.05) && { base: random.pick([0, 0x400000, 0x600000, -1, 2n ** 64n - 1n]) }),
    formats: random.chance(0.05) ? ['text', 'json'] : [],
  });
  assertPrintable(reports.text, 'the text of verify --memory');
  walk(image, dump, random);
}

/** The kernel's own memory, through whatever the page tables are now. */
function walk(
  kernel: { name: string; bytes: Uint8Array },
  dump: { name: string; bytes: Uint8Array },
  random: Random,
): void {
  const image = new Image(readElf(kernel.name, kernel.bytes));
  const snapshot = readSnapshot(dump.name, memorySource(dump.bytes), image, undefined);
  const { kernelMemory, kernelMemoryFrom } = locateImage(image, snapshot, undefined);
  assertPrintable(kernelMemoryFrom, 'the words about the memory of a kernel');
  for (let i = 0; i < 50; i++) {
    const at = random.pick([-0x7777_0000_0000, 0x400000, 0xa00000, -0x1000]) + random.below(2 ** 22);
    kernelMemory?.read(at, new Uint8Array(random.pick([8, 4096, 10_000])));
  }
}

async function runDiff({ bytes, seed, random }: Given): Promise<void> {
  const [one, other] = [
    { name: 'one', bytes: seedBytes(seed) },
    { name: 'other', bytes },
  ];
  const [old, now] = random.chance(0.5) ? [one, other] : [other, one];
  const { reports } = await diff(old, now, { formats: ['text', 'markdown'] });
  assertPrintable(reports.text, 'the text of diff');
}

function runLines({ bytes, seed, random }: Given): void {
  const addresses = Array.from(
    { length: 1 + random.below(40) },
    (_, i) => 0x1000 + i * (1 + random.below(9)),
  );
  const { lines: found } = linesOfAddresses(fileOf(bytes, seed[6] !== '3'), addresses);
  assert.equal(found.length, addresses.length);
}

/** Every place in the code of an object, with what is inlined there. */
function runInlined({ bytes }: Given): void {
  const file = readElf('a.o', bytes);
  const places = file.sections.flatMap(({ index, flags, size }) =>
    (flags & 4) === 0
      ? []
      : Array.from({ length: Math.min(size, 2000) }, (_, offset) => ({ section: index, offset })),
  );
  const { lines: found, problem } = linesOfPlaces(file, places, undefined, { inlines: true });
  assert.equal(found.length, places.length);
  assertPrintable(textOf([problem ?? '']), 'the problem of debug information');
}

/** A program and the debug files that it may lead to, one of them edited. */
function runDebugFiles({ bytes, seed }: Given): void {
  const directory = scratch();
  const isProgram = seed.startsWith('debug program');
  const files = {
    p: isProgram ? bytes : seedBytes('debug program with a build id'),
    q: withoutId,
    [byId]: isProgram ? debugFile : bytes,
  };
  for (const [name, contents] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), contents);
  }
  const path = join(directory, 'p');
  const source = fileSource(path);
  try {
    const places = { directories: [directory], path };
    const { lines: found, problem } = linesOfAddresses(readElfFrom(path, source), [0x1000], places);
    assert.equal(found.length, 1);
    // As commands print it.
    assertPrintable(textOf([problem ?? '']), 'the problem of a debug file');
  } finally {
    source.close();
  }
}

async function runScenario({ bytes, seed, random }: Given): Promise<void> {
  const text = Buffer.from(bytes).toString('utf8');
  if (seed.startsWith('config')) {
    const { reports } = await verify(
      { name: 'image', bytes: seedBytes('image gcc-O2') },
      { cpus: 1, suppressions: text, formats: ['text'] },
    );
    assertPrintable(reports.text, 'the text of verify');
    return;
  }
  const steps = parseScenario(text).slice(0, 50);
  await boot({ name: 'image', bytes: seedBytes('image gcc-O2') }, { cpus: random.pick([1, 2]), steps });
}

/** What may be written to the text of a kernel: what is written down is what is read. */
async function runStates({ bytes, random }: Given): Promise<void> {
  const { policy: made } = await policy({ name: 'vmlinuz', bytes });
  const compact = policyBytes(made);
  assert.ok(Buffer.compare(policyBytes(readPolicy(compact)), compact) === 0, 'a policy is read otherwise');
  assert.equal(
    JSON.parse([...policyDocument('vmlinuz', made)].join('')).places.length,
    made.addresses.length,
  );
  const checker = new WriteChecker(made, { slide: random.pick([0, 0x20_0000]) });
  for (let i = 0; i < 100 && made.addresses.length > 0; i++) {
    const address = random.pick([...made.addresses]) + random.below(3);
    const before = Uint8Array.from({ length: 1 + random.below(8) }, () => random.below(256));
    checker.checkWrite(
      address,
      before,
      before.map(() => random.below(256)),
    );
  }
}

function runCompilerLine({ bytes }: Given): void {
  const words = Buffer.from(bytes).toString('utf8').split('\n');
  const { objects: made } = readCompilerLine(words);
  for (const { path, under } of made) {
    if (!under) continue;
    const [other] = readCompilerLine(under('another.o')).objects;
    assert.equal(other?.path, 'another.o', `the line that makes ${path} under another name`);
  }
}

function runResponse({ bytes }: Given): void {
  const [words, other] = ['words', 'other'].map((name) => join(scratch(), name)) as [string, string];
  const own = (text: string) => text.replaceAll('@words', `@${words}`).replaceAll('@other', `@${other}`);
  const text = Buffer.from(bytes).toString('utf8');
  writeFileSync(words, own(text));
  writeFileSync(other, own(text.slice(text.length >> 1)));
  readCompilerLine(expandWords(['gcc', `@${words}`, '-c']));
}

export const entries: readonly Entry[] = [
  { name: 'annotate', share: 22, seeds: [...objects, ...annotatedObjects], run: runAnnotate },
  { name: 'archives', share: 6, seeds: archives, run: runAnnotate },
  { name: 'dump', share: 11, seeds: [...annotatedObjects, ...archives, ...images], run: runDump },
  { name: 'link', share: 8, seeds: annotatedObjects, run: runLink },
  { name: 'boot', share: 13, seeds: images, run: runBoot },
  { name: 'verify', share: 11, seeds: images, run: runVerify },
  { name: 'memory', share: 7, seeds: [...dumpNames, ...seedsNamed('kernel ')], run: runMemory },
  {
    name: 'text of kernels',
    share: 3,
    seeds: seedsNamed('core of a kernel', 'kernel made text'),
    run: runMemory,
  },
  { name: 'diff', share: 4, seeds: [...annotatedObjects, ...images], run: runDiff },
  { name: 'lines', share: 4, seeds: lines, run: runLines },
  { name: 'inlined code', share: 4, seeds: seedsNamed('inlined '), run: runInlined },
  { name: 'debug files', share: 2, seeds: seedsNamed('debug '), run: runDebugFiles },
  {
    name: 'decompression',
    share: 3,
    seeds: seedsNamed('gzip', 'zstd', 'xz', 'lz4', 'lzo', 'lzma', 'bzip2'),
    run: runDump,
  },
  { name: 'policies', share: 3, seeds: seedsNamed('text kernel '), run: runStates },
  { name: 'kernel files', share: 3, seeds: seedsNamed('vmlinuz '), run: runDump },
  { name: 'JSON', share: 3, seeds: seedsNamed('scenario', 'config'), words: jsonWords, run: runScenario },
  {
    name: 'compiler lines',
    share: 1,
    seeds: seedsNamed('command line'),
    words: compilerWords,
    run: runCompilerLine,
  },
  { name: 'response files', share: 1, seeds: seedsNamed('response'), words: responseWords, run: runResponse },
];
