// Links between documents lead to files and headings that are there.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { documents } from './documents.ts';
import { root } from './run.ts';

/** The name that a heading has in an address (as GitHub makes it). */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-');

function anchorsOf(path: string): Set<string> {
  const text = readFileSync(path, 'utf8').replace(/^```[\s\S]*?^```/gm, '');
  return new Set([...text.matchAll(/^#+ (.*)$/gm)].map((match) => anchorOf(match[1] as string)));
}

test('every link of a document leads somewhere', () => {
  const wrong = documents.flatMap((name) => {
    const path = join(root, name);
    const text = readFileSync(path, 'utf8').replace(/^```[\s\S]*?^```/gm, '');
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] as string);
    return links
      .filter((link) => !/^https?:/.test(link))
      .filter((link) => {
        const [file = '', anchor] = link.split('#');
        const target = file === '' ? path : join(dirname(path), file);
        return !existsSync(target) || (anchor !== undefined && !anchorsOf(target).has(anchor));
      })
      .map((link) => `${name}: ${link}`);
  });
  assert.deepEqual(wrong, []);
});

test('the index of docs names every document', () => {
  const index = readFileSync(join(root, 'docs', 'README.md'), 'utf8');
  const missing = documents.filter(
    (name) => name.startsWith('docs/') && name !== 'docs/README.md' && !index.includes(`(${name.slice(5)}`),
  );
  assert.deepEqual(missing, []);
});
