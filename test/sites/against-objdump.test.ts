// The sites that annotate lists in every sample, against what objdump -dr shows of the same object.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { annotate } from '../../src/pipeline.ts';
import { readObjectTable } from '../../src/tables/object-tables.ts';
import { callTail, smpLocks, staticCallSites, type TableRow } from '../../src/tables/schema.ts';
import { everything, objectCode } from '../samples.ts';
import { run, toolTest } from '../tools.ts';

const objects = fileURLToPath(new URL('../../samples/objects/', import.meta.url));
// short.o holds a call that cannot be patched: annotate refuses the whole object.
const samples = readdirSync(objects, { recursive: true, encoding: 'utf8' }).filter(
  (name) => name.endsWith('.o') && !name.endsWith('short.o'),
);

interface Seen {
  /** `section+offset` and whether the branch is a jump. */
  readonly calls: string[];
  readonly locks: string[];
}

/** One line of `objdump -drw`: address, bytes or word, assembly, then every relocation inside the instruction. */
const instructionLine = /^ *([0-9a-f]+):\t((?:[0-9a-f]{2} )+|[0-9a-f]{8}) *\t(.*)$/;
const trampoline = /__SCT__|\.static_call\.text/;

function readListing(text: string): Seen {
  const seen: Seen = { calls: [], locks: [] };
  let section = '';
  for (const line of text.split('\n')) {
    section = /^Disassembly of section (.*):$/.exec(line)?.[1] ?? section;
    const [, address, hex, rest] = instructionLine.exec(line) ?? [];
    if (!address || !hex || rest === undefined || section === '.static_call.text') continue;
    const at = Number.parseInt(address, 16);
    const bytes = hex.trim().split(' ');
    const [assembly = '', ...relocations] = rest.split(/\t[0-9a-f]+: R_(?:X86_64|AARCH64)_/);
    const branch = /^(?:cs )?(call|jmp|j[a-z]+|bl?)(?:,p[nt])?\s+[0-9a-f]+ (<.*>)/.exec(assembly);
    // What the displacement names: its relocation, or the symbol that the assembler resolved it to.
    const fills = relocations.filter((r) => !r.startsWith('NONE'));
    const target = fills.length > 0 ? fills.join() : (branch?.[2] ?? '');
    if (branch && trampoline.test(target) && !/__SCT__\w+\+/.test(target)) {
      const size = { call: 5, jmp: 5, b: bytes.length, bl: bytes.length }[branch[1] as string] ?? 6;
      const kind = branch[1] === 'call' || branch[1] === 'bl' ? 'call' : 'tail';
      seen.calls.push(`${section}+${at + bytes.length - size} ${kind}`);
    }
    const kept = relocations.some((r) => r.includes('__textpoke_keep_lock'));
    if (/\block\b/.test(assembly) && !kept) seen.locks.push(`${section}+${at + bytes.indexOf('f0')}`);
  }
  return seen;
}

/** The places of a table's first field, named as above. */
function listed(bytes: Uint8Array, row: TableRow): string[] {
  const object = objectCode(bytes);
  return readObjectTable(object, row).map(({ fields: [site, key] }) => {
    const place = `${object.file.sections[site?.section ?? 0]?.name}+${site?.offset}`;
    return row === smpLocks ? place : `${place} ${((key?.offset ?? 0) & callTail) !== 0 ? 'tail' : 'call'}`;
  });
}

let calls = 0;
let locks = 0;
for (const sample of samples) {
  const objdump = sample.startsWith('aarch64-') ? 'aarch64-linux-gnu-objdump' : 'objdump';
  toolTest(`${sample}: static calls and locks are those of objdump -dr`, [objdump], () => {
    const path = join(objects, sample);
    const bytes = new Uint8Array(readFileSync(path));
    const result = annotate(sample, bytes, everything).bytes ?? bytes;
    const seen = readListing(run(objdump, ['-drwz', path]));
    assert.deepEqual(listed(result, staticCallSites).sort(), seen.calls.sort());
    assert.deepEqual(listed(result, smpLocks).sort(), seen.locks.sort());
    calls += seen.calls.length;
    locks += seen.locks.length;
  });
}

toolTest('the samples hold hundreds of sites', ['objdump', 'aarch64-linux-gnu-objdump'], () => {
  assert.ok(calls > 500 && locks > 150, `${calls} calls, ${locks} locks`);
});
