// What the library is asked for: options and their defaults, inputs besides the first, and errors with their codes.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { gzipSync } from 'node:zlib';
import {
  annotate,
  type BootOptions,
  type BootStep,
  boot,
  type ConfigDocument,
  diff,
  dump,
  type ErrorCode,
  ExitCode,
  errorCodes,
  link,
  linkerScript,
  MismatchError,
  type NamedBytes,
  parseScenario,
  profileNames,
  TextpokeError,
  type VerifyOptions,
  verify,
  verifyMemory,
} from '../../src/index.ts';
import { main } from '../../src/main.ts';
import { runMain } from '../in-process.ts';
import { programUnits, samplePath } from '../samples.ts';

const set = 'gcc-O2';

/** A unit of the sample program, annotated. */
function unit(name: string): NamedBytes {
  return { name: `${name}.o`, bytes: annotate(samplePath(set, name)).bytes };
}

/** The sample program, linked. */
const linked = (units = programUnits): NamedBytes => ({ name: 'prog', bytes: link(units.map(unit)).bytes });

/** The sample program after boot. */
async function booted(options: BootOptions = {}): Promise<NamedBytes> {
  return { name: 'prog.up', bytes: (await boot(linked(), options)).bytes };
}

let directory: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'textpoke-test-'));
});
after(() => rmSync(directory, { recursive: true, force: true }));

test('an option that is left out is the default of the command line', async () => {
  const program = linked();
  const explicit: BootOptions = { cpus: undefined, upFill: 'ds', modules: [], steps: [], states: false };
  assert.deepEqual(await boot(program), await boot(program, explicit));
  const spoken: VerifyOptions = {
    linked: false,
    failOn: 'error',
    formats: [],
    color: false,
    locks: undefined,
  };
  assert.deepEqual(await verify(program), await verify(program, spoken));
  assert.deepEqual(await dump(program), await dump(program, { table: undefined, disassemble: false }));
  assert.deepEqual(await diff(program, program), await diff(program, program, { formats: [], color: false }));
  const object = samplePath(set, 'lock');
  const unnamed = annotate(object);
  assert.deepEqual(annotate(object, { staticCall: true, staticBranch: true, smpLocks: true }), unnamed);
  assert.equal(linkerScript('x86-64'), linkerScript('x86-64', true));
});

test('annotate: the kinds that are named, and no others', () => {
  const counts = (options: object) => annotate(samplePath(set, 'lock'), options).document.files[0];
  assert.equal(counts({ staticCall: true })?.locks, 0);
  assert.equal((counts({ smpLocks: true })?.locks ?? 0) > 0, true);
  assert.equal(counts({ locks: 'none' })?.locks, 0);
});

test('colours are made when they are asked for, whatever the terminal is', async () => {
  const program = linked();
  const { reports } = await verify(program, { formats: ['text'] });
  const { reports: coloured } = await verify(program, { formats: ['text'], color: true });
  assert.equal(stripVTControlCharacters(reports.text ?? ''), reports.text);
  assert.notEqual(coloured.text, reports.text);
  assert.equal(stripVTControlCharacters(coloured.text ?? ''), reports.text);
});

test('suppressions are a document or its text, and are called as the caller says', async (t) => {
  const program = linked();
  const { document } = await verify(program);
  const [{ rule } = { rule: 'TP001' as const }] = document.findings;
  const suppress = [
    { rule, reason: 'known' },
    { rule: 'TP013' as const, symbol: 'nobody', reason: 'gone' },
  ];
  const suppressions: ConfigDocument = { schema: 'textpoke.config/1', suppress };
  const text = JSON.stringify(suppressions);
  const result = await verify(program, { suppressions });
  assert.equal(
    result.document.suppressed.every(({ reason }) => reason === 'known'),
    true,
  );
  assert.equal(result.document.findings.at(-1)?.place, 'suppressions');
  assert.deepEqual(await verify(program, { suppressions: text }), result);

  const image = join(directory, 'prog');
  writeFileSync(image, program.bytes);
  const config = join(directory, 'accepted.json');
  writeFileSync(config, text);
  const named = await verify(image, { suppressions, suppressionsName: config, formats: ['json'] });
  const ran = await runMain(t, main, ['verify', image, '--config', config, '--format', 'json']);
  assert.equal(named.reports.json, ran.text);

  await assert.rejects(verify(program, { suppressions: '{', suppressionsName: 'mine' }), {
    code: 'config-malformed',
    place: { file: 'mine' },
  });
});

