// verify --memory over dumps made here; test/kernel/memory.ts does the same with those of real kernels.
import assert from 'node:assert/strict';
import test from 'node:test';
import { TextpokeError } from '../../src/errors.ts';
import { memorySource } from '../../src/files/source.ts';
import { encodeImageEntry, type ImageEntry, readImageTable } from '../../src/image/tables.ts';
import { jumpTable, readBranchSites } from '../../src/kinds/static-branch/table.ts';
import { readCallSites, staticCallSites } from '../../src/kinds/static-call/table.ts';
import { locateImage } from '../../src/memory/locate.ts';
import { readSnapshot } from '../../src/memory/open.ts';
import { type VerifiedMemory, verifyMemory } from '../../src/verify/memory.ts';
import { imageOf, linkedBytes, programUnits } from '../samples.ts';
import { flipped, seeded } from '../seeded.ts';
import {
  banner,
  core,
  entryNote,
  flattened,
  kdump,
  kernelBytes,
  type Page,
  pageSize,
  physicalOffset,
  run,
  vmcoreinfoNote,
} from './dumps.ts';

function verify(
  kernel: Uint8Array,
  dump: Uint8Array,
  { base, slide, cpus }: { base?: number; slide?: number; cpus?: number } = {},
): VerifiedMemory {
  const image = imageOf(kernel);
  return verifyMemory(
    image,
    locateImage(
      image,
      readSnapshot('dump', memorySource(dump), image, base === undefined ? undefined : { base }),
      slide,
    ),
    cpus,
  );
}

/** Tables that compare something, and nothing in them is wrong or missing. */
function assertGood({ findings, tables }: VerifiedMemory): void {
  assert.deepEqual(findings, []);
  assert.notEqual(tables.length, 0);
  for (const { compared, missing, mismatches, name } of tables)
    assert.ok(compared > 0 && missing === 0 && mismatches === 0, name);
}

const isCode = (code: string, pattern: RegExp) => (error: unknown) =>
  error instanceof TextpokeError && error.code === code && pattern.test(error.message);

const kernel = kernelBytes('gcc-O2');
const slide = 0x600000;
const steps = [
  { do: 'enable', key: 'off_key' },
  { do: 'disable', key: 'on_key' },
] as const;
const pages = run(kernel, slide, { steps });
const still = run(kernel, 0, { steps });
const note = `OSRELEASE=6.1.0\nNUMBER(phys_base)=${physicalOffset - slide - 2 ** 31}\nKERNELOFFSET=${slide.toString(16)}\n`;
const virtual = core(pages, { addresses: ['virtual'] });
const physical = core(pages, { addresses: ['physical'] });

for (const [what, dump, from] of [
  ['an ELF core by virtual addresses', virtual, /^the place of the banner in the dump/],
  ['one of more than 65,535 segments', core(pages, { addresses: ['virtual'], padding: 70_000 }), /banner/],
  ['an ELF core by physical addresses', physical, /functions of static calls/],
  ['an ELF core by both', core(pages, { addresses: ['virtual', 'physical'] }), /banner/],
  [
    'a vmcore with VMCOREINFO',
    core(pages, { addresses: ['virtual', 'physical'], notes: [vmcoreinfoNote(note)] }),
    /^VMCOREINFO$/,
  ],
  [
    'a core by physical addresses with VMCOREINFO',
    core(pages, { addresses: ['physical'], notes: [vmcoreinfoNote(note)] }),
    /^VMCOREINFO$/,
  ],
  ['a kdump-compressed dump', kdump(pages), /functions of static calls/],
  ['a kdump-compressed dump with VMCOREINFO', kdump(pages, { vmcoreinfo: note }), /^VMCOREINFO$/],
  ['a flattened kdump', flattened(kdump(pages)), /functions/],
  ['a flattened core', flattened(virtual), /banner/],
] as const) {
  test(`${what} of a kernel that moved: every site is as its key demands`, () => {
    const verified = verify(kernel, dump);
    assertGood(verified);
    assert.equal(verified.image.place.slide, slide);
    assert.match(verified.image.place.slideFrom, from);
    assert.equal(verified.cpus, 'several');
  });
}

test('a raw dump is placed by --base', () => {
  const first = Math.min(...still.map((page) => page.virtual));
  const last = Math.max(...still.map((page) => page.virtual));
  const raw = new Uint8Array(last - first + pageSize);
  for (const page of still) raw.set(page.bytes, page.virtual - first);
  assertGood(verify(kernel, raw, { base: first }));
  assert.throws(
    () => verify(kernel, raw.subarray(pageSize)),
    isCode('memory-unsupported', /needs --physical, or --base/),
  );
});

for (const [set, options] of [
  ['aarch64-gcc-O2', { machine: 183 }],
  ['aarch64_be-gcc-O2', { machine: 183, little: false }],
  ['arm-gcc-O2', { machine: 40, class: 32 }],
  ['thumb-gcc-O2', { machine: 40, class: 32 }],
] as const) {
  test(`memory of ${set}: by virtual and by physical addresses`, () => {
    const units = 'little' in options ? programUnits.filter((name) => name !== 'main') : programUnits;
    const other = kernelBytes(set, banner, units);
    const memory = run(other, 0, { steps });
    assertGood(verify(other, core(memory, { ...options, addresses: ['virtual'] })));
    assertGood(verify(other, core(memory, { ...options, addresses: ['physical'] })));
    if (!('little' in options))
      assertGood(verify(other, kdump(memory, { class: 'class' in options ? options.class : 64 })));
  });
}

