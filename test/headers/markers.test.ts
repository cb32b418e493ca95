// What the headers leave in an object: markers at the right bytes with the right keys, keys in initialised data,
// trampolines of the right form, one mark on a lock that must stay.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { testOfTurn, toolTest, turnOf } from '../tools.ts';
import {
  everyCompiler,
  languages,
  readMarkers,
  readRelocations,
  readSections,
  readSymbols,
  sampleObjects,
} from './compilers.ts';

const nop = '0f1f440000'; // nopl 0(%rax,%rax,1)
const jump = 'e9'; // jmp rel32

const flagSets = [
  ['-O2', '-fPIC'],
  ['-O0', '-fPIC'],
  ['-Os', '-fPIE'],
  ['-O0', '-fno-pie'],
  ['-O2', '-fno-pie', '-ffunction-sections', '-fdata-sections'],
  ['-O3', '-fPIC', '-fno-plt', '-fcf-protection'],
];

/** The sites of one sample: key, branch, initial value of the key; in any order. */
const samples: readonly { source: string; sites: readonly string[] }[] = [
  {
    source: 'branch.c',
    sites: [
      'on_key likely nop',
      'off_key likely jump',
      'on_key unlikely jump',
      'off_key unlikely nop',
      'on_keys+16 likely nop',
      'off_keys+32 unlikely nop',
      'device+8 unlikely nop',
      'off_key unlikely nop', // nested, three
      'on_key likely nop',
      'on_key unlikely jump',
      'off_keys unlikely nop', // loop
      'off_key unlikely nop', // cold
      'on_key unlikely jump',
    ],
  },
  { source: 'call.c', sites: ['call_key unlikely nop'] },
  { source: 'key-def.c', sites: [] },
  {
    source: 'key-use.c',
    sites: ['shared_true likely nop', 'shared_false unlikely nop', 'shared_keys+48 unlikely nop'],
  },
  { source: 'local.c', sites: ['local_key unlikely nop', 'inner_key likely nop'] },
  { source: 'local2.c', sites: ['local_key unlikely jump', 'inner_key likely nop'] },
  {
    source: 'icf.c',
    sites: ['icf_a unlikely nop', 'icf_b unlikely nop', 'icf_a unlikely nop', 'icf_a unlikely nop'],
  },
  {
    source: 'comdat.cpp',
    sites: ['comdat_true likely nop', 'comdat_false unlikely nop', 'comdat_inline_key unlikely nop'],
  },
  {
    source: 'comdat2.cpp',
    sites: [
      'comdat_true likely nop',
      'comdat_false unlikely nop',
      'comdat_inline_key unlikely nop',
      'comdat_false unlikely nop',
    ],
  },
];

/** A file-local name as the source has it: inner_key for inner_key.0, local_branch.inner_key, _ZL9local_key ... */
function sourceName(key: string): string {
  return key.replace(/^.*?((?:inner|local)_key|device\+8)(?:\.\d+)?$/, '$1');
}

