// The demo: annotate two objects, link them in memory and boot with one CPU, flip a key and redirect a call, verify. With
// --all it shows every write, boots with two CPUs, goes back, and does the same for AArch64 and ARM. Needs nothing but
// Node; on Linux it also runs the images that are for its machine.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const program = fileURLToPath(new URL('../../bin/textpoke.js', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'textpoke-demo-'));
const canRun = (machine) => process.platform === 'linux' && process.arch === machine;

process.stdout.on('error', () => process.exit(1)); // `| head` went away

const isLong = process.argv.includes('--all');

function say(text) {
  process.stdout.write(`${isLong ? '\n' : ''}# ${text}\n`);
}

/** Shows a command and what it prints; the demo fails when its exit status is another than expected. */
function show(command, args, expected = 0) {
  process.stdout.write(`$ ${[command, ...args].join(' ')}\n`);
  const [file, all] =
    command === 'textpoke' ? [process.execPath, [program, ...args]] : [join(scratch, command), args];
  const result = spawnSync(file, all, { cwd: scratch, encoding: 'utf8' });
  process.stdout.write(result.stdout + result.stderr);
  if (result.status !== expected) fail(`exit status ${result.status}; ${expected} was expected`);
}

function fail(text) {
  process.stderr.write(`demo: ${text}\n`);
  rmSync(scratch, { recursive: true, force: true });
  process.exit(1);
}

function run(image, machine = 'x64') {
  if (canRun(machine)) show(`./${image}`, []);
}

/** Annotate, link, boot, change and verify for another machine. */
function shortly(machine, nodeName) {
  const objects = ['main.o', 'work.o'].map((name) => `${machine}-${name}`);
  for (const name of ['main.o', 'work.o'])
    cpSync(join(here, machine, name), join(scratch, `${machine}-${name}`));
  show('textpoke', ['annotate', ...objects, '--stats']);
  show('textpoke', ['boot', ...objects, '-o', machine]);
  run(machine, nodeName);
  const steps = ['--enable', 'tracing', '--update', 'greet=greet_loud'];
  show('textpoke', ['boot', machine, ...steps, '--trace', '-o', `${machine}-changed`]);
  show('textpoke', ['verify', `${machine}-changed`, '--original', machine]);
  run(`${machine}-changed`, nodeName);
}

/** The story on one screen. */
function tell() {
  say('Two objects, one by gcc and one by clang. Find their sites and list them in tables.');
  show('textpoke', ['annotate', 'main.o', 'work.o', '--stats']);
  say('Link them and boot with one CPU: the call becomes direct, the lock prefix goes.');
  show('textpoke', ['boot', 'main.o', 'work.o', '--cpus', '1', '-o', 'up']);
  run('up');
  say('Switch a key on and redirect the call, as the running program would.');
  show('textpoke', ['boot', 'up', '--enable', 'tracing', '--update', 'greet=greet_loud', '-o', 'changed']);
  run('changed');
  say('Prove every site; no word is a good one. For two CPUs the image is wrong, and verify says where.');
  show('textpoke', ['verify', 'changed', '--original', 'up', '--cpus', '1']);
  show('textpoke', ['verify', 'changed', '--cpus', '2'], 1);
  say('npm run demo -- --all shows every write, and the same for AArch64 and ARM.');
}

/** Everything. */
function tellAll() {
  say('Two objects of samples/demo, one by gcc and one by clang. Find their sites and write the tables.');
  show('textpoke', ['annotate', 'main.o', 'work.o', '--stats']);
  show('textpoke', ['dump', 'main.o', 'work.o', '--disassemble']);

  say('Link them in memory and boot with one CPU: the static call becomes direct, the lock is dropped.');
  show('textpoke', ['boot', 'main.o', 'work.o', '--cpus', '1', '--trace', '-o', 'up']);
  show('textpoke', ['verify', 'up', '--cpus', '1']);
  run('up');

  say('The same with two CPUs: the lock stays.');
  show('textpoke', ['boot', 'main.o', 'work.o', '--cpus', '2', '-o', 'smp']);
  show('textpoke', ['verify', 'smp', '--cpus', '2']);
  run('smp');

  say('The running program enables a key and redirects a call. Each live write goes breakpoint, tail, head.');
  show('textpoke', [
    'boot',
    'smp',
    '--enable',
    'tracing',
    '--update',
    'greet=greet_loud',
    '--trace',
    '-o',
    'changed',
  ]);
  show('textpoke', ['verify', 'changed', '--original', 'smp', '--cpus', '2']);
  run('changed');

  say('For one CPU the second image is wrong, and verify says where.');
  show('textpoke', ['verify', 'changed', '--cpus', '1'], 1);

  say('And back again: the image is the first one, byte for byte.');
  show('textpoke', [
    'boot',
    'changed',
    '--disable',
    'tracing',
    '--update',
    'greet=greet_plain',
    '-o',
    'back',
  ]);
  const same = readFileSync(join(scratch, 'smp')).equals(readFileSync(join(scratch, 'back')));
  if (!same) fail('smp and back differ');
  process.stdout.write('smp and back are identical\n');

  say('The same program for AArch64: no locks to drop, and each live write is one instruction.');
  shortly('aarch64', 'arm64');

  say('And for 32-bit ARM, one object in ARM code and one in Thumb: bl between them becomes blx.');
  shortly('arm', 'arm');

  say('There a barrier between CPUs is what one CPU does not need. It is listed on request.');
  show('textpoke', ['annotate', 'arm-work.o', '--smp-barriers', '--stats']);
  show('textpoke', ['boot', 'arm-main.o', 'arm-work.o', '--cpus', '1', '--trace', '-o', 'arm-up']);
  show('textpoke', ['verify', 'arm-up', '--cpus', '1']);
  run('arm-up', 'arm');
}

try {
  for (const name of ['main.o', 'work.o']) cpSync(join(here, name), join(scratch, name));
  if (isLong) tellAll();
  else tell();
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
