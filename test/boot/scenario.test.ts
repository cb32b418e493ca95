import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { replayBoot as boot } from '../../src/boot/passes.ts';
import { parseScenario } from '../../src/boot/scenario.ts';
import { runStep } from '../../src/boot/steps.ts';
import { hexBytes } from '../../src/bytes/integer.ts';
import { errorCodes, TextpokeError } from '../../src/errors.ts';
import { lockPrefix } from '../../src/kinds/lock-prefix/kind.ts';
import { staticBranch } from '../../src/kinds/static-branch/kind.ts';
import { imageOf, linkedBytes, programUnits } from '../samples.ts';

const schema = JSON.parse(
  readFileSync(fileURLToPath(new URL('../../docs/scenario.schema.json', import.meta.url)), 'utf8'),
);
const conforms = new Ajv2020({ strict: true, strictRequired: false }).compile(schema);
const bytes = linkedBytes('gcc-O2', programUnits);

const scenario = (...steps: unknown[]) => ({ schema: 'textpoke.scenario/1', steps });

function run(...steps: unknown[]) {
  const image = imageOf(bytes);
  return boot(image, { cpus: 1, upFill: 'ds', steps: parseScenario(JSON.stringify(scenario(...steps))) });
}

function failure(...steps: unknown[]): TextpokeError {
  let caught: unknown;
  assert.throws(
    () => run(...steps),
    (e) => {
      caught = e;
      return e instanceof TextpokeError;
    },
  );
  return caught as TextpokeError;
}

/** Every operation, in all of its forms. */
const valid: unknown[] = [
  { enable: 'off_key' },
  { disable: 'on_keys[1]', comment: 'why' },
  { inc: 'local.c:local_key' },
  { dec: 'off_*' },
  { flush: 'off_key' },
  { decDeferred: { key: 'off_key', timeout: 100 } },
  { update: { call: 'math', to: 'add_ten' } },
  { update: { call: 'math', to: null } },
  { update: { call: 'math', to: 'RET0', by: 'ext4' } },
  { forceReinit: true },
  { freeInit: true },
  { load: 'a.ko' },
  { unload: 'a' },
  { cpuUp: 1 },
  { cpuDown: 1 },
  { cpuDown: { cpu: 1, dropLocks: true } },
  { advance: 0 },
  { queryReserved: { start: 'main+0x4', size: 5 } },
  { queryReserved: { start: '0x401000' }, expect: { reserved: { locks: false } } },
  { expect: { keys: { off_key: -1 }, calls: { math: null, probe: 'RET0' }, bytes: { main: '90C3' } } },
  { expect: { warnings: [] } },
  { enable: 'off_key', expect: { refused: 'site-mismatch', warnings: ['WARN'] } },
];

/** What is wrong, and what is said of it. */
const invalid: [unknown, RegExp][] = [
  [{}, /^step 1: an operation or an expectation is required/],
  [{ comment: 'only' }, /^step 1: an operation or an expectation is required/],
  ['enable', /^step 1: an object is required, found "enable"/],
  [{ enable: 'a', disable: 'b' }, /^step 1: one operation is required, found enable and disable/],
  [{ enbale: 'a' }, /^step 1: unknown operation "enbale"; known operations: enable, disable/],
  [{ enable: 5 }, /^step 1: enable: a non-empty string is required, found 5/],
  [{ enable: '' }, /^step 1: enable: a non-empty string/],
  [{ decDeferred: { key: 'a' } }, /^step 1: decDeferred: the field timeout is required/],
  [
    { decDeferred: { key: 'a', timeout: 1.5 } },
    /decDeferred\.timeout: an integer of 0 or more is required, found 1\.5/,
  ],
  [{ update: { call: 'a' } }, /^step 1: update: the field to is required/],
  [{ update: { call: 'a', to: 0 } }, /update\.to: a function, null or "RET0" is required, found 0/],
  [{ update: { call: 'a', to: 'b', from: 'c' } }, /update: unknown field "from"; known fields: call, to, by/],
  [{ freeInit: false }, /^step 1: freeInit: true is required, found false/],
  [{ cpuUp: -1 }, /^step 1: cpuUp: an integer of 0 or more is required, found -1/],
  [{ cpuDown: { cpu: 1, dropLocks: 1 } }, /cpuDown\.dropLocks: true or false is required/],
  [{ queryReserved: { start: 'a', size: 0 } }, /queryReserved\.size: an integer of 1 or more/],
  [{ expect: { keys: { a: 'b' } } }, /^step 1: expect\.keys\.a: an integer is required, found "b"/],
  [
    { expect: { bytes: { a: '9' } } },
    /expect\.bytes\.a: a string of two-digit hexadecimal bytes is required/,
  ],
  [{ expect: { warnings: 'none' } }, /expect\.warnings: an array of strings is required/],
  [{ expect: { reserved: { text: true } } }, /expect\.reserved: unknown field "text"/],
  [{ expect: { refused: 'no-such-code' } }, /expect\.refused: an error code/],
  [{ expect: [] }, /^step 1: expect: an object is required/],
  [{ __proto__x: 1 }, /unknown operation/],
  [{ toString: 'a' }, /unknown operation "toString"/],
];

