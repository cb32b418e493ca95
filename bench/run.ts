// npm run bench [-- WORD...] [--json] [--against FILE|TREE]: what textpoke's works cost beside what they are held against, as one
// table. A row is measured in pairs of runs that take turns, after one that is not counted; its values are medians of them.
//
// With words, the rows whose names hold one. --json prints every run, and a later --against FILE compares with them: what
// both have in multiples of their anchors, which were measured beside them. --against TREE, a built checkout, takes turns
// with that one. A change is told only where it is no noise, with 99 % certainty (statistics.ts). The exit status is 1
// when a budget is not kept, or something became slower.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Earlier, type Measured, measure } from './measure.ts';
import type { Missing, Row } from './rows.ts';
import { headOf, linesOf, widthsOf } from './table.ts';

const parts = ['one', 'boot-growth'];

const { values: options, positionals: words } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean' }, against: { type: 'string' } },
});

const root = join(import.meta.dirname, '..');
const scratch = mkdtempSync(join(tmpdir(), 'textpoke-bench-'));

function earlier(): Earlier {
  if (options.against === undefined) return {};
  const path = resolve(options.against);
  if (!statSync(path).isDirectory()) return { saved: JSON.parse(readFileSync(path, 'utf8')).rows };
  return { tree: path };
}

try {
  const against = earlier();
  const all: (Row | Missing)[] = [];
  for (const part of parts) {
    const place = join(scratch, part);
    mkdirSync(place);
    const { rows } = await import(`./${part}.ts`);
    all.push(...(await rows(place)));
  }
  const wanted = all.filter(({ work }) => words.length === 0 || words.some((word) => work.includes(word)));
  const widths = widthsOf(wanted);
  const say = (line: string) => {
    if (!options.json) console.log(line);
  };
  say(headOf(widths, against));
  const measured: Measured[] = [];
  for (const row of wanted) {
    if ('needs' in row) say(`${row.work}: not measured, for want of ${row.needs}`);
    else {
      const result = await measure(row, root, against);
      measured.push(...result);
      for (const line of linesOf(result, widths)) say(line);
    }
  }
  if (options.json) {
    const machine = { cpu: cpus()[0]?.model, cpus: cpus().length, node: process.version };
    console.log(JSON.stringify({ schema: 'textpoke.bench/1', machine, rows: measured }, undefined, 1));
  }
  const bad = measured.some(({ met, change }) => met === false || change?.verdict === 'slower');
  if (bad) process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
