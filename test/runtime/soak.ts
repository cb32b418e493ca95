// npm run soak: threads over sites while others change them, for as many changes as one likes (soak.c says how).
//
//   npm run soak                                   100,000 changes for x86-64
//   npm run soak -- --changes 10000000             more
//   npm run soak -- --machine AArch64 --changes 1000000
//   npm run soak -- --readers 16 --ways memfd      more threads; memfd, signals: other ways than the best
//   npm run soak -- --seconds 3600                 at most so long
//   SOAK_MDWE=1 npm run soak                       no page may become writable and executable
//
// Status 1 when a site was older than a change that had returned, 3 when time ran out.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build, targets } from './programs.ts';

const { values: options } = parseArgs({
  options: {
    changes: { type: 'string', default: '100000' },
    readers: { type: 'string', default: '16' },
    seconds: { type: 'string', default: '86400' },
    machine: { type: 'string', default: 'x86-64' },
    ways: { type: 'string', default: '' },
  },
});

const target = targets.find(({ name }) => name === options.machine);
if (!target) {
  process.stderr.write(`--machine is one of ${targets.map(({ name }) => name).join(', ')}\n`);
  process.exit(2);
}
const directory = mkdtempSync(join(tmpdir(), 'textpoke-soak-'));
try {
  const { program, plugin } = build(target, 'soak', directory);
  const args = [options.changes, options.readers, options.seconds, ...(plugin === undefined ? [] : [plugin])];
  const [command = program, ...rest] = [...target.emulator, program];
  const env = { ...process.env, TEXTPOKE_WAYS: options.ways };
  const { status, signal } = spawnSync(command, [...rest, ...args], { env, stdio: 'inherit' });
  if (signal) process.stderr.write(`soak ended by ${signal}\n`);
  process.exitCode = status ?? 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
