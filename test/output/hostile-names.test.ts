// Names come from inputs, and what they hold must not reach a terminal or a log: every command and format prints names
// that hold controls, ends of lines, commands of build servers and marks that turn text round.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { main } from '../../src/main.ts';
import { coloursOf, jsonText, lineOf, textOf } from '../../src/output/text.ts';
import { runMain } from '../in-process.ts';
import { scratch } from '../tools.ts';

const demo = fileURLToPath(new URL('../../samples/demo/', import.meta.url));

/** Names of the demo, and as many bytes to take their place. */
const renamed = [
  ['tracing', '\x1b\n\u009b\x7f\rX'],
  ['greet', '\u202e\n:'],
  ['count', '\n::\bx'],
  ['work.c', 'w\x1b\n\u009bc'],
  ['main.c', 'm\x1b\n\u009bc'],
] as const;
const [[, key]] = renamed;
const path = 'd\x1b[2J\n::error::x\u2066\u009b';

function hostileObject(name: string): Buffer {
  const text = renamed.reduce(
    (bytes, [from, to]) => bytes.replaceAll(from, Buffer.from(to).toString('latin1')),
    readFileSync(join(demo, name), 'latin1'),
  );
  return Buffer.from(text, 'latin1');
}

/** A directory with objects that have such names, below one that has such a name itself. */
function hostile(t: TestContext) {
  const directory = join(scratch(t), path);
  mkdirSync(directory);
  const objects = ['main.o', 'work.o'].map((name) => {
    writeFileSync(join(directory, name), hostileObject(name));
    return join(directory, name);
  });
  copyFileSync(objects[0] as string, join(directory, 'old.o'));
  const config = join(directory, 'config.json');
  const suppress = [{ rule: 'TP011', symbol: '*', reason: `known ${path}` }];
  writeFileSync(config, JSON.stringify({ schema: 'textpoke.config/1', suppress }));
  const scenario = join(directory, 'scenario.json');
  writeFileSync(scenario, JSON.stringify({ schema: 'textpoke.scenario/1', steps: [{ enable: path }] }));
  return { directory, objects, config, scenario, image: join(directory, 'image') };
}

/** Everything but the ends of our own lines. */
const raw = /(?!\n)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const escapeCode = '\x1b';
const colour = new RegExp(`${escapeCode}\\[\\d+m`, 'g');

