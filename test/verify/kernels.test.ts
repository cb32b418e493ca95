// What kernels do differently, each on a kernel made byte by byte: right where it is right, found where it is not.
import assert from 'node:assert/strict';
import test from 'node:test';
import { fitPart } from '../../src/boot/cpus.ts';
import { replayBoot } from '../../src/boot/passes.ts';
import { Runtime } from '../../src/boot/runtime.ts';
import { hexBytes } from '../../src/bytes/integer.ts';
import { programOf } from '../../src/kinds/registry.ts';
import {
  branch,
  dataAt,
  hex,
  initAt,
  kernelImage,
  type MadeKernel,
  rodataAt,
  textAt,
  verifyRunning,
  word,
} from '../kinds/made-kernel.ts';

type Places = NonNullable<MadeKernel['bytes']>;

const key = dataAt + 0x100;
const table = dataAt + 0x400;

/** A table of sites with one key, and its bounds. */
function callSites(...sites: readonly (readonly [address: number, flags: 0 | 1])[]) {
  const places: Places = sites.flatMap(([address, flags], i) => {
    const at = table + i * 8;
    return [
      [at, word(address - at, 4)],
      [at + 4, word(key + flags - at - 4, 4)],
    ] as const;
  });
  return {
    places,
    symbols: {
      __start_static_call_sites: table,
      __stop_static_call_sites: table + sites.length * 8,
      __SCK__call: key,
    },
  };
}

/** A table of static branches with one key, and its bounds. */
function branchSites(wordSize: 4 | 8, ...sites: readonly (readonly [address: number, target: number])[]) {
  const size = 8 + wordSize;
  const places: Places = sites.flatMap(([address, target], i) => {
    const at = table + i * size;
    return [
      [at, word(address - at, 4)],
      [at + 4, word(target - at - 4, 4)],
      [at + 8, word(key - at - 8, wordSize)],
    ] as const;
  });
  return {
    places,
    symbols: { __start___jump_table: table, __stop___jump_table: table + sites.length * size },
  };
}

const rules = ({ findings }: { findings: readonly { rule: string; address: number | undefined }[] }) =>
  findings.map(({ rule, address }) => `${rule} ${(address ?? Number.NaN) - textAt}`);

test('keys in a .data that is flagged as executable (6.18) are keys, since its segment is not executable', () => {
  const { places, symbols } = branchSites(8, [textAt + 0x20, textAt + 0x40]);
  const made: MadeKernel = {
    version: '6.18.0',
    dataFlags: 7,
    symbols: { ...symbols, f: textAt },
    bytes: [...places, [textAt + 0x20, '0f 1f 44 00 00']],
  };
  assert.equal(kernelImage(made).codeAt(key), undefined);
  assert.deepEqual(rules(verifyRunning(made)), []);
  assert.deepEqual(rules(verifyRunning(made, [[key, word(1, 4)]])), [`TP007 ${0x20}`]);
});

test('keys that are sealed after start-up may lie in any read-only data where no symbol says which it is', () => {
  const { places, symbols } = branchSites(8, [textAt + 0x20, textAt + 0x40]);
  const sealed = rodataAt + 0x400;
  const made: MadeKernel = {
    version: '6.12.0',
    symbols: { ...symbols, f: textAt },
    bytes: [...places, [table + 8, word(sealed - table - 8, 8)], [textAt + 0x20, '0f 1f 44 00 00']],
  };
  assert.deepEqual(rules(verifyRunning(made)), []);
  const withBounds = (bounds: Readonly<Record<string, number>>) =>
    rules(verifyRunning({ ...made, symbols: { ...made.symbols, ...bounds } }));
  const [below, above] = [rodataAt + 0x200, rodataAt + 0x800];
  const wrong = [`TP006 ${sealed - textAt}`];
  assert.deepEqual(
    withBounds({ __start_ro_after_init: above, __end_ro_after_init: rodataAt + 0x900 }),
    wrong,
  );
  assert.deepEqual(withBounds({ __start_ro_after_init: below }), []);
  assert.deepEqual(withBounds({ __start_ro_after_init: above }), wrong);
  assert.deepEqual(withBounds({ __end_ro_after_init: above }), []);
  assert.deepEqual(withBounds({ __end_ro_after_init: below }), wrong);
});

