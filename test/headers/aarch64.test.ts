// The headers on AArch64: markers on one instruction, trampolines with their signature, and programs that run without
// ever being annotated, under an emulator.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expected } from '../e2e/programs.ts';
import { run, scratch, toolTest } from '../tools.ts';
import {
  compile,
  type Language,
  readMarkers,
  readRelocations,
  readSections,
  readSymbols,
  sampleSources,
} from './compilers.ts';

const clang = ['--target=aarch64-linux-gnu'];
const languages: readonly Language[] = [
  { name: 'gcc C11', compiler: 'aarch64-linux-gnu-gcc', flags: ['-x', 'c', '-std=c11'] },
  { name: 'clang C11', compiler: 'clang', flags: [...clang, '-x', 'c', '-std=c11'] },
  { name: 'g++ C++17', compiler: 'aarch64-linux-gnu-g++', flags: ['-x', 'c++', '-std=c++17'] },
  { name: 'clang++ C++17', compiler: 'clang++', flags: [...clang, '-x', 'c++', '-std=c++17'] },
];
const flagSets = [
  ['-O0', '-fno-pie'],
  ['-O0', '-fPIC'],
  ['-O2', '-fPIC'],
  ['-Os', '-fPIE', '-ffunction-sections', '-fdata-sections'],
  ['-O3', '-fPIC', '-fno-plt', '-mbranch-protection=standard'],
];
/** What the sample's keys start with: likely and unlikely of a true and of a false key. */
const sites: Record<string, string> = {
  on_key: 'likely nop,unlikely jump',
  off_key: 'likely jump,unlikely nop',
};

for (const language of languages) {
  toolTest(
    `each site has its marker pair inside one instruction, which is that of its key's initial value: ${language.name}`,
    [language.compiler, 'readelf'],
    (t) => {
      for (const flags of flagSets) {
        const directory = scratch(t);
        compile(language, flags, [join(sampleSources, 'branch.c')], directory);
        const markers = readMarkers(join(directory, 'branch.o'));
        assert.ok(markers.length >= 13, flags.join(' '));
        const found: Record<string, Set<string>> = {};
        for (const { key, branch, bytes, site } of markers) {
          assert.equal(site % 4, 0);
          const word = bytes.readUInt32LE(0);
          const kind = word === 0xd503201f ? 'nop' : word >>> 26 === 5 ? 'jump' : word.toString(16);
          const name = key.replace(/\+.*/, '');
          found[name] = (found[name] ?? new Set<string>()).add(`${branch} ${kind}`);
        }
        for (const [key, kinds] of Object.entries(sites))
          assert.equal([...(found[key] ?? [])].sort().join(), kinds, flags.join(' '));
      }
    },
  );

  toolTest(
    `trampolines are a branch or ret and udf #0x4353, local ones too: ${language.name}`,
    [language.compiler, 'readelf'],
    (t) => {
      for (const flags of flagSets) {
        const directory = scratch(t);
        compile(
          language,
          flags,
          ['call.c', 'local.c'].map((s) => join(sampleSources, s)),
          directory,
        );
        for (const [file, names] of [
          ['call.o', ['math', 'notify', 'probe']],
          ['local.o', ['local_work', 'local_hook', 'local_zero']],
        ] as const) {
          const object = join(directory, file);
          const text = readSections(object).find((s) => s.name === '.static_call.text')!;
          const contents = readFileSync(object).subarray(text.offset, text.offset + text.size);
          const relocations = readRelocations(object).filter((r) => r.section === '.static_call.text');
          names.forEach((name, i) => {
            const symbol = readSymbols(object).find((s) => s.name === `__SCT__${name}`)!;
            assert.deepEqual([symbol.type, symbol.size, symbol.value % 8], ['FUNC', 8, 0]);
            const relocation = relocations.find((r) => r.offset === symbol.value);
            assert.equal(contents.readUInt32LE(symbol.value), i === 1 ? 0xd65f03c0 : 0x14000000);
            assert.equal(relocation?.type, i === 1 ? undefined : 'R_AARCH64_JUMP26');
            assert.equal(contents.readUInt32LE(symbol.value + 4), 0x4353);
          });
        }
      }
    },
  );

  const units = ['main', 'branch', 'call', 'lock', 'local', 'local2', 'key-def', 'key-use'];
  toolTest(
    `the sample program runs unannotated, static and as PIE: ${language.name}`,
    [
      language.compiler,
      'qemu-aarch64',
      'readelf',
      ...(language.compiler.startsWith('clang') ? ['ld.lld'] : []),
    ],
    (t) => {
      for (const level of ['-O0', '-O2', '-Os']) {
        for (const [code, kind] of [
          ['-fno-pie', '-static'],
          ['-fPIE', '-pie'],
        ] as const) {
          const directory = scratch(t);
          compile(
            language,
            [level, code],
            units.map((unit) => join(sampleSources, `${unit}.c`)),
            directory,
          );
          const linker = language.compiler.startsWith('clang') ? [...clang, '-fuse-ld=lld'] : [];
          const objects = units.map((unit) => `${unit}.o`);
          run(language.compiler, [...linker, kind, ...objects, '-o', 'program'], directory);
          const output = run('qemu-aarch64', ['-L', '/usr/aarch64-linux-gnu', join(directory, 'program')]);
          assert.equal(output, expected(), `${level} ${kind}`);
        }
      }
    },
  );
}
