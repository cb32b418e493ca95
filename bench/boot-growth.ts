// boot of synthetic images of 1,000, 100,000 and 1,000,000 sites: time must grow as they do. Needs as and ld.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtProgram } from '../test/built.ts';

const program = builtProgram();
const scratch = mkdtempSync(join(tmpdir(), 'textpoke-bench-'));

/** Of four sites two are branches, one is a call and one a lock; a key has twenty. */
function sourceOf(sites: number): string {
  const units = sites / 4;
  const keys = Math.max(Math.floor(units / 10), 1);
  return `
.globl _start, function
.text
_start: ret
function: ret
.section .static_call.text, "ax"
.balign 8
__SCT__deed: jmp function
.byte 0x0f, 0xb9, 0xcc
.data
.balign 16
keys: .zero ${16 * keys}
__SCK__deed: .quad function, 0
.set i, 0
.rept ${units}
.text
1: .byte 0x0f, 0x1f, 0x44, 0, 0
2: .byte 0x66, 0x90
3: call __SCT__deed
4: lock incl (%rdi)
5: ret
.section __jump_table, "aw"
.long 1b - ., 5b - .
.quad keys + (i % ${keys}) * 16 - .
.long 2b - ., 5b - .
.quad keys + (i % ${keys}) * 16 - .
.section .static_call_sites, "aw"
.long 3b - ., __SCK__deed - .
.section .smp_locks, "a"
.long 4b - .
.set i, i + 1
.endr
`;
}

function bootTime(sites: number, runs: number): number {
  const [source, object, image] = ['s', 'o', 'image'].map((ending) =>
    join(scratch, `${sites}.${ending}`),
  ) as [string, string, string];
  writeFileSync(source, sourceOf(sites));
  execFileSync('as', [source, '-o', object]);
  execFileSync('ld', [object, '-o', image]);
  const steps = ['--cpus', '1', '--enable', 'keys'];
  const times = Array.from({ length: runs }, () => {
    const start = performance.now();
    const { status, stderr } = spawnSync(process.execPath, [program, 'boot', image, ...steps]);
    if (status !== 0) throw new Error(`boot of ${sites} sites: ${stderr}`);
    return performance.now() - start;
  });
  const time = times.sort((a, b) => a - b)[runs >> 1] as number;
  console.log(`boot ${sites} sites (${statSync(image).size} bytes): ${time.toFixed(0)} ms`);
  return time;
}

try {
  const start = bootTime(4, 5);
  bootTime(1000, 5);
  const hundred = bootTime(100_000, 3);
  const million = bootTime(1_000_000, 1);
  console.log(
    `growth of boot for ten times the sites, beyond the start: ${((million - start) / (hundred - start)).toFixed(1)} times the time`,
  );
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