const lockedWord = '66 f0 41 0f b1 6d 00'; // lock cmpxchg %bp, 0(%r13), as assemblers order its prefixes
const lockTable = (...locks: readonly number[]) => ({
  places: locks.map((lock, i) => [table + 4 * i, word(lock - table - 4 * i, 4)] as const),
  symbols: { __smp_locks: table, __smp_locks_end: table + 4 * locks.length },
});

test('a kernel leaves a lock in place whose entry names the prefix in front of it', () => {
  const [other, listed] = [textAt + 0x20, textAt + 0x40];
  const { places, symbols } = lockTable(other, listed);
  const made: MadeKernel = {
    version: '6.12.0',
    symbols: { ...symbols, f: textAt },
    bytes: [...places, [other, 'f0 ff 07'], [listed, lockedWord]],
  };
  const dropped: Places = [[other, '3e']];
  assert.deepEqual(rules(verifyRunning(made)), []);
  assert.deepEqual(rules(verifyRunning(made, dropped, 1)), []);
  assert.deepEqual(rules(verifyRunning(made, [[listed + 1, '3e']], 2)), [`TP011 ${0x40}`]);
  const runtime = new Runtime(programOf(kernelImage(made)));
  fitPart(runtime, runtime.program, 1, 'ds');
  assert.deepEqual(
    runtime.poker.records.map(({ address }) => address - textAt),
    [0x20],
  );
});

const thunk = textAt + 0x800;
/** Sites in the low and in the high half of a cache line, tail calls of NULL, with the returns that tell of the thunk. */
const [low, high] = [textAt + 0x100, textAt + 0x120];
const returnsAt = Array.from({ length: 16 }, (_, i) => textAt + 0x400 + i * 0x20);
const returnTable = initAt + 0x800;
const returning = (isThunk: (address: number) => boolean): Places => {
  const bytesAt = (address: number) =>
    isThunk(address) ? branch(0xe9, address, thunk) : hex('c3 cc cc cc cc');
  return [...returnsAt, low, high].map((address) => [address, bytesAt(address)] as const);
};
function nullTails(version: string): MadeKernel {
  const { places, symbols } = callSites([low, 1], [high, 1]);
  return {
    version,
    symbols: {
      ...symbols,
      f: textAt,
      thunk,
      __return_sites: returnTable,
      __return_sites_end: returnTable + returnsAt.length * 4,
    },
    bytes: [
      ...places,
      ...returning(() => true),
      ...returnsAt.map((at, i) => [returnTable + 4 * i, word(at - returnTable - 4 * i, 4)] as const),
    ],
  };
}

test('with ITS returns go through the thunk where bit 5 of their address is 0, and nowhere else', () => {
  const made = nullTails('6.12.0');
  const its = returning((address) => (address & 0x20) === 0);
  assert.deepEqual(rules(verifyRunning(made)), []);
  assert.deepEqual(rules(verifyRunning(made, its)), []);
  assert.deepEqual(
    rules(
      verifyRunning(
        made,
        returning(() => false),
      ),
    ),
    [],
  );
  const [bare, jump] = [hex('c3 cc cc cc cc'), branch(0xe9, high, thunk)];
  assert.deepEqual(rules(verifyRunning(made, [...its, [low, bare]])), [`TP007 ${low - textAt}`]);
  assert.deepEqual(rules(verifyRunning(made, [...its, [high, jump]])), [`TP007 ${high - textAt}`]);
  // A return that somebody has changed does not change what the others say.
  const [first] = returnsAt as [number];
  assert.deepEqual(rules(verifyRunning(made, [...its, [first, 'c3 cc cc cc cc']])), []);
});

