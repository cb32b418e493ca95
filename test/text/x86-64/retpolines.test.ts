// Indirect calls and jumps through thunks, as versions of the kernel rewrite them.
import assert from 'node:assert/strict';
import test from 'node:test';
import { TextpokeError } from '../../../src/errors.ts';
import { retpolines } from '../../../src/text/x86-64/retpolines.ts';
import {
  branchHex,
  expectedAt,
  hexOf,
  type MadeMachine,
  madeKernel,
  madeSubject,
  textStart,
} from './made.ts';

const thunks = 0x1000;
const callThunks = 0x1400;
const jumpThunks = 0x1800;
const itsThunks = 0x2000;
const functions = {
  __x86_indirect_thunk_array: thunks,
  __x86_indirect_thunk_rax: thunks,
  __x86_indirect_thunk_rcx: thunks + 32,
  __x86_indirect_call_thunk_rax: callThunks,
  __x86_indirect_call_thunk_rcx: callThunks + 32,
  __x86_indirect_jump_thunk_rax: jumpThunks,
  __x86_indirect_jump_thunk_rcx: jumpThunks + 32,
  __x86_indirect_its_thunk_array: itsThunks,
};
const off = { RETPOLINE: false, RETPOLINE_LFENCE: false, CALL_DEPTH: false, INDIRECT_THUNK_ITS: false };

/** Heads of branches, and the register of the thunk that each leads to. */
const forms = {
  'call *%rax': ['e8', 0],
  'cs call *%r11': ['2ee8', 11],
  'call *%r11': ['e8', 11],
  'jmp *%rdx': ['e9', 2],
  'cs jmp *%r9': ['2ee9', 9],
  'jne *%r11': ['0f85', 11],
  'je *%rax': ['0f84', 0],
} as const;
type Form = keyof typeof forms;
const names = Object.keys(forms) as Form[];
const placeOf = (name: Form) => 0x100 + 0x10 * names.indexOf(name);

const code = Object.fromEntries(
  names.map((name) => {
    const [head, register] = forms[name];
    return [placeOf(name), branchHex(head, placeOf(name), thunks + 32 * register)];
  }),
);
const sizes = new Map(names.map((name) => [name, (code[placeOf(name)] as string).length / 2]));
const tables = { '.retpoline_sites': names.map(placeOf) };
const data = { p6_nops: '00', k8_nops: '00', ideal_nops: '0000000000000000' };
const kernel = madeKernel({ code, functions, tables });

function written(machine: MadeMachine, image = kernel): Record<Form, string> {
  const subject = madeSubject(image, machine);
  const result = retpolines.run(subject);
  assert.deepEqual(result?.notes, []);
  assert.equal(result?.sites, names.length);
  return Object.fromEntries(
    names.map((name) => [name, expectedAt(subject, placeOf(name), sizes.get(name) as number)]),
  ) as Record<Form, string>;
}

test('a processor that needs no retpoline gets indirect branches, filled as each version does', () => {
  const cases: readonly (readonly [readonly [number, number], Partial<Record<Form, string>>])[] = [
    [
      [5, 16],
      {
        'call *%rax': 'ffd00f1f00',
        'cs call *%r11': '41ffd30f1f00',
        'jmp *%rdx': 'ffe20f1f00',
        'cs jmp *%r9': '41ffe10f1f00',
        'jne *%r11': '740441ffe390',
        'je *%rax': '7504ffe06690',
      },
    ],
    [
      [6, 1],
      {
        'call *%rax': 'ffd00f1f00',
        'cs call *%r11': '41ffd30f1f00',
        'call *%r11': '41ffd36690',
        'jmp *%rdx': 'ffe2cc6690',
        'cs jmp *%r9': '41ffe1cc6690',
        'jne *%r11': '740441ffe3cc',
        'je *%rax': '7504ffe0cc90',
      },
    ],
    [
      [6, 18],
      {
        'call *%rax': '2e2e2effd0',
        'cs call *%r11': '2e2e2e41ffd3',
        'call *%r11': '2e2e41ffd3',
        'jmp *%rdx': 'ffe2cccccc',
        'cs jmp *%r9': '41ffe1cccccc',
        'jne *%r11': '740441ffe3cc',
        'je *%rax': '7504ffe0cccc',
      },
    ],
  ];
  for (const [version, expected] of cases) {
    const found = written({ version, features: off });
    for (const [name, bytes] of Object.entries(expected))
      assert.equal(found[name as Form], bytes, `${version} ${name}`);
  }
});

