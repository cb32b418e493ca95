// boot of synthetic images of 100,000 and 1,000,000 sites: time must grow as they do. Needs as and ld.
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { costOfTextpoke } from './cost.ts';
import { type MakeRows, once } from './rows.ts';

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

export const rows: MakeRows = (scratch) => {
  const bootOf = (sites: number) => {
    const image = once(() => {
      const [source, object, path] = ['s', 'o', 'image'].map((ending) =>
        join(scratch, `${sites}.${ending}`),
      ) as [string, string, string];
      writeFileSync(source, sourceOf(sites));
      execFileSync('as', [source, '-o', object]);
      execFileSync('ld', [object, '-o', path]);
      for (const file of [source, object]) rmSync(file);
      return path;
    });
    return (tree: string) => costOfTextpoke(tree, ['boot', image(), '--cpus', '1', '--enable', 'keys']);
  };
  const growth = { cpu: { times: 11 } };
  return [
    {
      ...{ work: 'boot 1,000,000 sites', anchor: 'the same of 100,000', budget: growth, runs: 3 },
      ...{ ours: bootOf(1_000_000), beside: bootOf(100_000) },
    },
  ];
};
