// Draws the pictures of the documents anew: npm run pictures.
import { writeFileSync } from 'node:fs';
import { pictures } from './pictures.ts';

for (const [name, text] of Object.entries(pictures)) writeFileSync(new URL(name, import.meta.url), text);