for (const [turn, language] of languages.entries()) {
  testOfTurn(turn, 3)(
    `each site has its marker pair and the instruction of its key's initial value: ${language.name}`,
    [language.compiler, 'readelf'],
    () => {
      for (const flags of turnOf(flagSets, turn)) {
        const taken = samples.filter((s) => s.source.endsWith('.c') || language.flags.includes('c++'));
        const objects = sampleObjects(
          language,
          flags,
          taken.map((s) => s.source),
        );
        for (const [i, { source, sites }] of taken.entries()) {
          const found = readMarkers(objects[i] as string).map((m) => {
            const bytes = m.bytes.toString('hex');
            const kind = bytes === nop ? 'nop' : bytes.startsWith(jump) ? 'jump' : bytes;
            return `${sourceName(m.key)} ${m.branch} ${kind}`;
          });
          assert.deepEqual(found.sort(), [...sites].sort(), `${source} ${flags.join(' ')}`);
        }
      }
    },
  );

  toolTest(`keys stand in PROGBITS sections and are hidden: ${language.name}`, [language.compiler], () => {
    for (const flags of turnOf(flagSets, turn)) {
      const sources = ['branch.c', 'call.c', 'key-def.c', 'local.c'];
      let keys = 0;
      for (const [i, object] of sampleObjects(language, flags, sources).entries()) {
        const source = sources[i];
        const sections = readSections(object);
        for (const symbol of readSymbols(object)) {
          if (!/_keys?\b|shared_(true|false)|__SCK__/.test(symbol.name) || symbol.type !== 'OBJECT') continue;
          const what = `${source} ${symbol.name} ${flags.join(' ')}`;
          const home = sections.find((s) => String(s.index) === symbol.section);
          assert.equal(home?.type, 'PROGBITS', what);
          assert.match(home?.name ?? '', /^\.data/, what);
          assert.equal(symbol.size % 16, 0, what);
          if (symbol.binding === 'GLOBAL') assert.equal(symbol.visibility, 'HIDDEN', what);
          keys++;
        }
      }
      assert.equal(keys, 17, flags.join(' '));
    }
  });

  toolTest(
    `trampolines are eight bytes that end in their signature, local ones too: ${language.name}`,
    [language.compiler],
    () => {
      for (const flags of turnOf(flagSets, turn)) {
        const [call, local] = sampleObjects(language, flags, ['call.c', 'local.c']) as [string, string];
        for (const [object, binding, names] of [
          [call, 'GLOBAL', { math: 'add_one', notify: null, probe: '__static_call_return0' }],
          [local, 'LOCAL', { local_work: 'work', local_hook: null, local_zero: '__static_call_return0' }],
        ] as const) {
          const text = readSections(object).find((s) => s.name === '.static_call.text')!;
          const contents = readFileSync(object).subarray(text.offset, text.offset + text.size);
          const relocations = readRelocations(object).filter((r) => r.section === '.static_call.text');
          const symbols = readSymbols(object);
          for (const [name, target] of Object.entries(names)) {
            const symbol = symbols.find((s) => s.name === `__SCT__${name}`)!;
            assert.equal(symbol.type, 'FUNC');
            assert.equal(symbol.size, 8);
            assert.equal(symbol.binding, binding);
            if (binding === 'GLOBAL') assert.equal(symbol.visibility, 'HIDDEN');
            const body = contents.subarray(symbol.value, symbol.value + 8).toString('hex');
            const jumpTo = relocations.find((r) => r.offset === symbol.value + 1);
            if (target === null) {
              assert.equal(body, 'c3cc9090900fb9cc'); // ret; int3; nop; nop; nop; ud1
              assert.equal(jumpTo, undefined);
            } else {
              assert.equal(body, 'e9000000000fb9cc'); // jmp rel32; ud1
              assert.match(jumpTo?.type ?? '', /^R_X86_64_(PLT32|PC32)$/);
              if (target !== 'work') assert.match(jumpTo?.symbol ?? '', new RegExp(`${target}|^\\.text`));
            }
          }
        }
      }
    },
  );

  toolTest(
    `a lock that must stay carries its mark on the F0 byte: ${language.name}`,
    [language.compiler],
    () => {
      for (const flags of turnOf(flagSets, turn)) {
        const [object] = sampleObjects(language, flags, ['lock.c']) as [string];
        const marks = readRelocations(object).filter((r) => r.symbol === '__textpoke_keep_lock');
        assert.equal(marks.length, 1);
        const home = readSections(object).find((s) => s.name === marks[0]!.section)!;
        assert.equal(readFileSync(object)[home.offset + marks[0]!.offset], 0xf0);
        const symbol = readSymbols(object).find((s) => s.name === '__textpoke_keep_lock')!;
        assert.deepEqual([symbol.binding, symbol.visibility, symbol.section], ['WEAK', 'HIDDEN', 'UND']);
      }
    },
  );
}

toolTest('a key that only another unit defines keeps its symbol', everyCompiler, () => {
  for (const language of languages) {
    const [object] = sampleObjects(language, ['-O2', '-fPIC'], ['key-use.c']) as [string];
    const undefinedNames = readSymbols(object)
      .filter((s) => s.section === 'UND' && s.name !== '')
      .map((s) => s.name)
      .sort();
    assert.deepEqual(
      undefinedNames,
      ['__SCT__shared_call', 'shared_false', 'shared_keys', 'shared_true'],
      language.name,
    );
  }
});
