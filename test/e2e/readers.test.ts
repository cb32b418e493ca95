// What other readers say of objects and images that were written here: nothing that they did not say before, and
// code that was not to change reads the same.
import assert from 'node:assert/strict';
import { unknownNote } from '../elf/readelf.ts';
import { run, toolTest, tryRun } from '../tools.ts';
import { link as crossLink, type Request, states } from './cross.ts';
import {
  allSets,
  annotated,
  boot,
  hex,
  imageSymbols,
  type Link,
  link,
  namesOf,
  plain,
  readTables,
  units,
} from './programs.ts';

const tools = ['gcc', 'clang', 'ld.bfd', 'ld.lld', 'readelf', 'objdump'];

/** What a reader complains of: lines without file names and numbers, each once. */
function complaints(tool: string, args: readonly string[], file: string): Set<string> {
  const result = tryRun(tool, [...args, file]);
  const text = tool === 'readelf' ? result.stderr : `${result.stdout}${result.stderr}`;
  const lines = text
    .split('\n')
    .filter((line) => line !== '' && !/^No errors$/.test(line) && !unknownNote.test(line));
  return new Set(
    lines.map((line) =>
      line
        .replaceAll(file, 'FILE')
        .replace(/0x[0-9a-f]+|\d+/g, 'N')
        .replace(/\[ +/g, '['),
    ),
  );
}

function assertNoNewComplaints(tool: string, args: readonly string[], before: string, after: string): void {
  const known = complaints(tool, args, before);
  const fresh = [...complaints(tool, args, after)].filter((line) => !known.has(line));
  assert.deepEqual(fresh, [], `${tool} ${after}`);
}

const images: readonly Link[] = [
  { set: 'gcc-O2', linker: 'bfd', kind: 'no-pie', script: 'ldscript' },
  { set: 'clang-Os', linker: 'lld', kind: 'static', script: 'none' },
  { set: 'gcc-O2-ffunction-sections', linker: 'lld', kind: 'PIE', script: 'ldscript' },
  { set: 'clang-O0-fPIE', linker: 'bfd', kind: 'PIE', script: 'none' },
  { set: 'clang-O2-fPIC', linker: 'bfd', kind: 'shared', script: 'ldscript' },
  { set: 'gcc-O2-fPIC', linker: 'lld', kind: 'shared', script: 'none' },
];
const cross: readonly Omit<Request, 'objects'>[] = [
  { linker: 'bfd', kind: '-no-pie', script: 'ldscript' },
  { linker: 'lld', kind: '-static' },
  { linker: 'lld', kind: '-pie', script: 'ldscript' },
];

interface Case {
  readonly image: string;
  readonly objdump: string;
}

/** Images of this machine and of those that are only emulated. */
const machines: readonly { name: string; tools: readonly string[]; make: () => Case[] }[] = [
  {
    name: 'x86-64',
    tools,
    make: () => images.map((request) => ({ image: link(request).image, objdump: 'objdump' })),
  },
  ...states.map(({ machine, name, prefix }) => ({
    name,
    tools: [...machine.tools, machine.objdump],
    make: () =>
      cross.map((request, i) => {
        const set = `${prefix}-${i === 1 ? 'clang' : 'gcc'}-O2${request.kind === '-pie' ? '-fPIC' : ''}`;
        const objects = units.map((unit) => annotated(set, unit));
        return { image: crossLink(machine, { ...request, objects }), objdump: machine.objdump };
      }),
  })),
];
const steps = ['--cpus', '1', '--enable', 'off_key', '--disable', 'on_key', '--update', 'math=add_ten'];

const readers: readonly { tool: string; args: readonly string[] }[] = [
  { tool: 'readelf', args: ['-aW'] },
  { tool: 'eu-elflint', args: ['--gnu-ld'] },
];
for (const { tool, args } of readers) {
  toolTest(`${tool} finds nothing in annotated objects that it did not find before`, [tool], () => {
    for (const set of allSets) {
      for (const name of namesOf(set))
        assertNoNewComplaints(tool, args, plain(set, name), annotated(set, name));
    }
  });
  for (const { name, tools, make } of machines) {
    toolTest(
      `${tool} finds nothing in booted images that it did not find before: ${name}`,
      [...tools, tool],
      () => {
        for (const { image } of make()) assertNoNewComplaints(tool, args, image, boot(image, steps));
      },
    );
  }
}

/** Disassembly with relocations, without the line that names the file. */
function disassembly(objdump: string, file: string): string {
  return run(objdump, ['-dr', file]).replace(/^.*file format.*$/m, '');
}

/** Sample sets by the objdump that reads them. */
const objdumps: readonly (readonly [tool: string, sets: RegExp])[] = [
  ['objdump', /^(gcc|clang)-/],
  ['aarch64-linux-gnu-objdump', /^aarch64/],
  ['arm-linux-gnueabihf-objdump', /^(arm|thumb)/],
];
for (const [objdump, ofSet] of objdumps) {
  toolTest(
    `${objdump} reads the code of annotated objects, and its relocations, as before`,
    [objdump],
    () => {
      for (const set of allSets.filter((name) => ofSet.test(name))) {
        for (const name of namesOf(set)) {
          // Whose jumps become NOPs, and on ARM absolute entries stay what they are.
          if (name === 'kernel-entries' && objdump === 'objdump') continue;
          assert.equal(
            disassembly(objdump, annotated(set, name)),
            disassembly(objdump, plain(set, name)),
            `${set}/${name}`,
          );
        }
      }
    },
  );
}

/** Address to the text of its instruction. */
function instructions(objdump: string, file: string): Map<number, string> {
  const map = new Map<number, string>();
  for (const [, address, text] of run(objdump, ['-dw', file]).matchAll(/^ *([0-9a-f]+):\t(.*)$/gm)) {
    // Which symbol a comment names hangs on the dynamic relocations that objdump makes symbols of.
    map.set(Number.parseInt(address!, 16), text!.replace(/ +# .*$/, ''));
  }
  return map;
}

for (const { name, tools, make } of machines) {
  toolTest(
    `objdump reads other code in booted images at listed sites and trampolines alone: ${name}`,
    tools,
    () => {
      for (const { image, objdump } of make()) {
        const booted = boot(image, steps);
        const { branches, calls, locks } = readTables(image);
        const places = [
          ...branches.map((b) => b.code),
          ...calls.map((c) => c.site),
          ...locks.map((l) => l.lock),
        ];
        const trampolines = imageSymbols(image).filter((s) => s.name.startsWith('__SCT__'));
        // A lock may follow other prefixes; an instruction that contains a site is that site's.
        const mayDiffer = (address: number) =>
          places.some((site) => address >= site - (name === 'x86-64' ? 2 : 0) && address < site + 6) ||
          trampolines.some(({ value }) => address >= (value & ~1) && address < value + 5);
        const before = instructions(objdump, image);
        const after = instructions(objdump, booted);
        let differ = 0;
        for (const address of new Set([...before.keys(), ...after.keys()])) {
          if (before.get(address) === after.get(address)) continue;
          differ++;
          assert.ok(
            mayDiffer(address),
            `${hex(address)}: ${before.get(address)} became ${after.get(address)}`,
          );
        }
        assert.ok(differ >= 15, `${differ} instructions differ`);
      }
    },
  );
}
