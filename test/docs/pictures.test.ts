// The pictures of docs/concepts.md are those that their sources draw, and every picture is shown somewhere.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { pictures } from '../../docs/pictures/pictures.ts';

const docs = join(import.meta.dirname, '..', '..', 'docs');

test('the committed pictures are what npm run pictures draws', () => {
  const files = readdirSync(join(docs, 'pictures')).filter((name) => name.endsWith('.svg'));
  assert.deepEqual(files.sort(), Object.keys(pictures).sort());
  for (const [name, drawn] of Object.entries(pictures))
    assert.equal(readFileSync(join(docs, 'pictures', name), 'utf8'), drawn, `${name}: run npm run pictures`);
});

test('a picture has a title and a description, reads in light and dark, and is shown with words', () => {
  const concepts = readFileSync(join(docs, 'concepts.md'), 'utf8');
  for (const [name, drawn] of Object.entries(pictures)) {
    assert.match(drawn, /<title id="title">[^<]+<\/title>\n<desc id="description">[^<]+<\/desc>/);
    assert.match(drawn, /prefers-color-scheme: dark/);
    assert.match(concepts, new RegExp(`!\\[[^\\]]{20,}\\]\\(pictures/${name.replace('.', '\\.')}\\)`));
  }
});
