// Returns, as the kernel makes them for its processor.
import assert from 'node:assert/strict';
import test from 'node:test';
import { returns } from '../../../src/text/x86-64/returns.ts';
import { branchHex, expectedAt, type MadeMachine, madeKernel, madeSubject, textStart } from './made.ts';

const compiled = 0x2000;
const functions = {
  __x86_return_thunk: compiled,
  its_return_thunk: 0x2060,
  srso_return_thunk: 0x2100,
  srso_alias_return_thunk: 0x2200,
  call_depth_return_thunk: 0x2300,
  elsewhere: 0x2400,
};
const low = 0x100;
const high = 0x120;
/** Static call trampolines: of NULL as the compiler made it, of NULL as the first pass over calls left it, of a function. */
const [nullTrampoline, plainTrampoline, usedTrampoline] = [0x140, 0x148, 0x150];
const plain = 'c3cccccccc';
const jump = (from: number, to: number) => branchHex('e9', from, to);
const code = {
  [low]: jump(low, compiled),
  [high]: jump(high, compiled),
  [nullTrampoline]: `${jump(nullTrampoline, compiled)}0fb9cc`,
  [plainTrampoline]: `${plain}0fb9cc`,
  [usedTrampoline]: `${jump(usedTrampoline, functions.elsewhere)}0fb9cc`,
};
const sites = [low, high, nullTrampoline, plainTrampoline, usedTrampoline];
const kernel = madeKernel({ code, functions, tables: { '.return_sites': sites } });

function written(machine: MadeMachine): readonly string[] {
  const subject = madeSubject(kernel, machine);
  const result = returns.run(subject);
  assert.deepEqual(result?.notes, []);
  return sites.map((site) => expectedAt(subject, site, 5));
}

test('without RETHUNK a return is ret and int3, and the trampoline of a function keeps its jump', () => {
  const found = written({ features: { RETHUNK: false }, returnThunk: textStart + compiled });
  assert.deepEqual(found, [plain, plain, plain, plain, jump(usedTrampoline, functions.elsewhere)]);
});

test('with RETHUNK a return jumps to what x86_return_thunk leads to; trampolines of NULL follow', () => {
  for (const name of ['__x86_return_thunk', 'srso_return_thunk', 'call_depth_return_thunk'] as const) {
    const to = functions[name];
    const found = written({ features: { RETHUNK: true }, returnThunk: textStart + to });
    const [a, b, c, d] = sites.map((site) => jump(site, to));
    assert.deepEqual(found, [a, b, c, d, jump(usedTrampoline, functions.elsewhere)], name);
  }
});

test('kernels without x86_return_thunk keep the compiler’s thunk', () => {
  assert.equal(written({ features: { RETHUNK: true } })[0], jump(low, compiled));
});

test('ITS: only returns in the lower half of a cache line go through the thunk', () => {
  const to = functions.its_return_thunk;
  const machine = { features: { RETHUNK: true }, returnThunk: textStart + to };
  const expected = [jump(low, to), plain, jump(nullTrampoline, to), jump(plainTrampoline, to)];
  assert.deepEqual(written(machine).slice(0, 4), expected);
  // Half of a line is no multiple of a slide, but the place where it runs is asked.
  assert.deepEqual(written({ ...machine, slide: 0x20 }).slice(0, 2), [plain, jump(high, to)]);
});

test('a return thunk that is none, or not that of the features, is told', () => {
  const notes = (machine: MadeMachine) => returns.run(madeSubject(kernel, machine))?.notes ?? [];
  const rows: readonly (readonly [string, number, boolean])[] = [
    ['SRSO', functions.srso_return_thunk, true],
    ['SRSO', functions.__x86_return_thunk, false],
    ['SRSO_ALIAS', functions.srso_alias_return_thunk, true],
    ['SRSO_ALIAS', functions.srso_return_thunk, false],
    ['CALL_DEPTH', functions.call_depth_return_thunk, true],
    ['CALL_DEPTH', functions.its_return_thunk, false],
    ['SRSO', functions.elsewhere, false],
    ['SRSO', functions.srso_return_thunk + 1, false],
  ];
  for (const [feature, thunk, isSound] of rows) {
    const found = notes({ features: { RETHUNK: true, [feature]: true }, returnThunk: textStart + thunk });
    const expected = isSound ? [] : [['wrong', 'x86_return_thunk']];
    assert.deepEqual(
      found.map(({ severity, input }) => [severity, input]),
      expected,
      `${feature} ${thunk.toString(16)}`,
    );
  }
});

test('where the number of RETHUNK is not known, this is told', () => {
  const found = returns.run(madeSubject(kernel, { returnThunk: textStart + compiled }))?.notes ?? [];
  assert.deepEqual(
    found.map(({ severity, input }) => [severity, input]),
    [['left', 'boot_cpu_data']],
  );
});

test('a site that is no jump to the thunk is told and stays; prefixes of the jump are filled', () => {
  const places = [0x200, 0x210, 0x220];
  const image = madeKernel({
    code: { 512: jump(0x200, functions.elsewhere), 528: plain, 544: branchHex('2ee9', 0x220, compiled) },
    functions,
    tables: { '.return_sites': places },
  });
  const subject = madeSubject(image, { features: { RETHUNK: false } });
  const result = returns.run(subject);
  assert.deepEqual(
    result?.notes.map(({ address = 0, severity }) => [address - textStart, severity]),
    [
      [0x200, 'wrong'],
      [0x210, 'wrong'],
    ],
  );
  assert.equal(expectedAt(subject, 0x200, 5), jump(0x200, functions.elsewhere));
  assert.equal(expectedAt(subject, 0x220, 6), `${plain}cc`);
});
