// Findings about text: which place, which bytes, and what could have made them.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { RunningKernel } from '../../src/memory/kernel/kernel.ts';
import type { Memory } from '../../src/memory/memory.ts';
import { memoryTextLines, memoryTextOf } from '../../src/output/memory-text.ts';
import { compareText } from '../../src/text/compare.ts';
import { ExpectedText } from '../../src/text/expected.ts';
import type { PassNote } from '../../src/text/pass.ts';
import type { ReplayedText } from '../../src/text/result.ts';
import type { Finding } from '../../src/verify/finding.ts';
import { checkText } from '../../src/verify/text.ts';
import { branchHex, bytesOf, hexOf, madeKernel, textStart } from './x86-64/made.ts';

const functions = { first: 0x100, second: 0x200, third: 0x300 };
/** push, five bytes of a call, a move of seven, return. */
const code = `55${'e811223344'}48c7c001000000c3`;
const kernel = madeKernel({
  code: Object.fromEntries(Object.values(functions).map((at) => [at, code])),
  functions,
  size: 0x4000,
});
const [range] = kernel.code;
const slide = 0x400_0000;
const module = { name: 'hook', memory: [{ start: textStart + slide + 0x50_0000, size: 4096 }] };

interface Given {
  readonly writes?: readonly (readonly [offset: number, hex: string])[];
  readonly expected?: readonly (readonly [offset: number, hex: string])[];
  readonly notes?: readonly PassNote[];
  readonly before?: readonly Finding[];
  readonly pages?: ReplayedText['pages'];
}

function check({ writes = [], expected = [], notes = [], before = [], pages = [] }: Given) {
  assert.ok(range, 'the kernel has code');
  const text = new ExpectedText('.text', range.address, range.code);
  for (const [offset, hex] of expected) text.write(textStart + offset, bytesOf(hex), 'alternative');
  const held = text.bytes.slice();
  for (const [offset, hex] of writes) held.set(bytesOf(hex), offset);
  const memory: Memory = {
    ...{ format: 'made', addresses: 'virtual', fileSize: held.length },
    runs: { starts: new Float64Array(0), ends: new Float64Array(0) },
    read: (address, into) => {
      into.set(held.subarray(address - textStart, address - textStart + into.length));
      return true;
    },
  };
  const compared = compareText(text, held.length, memory, 0);
  const replayed: ReplayedText = { compared, text, passes: [], notes, pages, live: undefined, changing: [] };
  const running = {
    place: { slide },
    list: { modules: [module] },
    reader: { bytes: (_: number, length: number) => new Uint8Array(length).fill(0xcc) },
  } as unknown as RunningKernel;
  return { findings: [...checkText(kernel, replayed, running, before)], replayed };
}

const told = ({ rule, place, message, found, expected }: Finding) => [
  rule,
  place,
  message,
  found && hexOf(found),
  expected && hexOf(expected),
];

test('text that is as it must be has no finding', () => {
  assert.deepEqual(check({ expected: [[functions.first, '90']] }).findings, []);
});

test('a changed byte is told with its whole instruction and its function', () => {
  const { findings } = check({ writes: [[functions.second + 9, '02']] });
  assert.deepEqual(findings.map(told), [
    [
      'TP036',
      'second+0x6',
      '1 byte is changed: nothing that patches this kernel makes that',
      '48c7c002000000',
      '48c7c001000000',
    ],
  ]);
});

test('jumps and calls are told with where they lead', () => {
  const at = functions.first + 1;
  const rows: readonly (readonly [to: number, words: string])[] = [
    [functions.third, 'a call to third'],
    [0x50_0010, 'a call to 0xffffffff85500010 in the module hook'],
    [0x70_0000, 'a call to 0xffffffff85700000, outside of the image and of all modules: a hook'],
  ];
  for (const [to, words] of rows) {
    const [finding] = check({ writes: [[at, branchHex('e8', at, to)]] }).findings;
    assert.match(finding?.message ?? '', new RegExp(`bytes? (are|is) changed: ${words}$`));
  }
});

