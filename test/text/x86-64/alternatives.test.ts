// Alternatives as each version of the kernel carries them out.
import assert from 'node:assert/strict';
import test from 'node:test';
import { type Alternative, Alternatives } from '../../../src/image/alternatives.ts';
import { alternatives } from '../../../src/text/x86-64/alternatives.ts';
import {
  branchHex,
  bytesOf,
  expectedAt,
  type MadeMachine,
  madeKernel,
  madeSubject,
  textStart,
} from './made.ts';

const site = 0x100;
const replacement = 0x2000;
const functions = { near: 0x120, far: 0x1000, operation: 0x1100, BUG_func: 0x1200, nop_func: 0x1210 };
/** Features by number: the processor has the first one alone. */
const [has, lacks] = [0, 1];
const features = { HAS: true, LACKS: false };

interface Row {
  readonly feature?: number;
  readonly not?: boolean;
  readonly direct?: boolean;
  readonly length?: number;
  /** Code that replaces, as hex digits. */
  readonly by: string;
}

const operations = 'pv_ops';
const pointer = (to: number | undefined) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(to === undefined ? 0 : textStart + to));
  return bytes.toString('hex');
};

function run(before: string, rows: readonly Row[], machine: MadeMachine = {}) {
  const code: Record<number, string> = { [site]: before };
  let at = replacement;
  const entries = rows.map(({ feature = has, not = false, direct = false, length, by }, i): Alternative => {
    const bytes = by.replaceAll(' ', '');
    if (bytes !== '') code[at] = bytes;
    const entry = {
      entry: i,
      address: textStart + site,
      length: length ?? bytesOf(before).length,
      replacement: textStart + at,
      replacementLength: bytes.length / 2,
      feature,
      isInverted: not,
      isDirectCall: direct,
    };
    at += 0x100;
    return entry;
  });
  const image = madeKernel({ code, functions, data: { [operations]: pointer(functions.operation) } });
  const subject = madeSubject(image, { features, ...machine });
  const result = alternatives.run({
    ...subject,
    state: { ...subject.state, alternatives: new Alternatives(entries) },
  });
  return { written: expectedAt(subject, site, bytesOf(before).length), notes: result?.notes ?? [], result };
}

const [old, each, last] = [
  [6, 1],
  [6, 12],
  [7, 3],
] as const;
const versions = [old, each, last];
const nops = '90'.repeat(5);

test('the code of a feature that the processor has replaces what is there, and NOPs fill the rest', () => {
  for (const version of versions) {
    assert.equal(run(nops, [{ by: '31c0' }], { version }).written, '31c00f1f00');
    assert.equal(run(nops, [{ by: '', length: 5 }], { version }).written, '0f1f440000');
  }
});

test('without the feature the code stays and its NOPs become long; ALT_NOT turns it round', () => {
  for (const version of versions) {
    assert.equal(run('c390909090', [{ feature: lacks, by: '31c0' }], { version }).written, 'c30f1f4000');
    assert.equal(run(nops, [{ feature: lacks, not: true, by: '31c0' }], { version }).written, '31c00f1f00');
    assert.equal(run(nops, [{ not: true, by: '31c0' }], { version }).written, '0f1f440000');
  }
});

test('a call keeps what it calls, and so does every other instruction since 6.4', () => {
  const call = branchHex('e8', replacement, functions.far);
  for (const version of versions)
    assert.equal(run(nops, [{ by: call }], { version }).written, branchHex('e8', site, functions.far));
  const two = `90${branchHex('e8', replacement + 1, functions.far)}`;
  const moved = `90${branchHex('e8', site + 1, functions.far)}`;
  assert.equal(run('90'.repeat(6), [{ by: two }], { version: each }).written, moved);
  // Before that only what stands first was moved, so compilers put nothing else there.
  assert.equal(run('90'.repeat(6), [{ by: two }], { version: old }).written, two);
  const lea = branchHex('488d3d', replacement, functions.far);
  assert.equal(
    run('90'.repeat(7), [{ by: lea }], { version: each }).written,
    branchHex('488d3d', site, functions.far),
  );
});

test('a jump that need not be far becomes short: with breakpoints behind it since 6.4, with a NOP before', () => {
  const jump = branchHex('e9', replacement, functions.near);
  const distance = (functions.near - site - 2).toString(16).padStart(2, '0');
  assert.equal(run(nops, [{ by: jump }], { version: each }).written, `eb${distance}cccccc`);
  assert.equal(run(nops, [{ by: jump }], { version: old }).written, `eb${distance}0f1f00`);
  const far = branchHex('e9', replacement, functions.far);
  for (const version of versions)
    assert.equal(run(nops, [{ by: far }], { version }).written, branchHex('e9', site, functions.far));
});

test('entries of one place come one after the other; the last one that fits has its way', () => {
  const rows = [{ by: '31c0' }, { feature: lacks, by: '31d2' }, { by: '31db90', length: 5 }];
  for (const version of versions) assert.equal(run(nops, rows, { version }).written, '31db0f1f00');
  // One that does not fit still says how long the place is.
  const short = [
    { by: '31c0', length: 3 },
    { feature: lacks, by: '', length: 5 },
  ];
  for (const version of versions) assert.equal(run(nops, short, { version }).written, '31c00f1f00');
});

const indirect = (slot: number) => branchHex('ff15', site, slot);
const directly = { direct: true, by: branchHex('e8', replacement, functions.BUG_func) };

test('an indirect call of an operation becomes a call of it, and of nop_func nothing', () => {
  const slotOf =
    madeKernel({ code: {}, functions, data: { [operations]: '00' } }).symbols.addressOf(operations) ?? 0;
  const before = indirect(slotOf - textStart);
  for (const version of [each, last]) {
    const written = (to: number | undefined) =>
      run(before, [directly], { version, variables: { [operations]: pointer(to) } }).written;
    assert.equal(written(functions.operation), `${branchHex('e8', site, functions.operation)}90`);
    assert.equal(written(functions.nop_func), '660f1f440000');
    assert.equal(written(undefined), `${branchHex('e8', site, functions.BUG_func)}90`);
  }
});

test('an operation that leads into a function, or out of the image, is no input', () => {
  const slotOf =
    madeKernel({ code: {}, functions, data: { [operations]: '00' } }).symbols.addressOf(operations) ?? 0;
  const before = indirect(slotOf - textStart);
  for (const to of [functions.operation + 1, 0x70_0000]) {
    const { written, notes } = run(before, [directly], { variables: { [operations]: pointer(to) } });
    assert.equal(written, before);
    assert.deepEqual(
      notes.map(({ severity, input }) => [severity, input]),
      [['wrong', operations]],
    );
  }
});

test('code is taken as the passes before have made it', () => {
  const image = madeKernel({ code: { [site]: nops, [replacement]: 'e900000000' }, functions });
  const subject = madeSubject(image, { features });
  subject.texts
    .holding(textStart + replacement)
    ?.write(textStart + replacement, bytesOf('c3cccccccc'), 'return');
  const entry = {
    ...{ entry: 0, address: textStart + site, length: 5, replacement: textStart + replacement },
    ...{ replacementLength: 5, feature: has, isInverted: false, isDirectCall: false },
  };
  alternatives.run({ ...subject, state: { ...subject.state, alternatives: new Alternatives([entry]) } });
  assert.equal(expectedAt(subject, site, 5), 'c3cccccccc');
});
