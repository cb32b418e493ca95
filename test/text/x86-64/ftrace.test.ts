// Functions that a made kernel traces: what its records demand of each site, and what no kernel's records can say.
import assert from 'node:assert/strict';
import test from 'node:test';
import { hexBytes } from '../../../src/bytes/integer.ts';
import { readFtrace } from '../../../src/memory/kernel/ftrace.ts';
import { mcountSites } from '../../../src/text/mcount.ts';
import { ftraceHooks, ftraceNop, ftraceNops, type HookTargets } from '../../../src/text/x86-64/ftrace.ts';
import { wrongTrampoline } from '../../../src/text/x86-64/ftrace-trampoline.ts';
import { jumpTo } from '../../../src/text/x86-64/jump.ts';
import { functionCount, generated, MadeKernel, slide } from '../made-kernel.ts';
import { madeKernel } from './made.ts';

const nop = '0f1f440000';
const enabled = 1 << 31;
const regs = 1 << 29;
const trampoline = 1 << 27;
const direct = 1 << 23;

const targetsOf = (made: MadeKernel): HookTargets => ({
  isFunction: (address) => address === made.at('tracer') || address === made.at('ftrace_stub'),
  isTrampoline: (address) => address === generated,
  isDirect: (address) => address === generated + 0x100,
});

/** Runs both passes; returns what they said. */
function trace(made: MadeKernel): string[] {
  const subject = { image: made.image, slide, texts: made.texts, state: undefined };
  const notes = ftraceNops(ftraceNop(made.image, { word: () => undefined })).run(subject)?.notes ?? [];
  const tables = readFtrace(made.kernel);
  const hooks = ftraceHooks(made.kernel, tables, targetsOf(made)).run(subject)?.notes ?? [];
  return [...notes, ...hooks].map(({ severity, message }) => `${severity}: ${message}`);
}

const codeOf = (made: MadeKernel, i: number) => hexBytes(made.text.at(made.site(i) - slide, 5));
const toHex = (bytes: Uint8Array | undefined) => hexBytes(bytes as Uint8Array);
/** Records of all sites, the first of which have flags. */
const all = (made: MadeKernel, ...flags: readonly number[]) =>
  Array.from({ length: functionCount }, (_, i) => [made.site(i), flags[i] ?? 0] as const);

test('start-up makes a NOP of every call that __mcount_loc lists, by the list of NOPs of its processor', () => {
  const made = new MadeKernel();
  assert.equal(mcountSites(made.image)?.length, functionCount);
  made.records([all(made)]);
  assert.deepEqual(trace(made), []);
  for (let i = 0; i < functionCount; i++) assert.equal(codeOf(made, i), nop);
});

test('padding in front of functions, which x86 modules list, is no place of tracing', () => {
  const image = madeKernel({ code: { 16: '90' }, tables: { __patchable_function_entries: [16, 16] } });
  assert.equal(mcountSites(image), undefined);
});

test('a call of something else than __fentry__ is no site', () => {
  const made = new MadeKernel();
  made.records([all(made)]);
  made.text.bytes[made.site(2) - slide - made.text.start + 1]! ^= 1;
  const [note, ...more] = trace(made);
  assert.match(note ?? '', /^wrong: __mcount_loc lists what is no call of __fentry__: e8/);
  assert.deepEqual(more, []);
});

test('a traced site calls what its flags say: the common trampolines, one of its own, or code of its own', () => {
  const made = new MadeKernel();
  const flags = [enabled, enabled | regs, enabled | trampoline, enabled | direct, enabled | direct | regs];
  const records = all(made, ...flags);
  made.records([records.slice(0, 3), records.slice(3)]);
  made.ops(0, made.at('tracer'), generated, 64, [made.site(2)]);
  const target = generated + 0x100;
  made.word(
    made.at('direct_functions'),
    made.hash([
      [made.site(3), target],
      [made.site(4), target + 1],
    ]),
  );
  assert.deepEqual(trace(made), []);
  const expected = [
    jumpTo(0xe8, made.site(0), made.at('ftrace_caller')),
    jumpTo(0xe8, made.site(1), made.at('ftrace_regs_caller')),
    jumpTo(0xe8, made.site(2), generated),
    jumpTo(0xe8, made.site(3), target),
    jumpTo(0xe9, made.site(4), target),
  ];
  for (const [i, bytes] of expected.entries()) assert.equal(codeOf(made, i), toHex(bytes));
  assert.equal(codeOf(made, 5), nop);
});

test('the common trampolines call what ftrace_trace_function says, or the stub in either form', () => {
  const made = new MadeKernel();
  made.records([all(made)]);
  made.word(made.at('ftrace_trace_function'), made.at('tracer'));
  assert.deepEqual(trace(made), []);
  for (const name of ['ftrace_call', 'ftrace_regs_call']) {
    const expected = jumpTo(0xe8, made.at(name), made.at('tracer'));
    assert.equal(hexBytes(made.text.at(made.at(name) - slide, 5)), toHex(expected));
  }
});