test('the findings of verify fail by their severity', async () => {
  const program = await booted();
  const passed = async (options: VerifyOptions) => (await verify(program, options)).passed;
  // Sites that the baseline lacks are a warning.
  const baseline = linked(['key-def']);
  assert.equal(await passed({}), true);
  assert.equal(await passed({ baseline }), true);
  assert.equal(await passed({ baseline, failOn: 'error' }), true);
  assert.equal(await passed({ baseline, failOn: 'warning' }), false);
});

const users = programUnits.filter((name) => name !== 'key-use');

test('boot: modules and steps that load them take paths and bytes, compressed or not', async () => {
  const { bytes } = unit('key-use');
  const path = join(directory, 'key-use.ko.gz');
  writeFileSync(path, gzipSync(bytes));
  const program = linked(users);
  const plain = await boot(program, { modules: [{ name: 'key-use.ko', bytes }] });
  assert.deepEqual(
    plain.document.modules.map(({ name }) => name),
    ['key_use'],
  );
  assert.deepEqual(await boot(program, { modules: [path] }), plain);
  const file = { name: 'key-use.ko', bytes: gzipSync(bytes) };
  const steps: BootStep[] = [
    { do: 'load', file },
    { do: 'unload', module: 'key_use' },
  ];
  const { document } = await boot(program, { steps });
  assert.deepEqual(document.modules, []);
  assert.equal(
    document.writes.some(({ symbol }) => symbol.startsWith('use_shared_call')),
    true,
  );
});

test('boot: steps of a scenario are those of the command line', async (t) => {
  const scenario = JSON.stringify({
    schema: 'textpoke.scenario/1',
    steps: [{ enable: '*' }, { queryReserved: { start: 'main', size: 64 } }, { dec: 'off_key' }],
  });
  const image = join(directory, 'prog');
  writeFileSync(image, linked().bytes);
  const file = join(directory, 'scenario.json');
  writeFileSync(file, scenario);
  const { document, notes } = await boot(image, { steps: parseScenario(scenario) });
  const ran = await runMain(t, main, ['boot', image, '--scenario', file, '--json']);
  assert.deepEqual(document, JSON.parse(ran.text));
  assert.equal(notes.map((note) => `textpoke: ${note}\n`).join(''), ran.errors);
});

test('boot: every profile that is named', async () => {
  assert.equal(profileNames.includes('textpoke'), true);
  for (const profile of profileNames) {
    const outcome = await boot(linked(), { profile }).then(
      ({ document }) => document.profile,
      ({ code }) => code,
    );
    assert.match(outcome, new RegExp(`^(${profile}|site-mismatch)$`));
  }
});

