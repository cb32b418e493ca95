// textpoke report on the command line, for programs that a compiler and a linker made.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { inflateSync } from 'node:zlib';
import { boot } from '../../src/library/boot.ts';
import { linkerScript } from '../../src/library/linker-script.ts';
import type { ControlData, ImageData, ReportData } from '../../src/report/data.ts';
import { hex, ImageModel } from '../../src/report/page/model.ts';
import { Play } from '../../src/report/page/play.ts';
import { builtProgram } from '../built.ts';
import { run, scratch, toolTest } from '../tools.ts';

const root = join(import.meta.dirname, '..', '..');

/** With a second call, the number of relative relocations follows from both. */
const secondCall = `
#include <textpoke/static_call.h>
int first(int n) { return n + 3; }
int last(int n) { return n - 3; }
DEFINE_STATIC_CALL(leave, first);
int leaving(int n) { return static_call(leave)(n); }
`;

const source = `
#include <textpoke/static_call.h>
#include <textpoke/static_key.h>
int plain(int n) { return n + 1; }
int loud(int n) { return n * 2; }
DEFINE_STATIC_CALL(greet, plain);
DEFINE_STATIC_KEY_FALSE(tracing);
int main(int argc, char **argv) {
  int n = static_call(greet)(argc);
  if (static_branch_unlikely(&tracing)) n += 7;
  return n;
}
`;

/** A program of that source, in a directory that goes away. */
function program(t: TestContext, ...flags: readonly string[]): { directory: string; path: string } {
  return programOf(t, source, flags);
}

function programOf(t: TestContext, text: string, flags: readonly string[]) {
  const directory = scratch(t);
  writeFileSync(join(directory, 'greet.c'), text);
  writeFileSync(join(directory, 'textpoke.ld'), linkerScript('x86-64'));
  run('gcc', ['-g', '-O2', ...flags, `-I${join(root, 'include')}`, '-c', 'greet.c'], directory);
  const annotated = spawnSync(process.execPath, [builtProgram(), 'annotate', 'greet.o'], { cwd: directory });
  assert.equal(annotated.status, 0, String(annotated.stderr));
  run('gcc', [...flags, 'greet.o', '-Wl,-T,textpoke.ld', '-o', 'greet'], directory);
  return { directory, path: join(directory, 'greet') };
}

