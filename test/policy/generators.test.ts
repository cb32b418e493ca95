// What a policy has of each table: over a kernel of a few bytes, with one place of each form, as four versions write them.
// What stands here follows from the sources of Linux that each row names, and not from what the policy says.
import assert from 'node:assert/strict';
import test from 'node:test';
import { readElf } from '../../src/elf/read.ts';
import { Image } from '../../src/image/image.ts';
import { makePolicy } from '../../src/policy/make.ts';
import type { Policy } from '../../src/policy/policy.ts';
import { functions, kernelBytes, relocations, sites, textAt, type Version, versions } from './kernel.ts';
import { stateText } from './shown.ts';

const old: readonly Version[] = ['5.10.0', '6.1.0'];
const made = new Map<Version, Policy>();

function policyOf(version: Version): Policy {
  const known =
    made.get(version) ?? makePolicy(new Image(readElf('vmlinux', kernelBytes(version))), relocations);
  made.set(version, known);
  return known;
}

/** `kind, when, times: state | state` for each place at an offset of .text. */
function placesAt(policy: Policy, offset: number): string[] {
  const places: string[] = [];
  for (const [i, address] of policy.addresses.entries()) {
    const form = policy.forms[policy.formOf[i] as number];
    if (address !== textAt + offset || !form) continue;
    const states = form.states.map((state) => stateText(policy, state)).sort();
    places.push(`${form.kind}, ${form.when}, ${form.times}: ${states.join(' | ')}`);
  }
  return places.sort();
}

function targetsOf(policy: Policy, name: string): string {
  const set = policy.targets.find((targets) => targets.name === name);
  const names = [...(set?.addresses ?? [])].map(
    (address) => Object.entries(functions).find(([, offset]) => textAt + offset === address)?.[0],
  );
  return `${names.join(' ')}${set?.outside ? ' and outside' : ''}`;
}

/** A branch with the distance that leads to an offset of .text. */
function branch(opcode: string, from: number, to: number): string {
  const field = Buffer.alloc(4);
  field.writeInt32LE(to - from - 5);
  return opcode + field.toString('hex');
}

/** What may stand at a place of each version. */
type Row = readonly [
  what: string,
  offset: number,
  places: (version: Version) => readonly string[],
  of?: readonly Version[],
];

const nops = (version: Version) => (version === '5.10.0' ? '0f1f440000 | 6666666690' : '0f1f440000');
const counted = 'call-thunk, start-up, 1: e8[9 less]';
const isBehind = (version: Version) => (version === '7.3.0' ? [] : [counted]);
const tail = 'c3cccccccc | e9[functions] | e9[return thunks]';

