// Many objects in one process: beside the least that reading all of them and writing a third costs Node, and with more
// threads beside one. TEXTPOKE_OBJECTS is a directory with the objects of a build, such as a kernel's; else they are those of
// samples/.
import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { annotate } from '../src/annotate/passes.ts';
import { isElf } from '../src/elf/magic.ts';
import { type Cost, costOf, costOfTextpoke } from './cost.ts';
import { type MakeRows, once, type Row } from './rows.ts';

const root = join(import.meta.dirname, '..');

/** What Node does at least: `names` are files, of which each third is written. */
const least = `const { readFileSync, writeFileSync } = require('node:fs');
readFileSync(process.argv[1], 'utf8').trim().split('\\n').forEach((name, i) => {
  const bytes = readFileSync(name);
  if (i % 3 === 0) writeFileSync(name, bytes);
});`;

/** Objects of a build in which annotate finds something to write, and others. */
function objectsOf(directory: string): { readonly changed: Uint8Array[]; readonly others: Uint8Array[] } {
  const changed: Uint8Array[] = [];
  const others: Uint8Array[] = [];
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort()) {
    if (!/(?<!vmlinux|built-in)\.o$/.test(name)) continue;
    const bytes = new Uint8Array(readFileSync(join(directory, name)));
    if (!isElf(bytes) || bytes[18] !== 62) continue; // EM_X86_64
    try {
      const result = annotate(name, bytes).bytes;
      (result ? changed : others).push(bytes);
      // Samples have few objects in which nothing is to be done.
      if (result && process.env.TEXTPOKE_OBJECTS === undefined) others.push(result);
    } catch {
      // Some samples are there to be refused.
    }
  }
  return { changed, others };
}

export const rows: MakeRows = (scratch) => {
  const objects = once(() => objectsOf(process.env.TEXTPOKE_OBJECTS ?? join(root, 'samples', 'objects')));
  /** Makes `count` files anew, each third of which will be written; names of the same object are links to one file. */
  const filesOf = (count: number): string => {
    const directory = join(scratch, String(count));
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory);
    const { changed, others } = objects();
    const names = Array.from({ length: count }, (_, i) => {
      const [from, which] = i % 3 === 0 ? [changed, 'c'] : [others, 'o'];
      const number = Math.floor(i / 3) % from.length;
      const name = join(directory, `${i}.o`);
      // A link saves the room of a hundred thousand files; a rename takes it away.
      const first = join(directory, `${which}${number}`);
      if (count <= 10_000) writeFileSync(name, from[number] as Uint8Array);
      else {
        if (i < 3 * from.length) writeFileSync(first, from[number] as Uint8Array);
        linkSync(first, name);
      }
      return name;
    });
    writeFileSync(`${directory}.list`, `${names.join('\n')}\n`);
    return `${directory}.list`;
  };
  const annotateAll =
    (count: number, jobs: number) =>
    (tree: string): Cost =>
      costOfTextpoke(tree, ['annotate', '-j', String(jobs), '--files-from', filesOf(count)]);

  return [
    {
      ...{ work: 'annotate 2,203 objects', anchor: 'read all and write a third in Node', runs: 5 },
      budget: { cpu: { times: 4 }, wall: 'any', memory: 'any' },
      ours: annotateAll(2203, 1),
      beside: () => costOf(process.execPath, ['-e', least, filesOf(2203)]),
    },
    ...[100, 2000, 100_000].map(
      (count): Row => ({
        ...{ work: `annotate -j 2, ${count.toLocaleString('en')} objects`, anchor: 'the same with -j 1' },
        ...{ budget: { wall: { times: 1.05 }, cpu: 'any' }, runs: count > 10_000 ? 3 : 11 },
        ...{ ours: annotateAll(count, 2), beside: annotateAll(count, 1) },
      }),
    ),
  ];
};
