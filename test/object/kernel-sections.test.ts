// Code sections as kernels have them: which hold sites, by what objtool lists (test/kernel compares the two).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { annotate } from '../../src/annotate/passes.ts';
import { staticCallSites } from '../../src/kinds/static-call/table.ts';
import { readObjectTable } from '../../src/object/tables.ts';
import { everything, objectCode } from '../samples.ts';
import { run, scratch, toolTest } from '../tools.ts';

const source = join(import.meta.dirname, '..', 'kernel', 'sections.S');
const expected = [
  '.discard.text+0 __SCK__one',
  '.init.text+0 __SCK__one+1',
  '.noinstr.text+0 __SCK__one',
  '.text+0 __SCK__one',
  '.text+5 __SCK__two',
  '.text.unlikely+0 __SCK__two',
];

/** `section+offset key` of every static call entry, sorted. */
function entriesOf(bytes: Uint8Array): string[] {
  const object = objectCode(bytes);
  return readObjectTable(object, staticCallSites)
    .map(({ fields: [site, key] }) => {
      const { section, offset } = site!;
      const name = object.symbolName(key!.symbol);
      return `${object.file.sections[section]!.name}+${offset} ${name}${key!.offset > 0 ? `+${key!.offset}` : ''}`;
    })
    .sort();
}

for (const [name, compiler] of [
  ['gcc, whose assembler names every section', 'gcc'],
  ['clang, which leaves out the section symbols that nothing needs', 'clang'],
] as const) {
  toolTest(`calls are listed in all code sections but alternatives: ${name}`, [compiler], (t) => {
    const object = join(scratch(t), 'sections.o');
    run(compiler, ['-c', source, '-o', object]);
    const bytes = annotate(object, Uint8Array.from(readFileSync(object)), everything).bytes;
    assert.deepEqual(entriesOf(bytes!), expected);
  });

  toolTest(`the same before and after ld -r: ${name}`, [compiler, 'ld'], (t) => {
    const directory = scratch(t);
    const [object, linked] = [join(directory, 'sections.o'), join(directory, 'linked.o')];
    run(compiler, ['-c', source, '-o', object]);
    run('ld', ['-r', object, '-o', linked]);
    const bytes = annotate(linked, Uint8Array.from(readFileSync(linked)), everything).bytes;
    assert.deepEqual(entriesOf(bytes!), expected);
  });
}

toolTest('a lock in an alternative is listed no more than a call', ['gcc'], (t) => {
  const object = join(scratch(t), 'lock.o');
  const code =
    '.type f, @function; f: lock incl (%rdi); ret; .section .altinstr_replacement, "ax"; lock incl (%rdi)';
  run('sh', ['-c', `printf '%s\\n' '${code}' | gcc -c -x assembler - -o '${object}'`]);
  const { stats } = annotate(object, Uint8Array.from(readFileSync(object)), everything);
  assert.equal(stats[0]?.locks, 1);
});
