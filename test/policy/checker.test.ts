// The reference checker: which writes a policy of a few places allows, at which time and in which order.
import assert from 'node:assert/strict';
import test from 'node:test';
import { type CheckerOptions, WriteChecker } from '../../src/policy/checker.ts';
import type { Policy } from '../../src/policy/policy.ts';
import { branchHex, bytesOf } from '../text/x86-64/made.ts';
import { policy, start } from './made.ts';

/** Offset, bytes before and after, and what the checker says: the step, or why not. `started`: start-up ends in front of it. */
type Row = readonly [offset: number, before: string, after: string, says: string];

const call = (to: number) => branchHex('e8', 0x20, to);
const jump = (to: number) => branchHex('e9', 0, to);

function says(rows: readonly (Row | 'started')[], options: CheckerOptions = {}, of: Policy = policy): void {
  const checker = new WriteChecker(of, options);
  const { slide = 0 } = options;
  for (const row of rows) {
    if (row === 'started') {
      checker.endStartUp();
      continue;
    }
    const [offset, before, after, expected] = row;
    const write = [start + offset + slide, bytesOf(before), bytesOf(after)] as const;
    const asked = checker.wouldAllow(...write);
    const verdict = checker.checkWrite(...write);
    assert.deepEqual(asked, verdict, 'what is asked first is what is said then');
    assert.equal(
      verdict.allowed ? verdict.step : verdict.why,
      expected,
      `${offset.toString(16)}: ${before} to ${after}`,
    );
  }
}

test('a return becomes a plain one, or a jump to a thunk, once and at start-up', () => {
  says([
    [0, 'e9fb0f0000', jump(0x1004), 'bytes'],
    [0, 'e9fb0f0000', 'c3cccccc90', 'bytes'],
    [0, 'e9fb0f0001', 'c3cccccccc', 'before'],
    [0, 'e9fb0f00', 'c3cccccc', 'place'],
    [1, 'fb0f0000', 'cccccccc', 'place'],
    [0, 'e9fb0f0000', 'c3cccccccc', 'whole'],
    [0, 'c3cccccccc', jump(0x1000), 'time'],
  ]);
  says([[0, 'e9fb0f0000', jump(0x1000), 'whole']]);
  says(['started', [0, 'e9fb0f0000', 'c3cccccccc', 'time']]);
});

test('text that is in use is changed by a breakpoint, then what is behind it, then the first byte', () => {
  const to = call(0x1000);
  says([
    'started',
    [0x20, 'e8db0f0000', '0f1f440000', 'order'],
    [0x21, 'db0f0000', '1f440000', 'order'],
    [0x20, 'e8', '0f', 'order'],
    [0x20, 'e8', 'cc', 'breakpoint'],
    [0x20, 'cc', 'cc', 'bytes'],
    [0x20, 'cc', '0f', 'bytes'],
    [0x21, 'db0f0000', '00000000', 'bytes'],
    [0x21, 'db0f0000', '1f440000', 'behind'],
    [0x21, '1f440000', 'db0f0000', 'order'],
    [0x20, 'cc', 'e8', 'bytes'],
    [0x20, 'cc', '0f', 'first'],
    [0x20, '0f', 'cc', 'breakpoint'],
    [0x21, '1f440000', to.slice(2), 'behind'],
    [0x20, 'cc', 'e8', 'first'],
  ]);
});

test('a call leads to a function, to the code in front of it that counts, or out of the image', () => {
  const at = (to: number, expected: string): void => says([[0x20, 'e8db0f0000', call(to), expected]]);
  at(0x1000, 'whole');
  at(0x1100 - 9, 'whole');
  at(0x10_0000, 'whole');
  at(-1, 'whole');
  at(0x1001, 'bytes');
  at(0x1100 - 8, 'bytes');
  at(0xf_ffff, 'bytes');
  at(0, 'bytes');
});

test('what is changed by steps may go back, and a branch of two bytes has the same steps', () => {
  says([
    'started',
    [0x10, '66', 'cc', 'breakpoint'],
    [0x10, 'cc', '66', 'first'],
    [0x10, '66', 'cc', 'breakpoint'],
    [0x11, '90', '11', 'bytes'],
    [0x11, '90', '10', 'behind'],
    [0x10, 'cc', 'eb', 'first'],
  ]);
});

test('init text is changed by steps as well, until it is given back', () => {
  says([
    [0xa0, 'eb', 'cc', 'breakpoint'],
    [0xa1, '10', '90', 'behind'],
    [0xa0, 'cc', '66', 'first'],
    'started',
    [0xa0, '66', 'cc', 'place'],
  ]);
});

test('steps of start-up come in the order of the kernel', () => {
  says([
    [0x70, 'e88b0f0000', 'e8820f0000', 'whole'],
    [0x70, 'e8820f0000', 'e8790f0000', 'time'],
  ]);
  says([[0x70, 'e88b0f0000', 'e98b0f0000', 'bytes']]);
  says([[0x70, 'e88b0f0000', 'e8830f0000', 'bytes']]);
});

test('addresses in code move with the kernel, and distances to what does not move shrink', () => {
  const slide = 0x1260_0000;
  says(
    [
      [0x30, '48c7c00000608390', '0f1f840000000000', 'before'],
      [0x30, '48c7c00000609390', '48c7c00000008190', 'bytes'],
      [0x30, '48c7c00000609390', '48c7c00000e09390', 'bytes'],
    ],
    { slide },
  );
  says(
    [
      [0x30, '48c7c00000609390', '48c7c00000609390', 'whole'],
      [0x30, '48c7c00000609390', '0f1f840000000000', 'whole'],
      [0x87, '909090909090909090', `6548c13d${distance(0x100 - slide, 0x87 + 9)}05`, 'whole'],
    ],
    { slide },
  );
  says([[0x87, '909090909090909090', `6548c13d${distance(0x101, 0x87 + 9)}05`, 'bytes']]);
});