test('kernels before 5.13 fill with the NOPs that they chose for the processor', () => {
  const old = madeKernel({ code, functions, tables, data });
  const chosen = (name: string) => {
    const pointer = Buffer.alloc(8);
    pointer.writeBigInt64LE(BigInt(old.symbols.addressOf(name) as number));
    return { version: [5, 10] as const, features: off, variables: { ideal_nops: pointer.toString('hex') } };
  };
  assert.equal(written(chosen('k8_nops'), old)['call *%rax'], 'ffd0666690');
  assert.equal(written(chosen('p6_nops'), old)['call *%rax'], 'ffd00f1f00');
  const subject = madeSubject(old, { version: [5, 10], features: off });
  const [note] = retpolines.run(subject)?.notes ?? [];
  assert.deepEqual([note?.severity, note?.input], ['wrong', 'ideal_nops']);
});

test('what most sites in memory have tells the form, whatever the version says', () => {
  const memory = [
    [textStart + placeOf('call *%rax'), 'ffd00f1f00'],
    [textStart + placeOf('jmp *%rdx'), 'ffe2cc6690'],
    [textStart + placeOf('cs jmp *%r9'), '41ffe1cc6690'],
  ] as const;
  assert.equal(written({ version: [6, 18], features: off, memory })['call *%rax'], 'ffd00f1f00');
  // One site that looks otherwise changes nothing.
  const one = memory.slice(1, 2);
  const other = [
    [textStart + placeOf('call *%rax'), '2e2e2effd0'],
    [textStart + placeOf('cs jmp *%r9'), '41ffe1cccccc'],
  ] as const;
  assert.equal(
    written({ version: [6, 12], features: off, memory: [...one, ...other] })['jmp *%rdx'],
    'ffe2cccccc',
  );
});

test('with RETPOLINE_LFENCE a fence stands in front; a site without room for it stays', () => {
  const features = { ...off, RETPOLINE: true, RETPOLINE_LFENCE: true };
  const found = written({ features });
  assert.equal(found['call *%rax'], '0faee8ffd0');
  assert.equal(found['cs call *%r11'], '0faee841ffd3');
  assert.equal(found['call *%r11'], code[placeOf('call *%r11')]);
  assert.equal(found['jne *%r11'], code[placeOf('jne *%r11')]);
});

test('with RETPOLINE sites stay, and call depth tracking sends them to thunks that count', () => {
  const kept = written({ features: { ...off, RETPOLINE: true } });
  for (const name of names) assert.equal(kept[name], code[placeOf(name)], name);
  const counted = written({ features: { ...off, RETPOLINE: true, CALL_DEPTH: true } });
  for (const name of names) {
    const [head, register] = forms[name];
    const base = head.endsWith('e8') ? callThunks : jumpThunks;
    assert.equal(counted[name], branchHex(head, placeOf(name), base + 32 * register), name);
  }
});

/** The page that the kernel makes for the sites in the lower half of their cache lines, in order. */
const itsPage = -0x3f00_0000;
const lowSites = names.filter((name) => {
  const [head, register] = forms[name];
  const jumpsOver = head.startsWith('0f') ? 2 : 0;
  return ((placeOf(name) + jumpsOver + (register < 8 ? 1 : 2)) & 0x20) === 0;
});
function pageFor(sites: readonly Form[]): { page: string; offsets: Map<Form, number> } {
  const page = new Uint8Array(4096).fill(0xcc);
  const offsets = new Map<Form, number>();
  let at = 32;
  for (const name of sites) {
    const register = forms[name][1];
    const jump = register < 8 ? [0xff, 0xe0 + register] : [0x41, 0xff, 0xe0 + register - 8];
    page.set(jump, at);
    offsets.set(name, at);
    at += jump.length + 1;
  }
  return { page: hexOf(page), offsets };
}