test('no byte of a name reaches standard output or standard error as it is, in any command and format', async (t) => {
  const { objects, config, scenario, image, directory } = hostile(t);
  const [mainObject] = objects as [string];
  const missing = join(directory, 'missing');
  const rows: (readonly [status: number, args: readonly string[]])[] = [
    [0, ['annotate', '--stats', '--dry-run', ...objects]],
    [0, ['annotate', '--json', ...objects]],
    [4, ['annotate', missing]],
    [4, ['annotate', '--files-from', missing]],
    [3, ['annotate', config]],
    [0, ['dump', ...objects]],
    [0, ['dump', '--disassemble', mainObject]],
    [0, ['dump', '--json', mainObject]],
    [0, ['dump', '--format', 'jsonl', mainObject]],
    [0, ['dump', '--summary', ...objects]],
    [0, ['dump', '--summary', '--json', mainObject]],
    ...['key', 'function', 'file', 'section'].map((by) => [0, ['dump', '--by', by, ...objects]] as const),
    [4, ['dump', missing]],
    [0, ['boot', ...objects, '-o', image]],
    [0, ['boot', image, '--trace', '--enable', key, '--cpus', '1']],
    [0, ['boot', image, '--json', '--enable', key]],
    [0, ['boot', image, '--states']],
    [0, ['boot', image, '--disable', key]],
    [2, ['boot', image, '--enable', path]],
    [2, ['boot', image, '-o', image]],
    [2, ['boot', image, '--scenario', scenario]],
    [0, ['dump', image]],
    ...['text', 'json', 'sarif', 'junit', 'github'].flatMap((format) => [
      [1, ['verify', image, '--cpus', '1', '--format', format]] as const,
      [0, ['verify', image, '--cpus', '1', '--format', format, '--config', config]] as const,
    ]),
    [3, ['verify', image, '--memory', config]],
    ...['text', 'json', 'markdown'].map(
      (format) => [1, ['diff', mainObject, join(directory, 'old.o'), '--format', format]] as const,
    ),
    [2, ['explain', path]],
    [2, [path]],
    [2, ['dump', `--${path}`, 'x']],
    [2, ['completion', path]],
    [2, ['boot', 'x', '--cpus', path]],
    [127, ['cc', '--', join(directory, 'no-compiler'), '-c', 'x.c']],
  ];
  const { FORCE_COLOR, NO_COLOR } = process.env;
  t.after(() => Object.assign(process.env, { FORCE_COLOR: FORCE_COLOR ?? '0', NO_COLOR: NO_COLOR ?? '' }));
  process.env.NO_COLOR = '';
  let lines = 0;
  for (const force of ['0', '1']) {
    process.env.FORCE_COLOR = force;
    for (const [status, args] of rows) {
      const ran = await runMain(t, main, args);
      const what = args.join(' ').replaceAll(directory, '');
      assert.equal(ran.status, status, `${what}: ${ran.errors}`);
      for (const text of [ran.text, ran.errors]) {
        const plain = force === '1' ? text.replace(colour, '') : text;
        assert.equal(raw.exec(plain)?.index, undefined, `${what}: ${JSON.stringify(plain)}`);
        const own = args.includes('github')
          ? /^::(?!(error|warning) (file=[^,]*,line=\d+,)?title=TP)/m
          : /^\s*::/m;
        assert.doesNotMatch(plain, own, what);
        lines += plain.split('\n').length;
      }
      const shown = /\\x1b|\\u001b|\\u202e|%1B/.test(ran.text + ran.errors);
      const isShort = status === 0 && ran.text.length < 400; // a summary without a name, or nothing
      assert.equal(shown || isShort, true, `${what} shows no name: ${ran.text}${ran.errors}`);
    }
  }
  assert.ok(lines > 500, `${lines} lines were looked at`);
});

test('what is not printable is shown as its number, and everything else stays', () => {
  const rows: [string, string][] = [
    ['plain é 名前 😀\\x', 'plain é 名前 😀\\x'],
    ['a\tb\nc\r', 'a\\x09b\\x0ac\\x0d'],
    ['\x00\x7f\x80\x9b\xa0', '\\x00\\x7f\\x80\\x9b\xa0'],
    ['\xad\u061c\u200e\u2028\u202e\u2069\ufeff', '\\xad\\u061c\\u200e\\u2028\\u202e\\u2069\\ufeff'],
    ['\ud800x\udc00\uffff\u{e0041}', '\\ud800x\\udc00\\uffff\\u{e0041}'],
    ['::error::', '\\x3a:error::'],
    ['  ::debug::', '  \\x3a:debug::'],
    ['a::b', 'a::b'],
    ['x ##[error]y ##vso[z] ## #', 'x \\x23#[error]y \\x23#vso[z] ## #'],
  ];
  for (const [name, shown] of rows) assert.equal(lineOf(name), shown);
  assert.equal(textOf(['a\nb', 'c']), 'a\\x0ab\nc\n');
  assert.equal(textOf([]), '');
});

test('colours come from the program alone', () => {
  const { red } = coloursOf(true);
  assert.equal(lineOf(`${red('a\x1b[1m')}\x1b[2m`), '\x1b[31ma\\x1b[1m\x1b[39m\\x1b[2m');
  assert.equal(lineOf(coloursOf(false).red('a\x1b[1m')), 'a\\x1b[1m');
});

test('JSON says the same with everything that is not printable escaped', () => {
  const document = { 'k\u202e': ['\x1b\n\x7f\x9b\u2028', '\ud800', 'é 😀 \u{e0041}'] };
  for (const indent of [undefined, 2]) {
    const text = jsonText(document, indent);
    assert.deepEqual(JSON.parse(text), document);
    assert.doesNotMatch(text.replaceAll('😀', ''), raw);
    assert.match(text, /é 😀/);
  }
});