/** From an offset of the text to an address, as hex digits. */
function distance(to: number, from: number): string {
  const field = Buffer.alloc(4);
  field.writeInt32LE((to - (start + from)) | 0);
  return field.toString('hex');
}

test('code that counts calls is written where nothing was, while the kernel runs as well', () => {
  const code = `6548c13d${distance(0x100, 0x87 + 9)}05`;
  says(['started', [0x87, '909090909090909090', code, 'whole'], [0x87, code, '909090909090909090', 'order']]);
});

test('a constant is what the variable holds; without knowing, all places hold the same', () => {
  says(
    [
      [0x40, '4142434445464748', '0102030405060709', 'bytes'],
      [0x40, '4142434445464748', '0102030405060708', 'whole'],
    ],
    {
      readVariable: (name, address) =>
        name === 'table' && address === start + 0x8000 ? bytesOf('0102030405060708') : undefined,
    },
  );
  says([
    [0x40, '4142434445464748', '0102030405060708', 'whole'],
    [0x50, '4142434445464748', '0102030405060709', 'bytes'],
    [0x50, '4142434445464748', '0102030405060708', 'whole'],
  ]);
});

test('a pointer whose variable was left out leads to memory of the kernel, and to its cache where memory tells', () => {
  const pointers: Policy = {
    ...policy,
    variables: [
      { name: '__filp_cache', size: 8, address: undefined, pointer: { cache: { name: 'filp', at: 96 } } },
    ],
  };
  const word = (address: bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(address);
    return bytes.toString('hex');
  };
  const [cache, name] = [-0x74ec_beca_0000n, BigInt(start) + 0x4001n];
  const memory = new Map([
    [Number(cache) + 96, word(name)],
    [Number(name), Buffer.from('filp\0').toString('hex')],
    [Number(cache) + 96 + 64, word(name + 1n)],
    [Number(name) + 1, Buffer.from('ilp\0f').toString('hex')],
  ]);
  const readMemory = (address: number) => {
    const hex = memory.get(address);
    return hex === undefined ? undefined : bytesOf(hex);
  };
  const row = (address: bigint, expected: string) =>
    [0x40, '4142434445464748', word(address), expected] as const;
  for (const [address, blind, seeing] of [
    [cache, 'whole', 'whole'],
    [cache + 64n, 'whole', 'bytes'],
    [cache + 4n, 'bytes', 'bytes'],
    [0x1000n, 'bytes', 'bytes'],
    [BigInt(start) + 0x8000n, 'bytes', 'bytes'],
    [cache + 0x1000n, 'whole', 'bytes'],
  ] as const) {
    says([row(address, blind)], {}, pointers);
    says([row(address, seeing)], { readMemory }, pointers);
  }
  says([row(cache, 'whole'), [0x50, '4142434445464748', word(cache + 64n), 'bytes']], {}, pointers);
});

test('a lock is dropped and put back by one byte at any time', () => {
  says(['started', [0x60, 'f0', '3e', 'whole'], [0x60, '3e', 'f0', 'whole'], [0x60, 'f0', 'cc', 'bytes']]);
});

test('a breakpoint anywhere is refused, and allowed where a probe was announced', () => {
  const checker = new WriteChecker(policy, { slide: 0x20_0000 });
  const at = start + 0x1234 + 0x20_0000;
  const write = (offset: number, before: string, after: string) => {
    const verdict = checker.checkWrite(at + offset, bytesOf(before), bytesOf(after));
    return verdict.allowed ? `${verdict.kind} ${verdict.step}` : verdict.why;
  };
  assert.equal(write(0, '48', 'cc'), 'place');
  checker.allowProbe(at, bytesOf('4889e55348'));
  assert.equal(write(1, '89e55348', '00000010'), 'bytes', 'no breakpoint is in front');
  assert.equal(write(0, '48', '90'), 'bytes');
  assert.equal(write(0, '48', 'e9'), 'bytes', 'a jump to what the old code is a distance to');
  assert.equal(write(0, '48', 'cc'), 'kprobe breakpoint');
  assert.equal(write(1, '89e55348', '00000000'), 'bytes', 'a jump into the image');
  assert.equal(write(1, '89e55348', '00000030'), 'kprobe behind');
  assert.equal(write(0, 'cc', '48'), 'bytes', 'the old first byte in front of the new ones');
  assert.equal(write(0, 'cc', 'e9'), 'kprobe first');
  assert.equal(write(0, 'e9', 'cc'), 'kprobe breakpoint');
  assert.equal(write(1, '00000030', '89e55348'), 'kprobe behind');
  assert.equal(write(0, 'cc', '48'), 'kprobe first');
  checker.forbidProbe(at);
  assert.equal(write(0, '48', 'cc'), 'place');
});

test('a write of nothing, or of more bytes than stood there, is refused', () => {
  says([
    [0, '', '', 'place'],
    [0, 'e9fb0f0000', 'c3cccccccc90', 'place'],
    [0x2000, '90', 'cc', 'place'],
    [-8, '90', 'cc', 'place'],
  ]);
});

test('where somebody tells what code is, a branch outside of the image leads to code alone', () => {
  const outside = call(0x50_0000);
  const rows = (step: string) => [[0x20, branchHex('e8', 0x20, 0x1000), outside, step]] as const;
  says(rows('whole'));
  const place = start + 0x50_0000;
  says(rows('whole'), { isCode: (address) => address === place });
  says(rows('bytes'), { isCode: (address) => address === place + 1 });
  const slide = 0x20_0000;
  says(rows('whole'), { slide, isCode: (address) => address === place + slide });
});