test('ITS: sites in the lower half of a line go to thunks of a page that memory shows, in the order of the table', () => {
  const { page, offsets } = pageFor(lowSites);
  const slide = 0x200_0000;
  const memory = lowSites.map((name) => {
    const from = textStart + slide + placeOf(name);
    return [from, branchHex(forms[name][0], from, itsPage + (offsets.get(name) as number))] as const;
  });
  const machine = { features: { ...off, INDIRECT_THUNK_ITS: true }, slide };
  const subject = madeSubject(kernel, { ...machine, memory: [...memory, [itsPage, page]] });
  const result = retpolines.run(subject);
  assert.deepEqual(result?.notes, []);
  assert.deepEqual(
    result?.pages?.map(({ address, bytes, what }) => [address, hexOf(bytes), what]),
    [[itsPage, page, 'ITS thunks']],
  );
  assert.ok(lowSites.length >= 3 && lowSites.length < names.length, 'sites lie in both halves of lines');
  for (const name of names) {
    const found = expectedAt(subject, placeOf(name), sizes.get(name) as number);
    const at = memory.find(([from]) => from === textStart + slide + placeOf(name));
    if (at) assert.equal(found, at[1], name);
    else assert.match(found, /ff/, name);
  }
});

test('ITS: one site that leads elsewhere does not move the page, and a page that holds something else is told', () => {
  const { page, offsets } = pageFor(lowSites);
  const [first = 'call *%rax', ...rest] = lowSites;
  const memory = rest.map((name) => {
    const from = textStart + placeOf(name);
    return [from, branchHex(forms[name][0], from, itsPage + (offsets.get(name) as number))] as const;
  });
  const astray = [
    textStart + placeOf(first),
    branchHex(forms[first][0], textStart + placeOf(first), -0x3e00_0000 + 32),
  ] as const;
  const machine = { features: { ...off, INDIRECT_THUNK_ITS: true } };
  const changed = `${page.slice(0, 100)}90${page.slice(102)}`;
  const subject = madeSubject(kernel, { ...machine, memory: [astray, ...memory, [itsPage, changed]] });
  const result = retpolines.run(subject);
  assert.deepEqual(
    result?.notes.map(({ address, severity }) => [address, severity]),
    [[itsPage, 'wrong']],
  );
  const expected = branchHex(
    forms[first][0],
    textStart + placeOf(first),
    itsPage + (offsets.get(first) as number),
  );
  assert.equal(expectedAt(subject, placeOf(first), sizes.get(first) as number), expected);
});

test('ITS: without a page in memory sites go to the thunks of the image', () => {
  const subject = madeSubject(kernel, { features: { ...off, INDIRECT_THUNK_ITS: true } });
  assert.deepEqual(retpolines.run(subject)?.pages, []);
  for (const name of lowSites) {
    const [head, register] = forms[name];
    const expected = branchHex(head, placeOf(name), itsThunks + 64 * register);
    assert.equal(expectedAt(subject, placeOf(name), sizes.get(name) as number), expected, name);
  }
});

test('a site that is no branch to a thunk is told and stays, and one outside of code is told', () => {
  const image = madeKernel({
    code: {
      ...code,
      768: '0f1f440000',
      784: branchHex('e8', 0x310, thunks + 7),
      800: branchHex('e8', 0x320, thunks + 32 * 4),
    },
    functions,
    tables: { '.retpoline_sites': [0x300, 0x310, 0x320, placeOf('call *%rax'), 0x4_0000] },
  });
  const subject = madeSubject(image, { features: off });
  const result = retpolines.run(subject);
  assert.deepEqual(
    result?.notes.map(({ address = 0, severity }) => [address - textStart, severity]),
    [0x300, 0x310, 0x320, 0x4_0000].map((address) => [address, 'wrong']),
  );
  assert.equal(expectedAt(subject, 0x300, 5), '0f1f440000');
  assert.equal(expectedAt(subject, placeOf('call *%rax'), 5), 'ffd00f1f00');
});

test('a site in code that a module gave back is passed over', () => {
  const image = madeKernel({ code, functions, tables: { '.retpoline_sites': [0x4_0000, 0x5_0000] } });
  const gone = [[textStart + 0x4_0000, textStart + 0x4_1000]] as const;
  const result = retpolines.run({ ...madeSubject(image, { features: off }), gone });
  assert.deepEqual(
    result?.notes.map(({ address = 0 }) => address - textStart),
    [0x5_0000],
  );
});

test('a kernel without the table has no such pass, and a table with half an entry is no table', () => {
  assert.equal(retpolines.run(madeSubject(madeKernel({ code, functions }))), undefined);
  const odd = madeKernel({ code, functions, tables: { '.retpoline_sites': [0x100] } });
  const section = odd.file.sections.find(({ name }) => name === '.retpoline_sites');
  Object.assign(section ?? assert.fail('no table'), { size: 3 });
  assert.throws(
    () => retpolines.run(madeSubject(odd, { features: off })),
    (error) => error instanceof TextpokeError && error.code === 'table-malformed',
  );
});