test('the schema names every error code', () => {
  assert.deepEqual(schema.$defs.expectation.properties.refused.enum, Object.keys(errorCodes));
});

for (const step of valid) {
  test(`${JSON.stringify(step)} is a step, for textpoke and for the schema`, () => {
    assert.equal(parseScenario(JSON.stringify(scenario(step))).length, 1);
    assert.ok(conforms(scenario(step)), JSON.stringify(conforms.errors));
  });
}

for (const [step, message] of invalid) {
  test(`${JSON.stringify(step)} is none, for textpoke and for the schema`, () => {
    assert.throws(
      () => parseScenario(JSON.stringify(scenario(step))),
      (e) => e instanceof TextpokeError && e.code === 'scenario-malformed' && message.test(e.message),
    );
    assert.equal(conforms(scenario(step)), false);
  });
}

for (const [text, message] of [
  ['{', /the file is not valid JSON/],
  ['[]', /an object is required/],
  ['{"steps": []}', /the field schema is required/],
  ['{"schema": "textpoke.scenario/2", "steps": []}', /schema: "textpoke.scenario\/1" is required/],
  ['{"schema": "textpoke.scenario/1"}', /the field steps is required/],
  ['{"schema": "textpoke.scenario/1", "steps": {}}', /steps: an array is required/],
  ['{"schema": "textpoke.scenario/1", "steps": [], "step": 1}', /unknown field "step"/],
] as const) {
  test(`the document ${text} is no scenario`, () => {
    assert.throws(() => parseScenario(text), message);
  });
}

test('an error in a later step has its number', () => {
  assert.throws(
    () => parseScenario(JSON.stringify(scenario({ inc: 'a' }, { inc: 'a' }, { inc: 0 }))),
    /step 3: inc: a non-empty string/,
  );
});

test('steps and their expectations, from the first increment to hot-plug', () => {
  const runtime = run(
    { inc: 'off_key', expect: { keys: { off_key: 1 }, warnings: [] } },
    { inc: 'off_key', expect: { keys: { off_key: 2 } } },
    { enable: 'off_key', expect: { keys: { off_key: 2 }, warnings: ['!= 1'] } },
    { decDeferred: { key: 'off_key', timeout: 10 }, expect: { keys: { off_key: 1 } } },
    { decDeferred: { key: 'off_key', timeout: 10 }, expect: { keys: { off_key: 1 } } },
    { advance: 10, expect: { keys: { off_key: 0 } } },
    { update: { call: 'math', to: 'add_ten' }, expect: { calls: { math: 'add_ten' } } },
    { update: { call: 'math', to: null }, expect: { calls: { math: null } } },
    { update: { call: 'math', to: 'RET0' }, expect: { calls: { math: 'RET0' } } },
    { cpuUp: 1 },
    { cpuDown: 1 },
    { cpuDown: { cpu: 0 }, expect: { refused: 'step-refused' } },
    { cpuUp: 1 },
    { cpuDown: { cpu: 1, dropLocks: true } },
  );
  assert.deepEqual([...runtime.state.cpus.up], [0]);
  const bytesOfLocks = runtime.program.sites
    .of(lockPrefix)
    .map(({ address }) => hexBytes(runtime.image.read(address, 1)));
  assert.ok(bytesOfLocks.length > 3, `${bytesOfLocks.length} locks`);
  assert.deepEqual(new Set(bytesOfLocks), new Set(['3e']));
});

test('the second CPU brings every lock back, and going back to one leaves them', () => {
  for (const steps of [[{ cpuUp: 1 }], [{ cpuUp: 1 }, { cpuDown: 1 }]]) {
    const { image, program } = run(...steps);
    const bytes = program.sites.of(lockPrefix).map(({ address }) => image.read(address, 1)[0]);
    assert.deepEqual(new Set(bytes), new Set([0xf0]));
  }
});

