// What addr2line says of places, and how it compares with what textpoke says.
import assert from 'node:assert/strict';
import type { SourceLine } from '../../src/dwarf/source-lines.ts';
import { run } from '../tools.ts';

/** What addr2line says of addresses: in an object of offsets in a section. */
export function askAddr2line(
  tool: string,
  file: string,
  section: string | undefined,
  addresses: readonly number[],
): string[] {
  const where = section === undefined ? [] : ['-j', section];
  const asked = addresses.map((address) => address.toString(16));
  return run(tool, ['-e', file, ...where, ...asked])
    .trim()
    .split('\n');
}

/** Compares answers; returns how many lines there are. addr2line puts the compiler's directory in front of relative names. */
export function assertSame(
  lines: readonly (SourceLine | undefined)[],
  truth: readonly string[],
  what: string,
): number {
  assert.equal(lines.length, truth.length, what);
  let known = 0;
  truth.forEach((text, i) => {
    const [, name = '', line = ''] = /^(.*):(\d+|\?)(?: \(discriminator \d+\))?$/.exec(text) ?? [];
    const found = lines[i];
    const where = `${what}, place ${i}: ${text}`;
    if (line === '?' || line === '0') {
      assert.equal(found, undefined, where);
      return;
    }
    known++;
    assert.equal(String(found?.line), line, where);
    const parts = name.split('/').filter((part) => part !== '.' && part !== '');
    assert.ok(
      found && `/${parts.join('/')}`.endsWith(`/${found.file.replace(/^\//, '')}`),
      `${where}, not ${found?.file}`,
    );
  });
  return known;
}
