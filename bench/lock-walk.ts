// How fast the lock walk goes through a large .text, beside `objdump -d` of the same section, in one run.
// npx tsx bench/lock-walk.ts [program]
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CodeMap } from '../src/arch/code-map.ts';
import { isLockableAt, lockPrefixOf } from '../src/arch/x86-64/length.ts';
import { findLockPrefixes, sweep } from '../src/arch/x86-64/sweep.ts';

const program =
  process.argv[2] ??
  ['/usr/lib/gcc/x86_64-linux-gnu/12/cc1', process.execPath].find((file) => existsSync(file))!;

const directory = mkdtempSync(join(tmpdir(), 'textpoke-bench-'));
const file = join(directory, 'text');
execFileSync('objcopy', ['-O', 'binary', '-j', '.text', program, file]);
const code = Uint8Array.from(readFileSync(file));
rmSync(directory, { recursive: true });

/** Milliseconds that `work` takes, and its result. */
function timed<T>(work: () => T): [number, T] {
  const start = performance.now();
  const result = work();
  return [performance.now() - start, result];
}

// Without symbols: the walk cannot skip a function that has no F0 byte.
const map: CodeMap = { starts: new Uint32Array(0), data: new Uint32Array(0), thumb: new Uint32Array(0) };
const [cold, locks] = timed(() => findLockPrefixes(code, map));
const warm = Math.min(...Array.from({ length: 5 }, () => timed(() => findLockPrefixes(code, map))[0]));

let swept = 0;
const sweepOnce = (): number =>
  timed(() => {
    swept = 0;
    sweep(code, map, (offset, packed) => {
      const lock = lockPrefixOf(packed);
      if (lock >= 0 && isLockableAt(code, offset + lock)) swept++;
    });
  })[0];
const full = Math.min(...Array.from({ length: 5 }, sweepOnce));
if (swept !== locks.length)
  throw new Error(`the sweep finds ${swept} lock prefixes, the search ${locks.length}`);

const [objdump] = timed(() => execFileSync('objdump', ['-d', '-j', '.text', program], { stdio: 'ignore' }));

const row = (name: string, time: number): string =>
  [
    name.padEnd(32),
    `${time.toFixed(1)} ms`.padStart(11),
    `${(code.length / 1e3 / time).toFixed(0)} MB/s`.padStart(11),
    `${(objdump / time).toFixed(0)} x objdump`.padStart(15),
  ].join('');
console.log(`${program}: ${(code.length / 1e6).toFixed(1)} MB of .text, ${locks.length} lock prefixes`);
console.log(row('findLockPrefixes, first call', cold));
console.log(row('findLockPrefixes', warm));
console.log(row('sweep, every instruction', full));
console.log(row('objdump -d', objdump));
