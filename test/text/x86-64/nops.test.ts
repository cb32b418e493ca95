// NOPs as each kernel writes them, and what each takes for one.
import assert from 'node:assert/strict';
import test from 'node:test';
import { isNop, type NopStyle, nopStyleOf, optimizeNops } from '../../../src/text/x86-64/nops.ts';
import { bytesOf, dataStart, hexOf, madeKernel, madeSubject } from './made.ts';

const kernel = madeKernel({ code: { 0: '90' } });
const styleOf = (version: readonly [number, number], image = kernel, variables = {}): NopStyle => {
  const style = nopStyleOf(image, madeSubject(image, { version, variables }).state);
  assert.ok(style, 'the kernel has chosen its NOPs');
  return style;
};
const optimized = (style: NopStyle, hex: string, length = hex.length / 2): string => {
  const code = bytesOf(hex);
  optimizeNops(style, code, length);
  return hexOf(code.subarray(0, length));
};
const single = (count: number) => '90'.repeat(count);

test('kernels since 6.4 join NOPs of any length up to 11 bytes, and jump over more', () => {
  const style = styleOf([6, 12]);
  const rows: readonly (readonly [before: string, after: string])[] = [
    ['90', '90'],
    ['9090', '6690'],
    ['0f1f440000', '0f1f440000'],
    ['6690660f1f440000', '0f1f840000000000'],
    [single(9), '2e0f1f840000000000'],
    [single(11), '66662e0f1f840000000000'],
    [single(12), `eb0a${'cc'.repeat(10)}`],
    ['c390909090', 'c30f1f4000'],
    ['9090c39090', '6690c36690'],
    [`${single(130)}c3`, `e97d000000${'cc'.repeat(125)}c3`],
    // pause is none.
    ['f39090', 'f39090'],
  ];
  for (const [before, after] of rows) assert.equal(optimized(style, before), after, before);
});

test('the last NOP of a place stays as it is if it is alone', () => {
  assert.equal(optimized(styleOf([6, 12]), 'c366666690'), 'c366666690');
});

test('kernels up to 6.3 join NOPs of one byte alone, up to 8 bytes each', () => {
  const style = styleOf([6, 1]);
  const rows: readonly (readonly [before: string, after: string])[] = [
    ['90', '90'],
    ['669066909090', '669066906690'],
    [single(9), '0f1f84000000000090'],
    [single(16), '0f1f8400000000000f1f840000000000'],
    ['c3909090', 'c30f1f00'],
  ];
  for (const [before, after] of rows) assert.equal(optimized(style, before), after, before);
});

test('the last instruction of a place may end behind it where a kernel goes through its text', () => {
  assert.equal(optimized(styleOf([6, 1]), '9090e8000000', 3), '6690e8');
});

test('before 5.13 the NOPs are those that ideal_nops leads to, and no others', () => {
  const image = madeKernel({
    code: { 0: '90' },
    data: { ideal_nops: '00'.repeat(8), p6_nops: '00', k8_nops: '00' },
  });
  const at = (name: string) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(image.symbols.addressOf(name) ?? 0));
    return { ideal_nops: bytes.toString('hex') };
  };
  assert.equal(optimized(styleOf([5, 10], image, at('p6_nops')), '90909090'), '0f1f4000');
  assert.equal(optimized(styleOf([5, 10], image, at('k8_nops')), '90909090'), '66666690');
  const other = Buffer.alloc(8);
  other.writeBigInt64LE(BigInt(dataStart + 256));
  const { state } = madeSubject(image, {
    version: [5, 10],
    variables: { ideal_nops: other.toString('hex') },
  });
  assert.equal(nopStyleOf(image, state), undefined);
});

test('what newer kernels take for NOPs besides', () => {
  const wide: readonly string[] = [
    '4889c0',
    '488d7600',
    '488d742600',
    '4d8d7600',
    'eb00',
    'e900000000',
    '0f1f00',
  ];
  const none: readonly string[] = [
    '89c0',
    '4889c8',
    '8d7600',
    '488d7601',
    '488d36',
    'eb01',
    '4190',
    'f390',
    '0f1fc8',
    'cc',
  ];
  for (const hex of wide) assert.equal(isNop(bytesOf(hex), 0, true), true, hex);
  for (const hex of none) assert.equal(isNop(bytesOf(hex), 0, true), false, hex);
  for (const hex of wide.slice(0, -1)) assert.equal(isNop(bytesOf(hex), 0, false), false, hex);
});