function textpoke(args: readonly string[], cwd: string) {
  return spawnSync(process.execPath, [builtProgram(), ...args], {
    cwd,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
}

/** Takes the data out of a report, as its page does. */
function dataOf(html: string): ReportData {
  const packed = /<script type="application\/octet-stream" id="data">([A-Za-z0-9+/=]+)<\/script>/.exec(
    html,
  )?.[1];
  assert.ok(packed !== undefined, 'the report has data');
  return JSON.parse(inflateSync(Buffer.from(packed, 'base64')).toString('utf8'));
}

toolTest('-o writes the page, with lines of the source; standard output is the same page', ['gcc'], (t) => {
  const { directory } = program(t, '-no-pie');
  const written = textpoke(['report', 'greet', '-o', 'report.html'], directory);
  assert.deepEqual([written.status, written.stdout, written.stderr], [0, '', '']);
  const html = readFileSync(join(directory, 'report.html'), 'utf8');
  assert.equal(statSync(join(directory, 'report.html')).mode & 0o111, 0, 'it is no program');
  assert.equal(textpoke(['report', 'greet'], directory).stdout, html);
  const [image] = dataOf(html).images as [ImageData];
  const model = new ImageModel(image);
  const sources = Array.from({ length: model.count }, (_, place) => model.source(place));
  const call = source.split('\n').findIndex((line) => line.includes('static_call(greet)')) + 1;
  assert.ok(sources.includes(`greet.c:${call}`), sources.join(' '));
  // A program of few functions may redirect its calls to any of them.
  const greet = image.boot?.controls.find(({ what }) => what === 'call');
  assert.deepEqual(
    greet?.values.map(({ name }) => model.string(name)),
    ['plain', 'NULL', 'loud'],
  );
});

for (const flags of [['-no-pie'], ['-fPIE', '-pie'], ['-fPIE', '-pie', '-Wl,-z,now', '-Wl,-E']]) {
  toolTest(`what the page replays is what boot writes: gcc ${flags.join(' ')}`, ['gcc'], async (t) => {
    const { directory, path } = program(t, ...flags);
    assert.equal(textpoke(['report', 'greet', '-o', 'report.html'], directory).status, 0);
    const [image] = dataOf(readFileSync(join(directory, 'report.html'), 'utf8')).images as [ImageData];
    const model = new ImageModel(image);
    const controls = image.boot?.controls ?? [];
    const call = controls.findIndex(({ what }) => what === 'call');
    const play = new Play(image, model.addresses, 1);
    const values = controls[call]?.values.map(({ spelling }) => image.strings[spelling] as string) ?? [];
    const order = [values.indexOf('loud'), values.indexOf('NULL'), 0];
    const writes = order.flatMap((value) => play.apply({ control: call, value }));
    const steps = order.map(
      (value) => ({ do: 'update', call: 'greet', value: values[value] as string }) as const,
    );
    const { document } = await boot(path, { cpus: 1, steps });
    assert.deepEqual(
      writes.map(({ address, before, after, reason }) => [hex(address), before, after, reason]),
      document.writes
        .filter(({ phase }) => phase === 'run time')
        .map(({ address, before, after, reason }) => [address, before, after, reason]),
    );
  });
}

toolTest(
  'what follows from several calls is left out, and all else is what boot writes',
  ['gcc'],
  async (t) => {
    const { directory, path } = programOf(t, source + secondCall, ['-fPIE', '-pie']);
    assert.equal(textpoke(['report', 'greet', '-o', 'report.html'], directory).status, 0);
    const [image] = dataOf(readFileSync(join(directory, 'report.html'), 'utf8')).images as [ImageData];
    const model = new ImageModel(image);
    const calls = (image.boot?.controls ?? []).flatMap((control, i) => (control.what === 'call' ? [i] : []));
    assert.deepEqual(
      calls.map((call) => image.boot?.controls[call]?.leftOut),
      [1, 1],
    );
    const play = new Play(image, model.addresses, undefined);
    const writes = calls.flatMap((control) => play.apply({ control, value: 1 }));
    const names = calls.map((call) => model.controlName(image.boot?.controls[call] as ControlData));
    const steps = names.map((call) => ({ do: 'update', call, value: 'NULL' }) as const);
    const { document } = await boot(path, { steps });
    assert.deepEqual(
      writes.map(({ address, before, after, reason }) => [hex(address), before, after, reason]),
      document.writes
        .filter(({ phase, reason }) => phase === 'run time' && !reason.startsWith('the number of leading'))
        .map(({ address, before, after, reason }) => [address, before, after, reason]),
    );
  },
);

toolTest('what cannot be is refused, and no file is written', ['gcc'], (t) => {
  const { directory } = program(t, '-no-pie');
  const rows: (readonly [status: number, code: string, args: readonly string[]])[] = [
    [3, 'not-an-image', ['greet.o']],
    [2, 'usage', ['greet', '-o', 'greet']],
    [2, 'usage', ['greet', 'greet', '--verify']],
    [2, 'usage', ['greet', '--base', '0x1000']],
    [2, 'usage', ['greet', '--cpus', '2']],
    [2, 'unknown-key', ['greet', '--update', 'nothing=loud']],
    [4, 'read-failed', ['missing']],
  ];
  for (const [status, code, args] of rows) {
    const all = ['report', ...args, ...(args.includes('-o') ? [] : ['-o', 'report.html'])];
    const result = textpoke(all, directory);
    assert.equal(result.status, status, `${all.join(' ')}: ${result.stderr}`);
    assert.match(result.stderr, new RegExp(`\\[${code}\\]`));
    assert.equal(existsSync(join(directory, 'report.html')), false, all.join(' '));
  }
});
