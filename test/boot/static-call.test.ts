import assert from 'node:assert/strict';
import test from 'node:test';
import { Runtime } from '../../src/boot/runtime.ts';
import { staticCallInit, updateStaticCall } from '../../src/boot/static-call.ts';
import { hexBytes } from '../../src/bytes/integer.ts';
import { MismatchError, TextpokeError } from '../../src/errors.ts';
import { resolveStaticCall } from '../../src/image/names.ts';
import { programOf } from '../../src/kinds/registry.ts';
import { callKindOf, callPatch } from '../../src/kinds/static-call/demand.ts';
import { staticCall } from '../../src/kinds/static-call/kind.ts';
import { readCallSites } from '../../src/kinds/static-call/table.ts';
import { describeValue, readCallValue } from '../../src/kinds/static-call/values.ts';
import { imageOf, linkedBytes, programUnits } from '../samples.ts';

/** clang -Os makes conditional tail calls of the sample, hand.S has every kind. */
const clangCalls = linkedBytes('clang-Os', programUnits);
const handCalls = linkedBytes('gcc-O2', ['hand']);

function booted(bytes: Uint8Array): Runtime {
  const runtime = new Runtime(programOf(imageOf(bytes)));
  staticCallInit(runtime);
  return runtime;
}

/** Hexadecimal bytes at every site of a call, with the kind of site. */
function sitesOf(runtime: Runtime, name: string): { kind: string; bytes: string; address: number }[] {
  const { image } = runtime;
  const { key } = resolveStaticCall(image, runtime.program.calls, name);
  return runtime.program.sites
    .of(staticCall)
    .filter((s) => s.key === key)
    .map((s) => {
      const kind = callKindOf(image, s);
      return {
        kind,
        address: s.address,
        bytes: hexBytes(image.read(s.address, kind === 'conditional tail' ? 6 : 5)),
      };
    });
}

function update(runtime: Runtime, name: string, value: string): void {
  updateStaticCall(runtime, resolveStaticCall(runtime.image, runtime.program.calls, name), value);
}

function contents(runtime: Runtime): string {
  return hexBytes(runtime.image.file.source.read(0, runtime.image.file.source.size));
}

const nullForms: Record<string, RegExp> = {
  call: /^0f1f440000$/, // nopl 0(%rax,%rax,1)
  tail: /^c3cccccccc$/, // ret; int3 x4
  'conditional tail': /^0f8/, // stays a jcc: the trampoline returns
};

test('static_call_init brings every site from its trampoline to its function', () => {
  const runtime = booted(clangCalls);
  const { image } = runtime;
  const trampolines = new Set([...runtime.program.calls.values()].map((c) => c.trampoline));
  for (const site of runtime.program.sites.of(staticCall)) {
    const code = image.read(site.address, 6);
    const instruction = image.arch.instructionsOf(0).readInstruction(code, 0);
    const value = readCallValue(runtime.program, site.key);
    if (value.kind !== 'function') continue;
    assert.equal(site.address + instruction.displacement, value.address, image.describe(site.address));
    assert.equal(
      trampolines.has(site.address + instruction.displacement),
      false,
      image.describe(site.address),
    );
  }
});

test('the sample has sites of all three kinds', () => {
  const kinds = new Set(
    booted(clangCalls)
      .program.sites.of(staticCall)
      .map((s) => callKindOf(booted(clangCalls).image, s)),
  );
  assert.deepEqual([...kinds].sort(), ['call', 'conditional tail', 'tail']);
});

test('a call of NULL is a NOP, a tail call of NULL returns, a conditional one goes to a return', () => {
  const runtime = booted(clangCalls);
  update(runtime, 'math', 'NULL');
  const sites = sitesOf(runtime, 'math');
  assert.ok(sites.length >= 3, `${sites.length} sites`);
  for (const { kind, bytes } of sites) assert.match(bytes, nullForms[kind]!);
});

