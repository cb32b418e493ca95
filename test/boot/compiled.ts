// C that a test needs and no sample has: compiled, annotated and linked in memory.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { AnnotateOptions } from '../../src/annotate/options.ts';
import { annotate } from '../../src/annotate/passes.ts';
import { readElf } from '../../src/elf/read.ts';
import { Image } from '../../src/image/image.ts';
import { linkObjects } from '../../src/link/link.ts';
import { everything } from '../samples.ts';
import { run, scratch } from '../tools.ts';

const headers = fileURLToPath(new URL('../../include', import.meta.url));

/** An annotated object of C source, by gcc. */
export function compiledObject(
  t: TestContext,
  source: string,
  options: Partial<AnnotateOptions> = {},
  flags: readonly string[] = [],
): Uint8Array {
  const directory = scratch(t);
  const [c, o] = [join(directory, 'unit.c'), join(directory, 'unit.o')];
  writeFileSync(c, source);
  run('gcc', ['-O2', '-fno-pic', '-fno-pie', '-w', ...flags, `-I${headers}`, '-c', c, '-o', o]);
  const bytes = Uint8Array.from(readFileSync(o));
  return annotate(o, bytes, { ...everything, ...options }).bytes ?? bytes;
}

/** An image of one such unit. */
export function compiledImage(t: TestContext, source: string): Image {
  return new Image(readElf('image', linkObjects([readElf('unit.o', compiledObject(t, source))]).bytes));
}
