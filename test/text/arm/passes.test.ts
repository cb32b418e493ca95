// Passes over the text of a made 32-bit ARM kernel.
import assert from 'node:assert/strict';
import test from 'node:test';
import { EM_ARM } from '../../../src/elf/constants.ts';
import { divisionCode, ftraceNops } from '../../../src/text/arm/passes.ts';
import { physicalOffset } from '../../../src/text/arm/physical.ts';
import { textsOf } from '../../../src/text/texts.ts';
import { madeImage, madeMemory, wordsAt, wordsOf } from '../made-image.ts';

const text = 0xc030_0000;
const data = 0xc100_0000;
const BL = 0xeb00_0010;
const PUSH = 0xe52de004;

interface Given {
  readonly code: readonly number[];
  readonly symbols?: Readonly<Record<string, number>>;
  readonly tables?: Readonly<Record<string, Uint8Array>>;
}

function made({ code, symbols = {}, tables = {} }: Given) {
  const image = madeImage({
    machine: EM_ARM,
    class: 32,
    sections: [
      { name: '.text', address: text, bytes: wordsOf(...code), what: 'code' },
      ...Object.entries(tables).map(
        ([name, bytes], i) => ({ name, address: data + 0x1000 * i, bytes, what: 'data' }) as const,
      ),
    ],
    symbols,
  });
  const texts = textsOf(image);
  return { image, texts, subject: { image, slide: 0, texts, state: undefined } };
}

const hexAt = (texts: ReturnType<typeof textsOf>, count: number) =>
  wordsAt(texts, text, count).map((word) => word.toString(16));

test('the distance to physical memory stands in add, sub, movw and mov', () => {
  const { texts, subject } = made({
    // add r0, r0, #0x81000000; sub r1, r1, #0x810000; movw r2, #0; mov r3, #0x81
    code: [0xe2800481, 0xe2411881, 0xe3002000, 0xe3a03081],
    tables: {
      '.init.pv_table': wordsOf(...[0, 1, 2, 3].map((i) => text + 4 * i - (data + 4 * i))),
    },
  });
  const result = physicalOffset(0x4020_0000 - 0xc000_0000).run(subject);
  assert.deepEqual([result?.sites, result?.notes], [4, []]);
  // -0x7fe00000 is ffffffff 80200000: 80, 20, 802, and a mvn of what is negative.
  assert.deepEqual(hexAt(texts, 4), ['e2800480', 'e2411820', 'e3002802', 'e3e03000']);
});

test('up to 5.10 the table has addresses, and the distance is a multiple of 16 MiB', () => {
  const given = { code: [0xe2800481, 0xe3a03081], tables: { '.init.pv_table': wordsOf(text, text + 4) } };
  const { texts, subject } = made(given);
  assert.deepEqual(physicalOffset(-0x8000_0000).run(subject)?.notes, []);
  assert.deepEqual(hexAt(texts, 2), ['e2800480', 'e3e03000']);
  const notes = physicalOffset(-0x7fe0_0000).run(made(given).subject)?.notes ?? [];
  assert.deepEqual(
    notes.map(({ severity }) => severity),
    ['wrong'],
  );
});

for (const [name, nop] of [
  ['a pop, as most places have it up to 5.16', 0xe8bd4000],
  ['an add, as most places have it since then', 0xe28dd004],
] as const)
  test(`the call of the tracer becomes ${name}`, () => {
    const { texts, subject } = made({
      code: [PUSH, BL, PUSH, BL, PUSH, BL],
      tables: { __mcount_loc: wordsOf(text + 4, text + 12, text + 20) },
    });
    // One place has the other form: it does not decide.
    const memory = madeMemory([[text, wordsOf(PUSH, nop, PUSH, nop, PUSH, 0xe320f000)]]);
    const result = ftraceNops({ memory, offset: 0 }).run(subject);
    assert.equal(result?.sites, 3);
    assert.deepEqual(
      wordsAt(texts, text, 6).filter((_, i) => i % 2 === 1),
      [nop, nop, nop],
    );
    assert.deepEqual(
      result?.notes.map(({ severity }) => severity),
      ['left'],
    );
  });

test('a call of ftrace_caller is another form of a place, and nothing else is', () => {
  const { texts, subject } = made({
    code: [PUSH, BL, 0xe12fff1e, 0xe12fff1e],
    symbols: { ftrace_caller: text + 8 },
    tables: { __mcount_loc: wordsOf(text + 4) },
  });
  ftraceNops({ memory: madeMemory([]), offset: 0 }).run(subject);
  const others = texts.all[0]?.others.map(({ address, bytes }) => [address, [...bytes]]);
  // bl .+4: the distance is counted from 8 bytes on.
  assert.deepEqual(others, [[text + 4, [0xff, 0xff, 0xff, 0xeb]]]);
});

test('the tracer of a common trampoline is a function of the image, and told', () => {
  const given = {
    code: [PUSH, BL, 0xeb000001, 0xe12fff1e, 0xe12fff1e, 0xe12fff1e],
    symbols: { tracer: text + 16, ftrace_call: text + 8 },
    tables: { __mcount_loc: wordsOf(text + 4) },
  };
  const run = (word: number) => {
    const { texts, subject } = made(given);
    const memory = madeMemory([[text + 8, wordsOf(word)]]);
    const result = ftraceNops({ memory, offset: 0 }).run(subject);
    return [wordsAt(texts, text + 8, 1)[0], result?.notes.length];
  };
  assert.deepEqual(run(0xeb00_0001), [0xeb00_0001, 1]); // as the file has it
  assert.deepEqual(run(0xeb00_0000), [0xeb00_0000, 2]); // to tracer, which is told
  // To the middle of a function, and no call: the comparison tells of both.
  assert.deepEqual(run(0xebff_ffff), [0xeb00_0001, 1]);
  assert.deepEqual(run(0xeaff_ffff), [0xeb00_0001, 1]);
});

test('functions that divide are replaced both, or none', () => {
  const given = {
    code: [1, 2, 3, 4],
    symbols: { __aeabi_uidiv: text, __aeabi_idiv: text + 8 },
  };
  const udiv = [0xe730f110, 0xe12fff1e];
  const sdiv = [0xe710f110, 0xe12fff1e];
  const run = (...held: number[]) => {
    const { texts, subject } = made(given);
    divisionCode({ memory: madeMemory([[text, wordsOf(...held)]]), offset: 0 }).run(subject);
    return wordsAt(texts, text, 4);
  };
  assert.deepEqual(run(...udiv, ...sdiv), [...udiv, ...sdiv]);
  assert.deepEqual(run(...udiv, 3, 4), given.code);
});