test('a call of RET0 clears the result in place, a tail call jumps to __static_call_return0', () => {
  const runtime = booted(clangCalls);
  update(runtime, 'math', 'RET0');
  for (const { kind, bytes, address } of sitesOf(runtime, 'math')) {
    if (kind === 'call') assert.equal(bytes, '2e2e2e31c0');
    else {
      const instruction = runtime.image.instructionAt(address);
      assert.equal(address + instruction.displacement, runtime.program.returnZero);
    }
  }
});

test('an update changes key, then trampoline, then every site', () => {
  const runtime = booted(clangCalls);
  const { poker, image } = runtime;
  const from = poker.records.length;
  const call = resolveStaticCall(image, runtime.program.calls, 'math');
  update(runtime, 'math', 'NULL');
  const [first, second, ...rest] = poker.records.slice(from);
  assert.equal(first?.address, call.key);
  assert.equal(second?.address, call.trampoline);
  assert.equal(rest.length, sitesOf(runtime, 'math').length - conditionalNulls(runtime));
});

/** Conditional tail calls of NULL go to the trampoline, as some did before. */
function conditionalNulls(runtime: Runtime): number {
  const { trampoline } = resolveStaticCall(runtime.image, runtime.program.calls, 'math');
  return sitesOf(runtime, 'math').filter(({ kind, address }) => {
    const { displacement } = runtime.image.arch
      .instructionsOf(0)
      .readInstruction(runtime.image.read(address, 6), 0);
    return (
      kind === 'conditional tail' &&
      address + displacement === trampoline &&
      runtime.poker.records.every((r) => r.address !== address)
    );
  }).length;
}

for (const value of ['NULL', 'RET0', 'main']) {
  test(`math = ${value} and back again gives the first image, byte for byte`, () => {
    const runtime = booted(clangCalls);
    const before = contents(runtime);
    const function_ = describeValue(
      runtime.image,
      readCallValue(runtime.program, resolveStaticCall(runtime.image, runtime.program.calls, 'math').key),
    );
    update(runtime, 'math', value);
    assert.notEqual(contents(runtime), before);
    update(runtime, 'math', function_);
    assert.equal(contents(runtime), before);
  });
}

test('booting a booted image changes nothing', () => {
  const once = booted(clangCalls);
  const again = booted(once.image.file.source.read(0, once.image.file.source.size));
  assert.deepEqual(again.poker.records, []);
});

test('hand-written sites that the assembler resolved itself hold what their keys say, like all others', () => {
  const runtime = booted(handCalls);
  assert.equal(runtime.program.sites.of(staticCall).length, 11);
  for (const site of runtime.program.sites.of(staticCall)) {
    const { bytes } = callPatch(runtime.program, site, [], readCallValue(runtime.program, site.key));
    assert.equal(hexBytes(runtime.image.read(site.address, bytes.length)), hexBytes(bytes));
  }
});

test('a site that calls something else than its trampoline is refused, and nothing is written', () => {
  const image = imageOf(clangCalls);
  const site = readCallSites(image)[0]!;
  image.read(site.address + 1, 1)[0]! ^= 0x10;
  const before = hexBytes(image.file.source.read(0, image.file.source.size));
  assert.throws(() => staticCallInit(new Runtime(programOf(image))), MismatchError);
  assert.equal(hexBytes(image.file.source.read(0, image.file.source.size)), before);
});

test('a name that is no symbol, and an address that is no code, are refused', () => {
  const runtime = booted(clangCalls);
  for (const value of ['no_such_function', '0x10']) {
    assert.throws(
      () => update(runtime, 'math', value),
      (e) => e instanceof TextpokeError && e.code === 'unknown-key',
    );
  }
  assert.throws(
    () => update(runtime, 'no_such_call', 'NULL'),
    (e) => e instanceof TextpokeError && e.code === 'unknown-key',
  );
});

test('two file-local calls of one name each belong to the trampoline of their own source', () => {
  const runtime = booted(clangCalls);
  const locals = [...runtime.program.calls.values()].filter((c) => c.name === 'local_work');
  assert.equal(locals.length, 2);
  assert.notEqual(locals[0]?.trampoline, locals[1]?.trampoline);
});
