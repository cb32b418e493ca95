// textpoke dump on a terminal, which script(1) makes: the summary first, columns that fit, and the pager with its rules.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { builtProgram } from '../built.ts';
import { archiveOf } from '../elf/archives.ts';
import { annotated, linkedBytes } from '../samples.ts';
import { scratch, toolTest } from '../tools.ts';

const tools = ['script', 'sh', 'cat', 'sed', 'stty'];

interface Shown {
  readonly status: number;
  /** Everything that the terminal got, with plain ends of lines. */
  readonly text: string;
}

interface Terminal {
  readonly rows?: number;
  readonly columns?: number;
  readonly env?: NodeJS.ProcessEnv;
  /** A redirection or pipe behind the command. */
  readonly behind?: string;
  /** Bytes that the user types, once something is seen that matches. */
  readonly types?: readonly [seen: RegExp, keys: string];
}

/** Runs dump in a directory on a terminal. */
async function shown(directory: string, args: string, terminal: Terminal = {}): Promise<Shown> {
  const { rows = 24, columns = 80, env = {}, behind = '', types } = terminal;
  const program = `stty rows ${rows} cols ${columns}; ${process.execPath} ${builtProgram()} dump ${args} ${behind}`;
  const { PAGER: _, LESS: __, COLUMNS: ___, FORCE_COLOR: ____, NO_COLOR: _____, ...outer } = process.env;
  const child = spawn('script', ['-qec', program, '/dev/null'], {
    cwd: directory,
    env: { ...outer, SHELL: '/bin/sh', TERM: 'xterm', NO_COLOR: '1', ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const limit = setTimeout(() => child.kill('SIGKILL'), 60_000);
  let text = '';
  let hasTyped = types === undefined;
  child.stdout.on('data', (data) => {
    text += data;
    if (hasTyped || !types?.[0].test(text)) return;
    hasTyped = true;
    child.stdin.write(types[1]);
  });
  const [status] = await once(child, 'close');
  clearTimeout(limit);
  return { status: status as number, text: text.replaceAll('\r\n', '\n') };
}

/** A directory with a small object, a program with many sites, and a pager that tells of itself. */
function files(t: TestContext): string {
  const directory = scratch(t);
  writeFileSync(join(directory, 'small.o'), annotated('gcc-O2', 'key-use'));
  writeFileSync(join(directory, 'program'), linkedBytes('gcc-O2-g', ['branch', 'call', 'lock']));
  const members = Array.from({ length: 12 }, (_, i) => [`m${i}.o`, annotated('gcc-O2', 'branch')] as const);
  writeFileSync(join(directory, 'many.a'), archiveOf(members));
  const pager = join(directory, 'pager');
  writeFileSync(pager, '#!/bin/sh\necho "$LESS" > pager-was-here\nsed "s/^/P /"\n');
  chmodSync(pager, 0o755);
  return directory;
}

const used = (directory: string) => existsSync(join(directory, 'pager-was-here'));

toolTest('a file with few entries has no summary, and needs no pager', tools, async (t) => {
  const directory = files(t);
  const { status, text } = await shown(directory, 'small.o', { env: { TEXTPOKE_PAGER: './pager' } });
  assert.equal(status, 0);
  assert.match(text, /^small\.o: ELF64 x86-64, relocatable object\n\n__jump_table: 3 entries/);
  assert.equal(used(directory), false);
});

toolTest('a file with many entries begins with its summary, and goes through the pager', tools, async (t) => {
  const directory = files(t);
  const { status, text } = await shown(directory, 'many.a', { env: { PAGER: './pager' } });
  assert.equal(status, 0);
  assert.match(
    text,
    /^P many\.a: ELF64 x86-64, 12 members of an archive, 12 with tables\nP {3}1\d\d sites take /,
  );
  assert.match(text, /\nP many\.a\(m0\.o\): ELF64/);
  assert.match(text, /\nP many\.a: 12 members, 12 with tables\nP {3}1\d\d entries in __jump_table\n$/);
  assert.equal(readFileSync(join(directory, 'pager-was-here'), 'utf8'), 'FRX\n');
});

toolTest('columns fit the terminal, COLUMNS overrides it, and --wide shows all', tools, async (t) => {
  const directory = files(t);
  const widest = ({ text }: Shown) => text.split('\n').reduce((most, line) => Math.max(most, line.length), 0);
  const env = { PAGER: 'cat' };
  for (const columns of [80, 120, 200])
    assert.ok(widest(await shown(directory, 'program', { columns, env })) <= columns, `${columns} columns`);
  assert.ok(
    widest(await shown(directory, 'program', { columns: 200, env: { ...env, COLUMNS: '70' } })) <= 70,
    'COLUMNS',
  );
  const narrow = await shown(directory, 'program', { env });
  assert.match(narrow.text, / --wide also shows .*bytes.*\n/);
  const wide = await shown(directory, '--wide program', { env });
  const plain = await shown(directory, 'program', { env, behind: '| cat' });
  assert.ok(wide.text.endsWith(plain.text), '--wide is what a pipe gets');
});

const refusals: readonly (readonly [what: string, args: string, terminal: Terminal])[] = [
  ['with --no-pager', '--no-pager program', {}],
  ['with an empty TEXTPOKE_PAGER', 'program', { env: { TEXTPOKE_PAGER: '' } }],
  ['with TEXTPOKE_PAGER=cat', 'program', { env: { TEXTPOKE_PAGER: 'cat' } }],
  ['with TERM=dumb', 'program', { env: { TERM: 'dumb' } }],
  ['in a pipe', 'program', { behind: '| cat' }],
  ['in a file', 'program', { behind: '> file; cat file' }],
  ['for JSON', '--json program', {}],
  ['on a screen that has room', 'program', { rows: 400 }],
];

toolTest('no pager is used where none is wanted, and everything is shown', tools, async (t) => {
  for (const [what, args, terminal] of refusals) {
    const directory = files(t);
    const { status, text } = await shown(directory, args, {
      ...terminal,
      env: { PAGER: './pager', ...terminal.env },
    });
    assert.deepEqual([status, used(directory)], [0, false], what);
    assert.match(text, what === 'for JSON' ? /\]\}\n$/ : /\.smp_locks: \d+ entries/, what);
  }
});

toolTest('the pager is TEXTPOKE_PAGER, else PAGER; LESS of the user stays', tools, async (t) => {
  for (const env of [
    { TEXTPOKE_PAGER: './pager', PAGER: 'false' },
    { PAGER: './pager' },
    { PAGER: 'exec ./pager; true' },
  ]) {
    const directory = files(t);
    const { text, status } = await shown(directory, 'program', { env: { ...env, LESS: 'own' } });
    assert.equal(status, 0);
    assert.match(text, /^P program: ELF64/);
    assert.equal(readFileSync(join(directory, 'pager-was-here'), 'utf8'), 'own\n');
  }
  const directory = files(t);
  await shown(directory, '--wide program', { env: { PAGER: './pager' } });
  assert.equal(readFileSync(join(directory, 'pager-was-here'), 'utf8'), 'FRSX\n');
});

toolTest('a pager that is not there loses nothing', tools, async (t) => {
  const directory = files(t);
  const plain = await shown(directory, 'program', { env: { PAGER: 'cat' } });
  for (const PAGER of ['no-such-pager', './no-such-pager', 'no-such-pager -R', './pager-was-here -x']) {
    const { status, text } = await shown(directory, 'program', { env: { PAGER } });
    assert.equal(status, 0, PAGER);
    assert.equal(text.slice(text.indexOf('program: ELF64')), plain.text, PAGER);
  }
});

toolTest('a pager that is left early ends dump without a word', tools, async (t) => {
  const directory = files(t);
  for (const PAGER of ['head -n 3', 'true', 'sh -c "read line; echo $line; exit 3"']) {
    const { status, text } = await shown(directory, 'many.a --wide', { env: { PAGER } });
    assert.equal(status, 0, PAGER);
    assert.doesNotMatch(text, /EPIPE|error|defect/, PAGER);
  }
});

toolTest('less shows the summary first, and is left by a key', [...tools, 'less'], async (t) => {
  const directory = files(t);
  const { status, text } = await shown(directory, 'many.a', { types: [/many\.a: ELF64[\s\S]*:/, 'q'] });
  assert.equal(status, 0);
  assert.match(text, /12 members of an archive, 12 with tables/);
  assert.doesNotMatch(text, /many\.a\(m11\.o\)/);
});

toolTest('Ctrl-C leaves the terminal to the pager until its user has seen enough', tools, async (t) => {
  const directory = files(t);
  const pager = join(directory, 'patient');
  writeFileSync(
    pager,
    '#!/bin/sh\ntrap "echo interrupted" INT\nsed -n 1p; sleep 1; sed -n 1p; echo "the pager ends"\n',
  );
  chmodSync(pager, 0o755);
  const { status, text } = await shown(directory, 'many.a; echo "the prompt, $?"', {
    env: { PAGER: './patient' },
    types: [/many\.a: ELF64/, '\x03'],
  });
  assert.match(text, /\^Cinterrupted\n[\s\S]*\nthe pager ends\n$/);
  assert.equal(status, 130);
});

toolTest('an error is told behind what was shown, in the pager', tools, async (t) => {
  const directory = files(t);
  const { status, text } = await shown(directory, 'program missing', { env: { PAGER: './pager' } });
  assert.equal(status, 4);
  assert.match(text, /P textpoke: error: missing: cannot read: .* \[read-failed\]\n$/);
});
