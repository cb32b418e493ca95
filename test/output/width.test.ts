// How wide text is on a terminal, where names are cut, and which columns stay.
import assert from 'node:assert/strict';
import test from 'node:test';
import { columnsOf, layOut, measureRow, rowText } from '../../src/output/columns.ts';
import { leastWidth, padEnd, shortened, widthOf } from '../../src/output/width.ts';

test('text takes as many columns as a terminal gives it', () => {
  const rows: [string, number][] = [
    ['', 0],
    ['main+0x10', 9],
    ['名前', 4],
    ['é', 1],
    ['e\u0301', 1],
    ['ｱ', 1],
    ['😀x', 3],
    ['\\x1b[31m', 8],
  ];
  for (const [text, width] of rows) {
    assert.equal(widthOf(text), width, text);
    assert.equal(widthOf(padEnd(text, 12)), 12, text);
  }
});

test('names are cut in the middle; offsets, lines and remarks stay, and addresses are never cut', () => {
  const rows: [string, number, string][] = [
    ['__tracepoint_sched_switch', 25, '__tracepoint_sched_switch'],
    ['__tracepoint_sched_switch', 24, '__tracepoin..ched_switch'],
    ['__tracepoint_sched_switch', 12, '__tra..witch'],
    ['__tracepoint_sched_switch+0x1c', 20, '__trace..switch+0x1c'],
    ['arch/x86/include/asm/jump_label.h:27', 20, 'arch/x86..label.h:27'],
    ['a_long_name_of_a_key (undefined)', 24, 'a_lon..a_key (undefined)'],
    ['0xffffffff81200090', 10, '0xffffffff81200090'],
    ['.text+0xffffffff81', 12, '.text+0xffffffff81'],
    ['名前名前名前名前', 8, '名..前'],
    ['x名前名前名前名前y', 9, 'x名..前y'],
    ['e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301', 5, 'e\u0301e\u0301..e\u0301'],
  ];
  for (const [name, width, cut] of rows) {
    const short = shortened(name, width);
    assert.equal(short, cut);
    if (/^0x|^\.text/.test(name)) continue;
    assert.ok(widthOf(short) <= width, `${short} in ${width}`);
  }
});

test('the least width of a name is one that shortened keeps to', () => {
  const names = [
    'main',
    'a'.repeat(30),
    `${'b'.repeat(30)}+0x1234`,
    '0xffffffff81200090',
    '名'.repeat(20),
    `${'c'.repeat(40)}:12 (undefined)`,
  ];
  for (const name of names) {
    const least = leastWidth(name);
    for (let width = least; width < 60; width++)
      assert.ok(widthOf(shortened(name, width)) <= width, `${name} in ${width}: ${shortened(name, width)}`);
  }
});

const heads = ['address', 'site', 'source', 'target', 'key', 'branch', 'flags', 'bytes', 'instruction'];
const row = [
  '0xffffffff81200090',
  'trace_initcall_level_of_a_long_name+0x10',
  'arch/x86/include/asm/jump_label.h:37',
  'trace_initcall_level_of_a_long_name+0x2f',
  '__tracepoint_initcall_level',
  'unlikely',
  '-',
  '0f 1f 44 00 00',
  'nop dword ptr [rax + rax]',
];

function laidOut(room: number | undefined) {
  const columns = columnsOf(heads);
  measureRow(columns, row);
  const layout = layOut(columns, room);
  return { layout, text: rowText(layout, row) };
}

test('a row fits each terminal from 56 columns on, and its address is whole', () => {
  for (let room = 56; room < 260; room++) {
    const { layout, text } = laidOut(room);
    assert.ok(widthOf(text) <= room, `${text} in ${room}`);
    assert.match(text, /0xffffffff81200090 .* unlikely/);
    const shown = [...layout.widths.keys()].map((i) => heads[i]);
    const unsaid = heads.filter((head) => !shown.includes(head) && !layout.leftOut.includes(head));
    assert.ok(
      unsaid.every((head) => head === 'flags'),
      `only a column that says nothing goes without a word: ${unsaid}`,
    );
  }
});

test('without a terminal, and on one that is wide enough, everything is there', () => {
  const whole = laidOut(undefined);
  assert.deepEqual(whole.layout.leftOut, []);
  for (const cell of row) assert.ok(whole.text.includes(cell), cell);
  assert.equal(laidOut(500).text, whole.text);
});

test('bytes and targets go first, names of sites and keys never', () => {
  assert.deepEqual(laidOut(150).layout.leftOut.includes('source'), false);
  assert.deepEqual(laidOut(80).layout.leftOut, ['bytes', 'instruction', 'target', 'source']);
  assert.match(laidOut(80).text, /trace_.*\+0x10 +__trace.* unlikely/);
});