const rows: readonly Row[] = [
  [
    'a branch of two bytes (arch/x86/kernel/jump_label.c)',
    sites.shortBranch,
    () => ['static-branch, always, 0: 6690 | eb10'],
  ],
  [
    'a branch of five bytes',
    sites.longBranch,
    (version) => [`static-branch, always, 0: ${nops(version)} | e9fb030000`],
  ],
  [
    'a static call (static_call.c)',
    sites.call,
    (version) => [
      `static-call, always, 0: ${nops(version)} | ${version === '5.10.0' ? '' : '2e2e2e31c0 | '}e8[functions]`,
    ],
  ],
  ['a static call at the end of a function', sites.tailCall, () => [`static-call, always, 0: ${tail}`]],
  [
    'the call that warns is written out since 7.0, and no other is',
    sites.warns,
    () => ['static-call, always, 0: 0f1f440000 | 2e2e2e31c0 | 67480fb93a | e8[functions]'],
    ['7.3.0'],
  ],
  ['a trampoline', sites.trampoline, () => [`trampoline, always, 0: ${tail}`]],
  [
    'a function that may be traced (ftrace.c)',
    sites.traced,
    (version) => [
      `ftrace, always, 0: ${nops(version)} | e8[tracers]${version === '6.12.0' ? '' : ' | e9[tracers]'}`,
    ],
  ],
  ['what calls the tracer', sites.ftraceCall, () => ['ftrace, always, 0: e8[functions]']],
  ['what calls the tracer with registers', sites.ftraceRegsCall, () => ['ftrace, always, 0: e8[functions]']],
  ['the end of tracing', sites.ftraceGraphCall, () => ['ftrace, always, 0: e9[ends of tracing]']],
  [
    'a return (alternative.c: patch_return)',
    sites.return,
    () => ['return, start-up, 1: c3cccccccc | e9[return thunks]'],
  ],
  [
    'a return of six bytes',
    sites.longReturn,
    () => ['return, start-up, 1: c3cccccccccc | e9[return thunks]cc'],
  ],
  [
    'a call through a register (patch_retpoline)',
    sites.callThroughRax,
    (version) => [
      `retpoline, start-up, 1: 0faee8ffd0 | 2e2e2effd0 | e8[thunk that counts a call of register 0] | ${
        version === '7.3.0' ? 'e8[thunks against ITS] | ' : ''
      }ffd00f1f00${version === '5.10.0' ? ' | ffd0666690' : ''}`,
    ],
  ],
  [
    'a jump through a register',
    sites.jumpThroughR8,
    (version) => [
      `retpoline, start-up, 1: 41ffe06690 | 41ffe0cc90 | 41ffe0cccc | e9[thunk that counts a jump to register 8]${
        version === '7.3.0' ? ' | e9[thunks against ITS]' : ''
      }`,
    ],
  ],
  [
    'a jump through a register on a condition',
    sites.conditional,
    (version) => [
      `retpoline, start-up, 1: 0f84[thunk that counts a jump to register 2] | ${
        version === '7.3.0' ? '0f84[thunks against ITS] | ' : ''
      }7504ffe26690 | 7504ffe2cc90 | 7504ffe2cccc`,
    ],
  ],
  ['endbr (apply_seal_endbr)', sites.endbr, () => ['endbr, start-up, 1: 0f1f40d6 | 660f1f00']],
  ['a lock', sites.lock, () => ['lock, always, 0: 3e | f0']],
  [
    'an alternative, in place and then its NOPs (up to 6.3)',
    sites.replaced,
    () => ['alternative, start-up, 1: 0f01ca90909090', counted],
    old,
  ],
  [
    'the NOPs of an alternative, in place',
    sites.replaced + 3,
    (version) => [`alternative, start-up, 1: 0f1f4000${version === '5.10.0' ? ' | 66666690' : ''}`],
    old,
  ],
  [
    'an alternative at once, replaced or with longer NOPs (since 6.4)',
    sites.replaced,
    (version) => ['alternative, start-up, 1: 0f01ca0f1f4000 | 4889c80f1f4000', ...isBehind(version)],
    ['6.12.0', '7.3.0'],
  ],
  [
    'an alternative with an address of the kernel',
    sites.moved,
    (version) => [
      `alternative, start-up, 1: ${old.includes(version) ? '' : '48c7c0[00000081 + slide] | '}48c7c0[10000081 + slide]`,
      ...isBehind(version),
    ],
  ],
  [
    'two alternatives of a place are carried out one behind the other',
    sites.twice,
    () => [
      `alternative, start-up, 2: 31c00f1f00 | ${branch('e8', sites.twice, functions.some_function)} | eb030f1f00`,
      counted,
    ],
    ['6.12.0'],
  ],
  [
    'the last of two alternatives is carried out alone (since 6.19)',
    sites.twice,
    () => [
      `alternative, start-up, 1: 31c00f1f00 | ${branch('e8', sites.twice, functions.some_function)} | eb030f1f00`,
    ],
    ['7.3.0'],
  ],
  [
    'two alternatives of a place up to 6.3',
    sites.twice,
    () => [
      `alternative, start-up, 2: 31c0909090 | ${branch('e8', sites.twice, functions.some_function)}`,
      counted,
    ],
    old,
  ],
  [
    'a direct call of an operation',
    sites.direct,
    (version) => [
      `alternative, start-up, 1: ${version === '7.3.0' ? '660f1f440000 | ' : ''}e8[operation of pv_ops+0x8]90`,
      ...isBehind(version),
    ],
    ['6.12.0', '7.3.0'],
  ],
  [
    'what is replaced and what replaces it are patched first: a branch to a thunk, and a return',
    sites.inner,
    (version) => [
      `alternative, start-up, 1: ${[
        ...(old.includes(version) ? [] : ['0faee8ffd0', '2e2e2effd0', 'ffd00f1f00']),
        'c3cccccccc',
        branch('e9', sites.inner, functions.__x86_return_thunk),
        branch('e9', sites.inner, functions.srso_return_thunk),
        ...(old.includes(version)
          ? []
          : [
              branch('e8', sites.inner, functions.__x86_indirect_thunk_rax),
              branch('e8', sites.inner, functions.__x86_indirect_call_thunk_rax),
            ]),
        ...(version === '7.3.0'
          ? [branch('e8', sites.inner, functions.__x86_indirect_its_thunk_array), 'e8[outside]']
          : []),
      ]
        .sort()
        .join(' | ')}`,
      ...isBehind(version),
      ...placesAt(policyOf(version), sites.callThroughRax),
    ],
  ],
  [
    'an operation that 5.10 writes out (native_patch)',
    sites.operation,
    () => [
      'paravirt, start-up, 1: e8[operation of pv_ops+0x8]6690 | fa660f1f440000 | fa666690666690',
      counted,
    ],
    ['5.10.0'],
  ],
  [
    'an operation that is called (paravirt_patch)',
    sites.operation,
    () => ['paravirt, start-up, 1: e8[operation of pv_ops+0x8]6690', counted],
    ['6.1.0'],
  ],
  [
    'an operation that returns its argument (paravirt_patch_ident_64)',
    sites.second,
    () => [
      'paravirt, start-up, 1: 4889f80f1f4000 | 4889f866666690 | e8[operation of pv_ops+0x10]6690',
      counted,
    ],
    ['5.10.0'],
  ],
  [
    'an operation that does nothing',
    sites.second,
    () => ['paravirt, start-up, 1: 0f1f8000000000 | e8[operation of pv_ops+0x10]6690', counted],
    ['6.1.0'],
  ],
  [
    'iret is jumped to in 5.10',
    sites.third,
    () => [
      'paravirt, start-up, 1: e8[operation of pv_ops+0x18]6690 | e9[operation of pv_ops+0x18]6690',
      counted,
    ],
    ['5.10.0'],
  ],
  [
    'no operation is jumped to in 6.1',
    sites.third,
    () => ['paravirt, start-up, 1: e8[operation of pv_ops+0x18]6690', counted],
    ['6.1.0'],
  ],
  ['a counted call (callthunks.c: patch_call)', sites.counted, () => [counted]],
  [
    'the code in front of a function that counts its calls',
    sites.pad,
    () => ['call-thunk, always, 0: 6548c13d[to 1901, 1 behind]05'],
  ],
  ['a constant (runtime-const.h)', sites.constant, () => ['constant, start-up, 1: [dentry_hashtable]']],
  ['a shift', sites.shift, () => ['constant, start-up, 1: [d_hash_shift]']],
  ['a constant without a variable', sites.pointer, () => ['constant, start-up, 1: [__filp_cache]']],
];

