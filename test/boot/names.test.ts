// What is called a key, a call or a function has to be one, by name and by address, in every step.
import assert from 'node:assert/strict';
import test from 'node:test';
import { replayBoot } from '../../src/boot/passes.ts';
import type { BootStep } from '../../src/boot/steps.ts';
import { hex } from '../../src/bytes/integer.ts';
import { dumpFile } from '../../src/dump/passes.ts';
import {
  SHF_ALLOC,
  SHF_EXECINSTR,
  SHF_WRITE,
  SHT_PROGBITS,
  STB_GLOBAL,
  STT_FUNC,
  STT_GNU_IFUNC,
  STT_NOTYPE,
  STT_OBJECT,
} from '../../src/elf/constants.ts';
import { readElf } from '../../src/elf/read.ts';
import { TextpokeError } from '../../src/errors.ts';
import { linkObjects } from '../../src/link/link.ts';
import { checkImage } from '../../src/verify/passes.ts';
import { makeObject } from '../elf/objects.ts';
import { annotated, imageOf, programUnits } from '../samples.ts';

const [key1, key0] = [[1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], new Array(16).fill(0)];
const code = SHF_ALLOC | SHF_EXECINSTR;
const data = SHF_ALLOC | SHF_WRITE;
/** Symbols of .more: keys that no branch uses, and what is none. */
const more = [
  ['lone', key0],
  ['lone_true', key1],
  ['lone_array', [...key0, ...key1]],
  ['number', [5, 0, 0, 0]],
  ['words', [7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]],
  ['longs', [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]],
  ['odd', new Array(12).fill(0)],
  ['holder', [3, 0, 0, 0, 0, 0, 0, 0, ...key0]],
] as const;

/** The sample program with an object of `more`, of constants and of code that is no C function's. */
const image = (() => {
  const symbols = [
    { name: 'constant', section: 2, size: 16, info: (STB_GLOBAL << 4) | STT_OBJECT },
    { name: 'word', section: 3, size: 4, info: (STB_GLOBAL << 4) | STT_OBJECT },
    { name: 'entered', section: 3, value: 4, size: 8, info: (STB_GLOBAL << 4) | STT_FUNC },
    { name: 'entered_here', section: 3, value: 6, info: (STB_GLOBAL << 4) | STT_NOTYPE },
    { name: 'chosen', section: 3, value: 12, size: 4, info: (STB_GLOBAL << 4) | STT_GNU_IFUNC },
    { name: 'data_label', section: 1, info: (STB_GLOBAL << 4) | STT_NOTYPE },
  ];
  const bytes: number[] = [...new Array(8).fill(9)];
  for (const [name, content] of more) {
    while (bytes.length % 8 !== 0) bytes.push(9);
    symbols.push({
      name,
      section: 1,
      value: bytes.length,
      size: content.length,
      info: (STB_GLOBAL << 4) | STT_OBJECT,
    });
    bytes.push(...content);
  }
  const object = makeObject({
    sections: [
      { name: '.more', type: SHT_PROGBITS, flags: data, addralign: 16, data: Uint8Array.from(bytes) },
      { name: '.constants', type: SHT_PROGBITS, flags: SHF_ALLOC, addralign: 16, data: new Uint8Array(16) },
      { name: '.hand', type: SHT_PROGBITS, flags: code, addralign: 16, data: new Uint8Array(16).fill(0x90) },
    ],
    symbols,
  });
  const objects = programUnits.map((name) => readElf(`${name}.o`, annotated('gcc-O2', name)));
  return linkObjects([...objects, readElf('more.o', object)]).bytes;
})();

const addressOf = (name: string): number => imageOf(image).symbols.addressOf(name) ?? assert.fail(name);

function refusal(step: BootStep): TextpokeError {
  const booted = imageOf(image);
  const replay = (steps: BootStep[]) => replayBoot(booted, { cpus: 2, upFill: 'ds', steps });
  replay([]);
  const before = booted.file.source.read(0, booted.file.source.size).slice();
  try {
    replay([step]);
  } catch (error) {
    assert.ok(error instanceof TextpokeError, String(error));
    assert.deepEqual(booted.file.source.read(0, before.length), before, 'nothing was written');
    return error;
  }
  assert.fail(`${JSON.stringify(step)} was carried out`);
}