test('a breakpoint that nobody has set is told as that', () => {
  const [finding] = check({ writes: [[functions.first, 'cc']] }).findings;
  assert.deepEqual(finding && told(finding), [
    'TP036',
    'first',
    '1 byte is changed: a breakpoint that no probe of the kernel has set',
    'cc',
    '55',
  ]);
});

test('text that the kernel should have changed and that is the file’s is told as that', () => {
  const at = functions.first + 1;
  const { findings } = check({ expected: [[at, '0f1f440000']], writes: [[at, code.slice(2, 12)]] });
  assert.match(
    findings[0]?.message ?? '',
    /^the text is as the file has it; .* makes something else of it; what must stand there \(alternative\) follows from the features of the processor$/,
  );
});

test('a place about which another rule has spoken is not told again', () => {
  const at = functions.first + 1;
  const before: Finding[] = [{ rule: 'TP007', address: textStart + at, place: 'first+0x1', message: '' }];
  assert.deepEqual(check({ writes: [[at, '0f1f440000']], before }).findings, []);
  assert.equal(check({ writes: [[functions.second, 'cc']], before }).findings.length, 1);
});

test('more than a thousand stretches are told by function', () => {
  const big = Array.from({ length: 400 }, (_, i) => [0x400 + 7 * i, '00'] as const);
  assert.equal(check({ writes: big }).findings.length, 400);
  const many = Array.from({ length: 1200 }, (_, i) => [12 * i, '01'] as const);
  const { findings } = check({ writes: many });
  assert.equal(findings.length < 10, true, `${findings.length}`);
  assert.match(findings.at(-1)?.message ?? '', /; \d+ places of this function differ, \d+ bytes$/);
});

test('inputs that cannot be are findings that name them, and many of them are counted', () => {
  const note = { severity: 'wrong', message: 'it leads nowhere', input: 'pv_ops' } as const;
  const left = { severity: 'left', message: 'one more', input: 'x' } as const;
  const { findings } = check({ notes: [{ ...note, address: textStart + functions.first }, note, left] });
  assert.deepEqual(
    findings.map(({ rule, place, message }) => [rule, place, message]),
    [
      ['TP037', 'first', 'it leads nowhere (pv_ops)'],
      ['TP037', 'pv_ops', 'it leads nowhere'],
    ],
  );
  const many = check({ notes: Array.from({ length: 1000 }, () => note) }).findings;
  assert.deepEqual(
    [many.length, many.at(-1)?.message],
    [201, '800 more inputs and entries of tables cannot be as they are'],
  );
});

test('a page that the kernel made is compared', () => {
  const bytes = new Uint8Array(64).fill(0xcc);
  const page = { address: textStart + slide + 0x60_0000, what: 'ITS thunks' };
  assert.deepEqual(check({ pages: [{ ...page, bytes }] }).findings, []);
  const changed = bytes.slice();
  changed.set([0xff, 0xe0], 0x20);
  const [finding] = check({ pages: [{ ...page, bytes: changed }] }).findings;
  assert.deepEqual([finding?.rule, finding?.place], ['TP040', 'ITS thunks+0x20']);
});

test('the summary says first whether the text is sound, then what explains it and what was left', () => {
  const left = { severity: 'left', message: 'what x holds is not known' } as const;
  const { replayed } = check({ expected: [[functions.first, '9090']], notes: [left, left] });
  const passes = [{ kind: 'alternative', name: 'alternatives', sites: 1234 }] as const;
  assert.deepEqual(memoryTextLines(memoryTextOf({ ...replayed, passes }), true), [
    '  text: 16,384 bytes, 2 differ from the file: all explained',
    '    alternative  2  1,234 sites',
    '    not replayed: what x holds is not known (2 times)',
  ]);
  const changed = check({ writes: [[functions.first, 'cc']] }).replayed;
  assert.deepEqual(memoryTextLines(memoryTextOf(changed), true), [
    '  text: 16,384 bytes, 1 differ from the file: 1 not explained',
  ]);
  assert.deepEqual(memoryTextLines(memoryTextOf({ why: 'it was moved' }), true), [
    '  text: not compared: it was moved',
  ]);
});
