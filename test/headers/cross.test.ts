// The headers on AArch64 and on 32-bit ARM in both states: markers on one instruction, trampolines with their
// signature, and programs that run without ever being annotated, under an emulator.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expected, units } from '../e2e/programs.ts';
import { run, scratch, testOfTurn, turnOf } from '../tools.ts';
import {
  type Language,
  readMarkers,
  readRelocations,
  readSections,
  readSymbols,
  sampleObjects,
} from './compilers.ts';

interface Machine {
  readonly name: string;
  readonly triple: string;
  readonly emulator: string;
  readonly flags: readonly string[];
  /** Behind a `long` in a structure. */
  readonly member: string;
  /** Sites lie at multiples of this. */
  readonly align: number;
  readonly nop: string;
  readonly isJump: (word: number) => boolean;
  readonly trampoline: {
    readonly size: number;
    /** The first word of one that jumps, of one that returns, and what follows both. */
    readonly jumps: string;
    readonly returns: string;
    readonly rest: string;
    /** Type and offset of its relocation: of the branch, or of the word that leads to the key. */
    readonly relocation: readonly [type: string, offset: number];
    /** A trampoline that returns goes through its key too once it jumps. */
    readonly throughKey: boolean;
  };
}

const machines: readonly Machine[] = [
  {
    ...{ name: 'AArch64', triple: 'aarch64-linux-gnu', emulator: 'qemu-aarch64', flags: [] },
    ...{ member: 'device+8', align: 4, nop: '1f2003d5', isJump: (word) => word >>> 26 === 5 },
    trampoline: {
      ...{ size: 8, jumps: '00000014', returns: 'c0035fd6', rest: '53430000' }, // b; ret; udf #0x4353
      ...{ relocation: ['R_AARCH64_JUMP26', 0], throughKey: false },
    },
  },
  {
    ...{ name: 'A32', triple: 'arm-linux-gnueabihf', emulator: 'qemu-arm', flags: ['-marm'] },
    ...{ member: 'device+4', align: 4, nop: '0000a0e1', isJump: (word) => word >>> 24 === 0xea },
    trampoline: {
      // ldr ip, [pc, #4]; bx lr; ldr pc, [pc, ip]; udf #0x4353
      ...{ size: 16, jumps: '04c09fe5', returns: '1eff2fe1', rest: '0cf09fe7f335f4e700000000' },
      ...{ relocation: ['R_ARM_REL32', 12], throughKey: true },
    },
  },
  {
    ...{ name: 'T32', triple: 'arm-linux-gnueabihf', emulator: 'qemu-arm', flags: ['-mthumb'] },
    ...{ member: 'device+4', align: 2, nop: 'aff30080' },
    isJump: (word) => (word & 0xf800) === 0xf000 && ((word >>> 16) & 0xd000) === 0x9000,
    trampoline: {
      // ldr.w ip, [pc, #8]; bx lr, nop; add ip, pc; ldr.w pc, [ip]; udf #0x53
      ...{ size: 16, jumps: 'dff808c0', returns: '704700bf', rest: 'fc44dcf800f053de04000000' },
      ...{ relocation: ['R_ARM_REL32', 12], throughKey: true },
    },
  },
];

const languagesOf = ({ triple, flags }: Machine): Language[] => {
  const clang = [`--target=${triple}`, ...flags];
  return [
    { name: 'gcc C11', compiler: `${triple}-gcc`, flags: [...flags, '-x', 'c', '-std=c11'] },
    { name: 'clang C11', compiler: 'clang', flags: [...clang, '-x', 'c', '-std=c11'] },
    { name: 'g++ C++17', compiler: `${triple}-g++`, flags: [...flags, '-x', 'c++', '-std=c++17'] },
    { name: 'clang++ C++17', compiler: 'clang++', flags: [...clang, '-x', 'c++', '-std=c++17'] },
  ];
};
const flagSets = [
  ['-O0', '-fno-pie'],
  ['-O0', '-fPIC'],
  ['-O2', '-fPIC'],
  ['-Os', '-fPIE', '-ffunction-sections', '-fdata-sections'],
  ['-O3', '-fPIC', '-fno-plt'],
];
const programs = [
  ['-O0', '-fPIE', '-pie'],
  ['-O2', '-fno-pie', '-static'],
  ['-Os', '-fPIE', '-pie'],
] as const;
/** What the sample's keys start with: likely and unlikely of a true and of a false key. */
const sites: Record<string, string> = {
  on_key: 'likely nop,unlikely jump',
  off_key: 'likely jump,unlikely nop',
};
/** Keys that are elements and members: in order of the keys themselves. */
const elements = (machine: Machine, word: number) =>
  [machine.member, 'off_keys', `off_keys+${4 * word}`, `on_keys+${2 * word}`].sort();

