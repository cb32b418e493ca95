// The checks of indirect calls: kCFI's, FineIBT's as two versions have it, and none.
import assert from 'node:assert/strict';
import test from 'node:test';
import { cfi } from '../../../src/text/x86-64/cfi.ts';
import { rehash } from '../../../src/text/x86-64/cfi-code.ts';
import { endbrSeal } from '../../../src/text/x86-64/endbr.ts';
import { retpolines } from '../../../src/text/x86-64/retpolines.ts';
import {
  branchHex,
  bytesOf,
  expectedAt,
  hexOf,
  type MadeMachine,
  madeKernel,
  madeSubject,
  textStart,
} from './made.ts';

/** Templates of 6.12 and of 7.3 (arch/x86/kernel/alternative.c), where 78563412 is the place of the hash. */
const old = {
  fineibt_preamble: 'f30f1efa4181ea7856341274030f0b90',
  fineibt_caller: '41ba785634124983eb100f1f4000',
};
const late = {
  fineibt_preamble: 'f30f1efa2d785634122e0f85030000000f1f40d6',
  fineibt_caller: 'b8785634124d8d5bf00f1f440000',
  fineibt_paranoid: 'b878563412413b43f52e4d8d5bf075fd2e41ffd3',
};

const hash = '21436587';
const negative = 'dfbc9a78';
const word = (number: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(number | 0);
  return bytes.toString('hex');
};
const numberOf = (hex: string) => Buffer.from(hex, 'hex').readInt32LE();

/** A function with a hash 16 bytes in front of it, a call and a jump that are checked, and a call that is not. */
const place = { hash: 0x1f0, begin: 0x200, call: 0x300, jump: 0x340, bare: 0x380 };
const [thunks, r11] = [0x1000, 0x1000 + 11 * 32];
const check = `41ba${negative}450353f174020f0b`;
const code = {
  [place.hash]: `b8${hash}${'90'.repeat(11)}f30f1efa`,
  [place.call - 14]: check,
  [place.call]: branchHex('2ee8', place.call, r11),
  [place.jump - 14]: check,
  [place.jump]: branchHex('2ee9', place.jump, r11),
  [place.bare - 14]: '90'.repeat(14),
  [place.bare]: branchHex('2ee8', place.bare, r11),
};
const functions = {
  __cfi_checked: place.hash,
  checked: place.begin,
  __x86_indirect_thunk_rax: thunks,
  __x86_indirect_thunk_rcx: thunks + 32,
  __x86_indirect_its_thunk_array: 0x2000,
};
const tables = {
  '.cfi_sites': [place.hash],
  '.retpoline_sites': [place.call, place.jump, place.bare],
  '.ibt_endbr_seal': [place.begin],
};

/** `rand`: cfi_rand as the compiler keeps what is true. */
function kernelOf(templates: Readonly<Record<string, string>>, rand = '01') {
  const variables = {
    cfi_mode: word(0),
    cfi_rand: rand,
    cfi_seed: word(0),
    cfi_bpf_hash: word(0x1234),
    cfi_paranoid: '00',
    cfi_bhi: '00',
    cfi_warn: '00',
  };
  const starts = Object.fromEntries(Object.entries(templates).map(([name, hex]) => [`${name}_start`, hex]));
  const image = madeKernel({ code, functions, data: { ...starts, ...variables }, tables });
  const { symbols } = image;
  const addressOf = symbols.addressOf.bind(symbols);
  symbols.addressOf = (name) => {
    const [, template = ''] = /^(.*)_end$/.exec(name) ?? [];
    const start = addressOf(`${template}_start`);
    const hex = templates[template];
    if (start !== undefined && hex !== undefined) return start + hex.length / 2;
    const paranoid = addressOf('fineibt_paranoid_start');
    return name === 'fineibt_paranoid_ind' && paranoid !== undefined ? paranoid + 16 : addressOf(name);
  };
  return image;
}

interface Chosen {
  readonly mode: number;
  readonly seed?: number;
  readonly paranoid?: boolean;
}
function subjectOf(
  templates: Readonly<Record<string, string>>,
  { mode, seed, paranoid = false }: Chosen,
  machine: MadeMachine = {},
) {
  const poison = bytesOf(templates === late ? '0f1f40d6' : '660f1f00');
  const bpf = seed === undefined ? 0x1234 : rehash(0x1234, seed, poison);
  const variables = {
    cfi_mode: word(mode),
    cfi_rand: seed === undefined ? '00' : '01',
    cfi_seed: word(seed ?? 0),
    cfi_bpf_hash: word(bpf),
    cfi_paranoid: paranoid ? '01' : '00',
  };
  const version = templates === late ? ([7, 3] as const) : ([6, 12] as const);
  return madeSubject(kernelOf(templates), { version, variables, ...machine });
}

