// What every command line program owes its user: version, help, exit statuses, quiet pipes, no colours where nobody
// sees them, results on stdout and diagnostics on stderr.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { builtProgram } from '../built.ts';
import { runBuilt } from '../e2e/warm.ts';
import { startSync } from '../starter.ts';
import { longTest, rowsOf, run, scratch, toolTest, turnOf } from '../tools.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const sample = (path: string) => join(root, 'samples', path);
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };

interface Said {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function textpoke(args: readonly string[], env: Record<string, string> = {}): Said {
  return startSync(process.execPath, [builtProgram(), ...args], { env: { ...process.env, ...env } });
}

let demo: Buffer | undefined;

/** The demo, linked in memory and booted. */
function image(t: TestContext): string {
  const directory = scratch(t);
  const path = join(directory, 'image');
  if (demo !== undefined) {
    writeFileSync(path, demo, { mode: 0o755 });
    return path;
  }
  const objects = ['main.o', 'work.o'].map((name) => {
    const path = join(directory, name);
    copyFileSync(sample(`demo/${name}`), path);
    return path;
  });
  assert.equal(textpoke(['annotate', ...objects]).status, 0);
  assert.equal(textpoke(['boot', ...objects, '-o', path]).status, 0);
  demo = readFileSync(path);
  return path;
}

const helps = new Map<string, Said>();

/** Help of the program or of a command; each asked for once. */
function help(...words: readonly string[]): Said {
  const key = words.join(' ');
  const said = helps.get(key) ?? runBuilt(words);
  helps.set(key, said);
  return said;
}

const commandNames = new Set(['annotate', 'boot', 'ldscript', 'verify']);
const commands = [
  'annotate',
  'dump',
  'boot',
  'verify',
  'explain',
  'states',
  'ldscript',
  'config',
  'init',
  'runtime',
];

test('--version prints the version of package.json', () => {
  const said = textpoke(['--version']);
  assert.deepEqual([said.status, said.stdout, said.stderr], [0, `${version}\n`, '']);
});

test('--help and -h print help to stdout, for the program and for each command, with an example', () => {
  for (const flag of ['--help', '-h']) {
    const said = help(flag);
    assert.deepEqual([said.status, said.stderr], [0, '']);
    for (const command of commands) assert.match(said.stdout, new RegExp(`^  ${command}\\b`, 'm'));
    for (const command of flag === '-h' ? rowsOf(commands, 6) : commands) {
      const { status, stdout, stderr } = help(command, flag);
      assert.deepEqual([status, stderr], [0, ''], command);
      assert.match(stdout, new RegExp(`^Usage: textpoke ${command} `));
      assert.match(stdout, /^Examples?:\n {2}\S*.*textpoke/m);
    }
  }
});

test('each help fits a screen, and has an example', () => {
  const all = help('--help').stdout;
  const names = [...all.matchAll(/^ {2}([a-z]+) /gm)].map((match) => match[1] as string);
  assert.ok(names.length > 9, `${names.length} commands`);
  for (const name of names.filter((command) => command !== 'help')) {
    const lines = help(name, '--help').stdout.trimEnd().split('\n');
    assert.ok(lines.length <= 31, `${name}: ${lines.length} lines`);
    assert.ok(
      lines.some((line) => /^Examples?:$/.test(line)),
      name,
    );
    const examples = lines.findIndex((line) => /^Examples?:$/.test(line));
    for (const line of lines.slice(0, examples)) assert.ok(line.length <= 80, line);
  }
});

test('without a command the help goes to stderr, and the status is 2', () => {
  const said = textpoke([]);
  assert.deepEqual([said.status, said.stdout], [2, '']);
  assert.match(said.stderr, /^Usage: textpoke /);
});

test('what is misspelt gets a suggestion, and the status is 2', () => {
  for (const [args, message] of [
    [['annotat'], /unknown command 'annotat'[\s\S]*did you mean annotate\?/],
    [['anotate', 'x.o'], /unknown command 'anotate'[\s\S]*did you mean annotate\?/],
    [['annotate', '--stat', 'x.o'], /unknown option '--stat'[\s\S]*did you mean --stats\?/],
    [['verify', '--cpu', '1', 'x'], /unknown option '--cpu'[\s\S]*did you mean --cpus\?/],
    [['boot', '--cpus', 'many', 'x'], /argument 'many' is invalid/],
    [['boot', '--up-fill', 'jmp', 'x'], /argument 'jmp' is invalid\. Allowed choices are ds, nop/],
    [
      ['annotate', '--locks', 'some', 'x.o'],
      /argument 'some' is invalid\. Allowed choices are all, decodable, listed, none/,
    ],
    [['annotate', '-j', '0', 'x.o'], /argument '0' is invalid/],
    [['annotate'], /missing required argument 'object'/],
    [['verify'], /an image is required, or --running, or --pid/],
    [['ldscript', '--machine', 'vax'], /unknown machine vax; known machines: .*x86-64/],
    [['boot', 'x', '-o'], /option '-o, --output <file>' argument missing/],
  ] as const) {
    const said = runBuilt(args);
    assert.deepEqual([said.status, said.stdout], [2, ''], args.join(' '));
    assert.match(said.stderr, message);
    const named = commandNames.has(args[0]) ? `textpoke ${args[0]}` : 'textpoke';
    assert.match(
      said.stderr,
      new RegExp(`^textpoke: error: .*[;?] ${named} --help says what there is \\[usage\\]\n$`),
    );
  }
});

test('--color says whether output is coloured, whatever it goes to and the environment says', (t) => {
  const path = image(t);
  const isColoured = (args: readonly string[], env: Record<string, string>) =>
    textpoke(['verify', path, '--cpus', '1', ...args], env).stdout.includes('\x1b[');
  for (const [args, env, coloured] of [
    [[], {}, false],
    [['--color', 'always'], {}, true],
    [['--color=always'], { NO_COLOR: '1' }, true],
    [['--color', 'auto'], { FORCE_COLOR: '1' }, true],
    [['--color', 'never'], { FORCE_COLOR: '1' }, false],
  ] as const)
    assert.equal(isColoured(args, env), coloured, `${args.join(' ')} ${JSON.stringify(env)}`);
});

test('--quiet leaves out notes, and neither errors nor results', (t) => {
  const object = join(scratch(t), 'loose.o');
  copyFileSync(sample('objects/gcc-O2/call.o'), object);
  const notes = textpoke(['boot', object, '-o', `${object}.image`]);
  assert.notEqual(notes.stderr, '', 'a note: functions that no object has');
  const quiet = textpoke(['boot', object, '--quiet', '-o', `${object}.image`]);
  assert.deepEqual([quiet.status, quiet.stdout, quiet.stderr], [notes.status, notes.stdout, '']);
  assert.match(textpoke(['dump', '--quiet', 'missing']).stderr, /cannot read/);
});

toolTest('what lasts tells a terminal what is done, and takes it away', ['script'], () => {
  const dump = `${process.execPath} ${builtProgram()} dump /dev/stdin`;
  const slowly = (more: string) => {
    const line = `export TERM=xterm; (sleep 4; cat ${sample('objects/gcc-O2/call.o')}) | ${dump} ${more}`;
    return run('script', ['-qec', line, '/dev/null']);
  };
  const lines = slowly('> /dev/null').split('\r\x1b[K');
  assert.deepEqual(
    [lines[0], lines.at(-1)],
    ['', ''],
    'each takes away the one before, and the last one is taken away',
  );
  assert.ok(lines.length > 2, 'some were told');
  for (const line of lines.slice(1, -1)) assert.match(line, /^textpoke dump \/dev\/stdin \d+ s$/);
  for (const silent of ['--quiet > /dev/null', '> /dev/null 2> /dev/null'])
    assert.equal(slowly(silent), '', silent);
});

test('- is standard input, and standard output behind -o', (t) => {
  const object = join(scratch(t), 'call.o');
  copyFileSync(sample('objects/gcc-O2/call.o'), object);
  const bytes = readFileSync(object);
  const filter = (args: readonly string[], input: Buffer) => {
    const said = spawnSync(process.execPath, [builtProgram(), ...args], { input });
    assert.deepEqual([said.status, said.stderr.toString()], [0, ''], args.join(' '));
    return said.stdout;
  };
  assert.equal(textpoke(['annotate', object]).status, 0);
  const annotated = readFileSync(object);
  assert.deepEqual(filter(['annotate', '-'], bytes), annotated);
  assert.deepEqual(filter(['annotate', '-'], annotated), annotated, 'also where nothing changes');
  assert.deepEqual(filter(['annotate', object, '-o', '-'], bytes), annotated);
  const path = image(t);
  const linked = readFileSync(path);
  const booted = filter(['boot', '-', '--cpus', '1', '-o', '-'], linked);
  assert.equal(textpoke(['boot', path, '--cpus', '1', '-o', `${path}.up`]).status, 0);
  assert.deepEqual(booted, readFileSync(`${path}.up`));
  assert.equal(filter(['verify', '-', '--cpus', '1'], booted).toString(), '');
  assert.match(filter(['dump', '-'], linked).toString(), /^-: ELF64/);
  assert.equal(filter(['diff', path, '-'], linked).toString(), '');
  const both = textpoke(['boot', path, '-o', '-', '--json']);
  assert.deepEqual([both.status, both.stdout], [2, '']);
});

test('a signal ends what only reads, in the middle of it, as it ends any program', async (t) => {
  const script = `process.kill(process.pid, 'SIGINT'); for (;;);`;
  const preload = join(scratch(t), 'interrupt.cjs');
  // Right in front of the work, which gives way to nothing.
  writeFileSync(preload, `setImmediate(() => { ${script} });`);
  const args = ['-r', preload, builtProgram(), 'dump', sample('demo/work.o')];
  const said = spawnSync(process.execPath, args, { timeout: 30_000, killSignal: 'SIGKILL' });
  assert.equal(said.signal, 'SIGINT');
});

test('status 1 is a finding or a refused patch', (t) => {
  const path = image(t);
  assert.equal(runBuilt(['verify', path]).status, 0);
  const found = runBuilt(['verify', path, '--cpus', '1']);
  assert.deepEqual([found.status, found.stderr], [1, '']);
  assert.match(found.stdout, /error TP011 wrong-lock/);
  const short = join(scratch(t), 'short.o');
  copyFileSync(sample('objects/gcc-O2/short.o'), short);
  const refused = runBuilt(['annotate', short]);
  assert.deepEqual([refused.status, refused.stdout], [1, '']);
  assert.match(refused.stderr, /^textpoke: error: .*short\.o: .*\[site-unpatchable\]\n$/);
});

test('status 2 is the command line, also where it names what the image does not have', (t) => {
  const path = image(t);
  for (const args of [
    ['boot', path, '--enable', 'nothing'],
    ['boot', path, '--update', 'greet=nothing'],
    ['boot', path, '--update', 'greet'],
  ]) {
    const said = runBuilt(args);
    assert.deepEqual([said.status, said.stdout], [2, ''], args.join(' '));
  }
});

test('status 3 is an input that is not what it must be, one line that names the file', (t) => {
  const directory = scratch(t);
  const object = sample('objects/gcc-O2/call.o');
  const text = join(directory, 'text.txt');
  writeFileSync(text, 'no ELF at all\n');
  const torn = join(directory, 'torn.o');
  writeFileSync(torn, readFileSync(object).subarray(0, 700));
  const empty = join(directory, 'empty.o');
  writeFileSync(empty, '');
  const other = join(directory, 'other.o');
  const foreign = readFileSync(object);
  foreign.writeUInt16LE(8, 18); // EM_MIPS
  writeFileSync(other, foreign);
  const linked = image(t);
  for (const [args, code] of [
    [['annotate', text], 'not-elf'],
    [['annotate', empty], 'not-elf'],
    [['boot', text], 'not-elf'],
    [['verify', text], 'not-elf'],
    [['annotate', torn], 'elf-truncated|elf-malformed'],
    [['annotate', other], 'machine-unsupported'],
    [['annotate', linked], 'not-relocatable'],
    [['verify', object], 'not-an-image'],
  ] as const) {
    const said = runBuilt(args);
    assert.deepEqual([said.status, said.stdout], [3, ''], `${args.join(' ')}: ${said.stderr}`);
    assert.match(said.stderr, new RegExp(`^textpoke: error: .*${args[1]}: .*\\[(${code})\\]\\n$`));
  }
});

test('status 4 is what cannot be read or written, and nothing is left behind', (t) => {
  const directory = scratch(t);
  const missing = join(directory, 'missing');
  for (const args of [
    ['annotate', missing],
    ['boot', missing],
    ['verify', missing],
    ['annotate', directory],
    ['annotate', sample('objects/gcc-O2/call.o'), '-o', join(directory, 'no', 'such', 'place.o')],
    ['boot', sample('objects/gcc-O2/hand.o'), '-o', join(directory, 'no', 'image')],
  ]) {
    const said = runBuilt(args);
    assert.deepEqual([said.status, said.stdout], [4, ''], `${args.join(' ')}: ${said.stderr}`);
    assert.match(said.stderr, /^textpoke: error: .*\[(read|write)-failed\]\n$/);
  }
  const locked = join(directory, 'locked.o');
  copyFileSync(sample('objects/gcc-O2/call.o'), locked);
  chmodSync(locked, 0o444);
  const said = runBuilt(['annotate', locked]);
  assert.equal(said.status, 4);
  assert.match(said.stderr, /locked\.o: cannot write: the file is read-only \[write-failed\]/);
  assert.deepEqual(readdirSync(directory), ['locked.o']);
  assert.deepEqual(readFileSync(locked), readFileSync(sample('objects/gcc-O2/call.o')));
});

test('one bad file among good ones: the good ones in front of it are done, the bad one is as it was', (t) => {
  const directory = scratch(t);
  const [good, bad] = [join(directory, 'good.o'), join(directory, 'bad.o')];
  copyFileSync(sample('objects/gcc-O2/call.o'), good);
  writeFileSync(bad, 'bad');
  const said = runBuilt(['annotate', good, bad]);
  assert.equal(said.status, 3);
  assert.match(said.stderr, /bad\.o: .*\[not-elf\]/);
  assert.equal(readFileSync(bad, 'utf8'), 'bad');
  assert.match(runBuilt(['annotate', '--stats', good]).stdout, /9 listed before/);
});

const escapeCode = '\u001b';

test('there are no escape codes in a pipe, and NO_COLOR is stronger than FORCE_COLOR', (t) => {
  const path = image(t);
  const runs = [
    ['verify', path, '--cpus', '1'],
    ['boot', path, '--enable', 'tracing', '--trace'],
    ['annotate', path],
    ['--help'],
  ];
  const colours: Record<string, string>[] = [{ NO_COLOR: '1', FORCE_COLOR: '1' }, {}, { NO_COLOR: '1' }];
  for (const [turn, args] of runs.entries()) {
    for (const env of turnOf(colours, turn)) {
      const said = textpoke(args, env);
      assert.ok(
        !`${said.stdout}${said.stderr}`.includes(escapeCode),
        `${args.join(' ')} ${JSON.stringify(env)}`,
      );
    }
  }
  assert.ok(textpoke(runs[0]!, { FORCE_COLOR: '1' }).stdout.includes(escapeCode), 'FORCE_COLOR colors');
});

longTest('a reader that goes away is no error', [], (t) => {
  const path = image(t);
  const objects = ['gcc-O2', 'clang-O2', 'gcc-Os', 'clang-Os', 'gcc-O0'].map((set) =>
    sample(`objects/${set}/branch.o`),
  );
  const lines = [
    ['boot', path, '--trace', '--enable', 'tracing'],
    ['boot', path, '--json'],
    ['verify', path, '--cpus', '1'],
    ['annotate', '--dry-run', ...objects],
    ['ldscript'],
    ['--help'],
  ];
  for (const args of rowsOf(lines, 3)) {
    const piped = spawnSync(
      'sh',
      ['-c', '"$@" | { read -r line; echo "$line"; }; true', 'sh', process.execPath, builtProgram(), ...args],
      {
        encoding: 'utf8',
      },
    );
    assert.equal(piped.stderr, '', args.join(' '));
    assert.equal(piped.stdout.split('\n').length, 2);
    const gone = spawnSync('sh', ['-c', '"$@" | true', 'sh', process.execPath, builtProgram(), ...args], {
      encoding: 'utf8',
    });
    assert.equal(gone.stderr, '', args.join(' '));
  }
});

test('a full disk under standard output is said and is status 4', {
  skip: process.platform !== 'linux',
}, (t) => {
  const path = image(t);
  for (const args of [
    ['boot', path, '--trace', '--enable', 'tracing'],
    ['verify', path, '--cpus', '1'],
    ['--help'],
  ]) {
    const whole = ['-c', '"$@" > /dev/full', 'sh', process.execPath, builtProgram(), ...args];
    const said = spawnSync('sh', whole, { encoding: 'utf8' });
    assert.equal(said.status, 4, args.join(' '));
    assert.match(said.stderr, /^textpoke: error: standard output: cannot write: .*\[write-failed\]\n$/);
  }
});

test('results go to stdout alone and diagnostics to stderr alone', (t) => {
  const path = image(t);
  const booted = textpoke([
    'boot',
    path,
    '--enable',
    'tracing',
    '--disable',
    'tracing',
    '--disable',
    'tracing',
    '--json',
  ]);
  assert.equal(booted.status, 0);
  assert.match(booted.stderr, /^textpoke: .*tracing is already disabled\n$/);
  const document = JSON.parse(booted.stdout) as { schema: string; writes: { address: string }[] };
  assert.equal(document.schema, 'textpoke.boot/1');
  for (const { address } of document.writes) assert.match(address, /^0x[0-9a-f]+$/);
  const script = textpoke(['ldscript']);
  assert.deepEqual([script.status, script.stderr], [0, '']);
  assert.match(script.stdout, /^SECTIONS$/m);
  const found = textpoke(['verify', path, '--cpus', '1', '--format', 'json']);
  assert.equal(found.stderr, '');
  assert.equal((JSON.parse(found.stdout) as { schema: string }).schema, 'textpoke.verify/1');
});

test('success says nothing unless asked', (t) => {
  const path = image(t);
  const directory = mkdtempSync(join(tmpdir(), 'textpoke-quiet-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, 'sub'));
  const object = join(directory, 'sub', 'call.o');
  copyFileSync(sample('objects/gcc-O2/call.o'), object);
  for (const args of [
    ['annotate', object],
    ['annotate', object],
    ['verify', path],
  ]) {
    const said = textpoke(args);
    assert.deepEqual([said.status, said.stdout, said.stderr], [0, '', ''], args.join(' '));
  }
  assert.deepEqual(readdirSync(join(directory, 'sub')), ['call.o']);
});

test('file names that begin with a dash come after --', (t) => {
  const directory = scratch(t);
  copyFileSync(sample('objects/gcc-O2/call.o'), join(directory, '-call.o'));
  const said = spawnSync(process.execPath, [builtProgram(), 'annotate', '--stats', '--', '-call.o'], {
    cwd: directory,
    encoding: 'utf8',
  });
  assert.equal(said.status, 0, said.stderr);
  assert.match(said.stdout, /^-call\.o: 8 static calls/);
});