test('boot: a mismatch tells its places as plain data', async () => {
  const { bytes } = linked();
  const { document } = await dump({ name: 'prog', bytes });
  const site = document.files[0]?.jumpTable?.[0];
  assert.ok(site && 'site' in site, 'the program has a static branch');
  const broken = await boot({ name: 'prog', bytes });
  // The site is a byte of the file, as far behind the segment's start as in memory.
  const at = Buffer.from(broken.bytes).indexOf(Buffer.from(site.instruction?.bytes ?? '', 'hex'));
  assert.equal(at > 0, true);
  broken.bytes.fill(0xcc, at, at + 1);
  const error = await boot(
    { name: 'prog', bytes: broken.bytes },
    { steps: [{ do: 'enable', key: '*' }] },
  ).then(
    () => assert.fail('it boots'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof MismatchError, `a mismatch is thrown: ${error}`);
  assert.equal(error.exitCode, ExitCode.findings);
  assert.deepEqual(structuredClone(error.mismatches), error.mismatches);
  assert.match(error.mismatches[0]?.name ?? '', /\w/);
});

const nothing: NamedBytes = { name: 'nothing', bytes: new Uint8Array() };
const object: NamedBytes = { name: 'branch.o', bytes: unit('branch').bytes };
const program = linked();
const odd = { formats: ['sarfi'] } as object;

const failures: readonly [what: string, code: ErrorCode, call: () => unknown][] = [
  ['annotate: a file that is not there', 'read-failed', () => annotate('/nowhere/x.o')],
  ['annotate: no ELF file', 'not-elf', () => annotate(nothing)],
  ['annotate: a linked image', 'not-relocatable', () => annotate(program)],
  ['link: nothing', 'usage', () => link([])],
  ['boot: nothing', 'usage', () => boot([])],
  ['link: no ELF file', 'not-elf', () => link([object, nothing])],
  ['link: an object twice', 'link-failed', () => link([object, object])],
  ['boot: a file that is not there', 'read-failed', () => boot('/nowhere/x')],
  ['boot: no ELF file', 'not-elf', () => boot(nothing)],
  ['boot: no CPU', 'usage', () => boot(program, { cpus: 0 })],
  ['boot: half a CPU', 'usage', () => boot(program, { cpus: 0.5 })],
  ['boot: a profile that does not exist', 'usage', () => boot(program, { profile: '4.4' })],
  [
    'boot: a key that does not exist',
    'unknown-key',
    () => boot(program, { steps: [{ do: 'enable', key: 'no' }] }),
  ],
  ['boot: a module that is not there', 'read-failed', () => boot(program, { modules: ['/nowhere/x.ko'] })],
  ['parseScenario: no JSON', 'scenario-malformed', () => parseScenario('{')],
  ['dump: a file that is not there', 'read-failed', () => dump('/nowhere/x')],
  ['dump: no ELF file', 'not-elf', () => dump(nothing)],
  ['dump: a table that does not exist', 'usage', () => dump(program, { table: 'chairs' })],
  ['verify: an object', 'not-an-image', () => verify(object)],
  ['verify: no ELF file', 'not-elf', () => verify(nothing)],
  ['verify: an original that is none', 'not-an-image', () => verify(program, { original: object })],
  ['verify: a baseline that is none', 'not-elf', () => verify(program, { baseline: nothing })],
  ['verify: a format that does not exist', 'usage', () => verify(program, odd)],
  ['verify: no CPU', 'usage', () => verify(program, { cpus: -1 })],
  ['verifyMemory: bytes without a format', 'memory-unsupported', () => verifyMemory(program, nothing)],
  ['verifyMemory: an object', 'memory-unsupported', () => verifyMemory(program, object)],
  ['verifyMemory: half an address', 'usage', () => verifyMemory(program, object, { base: 1.5 })],
  ['diff: no ELF file', 'not-elf', () => diff(program, nothing)],
  ['diff: a format that does not exist', 'usage', () => diff(program, program, odd)],
  ['linkerScript: a machine that is not known', 'usage', () => linkerScript('VAX')],
];
for (const [what, code, call] of failures) {
  test(`${what}: ${code}`, async () => {
    const error = await Promise.resolve()
      .then(call)
      .then(
        () => assert.fail('nothing is thrown'),
        (reason: unknown) => reason,
      );
    assert.ok(error instanceof TextpokeError, String(error));
    assert.equal(error.code, code, error.message);
    assert.equal(error.exitCode, errorCodes[code]);
  });
}

test('files are closed, whatever comes of it', { skip: !existsSync('/proc/self/fd') }, async () => {
  const path = join(directory, 'prog');
  writeFileSync(path, program.bytes);
  const count = () => readdirSync('/proc/self/fd').length;
  const open = count();
  await boot(path, { modules: [] });
  await verify(path, { original: path, baseline: path });
  await dump(path);
  await diff(path, path);
  await verifyMemory(path, path, { base: 0x400000 }).catch(() => {});
  await verify(path, { original: '/nowhere/x' }).catch(() => {});
  await boot(path, { steps: [{ do: 'enable', key: 'no' }] }).catch(() => {});
  assert.equal(count(), open);
});