const run = (subject: ReturnType<typeof subjectOf>) => {
  const result = cfi.run(subject);
  assert.deepEqual([result?.sites, result?.notes], [1, []]);
  return subject;
};
const [off, kcfi, fineibt] = [1, 2, 3];
const calls = [place.call, place.jump];

test('cfi=off: checks are jumped over, and what they compare stays', () => {
  for (const templates of [old, late]) {
    const subject = run(subjectOf(templates, { mode: off }));
    for (const call of calls) assert.equal(expectedAt(subject, call - 14, 14), `eb0c${check.slice(4)}`);
    assert.equal(expectedAt(subject, place.hash, 20), code[place.hash]);
    assert.equal(expectedAt(subject, place.bare - 14, 14), code[place.bare - 14]);
  }
});

test('kCFI mixes hashes with the seed on both sides; without it all stays', () => {
  const seed = 0x5a5a_1234;
  const mixed = numberOf(hash) ^ seed;
  const subject = run(subjectOf(old, { mode: kcfi, seed }));
  assert.equal(expectedAt(subject, place.hash, 5), `b8${word(mixed)}`);
  for (const call of calls)
    assert.equal(expectedAt(subject, call - 14, 14), `41ba${word(-mixed)}${check.slice(12)}`);
  const plain = run(subjectOf(old, { mode: kcfi }));
  for (const call of calls) assert.equal(expectedAt(plain, call - 14, 14), check);
  assert.equal(expectedAt(plain, place.hash, 20), code[place.hash]);
});

test('a compiler that keeps the opposite of cfi_rand is told by the file', () => {
  const seed = 0x0102_0304;
  const bpf = rehash(0x1234, seed, bytesOf('660f1f00'));
  const mixed = { cfi_rand: '00', cfi_seed: word(seed), cfi_bpf_hash: word(bpf) };
  for (const [variables, expected] of [
    [mixed, numberOf(hash) ^ seed],
    [{ cfi_rand: '01' }, numberOf(hash)],
  ] as const) {
    const of = { variables: { cfi_mode: word(kcfi), ...variables } };
    const subject = run(madeSubject(kernelOf(old, '00'), of));
    assert.equal(expectedAt(subject, place.hash, 5), `b8${word(expected)}`);
  }
});

test('a kernel that writes another trap into kCFI’s checks is told by its memory', () => {
  const memory = calls.map((call) => [textStart + call - 4, '7501a8d6'] as const);
  const subject = run(subjectOf(late, { mode: kcfi }, { memory }));
  for (const call of calls) assert.equal(expectedAt(subject, call - 14, 14), `${check.slice(0, 20)}7501a8d6`);
});

test('FineIBT of 6.12: the check moves into the function, and the caller steps back to it', () => {
  const subject = run(subjectOf(old, { mode: fineibt }));
  assert.equal(expectedAt(subject, place.hash, 20), 'f30f1efa4181ea2143658774030f0b90660f1f00');
  for (const call of calls) assert.equal(expectedAt(subject, call - 14, 14), '41ba214365874983eb100f1f4000');
  assert.equal(expectedAt(subject, place.call, 6), code[place.call]);
});

test('FineIBT of 7.3, with a seed; the calls are left to the pass over retpolines', () => {
  const seed = 0x0102_0304;
  const mixed = word(numberOf(hash) ^ seed);
  const features = { RETPOLINE: false, RETPOLINE_LFENCE: false };
  const subject = run(subjectOf(late, { mode: fineibt, seed }, { features }));
  assert.equal(expectedAt(subject, place.hash, 20), `f30f1efa2d${mixed}2e0f85030000000f1f40d6`);
  for (const call of calls) assert.equal(expectedAt(subject, call - 14, 14), `b8${mixed}4d8d5bf00f1f440000`);
  assert.deepEqual(retpolines.run(subject)?.notes, []);
  assert.equal(expectedAt(subject, place.call, 6), '2e2e2e41ffd3');
});

test('paranoid FineIBT checks in the caller, too, and takes the calls over', () => {
  const features = { RETPOLINE: false, RETPOLINE_LFENCE: false, INDIRECT_THUNK_ITS: false };
  const subject = run(subjectOf(late, { mode: fineibt, paranoid: true }, { features }));
  const head = 'b821436587413b43f52e4d8d5bf075fd';
  assert.equal(expectedAt(subject, place.call - 14, 20), `${head}2e41ffd3`);
  assert.equal(expectedAt(subject, place.jump - 14, 20), `${head}41ffe3cc`);
  const result = retpolines.run(subject);
  assert.deepEqual(result?.notes, []);
  assert.equal(expectedAt(subject, place.call - 14, 20), `${head}2e41ffd3`);
  assert.equal(expectedAt(subject, place.bare, 6), '2e2e2e41ffd3');
});

