// What other readers say of objects and images that were written here: nothing that they did not say before, and
// code that was not to change reads the same.
import assert from 'node:assert/strict';
import { unknownNote } from '../elf/readelf.ts';
import { longTest, run, toolTest, tryRun } from '../tools.ts';
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

interface Reader {
  readonly tool: string;
  readonly args: readonly string[];
}

const readers: readonly Reader[] = [
  { tool: 'readelf', args: ['-aW'] },
  { tool: 'eu-elflint', args: ['--gnu-ld'] },
];

/** Complaints in what a reader said of a file: lines without file names and numbers, each once. */
function complaintsIn(text: string, file: string): Set<string> {
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

/** What a reader complains of in each of some files, asked in one call where its answer says which file it means. */
function complaints({ tool, args }: Reader, files: readonly string[]): Set<string>[] {
  const { stdout, stderr } = tryRun(tool, [...args, ...files]);
  const apart = () =>
    files.map((file) => {
      const said = tryRun(tool, [...args, file]);
      return complaintsIn(tool === 'readelf' ? said.stderr : `${said.stdout}${said.stderr}`, file);
    });
  if (tool === 'readelf') {
    assert.equal(stdout.match(/^File: /gm)?.length, files.length);
    // Its complaints name no file.
    return stderr === '' ? files.map(() => new Set()) : apart();
  }
  if (stderr !== '') return apart();
  const parts = `\n${stdout}`.split(/\n\n(?=\/\S+:\n)/).slice(1);
  return files.map((file, i) => {
    const part = parts[i] ?? '';
    assert.ok(part.startsWith(`${file}:\n`), `${tool} says ${part.slice(0, 200)} where ${file} is due`);
    return complaintsIn(part.slice(file.length + 1), file);
  });
}

/** Of no second file of a pair a reader says what it does not say of the first; two pairs at least. */
function assertNoNewComplaints(
  reader: Reader,
  pairs: readonly (readonly [before: string, after: string])[],
): void {
  const [known, now] = [0, 1].map((side) =>
    complaints(
      reader,
      pairs.map((pair) => pair[side] as string),
    ),
  ) as [Set<string>[], Set<string>[]];
  for (const [i, [, after]] of pairs.entries()) {
    const fresh = [...(now[i] as Set<string>)].filter((line) => !known[i]?.has(line));
    assert.deepEqual(fresh, [], `${reader.tool} ${after}`);
  }
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

/** Each image of a machine, and what boot makes of it. */
const pairsOf = new Map<string, (readonly [image: string, booted: string, objdump: string])[]>();
function bootedOf(name: string): (readonly [image: string, booted: string, objdump: string])[] {
  let pairs = pairsOf.get(name);
  if (pairs === undefined) {
    const cases = machines.find((machine) => machine.name === name)!.make();
    pairs = cases.map(({ image, objdump }) => [image, boot(image, steps), objdump] as const);
    pairsOf.set(name, pairs);
  }
  return pairs;
}

for (const reader of readers) {
  const { tool } = reader;
  toolTest(`${tool} finds nothing in annotated objects that it did not find before`, [tool], () => {
    const objects = allSets.flatMap((set) => namesOf(set).map((name) => [set, name] as const));
    assertNoNewComplaints(
      reader,
      objects.map(([set, name]) => [plain(set, name), annotated(set, name)] as const),
    );
  });
  for (const { name, tools } of machines) {
    longTest(
      `${tool} finds nothing in booted images that it did not find before: ${name}`,
      [...tools, tool],
      () =>
        assertNoNewComplaints(
          reader,
          bootedOf(name).map(([image, booted]) => [image, booted] as const),
        ),
    );
  }
}

/** Disassembly of each of some files with relocations, without the line that names the file. */
function disassemblies(objdump: string, files: readonly string[]): string[] {
  const parts = run(objdump, ['-dr', ...files]).split(/^.*: +file format .*$/m);
  assert.equal(parts.length, files.length + 1);
  return parts.slice(1).map((part) => part.trim());
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
      const objects = allSets
        .filter((set) => ofSet.test(set))
        .flatMap((set) => namesOf(set).map((name) => [set, name] as const))
        // Whose jumps become NOPs, and on ARM absolute entries stay what they are.
        .filter(([, name]) => name !== 'kernel-entries' || objdump !== 'objdump');
      const before = disassemblies(
        objdump,
        objects.map(([set, name]) => plain(set, name)),
      );
      const after = disassemblies(
        objdump,
        objects.map(([set, name]) => annotated(set, name)),
      );
      for (const [i, [set, name]] of objects.entries()) assert.equal(after[i], before[i], `${set}/${name}`);
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

for (const { name, tools } of machines) {
  longTest(
    `objdump reads other code in booted images at listed sites and trampolines alone: ${name}`,
    tools,
    () => {
      for (const [image, booted, objdump] of bootedOf(name)) {
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