/** A kernel that counts the depth of calls: `counted` has the counting code in front of it, `plain` has other code there. */
function countingKernel(version: string, more: Record<string, number> = {}): MadeKernel {
  const { places, symbols } = callSites([site, 0]);
  const template = rodataAt + 0x200;
  return {
    version,
    symbols: {
      ...symbols,
      ...more,
      f: textAt,
      counted,
      plain,
      skl_call_thunk_template: template,
      skl_call_thunk_tail: template + 9,
      thunks_initialized: dataAt + 0x80,
      __x86_call_depth: dataAt + 0x90,
    },
    bytes: [
      ...places,
      [template, '65 48 c1 3d'],
      [template + 4, word(dataAt + 0x90 - template - 9, 4)],
      [template + 8, '05'],
      [site, branch(0xe8, site, counted)],
      [key, word(counted, 8)],
    ],
  };
}
const site = textAt + 0x40;
const [counted, plain] = [textAt + 0x200, textAt + 0x240];
const counting: Places = [
  [counted - 9, '65 48 c1 3d'],
  [counted - 5, word(dataAt + 0x90 - counted, 4)],
  [counted - 1, '05'],
];
const on: Places = [...counting, [dataAt + 0x80, '01']];
const throughEntry: Places = [[site, branch(0xe8, site, counted - 9)]];

test('with call depth tracking calls go to the code in front of their function, if it counts them', () => {
  const made = countingKernel('6.12.0');
  assert.deepEqual(rules(verifyRunning(made)), []);
  assert.deepEqual(rules(verifyRunning(made, throughEntry)), [`TP007 ${0x40}`]);
  assert.deepEqual(rules(verifyRunning(made, [...on, ...throughEntry])), []);
  assert.deepEqual(rules(verifyRunning(made, on)), [`TP007 ${0x40}`]);
  assert.deepEqual(rules(verifyRunning(made, [...on, ...throughEntry, [counted - 5, '00']])), [
    `TP007 ${0x40}`,
  ]);
  const toPlain: Places = [
    [key, word(plain, 8)],
    [site, branch(0xe8, site, plain)],
  ];
  assert.deepEqual(rules(verifyRunning(made, [...on, ...toPlain])), []);
});

test('before 6.6 a call that was patched in front of call depth tracking stays as it is', () => {
  const made = countingKernel('6.3.0');
  assert.deepEqual(rules(verifyRunning(made, on)), []);
  assert.deepEqual(rules(verifyRunning(made, [...on, ...throughEntry])), []);
  const named = countingKernel('6.3.0', { static_call_force_reinit: textAt + 0x300 });
  assert.deepEqual(rules(verifyRunning(named, on)), [`TP007 ${0x40}`]);
});

for (const [name, text] of [
  ['__raw_callee_save___native_queued_spin_unlock', '3e 3e c6 07 00'],
  ['__WARN_trap', '67 48 0f b9 3a'],
  ['__static_call_return0', '2e 2e 2e 31 c0'],
] as const) {
  test(`a call of ${name} is one instruction, and a call where its depth is counted`, () => {
    const made = countingKernel('7.3.0', { [name]: counted });
    assert.deepEqual(rules(verifyRunning(made, [[site, text]])), []);
    assert.deepEqual(rules(verifyRunning(made)), [`TP007 ${0x40}`]);
    assert.deepEqual(rules(verifyRunning(made, [[site, text.replace(/..$/, '01')]])), [`TP007 ${0x40}`]);
    assert.deepEqual(rules(verifyRunning(made, [...on, ...throughEntry])), []);
  });
}