const noKeys: readonly [name: string, what: RegExp][] = [
  ['call_plain', /^call_plain is a function of \d+ bytes in \.text, not a static key/],
  ['__SCK__math', /^__SCK__math is a static call's key of 16 bytes in .*, not a static key/],
  ['__SCT__math', /^__SCT__math is a static call's trampoline/],
  ['data_label', /^data_label is a label without size in \.more, not a static key/],
  ['number', /^number is an object of 4 bytes in \.more, not a static key/],
  ['words', /^words is an object of 16 bytes/],
  ['longs', /^longs is an object of 16 bytes/],
  ['odd', /^odd is an object of 12 bytes/],
  ['constant', /^constant is an object of 16 bytes in \.constants/],
  ['holder', /^holder is an object of 24 bytes/],
  ['holder+8', /^holder\+0x8 is inside an object of 24 bytes/],
  ['lone+8', /^lone\+0x8 is inside an object of 16 bytes/],
  ['lone[1]', /^lone is an object of 16 bytes in \.more, not as large as lone\[1\] requires/],
  ['lone_array[2]', /^lone_array is an object of 32 bytes/],
  ['0x10', /^0x10 is outside the image/],
];
for (const [key, what] of noKeys) {
  test(`${key} is no static key, whatever is to be done with it`, () => {
    const place = key.split(/[+[]/)[0] as string;
    const isName = /^\w+$/.test(key) && !key.startsWith('0x');
    const names = isName ? [key, hex(addressOf(place))] : [key];
    for (const name of names) {
      for (const operation of ['enable', 'disable', 'inc', 'dec', 'flush'] as const) {
        const { code, message } = refusal({ do: operation, key: name });
        assert.equal(code, 'unknown-key');
        assert.match(message, what);
      }
      assert.match(refusal({ do: 'decDeferred', key: name, timeout: 1 }).message, what);
      assert.match(refusal({ do: 'expect', expect: { keys: { [name]: 0 } } }).message, what);
    }
  });
}

for (const [call, what] of [
  ['call_plain', /^call_plain is a function of .*, not a static call/],
  ['off_key', /^off_key is an object of 16 bytes .*, not a static call/],
  [hex(addressOf('off_key')), /^off_key is an object .*, not the key of a static call/],
  [hex(addressOf('call_plain')), /^call_plain is a function .*, not the key of a static call/],
  [hex(addressOf('__SCK__math') + 4), /^__SCK__math\+0x4 is inside a static call's key/],
] as const) {
  test(`${call} is no static call`, () => {
    for (const value of ['NULL', 'add_ten']) {
      const { code, message } = refusal({ do: 'update', call, value });
      assert.equal(code, 'unknown-key');
      assert.match(message, what);
    }
    assert.match(refusal({ do: 'expect', expect: { calls: { [call]: 'NULL' } } }).message, what);
  });
}

for (const [value, what] of [
  ['off_key', /^off_key is an object of 16 bytes .*, not a function/],
  ['word', /^word is an object of 4 bytes in \.hand, not a function/],
  ['chosen', /^chosen is an indirect function of 4 bytes in \.hand, .*resolver/],
  [
    hex(addressOf('entered') + 1),
    /^entered\+0x1 is inside a function of 8 bytes in \.hand, .*its beginning is required/,
  ],
  [hex(addressOf('add_ten') + 1), /no instruction begins there|its beginning is required/],
  ['0x10', /^0x10 is outside the image/],
] as const) {
  test(`${value} is no function`, () => {
    const { code, message } = refusal({ do: 'update', call: 'math', value });
    assert.equal(code, 'unknown-key');
    assert.match(message, what);
    assert.match(refusal({ do: 'expect', expect: { calls: { math: value } } }).message, what);
  });
}

test('keys without a site, arrays of keys and labels inside a function are what they are called', () => {
  const original = imageOf(image);
  const booted = imageOf(image);
  const on = (key: string): BootStep => ({ do: 'enable', key });
  const steps: BootStep[] = [
    ...['lone', 'lone_array', hex(addressOf('off_key')), 'off_keys[2]', 'off_keys+32'].map(on),
    { do: 'disable', key: 'lone_array[1]' },
    { do: 'inc', key: 'lone_true' },
    { do: 'update', call: 'math', value: 'entered_here' },
    { do: 'update', call: hex(addressOf('__SCK__probe')), value: hex(addressOf('entered')) },
  ];
  replayBoot(booted, { cpus: 2, upFill: 'ds', steps });
  const findings = () => checkImage(booted, { cpus: 2, original }).findings.map(({ rule }) => rule);
  assert.deepEqual(findings(), []);
  // Other bytes of such an object, and objects that are no key, are nobody's.
  for (const [name, offset] of [
    ['lone', 8],
    ['lone', 4],
    ['words', 0],
    ['number', 0],
    ['holder', 8],
  ] as const) {
    const byte = booted.read(addressOf(name) + offset, 1);
    byte[0] = (byte[0] as number) ^ 1;
    assert.deepEqual([...new Set(findings())], ['TP013'], `${name}+${offset}`);
    byte[0] = (byte[0] as number) ^ 1;
  }
});

test('dump --key refuses what is no key, and shows none of a key that has no site', async () => {
  const entries = async (key: string) => {
    for await (const { tables } of dumpFile('image', image, { key }))
      return Object.values(tables).reduce((sum, table) => sum + table.entries.length, 0);
    return assert.fail('no file');
  };
  assert.deepEqual(
    [await entries('lone'), await entries('no_such_name'), await entries('number*')],
    [0, 0, 0],
  );
  const found = await entries('off_key');
  assert.ok(found > 0, 'off_key has sites');
  assert.equal(await entries(hex(addressOf('off_key'))), found);
  assert.equal(await entries('math'), await entries(hex(addressOf('__SCK__math'))));
  for (const key of ['call_plain', 'number', hex(addressOf('number'))]) {
    await assert.rejects(entries(key), (error: unknown) => {
      return (
        error instanceof TextpokeError &&
        error.code === 'unknown-key' &&
        / is an? .*, not a key$/.test(error.message)
      );
    });
  }
});