/** Counts compilers of machines. */
let turns = 0;
for (const machine of machines) {
  const word = machine.name === 'AArch64' ? 8 : 4;
  for (const language of languagesOf(machine)) {
    const turn = turns++;
    const isClang = language.compiler.startsWith('clang');
    const isGccOfArm = word === 4 && !isClang;
    /** gcc may know a key by a section anchor, which is no constant (static_key.h). */
    const flagsFor = (flags: readonly string[]) => [
      ...flags,
      ...(isGccOfArm && flags.some((flag) => /^-f(PIC|PIE)$/.test(flag)) ? ['-fno-section-anchors'] : []),
      ...(word === 8 && flags.includes('-O3') ? ['-mbranch-protection=standard'] : []),
    ];
    const who = `${machine.name}, ${language.name}`;
    testOfTurn(turn, 4)(
      `each site has its marker pair inside one instruction, which is that of its key's initial value: ${who}`,
      [language.compiler, 'readelf'],
      () => {
        for (const flags of turnOf(flagSets, turn)) {
          const [object] = sampleObjects(language, flagsFor(flags), ['branch.c']) as [string];
          const markers = readMarkers(object);
          assert.ok(markers.length >= 13, flags.join(' '));
          const found: Record<string, Set<string>> = {};
          for (const { key, branch, bytes, site } of markers) {
            assert.equal(site % machine.align, 0);
            const isNop = bytes.toString('hex', 0, 4) === machine.nop;
            const kind = isNop
              ? 'nop'
              : machine.isJump(bytes.readUInt32LE(0))
                ? 'jump'
                : bytes.toString('hex');
            const name = key.replace(/^_ZL\d+/, ''); // as the source has it
            found[name] = (found[name] ?? new Set<string>()).add(`${branch} ${kind}`);
          }
          for (const [key, kinds] of Object.entries(sites))
            assert.equal([...(found[key] ?? [])].sort().join(), kinds, flags.join(' '));
          const named = Object.keys(found).filter((key) => !(key in sites));
          assert.deepEqual(named.sort(), elements(machine, word), flags.join(' '));
        }
      },
    );

    testOfTurn(turn + 2, 4)(
      `trampolines jump or return and carry their signature, local ones too: ${who}`,
      [language.compiler, 'readelf'],
      () => {
        const { size, jumps, returns, rest, relocation, throughKey } = machine.trampoline;
        for (const flags of turnOf(flagSets, turn + 2)) {
          const objects = sampleObjects(language, flagsFor(flags), ['call.c', 'local.c']);
          const [call, local] = objects as [string, string];
          for (const [object, names] of [
            [call, ['math', 'notify', 'probe']],
            [local, ['local_work', 'local_hook', 'local_zero']],
          ] as const) {
            const text = readSections(object).find((s) => s.name === '.static_call.text')!;
            const contents = readFileSync(object).subarray(text.offset, text.offset + text.size);
            const relocations = readRelocations(object).filter((r) => r.section === '.static_call.text');
            names.forEach((name, i) => {
              const symbol = readSymbols(object).find((s) => s.name === `__SCT__${name}`)!;
              const place = symbol.value & ~1;
              assert.equal(symbol.value % 2, machine.name === 'T32' ? 1 : 0);
              assert.deepEqual([symbol.type, symbol.size, place % 8], ['FUNC', size, 0]);
              const bytes = contents.toString('hex', place, place + size);
              const first = i === 1 ? returns : jumps;
              // Where a section symbol names a key of this object, the field holds the key's place in it too.
              const exact =
                !throughKey || isClang ? first.length + rest.length - (throughKey ? 8 : 0) : undefined;
              const compared = exact ?? first.length + rest.length - 8;
              assert.equal(bytes.slice(0, compared), (first + rest).slice(0, compared), `${who} ${name}`);
              const [type, offset] = relocation;
              const there = relocations.find((r) => r.offset === place + offset);
              assert.equal(there?.type, i === 1 && !throughKey ? undefined : type);
            });
            // A linker tells code from data by mapping symbols: one has to stand where each section begins.
            const symbols = readSymbols(object);
            const code = readSections(object).filter((s) => s.flags.includes('X') && s.size > 0);
            for (const { index, name } of code)
              assert.ok(
                symbols.some(
                  (s) => s.section === String(index) && s.value === 0 && /^\$[xat](\.|$)/.test(s.name),
                ),
                `${name} of ${object} begins with a mapping symbol: ${flags.join(' ')}`,
              );
          }
        }
      },
    );

    // Each machine and each compiler has its turn.
    testOfTurn(turn + 1, 5)(
      `the sample program runs unannotated, static and as PIE: ${who}`,
      [language.compiler, machine.emulator, 'readelf', ...(isClang ? ['ld.lld'] : [])],
      (t) => {
        for (const [level, code, kind] of turnOf(programs, turn)) {
          const directory = scratch(t);
          const sources = units.map((unit) => `${unit}.c`);
          const objects = sampleObjects(language, flagsFor([level, code]), sources);
          const linker = isClang ? [`--target=${machine.triple}`, '-fuse-ld=lld'] : [];
          run(language.compiler, [...linker, kind, ...objects, '-o', 'program'], directory);
          const output = run(machine.emulator, [
            ...['-L', `/usr/${machine.triple}`],
            join(directory, 'program'),
          ]);
          assert.equal(output, expected(), `${level} ${kind}`);
        }
      },
    );
  }
}
