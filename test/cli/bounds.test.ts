// The memory that commands take for images in which everything is wrong.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { builtProgram } from '../built.ts';
import { wrongBranches } from '../large-image.ts';
import { longTest, scratch } from '../tools.ts';

/** Says at its end the most memory that a process had. Not maxrss, which counts in that of the parent. */
const sayPeak = `import { readFileSync } from 'node:fs';
process.on('exit', () => console.error(/VmHWM:.*/.exec(readFileSync('/proc/self/status', 'latin1'))[0]));`;
const withPeak = `--import=data:text/javascript,${encodeURIComponent(sayPeak)}`;

const count = 200_000;

longTest(`${count} wrong sites are told in 200 MB and four times the size of their image`, [], (t) => {
  const directory = scratch(t);
  const [path, out] = [join(directory, 'image'), join(directory, 'out')];
  const bytes = wrongBranches(count);
  writeFileSync(path, bytes);
  const most = 200e6 + 4 * bytes.length;
  for (const [args, status] of [
    [['verify', path], 1],
    [['verify', path, '--all'], 1],
    [['verify', path, '--format', 'json'], 1],
    [['verify', path, '--format', 'sarif'], 1],
    [['verify', path, '--format', 'junit'], 1],
    [['verify', path, '--format', 'github'], 1],
    [['dump', path], 0],
    [['dump', path, '--json'], 0],
  ] as const) {
    const fd = openSync(out, 'w');
    const done = spawnSync(process.execPath, [withPeak, builtProgram(), ...args], {
      stdio: ['ignore', fd, 'pipe'],
      encoding: 'utf8',
    });
    closeSync(fd);
    const what = args.filter((arg) => arg !== path).join(' ');
    assert.equal(done.status, status, `${what}: ${done.stderr}`);
    const { size } = statSync(out);
    if (what === 'verify') assert.ok(size < 4000, `${what}: a screen of them is told`);
    else assert.ok(size > 50 * count, `${what}: each of them is told`);
    const peak = 1024 * Number(/VmHWM:\s*(\d+) kB/.exec(done.stderr)?.[1]);
    assert.ok(peak < most, `${what}: ${peak} bytes, at most ${most}`);
  }
});