for (const [what, offset, places, of = versions] of rows)
  test(what, () => {
    for (const version of of)
      assert.deepEqual(placesAt(policyOf(version), offset), [...places(version)].sort(), version);
  });

test('a call is counted behind alternatives where these are, and in front of them since 6.16', () => {
  assert.deepEqual(
    versions.map((version) => policyOf(version).order.join(' ')),
    [
      'retpoline return alternative endbr paravirt',
      'paravirt retpoline return alternative call-thunk endbr',
      'paravirt retpoline return alternative call-thunk endbr',
      'paravirt retpoline return call-thunk alternative endbr',
    ],
  );
});

test('what branches may lead to', () => {
  const policy = policyOf('7.3.0');
  assert.equal(targetsOf(policy, 'return thunks'), '__x86_return_thunk srso_return_thunk');
  assert.equal(
    targetsOf(policy, 'tracers'),
    'ftrace_caller ftrace_regs_caller ftrace_graph_caller and outside',
  );
  assert.equal(targetsOf(policy, 'ends of tracing'), 'ftrace_stub ftrace_graph_caller');
  // The file's, what code stores there, and what is called in place of nothing.
  assert.equal(
    targetsOf(policy, 'operation of pv_ops+0x8'),
    'BUG_func nop_func native_operation xen_operation',
  );
  assert.equal(
    targetsOf(policyOf('6.12.0'), 'operation of pv_ops+0x8'),
    'BUG_func native_operation xen_operation',
  );
  assert.equal(
    targetsOf(policy, 'thunk that counts a call of register 0'),
    '__x86_indirect_call_thunk_array',
  );
  const all = policy.targets.find(({ name }) => name === 'functions');
  assert.ok(all?.outside, 'modules have functions');
  assert.equal(all.before, functions.skl_call_thunk_tail - functions.skl_call_thunk_template);
  for (const offset of [functions.some_function, functions.other_function])
    assert.ok(all.addresses.includes(textAt + offset), `the function at ${offset}`);
  assert.ok(!all.addresses.includes(textAt + functions.some_function + 1), 'inside of a function');
});

test('variables have their addresses, or what a pointer leads to', () => {
  const shown = policyOf('6.12.0').variables.map(({ name, size, address, pointer }) => [
    name,
    size,
    address !== undefined,
    pointer?.cache,
  ]);
  assert.deepEqual(shown, [
    ['dentry_hashtable', 8, true, undefined],
    ['d_hash_shift', 1, true, undefined],
    ['__filp_cache', 8, false, { name: 'filp', at: 96 }],
  ]);
});

test('there is no place but those of the tables and the room in front of functions', () => {
  for (const version of versions) {
    const policy = policyOf(version);
    const offsets = new Set<number>([
      ...Object.values(sites),
      // The trampoline of the other call, the NOPs of alternatives in place, and the return in a replacement.
      ...[functions.__SCT__WARN_trap, sites.replaced + 3, sites.twice + 2, 0x1850],
    ]);
    for (const [i, address] of policy.addresses.entries()) {
      const form = policy.forms[policy.formOf[i] as number];
      if (form?.kind === 'call-thunk' && form.when === 'always') continue;
      assert.ok(offsets.has(address - textAt), `${version} ${(address - textAt).toString(16)} ${form?.kind}`);
    }
  }
});