test('before 5.13 the NOP is what the kernel has chosen for its processor, at every site', () => {
  const [one, two] = [textAt + 0x20, textAt + 0x40];
  const { places, symbols } = branchSites(8, [one, textAt + 0x30], [two, textAt + 0x50]);
  const [p6, k8] = [rodataAt + 0x200, rodataAt + 0x280];
  const made: MadeKernel = {
    version: '5.10.0',
    symbols: { ...symbols, f: textAt, ideal_nops: dataAt + 0x80 },
    bytes: [
      ...places,
      [dataAt + 0x80, word(p6, 8)],
      [p6 + 9 * 8, word(rodataAt + 0x300, 8)],
      [k8 + 9 * 8, word(rodataAt + 0x308, 8)],
      [rodataAt + 0x300, '0f 1f 44 00 00'],
      [rodataAt + 0x308, '66 66 66 66 90'],
      [one, '0f 1f 44 00 00'],
      [two, '0f 1f 44 00 00'],
    ],
  };
  const chosen: Places = [[dataAt + 0x80, word(k8, 8)]];
  const both: Places = [
    [one, '66 66 66 66 90'],
    [two, '66 66 66 66 90'],
  ];
  assert.deepEqual(rules(verifyRunning(made)), []);
  assert.deepEqual(rules(verifyRunning(made, [...chosen, ...both])), []);
  assert.deepEqual(rules(verifyRunning(made, both)), [`TP007 ${0x20}`, `TP007 ${0x40}`]);
  assert.deepEqual(rules(verifyRunning(made, chosen)), [`TP007 ${0x20}`, `TP007 ${0x40}`]);
  // A pointer to anything else chooses nothing.
  assert.deepEqual(rules(verifyRunning(made, [...chosen, ...both, [rodataAt + 0x308, '31 c0']])), [
    `TP007 ${0x20}`,
    `TP007 ${0x40}`,
  ]);
});

test('before 5.17 what stands behind the jump of a trampoline is not its own', () => {
  const { places, symbols } = callSites([site, 0]);
  const trampoline = textAt + 0x100;
  const made = (version: string): MadeKernel => ({
    version,
    symbols: { ...symbols, f: textAt, counted, __SCT__call: trampoline },
    bytes: [
      ...places,
      [key, word(counted, 8)],
      [site, branch(0xe8, site, counted)],
      [trampoline, branch(0xe9, trampoline, counted)],
    ],
  });
  assert.deepEqual(rules(verifyRunning(made('5.10.0'))), []);
  assert.deepEqual(rules(verifyRunning(made('5.17.0'))), [`TP012 ${0x100}`]);
  const call: Places = [[trampoline, branch(0xe8, trampoline, counted)]];
  assert.deepEqual(rules(verifyRunning(made('5.10.0'), call)), [`TP012 ${0x100}`]);
});

test("32-bit ARM wrote its own NOP over the compiler's until 6.0", () => {
  const armSite = textAt + 0x20;
  const { places, symbols } = branchSites(4, [armSite, textAt + 0x30]);
  const made = (version: string, more: Record<string, number> = {}): MadeKernel => ({
    version,
    machine: 40,
    class: 32,
    fill: 0,
    symbols: { ...symbols, ...more, $a: textAt, f: textAt },
    bytes: [...places, [armSite, '00 f0 20 e3']],
  });
  const own: Places = [[armSite, '00 00 a0 e1']];
  const found = (kernel: MadeKernel, changes?: Places) => rules(verifyRunning(kernel, changes)).length;
  assert.equal(found(made('5.10.0')), 1);
  assert.equal(found(made('5.10.0'), own), 0);
  assert.equal(found(made('6.1.0')), 0);
  assert.equal(found(made('6.1.0'), own), 0);
  // The function that a stable kernel has or has not says more than its version.
  const [transform, fixed] = [
    { arch_jump_label_transform: textAt },
    { arch_jump_label_transform_static: textAt },
  ];
  assert.equal(found(made('5.10.0', transform)), 0);
  assert.equal(found(made('6.1.0', { ...transform, ...fixed })), 1);
  const image = kernelImage(made('5.10.0'));
  replayBoot(image);
  assert.equal(hexBytes(image.read(armSite >>> 0, 4)), '0000a0e1');
});
