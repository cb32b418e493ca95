// verify --memory as a user runs it.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { readBranchSites } from '../../src/kinds/static-branch/table.ts';
import { runBuilt } from '../e2e/warm.ts';
import { core, kernelBytes, type Page, run } from '../memory/dumps.ts';
import { imageOf } from '../samples.ts';
import { scratch } from '../tools.ts';

const kernel = kernelBytes('gcc-O2');
const pages = run(kernel, 0x200000);

function files(t: TestContext, memory: readonly Page[]): { directory: string; args: string[] } {
  const directory = scratch(t);
  writeFileSync(join(directory, 'vmlinux'), kernel);
  writeFileSync(join(directory, 'core'), core(memory, { addresses: ['virtual'] }));
  return { directory, args: ['verify', 'vmlinux', '--memory', 'core'] };
}

test('a good dump: where the kernel lies, a line for each table, status 0', (t) => {
  const { directory, args } = files(t, pages);
  const { status, stdout, stderr } = runBuilt(args, directory);
  assert.equal(stderr, '');
  assert.match(
    stdout,
    /^core: an ELF core by virtual addresses; slide 0x200000, from the place of the banner in the dump/,
  );
  for (const table of ['__jump_table', '.static_call_sites', '.smp_locks'])
    assert.match(stdout, new RegExp(`^  ${table}: \\d+ compared, 0 wrong$`, 'm'));
  assert.equal(status, 0);
});

test('a site that was tampered with: a finding with its name, status 1', (t) => {
  const image = imageOf(kernel);
  const site = readBranchSites(image)[0]?.address as number;
  const broken = pages.map((page) => ({ ...page, bytes: page.bytes.slice() }));
  const at = site + 0x200000;
  const page = broken.find(({ virtual, bytes }) => at >= virtual && at < virtual + bytes.length) as Page;
  page.bytes[at - page.virtual] = 0x90;
  const { directory, args } = files(t, broken);
  const text = runBuilt(args, directory);
  assert.equal(text.status, 1);
  assert.ok(text.stdout.includes(image.describe(site)), text.stdout);
  const json = runBuilt([...args, '--format', 'json'], directory);
  assert.equal(json.status, 1);
  const { schema, memory, findings } = JSON.parse(json.stdout);
  assert.deepEqual([schema, memory.slide, findings.length], ['textpoke.memory/1', '0x200000', 1]);
  assert.equal(findings[0].place, image.describe(site));
  const printed = (format: string) => runBuilt([...args, '--format', format], directory).stdout;
  const { results } = JSON.parse(printed('sarif')).runs[0];
  assert.deepEqual([results.length, results[0].ruleId], [1, findings[0].rule]);
  assert.match(printed('junit'), new RegExp(`<failure type="${findings[0].rule}"`));
  assert.match(printed('github'), /^::error title=TP\d{3} [^:]+::vmlinux: 0x[0-9a-f]+ .*\n$/);
});

for (const [what, extra, status, message] of [
  ['a slide where the kernel is not', ['--slide', '0x1000'], 3, /memory-mismatch/],
  ['the right slide', ['--slide', '0x200000'], 0, /^$/],
  ['--original beside --memory', ['--original', 'vmlinux'], 2, /cannot be used with option '--original/],
  ['a slide that is no number', ['--slide', 'far'], 2, /slide/],
] as const) {
  test(`${what} ends with status ${status}`, (t) => {
    const { directory, args } = files(t, pages);
    const result = runBuilt([...args, ...extra], directory);
    assert.equal(result.status, status, result.stderr);
    assert.match(result.stderr, message);
  });
}

test('a dump that is not there is status 4', (t) => {
  const { directory, args } = files(t, pages);
  const result = runBuilt([...args.slice(0, -1), 'nothing'], directory);
  assert.equal(result.status, 4);
  assert.match(result.stderr, /nothing.*\[read-failed\]/);
});

test('a dump of which nothing can be compared: status 1, and every format says so', (t) => {
  const image = imageOf(kernel);
  const code = readBranchSites(image)[0]?.address as number;
  const without = pages.filter(({ virtual }) => Math.floor((code + 0x200000) / 4096) * 4096 !== virtual);
  const { directory, args } = files(t, without);
  const printed = (format: string) => {
    const result = runBuilt([...args, '--format', format], directory);
    assert.equal(result.status, 1, format);
    return result.stdout;
  };
  assert.match(
    printed('text'),
    /^core: .*\n(?: {2}.*\n)+vmlinux: error TP029 nothing-compared: .*\n {2}__jump_table: nothing was compared/,
  );
  const { errors, warnings, findings, tables } = JSON.parse(printed('json'));
  assert.deepEqual([errors, warnings], [findings.length, 0]);
  assert.deepEqual([tables[0].compared, findings[0].rule], [0, 'TP029']);
  assert.match(printed('sarif'), /"ruleId":"TP029"/);
  assert.match(printed('junit'), /<failure type="TP029"/);
  assert.match(
    printed('github'),
    /^::error title=TP029 nothing-compared::vmlinux: __jump_table: nothing was/,
  );
});

test('a dump that lacks a part: a note says what was not compared, status 0', (t) => {
  const { directory, args } = files(t, pages);
  const dump = readFileSync(join(directory, 'core'));
  const trampolines = imageOf(kernel).file.sections.find(({ name }) => name === '.static_call.text');
  const half = 0x200000 + (trampolines?.addr as number) + (trampolines?.size as number) / 2;
  const page = pages.findIndex(({ virtual }) => virtual === Math.floor(half / 4096) * 4096);
  // The segment of the code ends in the middle of the trampolines: p_filesz is at byte 32 of its header.
  const header = 64 + (1 + page) * 56;
  dump.writeBigUInt64LE(BigInt(half - (pages[page] as Page).virtual), header + 32);
  writeFileSync(join(directory, 'core'), dump);
  for (const format of ['text', 'sarif']) {
    const { status, stderr } = runBuilt([...args, '--format', format], directory);
    assert.match(
      stderr,
      /core: \d of \d+ entries of trampolines are not in the dump and were not compared\n/,
    );
    assert.equal(status, 0);
  }
});