/** What each says, or what one of its messages is. */
const wrongs: readonly (readonly [name: string, change: (made: MadeKernel) => void, message: RegExp])[] = [
  [
    'a site without a record',
    (made) => made.records([all(made).slice(1)]),
    /traced_0 has no record in ftrace_pages_start/,
  ],
  [
    'a record of what is no site',
    (made) => made.records([[...all(made), [made.at('tracer'), enabled]]]),
    /tracer has a record in ftrace_pages_start, and __mcount_loc does not list it/,
  ],
  [
    'two records of one site',
    (made) => made.records([all(made), [[made.site(1), enabled]]]),
    /traced_1 has two records/,
  ],
  [
    'a trampoline of no ops',
    (made) => made.records([all(made, enabled | trampoline)]),
    /traced_0 is said to call a trampoline, and no ftrace_ops of it traces the function/,
  ],
  [
    'a trampoline that the kernel did not make',
    (made) => {
      made.records([all(made, enabled | trampoline)]);
      made.ops(0, made.at('tracer'), generated + 0x800, 64, [made.site(0)]);
    },
    /traced_0 is to call a trampoline that the kernel did not make/,
  ],
  [
    'a direct call that direct_functions does not have',
    (made) => made.records([all(made, enabled | direct)]),
    /traced_0 is said to call directly/,
  ],
  [
    'a direct call of what is no code',
    (made) => {
      made.records([all(made, enabled | direct)]);
      made.word(made.at('direct_functions'), made.hash([[made.site(0), generated + 0x900]]));
    },
    /traced_0 is to call code that is no function/,
  ],
  [
    'a callback that is no function',
    (made) => {
      made.records([all(made)]);
      made.word(made.at('ftrace_trace_function'), generated);
    },
    /ftrace_trace_function leads to no function/,
  ],
  [
    'groups of records in a circle',
    (made) => {
      const [group = 0] = made.records([all(made)]);
      made.word(group, group);
    },
    /the list of ftrace_pages_start leads in circles/,
  ],
  [
    'a group with more records than there are',
    (made) => {
      const [group = 0] = made.records([all(made)]);
      made.word(group + 16, 0x7fff_ffff);
    },
    /larger than any is/,
  ],
  [
    'ops in a circle',
    (made) => {
      made.records([all(made)]);
      const ops = made.ops(0, made.at('tracer'), 0, 0, []);
      made.word(ops + 8, ops);
    },
    /the list of ftrace_ops_list leads in circles/,
  ],
  [
    'a filter with more places than fit',
    (made) => {
      made.records([all(made, enabled | trampoline)]);
      const ops = made.ops(0, made.at('tracer'), generated, 64, [made.site(0)]);
      const pointer = (at: number) => Number(new DataView(made.bytes(at, 8).buffer).getBigInt64(0, true));
      const hash = pointer(pointer(ops + 24) + 8);
      made.word(hash, 60);
      made.word(hash + 16, 0x7fff_ffff);
    },
    /a filter of ftrace is larger than any is/,
  ],
];

for (const [name, change, message] of wrongs) {
  test(`${name} is told`, () => {
    const made = new MadeKernel();
    change(made);
    const notes = trace(made);
    assert.ok(
      notes.some((note) => note.startsWith('wrong: ') && message.test(note)),
      notes.join('\n'),
    );
  });
}

/** A trampoline of ftrace_caller or ftrace_regs_caller as the kernel makes it: code, return, ops. */
function madeTrampoline(made: MadeKernel, savesRegs: boolean): { ops: number; size: number } {
  const name = savesRegs ? 'ftrace_regs_caller' : 'ftrace_caller';
  const [start, end] = [made.at(name), made.at(`${name}_end`)];
  const size = end - start;
  const total = size + 5 + 8;
  const ops = made.ops(1 | (savesRegs ? 4 : 0) | (1 << 11), made.at('tracer'), generated, total, [
    made.site(0),
  ]);
  made.put(generated, new Uint8Array(total).fill(0));
  made.put(generated, made.bytes(start, size));
  const load = made.at(`${name}_op_ptr`) - start;
  made.put(generated + load + 3, [size + 5 - (load + 7), 0, 0, 0]);
  const call = made.at(savesRegs ? 'ftrace_regs_call' : 'ftrace_call') - start;
  made.put(generated + call, jumpTo(0xe8, generated + call, made.at('tracer')) as Uint8Array);
  if (savesRegs) made.put(generated + made.at('ftrace_regs_caller_jmp') - start, [0x66, 0x90]);
  made.put(generated + size, [0xc3, 0xcc]);
  made.word(generated + size + 5, ops);
  return { ops, size };
}

for (const savesRegs of [false, true]) {
  const name = savesRegs ? 'ftrace_regs_caller' : 'ftrace_caller';
  /** As somebody says who has read nothing yet. */
  const judge = (made: MadeKernel, returnAt?: (address: number) => Uint8Array | undefined) => {
    const kernel = made.freshKernel();
    const one = readFtrace(kernel)?.withTrampoline[0];
    assert.ok(one, 'the ops has a trampoline');
    return wrongTrampoline(kernel, one, (address) => address === made.at('tracer'), returnAt);
  };
  const ready = () => {
    const made = new MadeKernel();
    made.records([all(made)]);
    return { made, ...madeTrampoline(made, savesRegs) };
  };
  test(`a trampoline is a copy of ${name} that calls the function of its ops, and returns in one of two ways`, () => {
    const { made, size } = ready();
    assert.equal(judge(made), undefined);
    const thunk = made.at('__x86_return_thunk');
    made.word(made.at('x86_return_thunk'), thunk);
    const jump = jumpTo(0xe9, generated + size, thunk) as Uint8Array;
    assert.match(judge(made, () => jump) ?? '', /does not return as the kernel does/);
    made.put(generated + size, jump);
    assert.equal(judge(made), undefined);
    assert.equal(
      judge(made, () => jump),
      undefined,
    );
  });
  test(`every changed byte of a trampoline of ${name} is told`, () => {
    const { made, size } = ready();
    for (let at = 0; at < size + 2; at++) {
      const [byte = 0] = made.bytes(generated + at, 1);
      made.put(generated + at, [byte ^ 0x40]);
      assert.notEqual(judge(made), undefined, `byte ${at}`);
      made.put(generated + at, [byte]);
    }
  });
}