test('a failed expectation says which step, what was expected and what was found', () => {
  for (const [step, message] of [
    [
      { inc: 'off_key', expect: { keys: { off_key: 2 } } },
      'step 2 (inc off_key): count of off_key: expected 2, found 1',
    ],
    [
      { update: { call: 'math', to: null }, expect: { calls: { math: 'add_ten' } } },
      'step 2 (update math=NULL): function of math: expected add_ten, found NULL',
    ],
    [
      { expect: { bytes: { __SCT__math: '00' } } },
      'step 2 (expect): bytes at __SCT__math: expected 00, found e9',
    ],
    [
      { dec: 'off_key', expect: { warnings: [] } },
      'step 2 (dec off_key): warnings: expected no warning, found static_key_dec_not_one: WARN_ON_ONCE(v == 0): off_key has count 0',
    ],
    [
      { enable: 'off_key', expect: { refused: 'site-mismatch' } },
      'step 2 (enable off_key): expected the error site-mismatch, but the step was not refused',
    ],
    [
      { queryReserved: { start: 'main' }, expect: { reserved: { branches: true } } },
      'step 2 (queryReserved main): reserved for branches: expected true, found false',
    ],
  ] as const) {
    const error = failure({ advance: 1 }, step);
    assert.deepEqual([error.code, error.exitCode, error.message], ['expectation-failed', 1, message]);
  }
});

test('names that nobody has are said with the step', () => {
  assert.match(
    failure({ enable: 'no_such_key' }).message,
    /^step 1 \(enable no_such_key\): the key no_such_key is not a symbol of the image/,
  );
  assert.match(failure({ enable: 'no_such_*' }).message, /no static key matches no_such_\*/);
  assert.match(failure({ update: { call: 'zz*', to: null } }).message, /no static call matches zz\*/);
});

test('names that repeat are told apart by their source file, and patterns take many', () => {
  assert.match(
    failure({ enable: 'local_key' }).message,
    /2 symbols have the name local_key .*FILE\.c:local_key/,
  );
  run({ enable: 'local.c:local_key' });
  run(
    { update: { call: 'local.c:local_work', to: null } },
    { expect: { calls: { 'local.c:local_work': null, 'local2.c:local_work': 'local2.c:work' } } },
  );
  run({ enable: 'off_keys*', expect: { keys: { 'off_keys[0]': 1, 'off_keys[1]': 0, 'off_keys[2]': 1 } } });
});

test('a step that is refused, as expected, changes nothing at all, though other keys came first', () => {
  const runtime = run();
  const { image, poker } = runtime;
  const key = Math.max(
    ...runtime.program.sites
      .of(staticBranch)
      .map((s) => s.key)
      .filter((k) => image.describe(k).startsWith('off_')),
  );
  image.read(runtime.sitesOf(staticBranch, key)[0]!.address, 5).set([0x90, 0x90, 0x90, 0x90, 0x90]);
  const contents = () => hexBytes(image.file.source.read(0, image.file.source.size));
  const before = { bytes: contents(), records: poker.records.length };
  const [step] = parseScenario(
    JSON.stringify(scenario({ enable: 'off_*', expect: { refused: 'site-mismatch' } })),
  );
  const surroundings = {
    upFill: 'ds' as const,
    openModule: () => {
      throw new Error('no module is loaded here');
    },
  };
  runStep(runtime, step!, surroundings);
  assert.deepEqual({ bytes: contents(), records: poker.records.length }, before);
  // Without the expectation the error says where.
  assert.throws(
    () => runStep(runtime, { ...step!, expect: undefined }, surroundings),
    /step 1 \(enable off_\*\): 1 sites do not hold the required bytes/,
  );
});

test('init text is patched until it is freed, and never again', () => {
  const kernel = linkedBytes('gcc-O2', ['kernel-entries']);
  const start = (steps: unknown[]) =>
    boot(imageOf(kernel), {
      cpus: undefined,
      upFill: 'ds',
      steps: parseScenario(JSON.stringify(scenario(...steps))),
    });
  const initWrites = (steps: unknown[]) => {
    const { poker, image } = start(steps);
    return poker.records.filter(
      (r) => r.phase === 'run time' && r.what === 'text' && image.isInitText(r.address),
    ).length;
  };
  const flips = (free: boolean) => [
    ...(free ? [{ freeInit: true }] : []),
    { enable: 'kernel_false' },
    { disable: 'kernel_true' },
  ];
  assert.notEqual(initWrites(flips(false)), 0);
  assert.equal(initWrites(flips(true)), 0);
});

test('the scenario of docs/boot.md has every field right', () => {
  const text = readFileSync(fileURLToPath(new URL('../../docs/boot.md', import.meta.url)), 'utf8');
  const example = /```json\n([^`]*)```/.exec(text)?.[1] as string;
  const steps = parseScenario(example);
  assert.ok(steps.length > 10, `${steps.length} steps`);
  assert.ok(conforms(JSON.parse(example)), JSON.stringify(conforms.errors));
});