test('key values come from the memory: enabled keys and functions of calls', () => {
  const { keys, calls, image } = verify(kernel, virtual);
  const value = (name: string) => keys.find((key) => image.describe(key.address) === name)?.enabled;
  assert.deepEqual([value('off_key'), value('on_key')], [1, 0]);
  assert.notEqual(calls.length, 0);
  for (const call of calls) assert.ok(call.code === undefined || image.codeAt(call.code), call.name);
});

test('one CPU is seen from the locks; told otherwise, every lock is wrong', () => {
  const one = core(run(kernel, 0, { cpus: 1 }), { addresses: ['virtual'] });
  const verified = verify(kernel, one);
  assertGood(verified);
  assert.equal(verified.cpus, 'one');
  const wrong = verify(kernel, one, { cpus: 2 });
  assert.notEqual(wrong.findings.length, 0);
  assert.deepEqual([...new Set(wrong.findings.map((finding) => finding.rule))], ['TP011']);
});

/** The pages with one byte changed, at an address as linked. */
function changed(address: number, value: number): Page[] {
  const at = address + slide;
  return pages.map((page) => {
    if (at < page.virtual || at >= page.virtual + pageSize) return page;
    const bytes = page.bytes.slice();
    bytes[at - page.virtual] = value;
    return { ...page, bytes };
  });
}

test('every branch and every call site is looked at: a breakpoint there is found, and nothing else', () => {
  const image = imageOf(kernel);
  const sites = [...readBranchSites(image), ...readCallSites(image)];
  assert.ok(sites.length > 10, `${sites.length} sites`);
  for (const { address } of sites) {
    const { findings } = verify(kernel, core(changed(address, 0xcc), { addresses: ['virtual'] }));
    assert.deepEqual(
      findings.map((finding) => [finding.rule, finding.address]),
      [['TP008', address]],
    );
  }
});

test('an entry that is a byte late in the file is one finding, of the file alone', () => {
  const broken = kernel.slice();
  const image = imageOf(kernel);
  for (const row of [jumpTable, staticCallSites]) {
    const [{ address, fields }] = [...readImageTable(image, row)] as [ImageEntry];
    const late = [(fields[0] as number) + 1, ...fields.slice(1)];
    const bytes = encodeImageEntry(image, row, address, late);
    const offset = image.fileOffset(address, bytes.length) as number;
    broken.set(kernel);
    broken.set(bytes, offset);
    const { findings } = verify(broken, virtual);
    assert.deepEqual(
      findings.map((finding) => [finding.rule, finding.address]),
      [['TP002', late[0]]],
    );
  }
});

test('a page that is not in the dump is counted, not taken for zeros, whichever it is', () => {
  const whole = verify(kernel, virtual, { slide });
  const isKnownBy = ({ bytes }: Page) => Buffer.from(bytes).includes(banner);
  for (const page of pages.filter((candidate) => !isKnownBy(candidate))) {
    const without = pages.filter((other) => other !== page);
    const { findings, tables } = verify(kernel, core(without, { addresses: ['physical'] }), { slide });
    // A table of which nothing is left is told.
    assert.deepEqual(
      findings.map(({ rule, place }) => [rule, place]),
      tables.filter(({ compared }) => compared === 0).map(({ name }) => ['TP029', name]),
    );
    // Trampolines are looked at for the sake of sites.
    const entries = (of: typeof tables) => of.filter(({ name }) => name !== 'trampolines');
    assert.deepEqual(
      entries(tables).map(({ name, compared, missing }) => [name, compared + missing]),
      entries(whole.tables).map(({ name, compared }) => [name, compared]),
    );
  }
});

test('a dump of another kernel is refused, and both are named', () => {
  const other = kernelBytes('gcc-O2', banner.replace('6.1.0', '6.6.7'));
  assert.throws(
    () => verify(other, virtual),
    isCode('memory-mismatch', /another kernel, "Linux version 6\.1\.0 .*the image is "Linux version 6\.6\.7/),
  );
});

test('a dump of another machine is refused', () => {
  assert.throws(
    () => verify(kernel, core(pages, { addresses: ['virtual'], machine: 183 })),
    isCode('memory-mismatch', /the dump is for AArch64, 64 bits, little-endian, but the image is for x86-64/),
  );
});

test('an image is no dump', () => {
  assert.throws(() => verify(kernel, kernel), isCode('memory-unsupported', /e_type is ET_EXEC.*--base/));
});

test("a program's core is placed by where it started", () => {
  const program = linkedBytes('gcc-O2', programUnits);
  const memory = run(program, 0, { steps });
  const dump = core(memory, {
    addresses: ['virtual'],
    notes: [entryNote(imageOf(program).file.header.entry)],
  });
  assertGood(verify(program, dump));
});

for (const [what, dump] of [
  ['a core', physical],
  ['a kdump', kdump(pages, { vmcoreinfo: note })],
  ['a flattened kdump', flattened(kdump(pages))],
] as const) {
  test(`${what} cut off or damaged anywhere is an error with a code, or findings, never a crash`, () => {
    const random = seeded(7);
    let refused = 0;
    for (let i = 0; i < 150; i++) {
      const bad =
        i % 3 === 0
          ? dump.subarray(0, Math.floor(random() * dump.length))
          : flipped(dump.subarray(0, i % 3 === 1 ? 16_384 : dump.length), random);
      const whole = i % 3 === 1 ? Buffer.concat([bad, dump.subarray(16_384)]) : bad;
      try {
        verify(kernel, whole);
      } catch (error) {
        assert.ok(error instanceof TextpokeError && error.code !== 'defect', String(error));
        refused++;
      }
    }
    assert.notEqual(refused, 0);
  });
}
