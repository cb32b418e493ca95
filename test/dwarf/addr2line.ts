// What addr2line says of places, and how it compares with what textpoke says: each line with the function that it is
// in, from what was inlined to the function that it was inlined into.
import assert from 'node:assert/strict';
import type { SourceLine } from '../../src/dwarf/source-lines.ts';
import { run } from '../tools.ts';

/** A line as addr2line has it. */
export interface TrueLine {
  readonly function: string;
  /** `/dir/file.c:12`, or `?` in place of what is not known. */
  readonly text: string;
}

/** What addr2line says of addresses, innermost first; in an object of offsets in a section. */
export function askAddr2line(
  tool: string,
  file: string,
  section: string | undefined,
  addresses: readonly number[],
): TrueLine[][] {
  const where = section === undefined ? [] : ['-j', section];
  const asked = addresses.map((address) => address.toString(16));
  const answers: TrueLine[][] = [];
  const lines = run(tool, ['-a', '-i', '-f', '-e', file, ...where, ...asked])
    .trim()
    .split('\n');
  for (let i = 0; i < lines.length; i++) {
    if (lines[i]?.startsWith('0x')) answers.push([]);
    else answers.at(-1)?.push({ function: lines[i++] as string, text: lines[i] as string });
  }
  return answers;
}

/** The lines of a place from the innermost on. */
export function fromInside(line: SourceLine | undefined): SourceLine[] {
  return line ? [line, ...(line.inlined ?? [])].reverse() : [];
}

/**
 * Compares answers that were asked with `inlines`; returns how many lines there are. addr2line puts the compiler's
 * directory in front of relative names.
 */
export function assertSame(
  lines: readonly (SourceLine | undefined)[],
  truth: readonly (readonly TrueLine[])[],
  what: string,
): number {
  assert.equal(lines.length, truth.length, what);
  let known = 0;
  truth.forEach((all, i) => {
    const found = fromInside(lines[i]);
    const required = all.flatMap(({ function: name, text }) => {
      const [, file = '', line = ''] = /^(.*):(\d+|\?)(?: \(discriminator \d+\))?$/.exec(text) ?? [];
      return line === '?' || line === '0' ? [] : [{ name, file, line: Number(line) }];
    });
    const where = `${what}, place ${i}: ${all.map(({ text }) => text).join(' < ')}`;
    assert.deepEqual(
      found.map(({ line }) => line),
      required.map(({ line }) => line),
      where,
    );
    known += found.length;
    for (const [j, { name, file }] of required.entries()) {
      const { file: ours = '', function: of } = found[j] ?? {};
      const parts = file.split('/').filter((part) => part !== '.' && part !== '');
      assert.ok(`/${parts.join('/')}`.endsWith(`/${ours.replace(/^\//, '')}`), `${where}, not ${ours}`);
      if (found.length > 1 || of !== undefined) assert.equal(of, name, where);
    }
  });
  return known;
}
