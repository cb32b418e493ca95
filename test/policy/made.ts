// A policy of a few places, written by hand.
import type { Policy, PolicyForm } from '../../src/policy/policy.ts';
import { bytesOf } from '../text/x86-64/made.ts';

export const start = -0x7f00_0000;

/** Forms by number, for the places below. */
export const forms = {
  return: 0,
  branch: 1,
  call: 2,
  alternative: 3,
  constant: 4,
  lock: 5,
  counted: 6,
  pad: 7,
  early: 8,
} as const;

const state = (hex: string, fields: PolicyForm['states'][number]['fields'] = []) => ({
  bytes: bytesOf(hex),
  fields,
});

const rows: readonly PolicyForm[] = [
  {
    kind: 'return',
    when: 'start-up',
    times: 1,
    length: 5,
    states: [state('c3cccccccc'), state('e900000000', [{ at: 1, is: 'branch', targets: 0 }])],
  },
  { kind: 'static-branch', when: 'always', times: 0, length: 2, states: [state('6690'), state('eb10')] },
  {
    kind: 'static-call',
    when: 'always',
    times: 0,
    length: 5,
    states: [state('0f1f440000'), state('e800000000', [{ at: 1, is: 'branch', targets: 1 }])],
  },
  {
    kind: 'alternative',
    when: 'start-up',
    times: 2,
    length: 8,
    states: [state('48c7c00000008190', [{ at: 3, is: 'address', sign: 1 }]), state('0f1f840000000000')],
  },
  {
    kind: 'constant',
    when: 'start-up',
    times: 1,
    length: 8,
    states: [state('0000000000000000', [{ at: 0, is: 'value', size: 8, variable: 0 }])],
  },
  { kind: 'lock', when: 'always', times: 0, length: 1, states: [state('f0'), state('3e')] },
  {
    kind: 'call-thunk',
    when: 'start-up',
    times: 1,
    length: 5,
    states: [state('e800000000', [{ at: 1, is: 'nearer', by: 9 }])],
  },
  {
    kind: 'call-thunk',
    when: 'always',
    times: 0,
    length: 9,
    states: [state('6548c13d0000000005', [{ at: 4, is: 'distance', to: 0x100, behind: 1, moves: false }])],
  },
  { kind: 'static-branch', when: 'start-up', times: 0, length: 2, states: [state('6690'), state('eb10')] },
];

/** A place whose bytes the loader takes the slide from. */
const gone = 0xb0;

/** Offset, form and bytes of the file. */
const places = [
  [0x00, forms.return, 'e9fb0f0000'],
  [0x10, forms.branch, '6690'],
  [0x20, forms.call, 'e8db0f0000'],
  [0x30, forms.alternative, '48c7c00000008190'],
  [0x40, forms.constant, '4142434445464748'],
  [0x50, forms.constant, '4142434445464748'],
  [0x60, forms.lock, 'f0'],
  [0x70, forms.counted, 'e88b0f0000'],
  [0x87, forms.pad, '909090909090909090'],
  [0xa0, forms.early, 'eb10'],
  [gone, forms.constant, '4142434445464748'],
] as const;

/** The functions that calls may lead to. */
export const functions = [start + 0x1000, start + 0x1100];

export const policy: Policy = {
  banner: 'Linux version 6.12.0',
  buildId: 'ab'.repeat(20),
  image: [start, start + 0x10_0000],
  kept: [start, start + 0x2000],
  order: ['return', 'alternative', 'call-thunk'],
  targets: [
    { name: 'return thunks', addresses: Float64Array.of(start + 0x1000), before: 0, outside: false },
    { name: 'functions', addresses: Float64Array.from(functions), before: 9, outside: true },
  ],
  variables: [
    { name: 'table', size: 8, address: start + 0x8000 },
    { name: '__filp_cache', size: 8, address: undefined, pointer: { cache: { name: 'filp', at: 96 } } },
    { name: 'left_out', size: 4, address: undefined },
  ],
  forms: rows,
  stretches: places.map(([offset, form, hex]) => ({
    address: start + offset,
    bytes: bytesOf(hex),
    added: form === forms.alternative ? [3] : [],
    taken: offset === gone ? [2] : [],
  })),
  addresses: Float64Array.from(places, ([offset]) => start + offset),
  formOf: Uint32Array.from(places, ([, form]) => form),
};