test('paranoid FineIBT with ITS ends its check in the thunk, which both passes make in one page', () => {
  const features = { RETPOLINE: false, RETPOLINE_LFENCE: false, INDIRECT_THUNK_ITS: true };
  const page = -0x3f00_0000;
  const thunk = 'd675fd41ffe3cc';
  const bytes = new Uint8Array(4096).fill(0xcc);
  for (const [i, at] of [32, 39, 46].entries()) if (i < 3) bytes.set(bytesOf(thunk), at);
  const from = (call: number) => textStart + call;
  const entries = new Map([
    [place.call, 33],
    [place.jump, 40],
    [place.bare, 47],
  ]);
  const head = (call: number) => (call === place.jump ? '2ee9' : '2ee8');
  const branch = (call: number) => branchHex(head(call), from(call), page + (entries.get(call) ?? 0));
  const memory = [
    [page, hexOf(bytes)] as const,
    ...[...entries.keys()].map((call) => [from(call), branch(call)] as const),
  ];
  const subject = run(subjectOf(late, { mode: fineibt, paranoid: true }, { features, memory }));
  const result = retpolines.run(subject);
  assert.deepEqual(result?.notes, []);
  for (const call of entries.keys()) assert.equal(expectedAt(subject, call, 6), branch(call), `${call}`);
  for (const call of calls) assert.equal(expectedAt(subject, call - 14, 14), 'b821436587413b43f52e4d8d5bf0');
  assert.deepEqual(
    result?.pages?.map(({ address, bytes: made }) => [address, hexOf(made)]),
    [[page, hexOf(bytes)]],
  );
});

test('sealing a function takes its hash away as well', () => {
  const rows = [
    [old, kcfi, `b800000000${'90'.repeat(11)}660f1f00`],
    [late, kcfi, `b800000000${'90'.repeat(11)}0f1f40d6`],
    [old, fineibt, '660f1f004181ea0000000074030f0b90660f1f00'],
    [late, fineibt, '0f1f40d62d000000002e0f85030000000f1f40d6'],
    [late, off, `b8${hash}${'90'.repeat(11)}0f1f40d6`],
  ] as const;
  for (const [templates, mode, expected] of rows) {
    const subject = run(subjectOf(templates, { mode }));
    assert.deepEqual(endbrSeal.run(subject)?.notes, []);
    assert.equal(expectedAt(subject, place.hash, 20), expected);
  }
});

test('a hash never becomes what reads like endbr', () => {
  const poison = bytesOf('660f1f00');
  const endbr = numberOf('f30f1efa');
  assert.notEqual(rehash(endbr, 0, poison), endbr);
  assert.notEqual(rehash(-endbr | 0, 0, poison), -endbr | 0);
  assert.notEqual(rehash(numberOf('660f1f00'), 0, poison), numberOf('660f1f00'));
  assert.equal(rehash(0x1234_5678, 0x0f0f_0f0f, poison), 0x1234_5678 ^ 0x0f0f_0f0f);
});

test('what a kernel cannot have decided is told, once', () => {
  const kernel = kernelOf(old);
  const notes = (variables: Readonly<Record<string, string>>, loader?: typeof kernel) =>
    cfi
      .run({ ...madeSubject(kernel, { variables: { cfi_mode: word(kcfi), ...variables } }), kernel: loader })
      ?.notes.map(({ severity, input }) => [severity, input]);
  assert.deepEqual(notes({}), []);
  const rows = [
    // Another seed than that which made the hash of BPF programs; and none, though something has changed it.
    [{ cfi_seed: word(7) }, 'cfi_seed'],
    [{ cfi_rand: '00', cfi_bpf_hash: word(7) }, 'cfi_seed'],
    [{ cfi_mode: word(9) }, 'cfi_mode'],
    // cfi=off turns the seed off as well.
    [{ cfi_mode: word(off) }, 'cfi_mode'],
    [{ cfi_warn: '02' }, 'cfi_warn'],
  ] as const;
  for (const [variables, input] of rows) {
    assert.deepEqual(notes(variables), [['wrong', input]]);
    assert.deepEqual(notes(variables, kernel), []);
  }
});

test('a kernel without FineIBT leaves the checks as they are', () => {
  const subject = madeSubject(kernelOf({}), { variables: { cfi_mode: word(kcfi) } });
  assert.deepEqual(cfi.run(subject), { sites: 1, notes: [] });
  const [text] = subject.texts.all;
  assert.deepEqual(text?.bytes, text?.file);
});
