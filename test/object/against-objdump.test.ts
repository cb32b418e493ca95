// The sites that annotate lists in every sample, against what objdump -dr shows of the same object.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { annotate } from '../../src/annotate/passes.ts';
import type { TableRow } from '../../src/bytes/table.ts';
import { smpLocks } from '../../src/kinds/lock-prefix/table.ts';
import { jumpBranch, jumpTable } from '../../src/kinds/static-branch/table.ts';
import { callTail, staticCallSites } from '../../src/kinds/static-call/table.ts';
import { readObjectTable } from '../../src/object/tables.ts';
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
  /** `section+offset` and what the markers say. */
  readonly branches: string[];
  readonly locks: string[];
}

/** A line of `objdump -drwz`: address, bytes or words or halfwords, assembly, then every relocation inside the instruction. */
const instructionLine =
  /^ *([0-9a-f]+):\t((?:[0-9a-f]{2} )+|[0-9a-f]{8}|[0-9a-f]{4}(?: [0-9a-f]{4})?) *\t(.*)$/;
const relocation = /\t([0-9a-f]+): R_(?:X86_64|AARCH64|ARM)_(\S+)(?:\t(\S+))?/g;
const trampoline = /__SCT__|\.static_call\.text/;
const x86Branch = /^(?:cs )?(call|jmp|j[a-z]+)(?:,p[nt])?\s+[0-9a-f]+ (<.*>)/;
/** With a condition on ARM, and in an IT block; AArch64's b.cond is none. */
const armBranch =
  /^(blx?|b)(?:eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?(?:\.[nw])?\s+[0-9a-f]+ (<.*>)/;

function readListing(text: string): Seen {
  const seen: Seen = { calls: [], branches: [], locks: [] };
  let section = '';
  // A relocation that is not at the instruction's own address has a line of its own.
  const joined = text.replace(/\n\t+(?=[0-9a-f]+: R_)/g, '\t');
  for (const line of joined.split('\n')) {
    section = /^Disassembly of section (.*):$/.exec(line)?.[1] ?? section;
    const [, address, hex, rest] = instructionLine.exec(line) ?? [];
    if (!address || !hex || rest === undefined || section === '.static_call.text') continue;
    const at = Number.parseInt(address, 16);
    const assembly = rest.replace(relocation, '');
    const relocations = [...rest.matchAll(relocation)].map(([, place, type, symbol]) => ({
      distance: Number.parseInt(place ?? '', 16) - at,
      isMarker: type === 'NONE',
      symbol: symbol ?? '',
    }));
    const bytes = hex.trim().split(' ');
    const ofX86 = x86Branch.exec(assembly);
    const [, mnemonic = '', label] = ofX86 ?? armBranch.exec(assembly) ?? [];
    // What the displacement names: its relocation, or the symbol that the assembler resolved it to.
    const fills = relocations.filter((r) => !r.isMarker);
    const target = fills.length > 0 ? fills.map((r) => r.symbol).join() : (label ?? '');
    const markers = relocations.filter((r) => r.isMarker);
    const key = markers.find(({ distance }) => distance === 2 || distance === 3);
    const isSite = key !== undefined && markers.some(({ distance }) => distance === 0);
    // objdump takes a name for a branch that the assembler resolved from any section.
    if (mnemonic && !isSite && trampoline.test(target) && !/__SCT__\w+\+/.test(target)) {
      const size = ofX86 ? ({ call: 5, jmp: 5 }[mnemonic] ?? 6) : bytes.length;
      const kind = mnemonic === 'call' || mnemonic.startsWith('bl') ? 'call' : 'tail';
      seen.calls.push(`${section}+${at + bytes.length - size} ${kind}`);
    }
    if (isSite) seen.branches.push(`${section}+${at} ${key.distance === 3 ? 'likely' : 'unlikely'}`);
    const kept = markers.some(({ symbol }) => symbol.includes('__textpoke_keep_lock'));
    if (/\block\b/.test(assembly) && !kept) seen.locks.push(`${section}+${at + bytes.indexOf('f0')}`);
  }
  return seen;
}

/** The places of a table's first field, named as above. */
function listed(bytes: Uint8Array, row: TableRow): string[] {
  const object = objectCode(bytes);
  return readObjectTable(object, row).map(({ fields: [site, second, third] }) => {
    const place = `${object.file.sections[site?.section ?? 0]?.name}+${site?.offset}`;
    if (row === smpLocks) return place;
    if (row === jumpTable)
      return `${place} ${((third?.offset ?? 0) & jumpBranch) !== 0 ? 'likely' : 'unlikely'}`;
    return `${place} ${((second?.offset ?? 0) & callTail) !== 0 ? 'tail' : 'call'}`;
  });
}

/** The objdump that reads objects of a sample set. */
function objdumpOf(sample: string): string {
  if (sample.startsWith('aarch64')) return 'aarch64-linux-gnu-objdump';
  return /^(arm|thumb)/.test(sample) ? 'arm-linux-gnueabihf-objdump' : 'objdump';
}

const listings = new Map<string, string>();

/** What objdump prints of a sample; it is asked once for all that it reads. */
function listingOf(sample: string): string {
  if (!listings.has(sample)) {
    const objdump = objdumpOf(sample);
    const read = samples.filter((one) => objdumpOf(one) === objdump);
    const texts = run(objdump, ['-drwz', ...read.map((one) => join(objects, one))]).split(
      /^.*: +file format .*$/m,
    );
    assert.equal(texts.length, read.length + 1);
    for (const [i, one] of read.entries()) listings.set(one, texts[i + 1] as string);
  }
  return listings.get(sample) as string;
}

let calls = 0;
let branches = 0;
let locks = 0;
for (const sample of samples) {
  const objdump = objdumpOf(sample);
  toolTest(`${sample}: static calls, marked branches and locks are those of objdump -dr`, [objdump], () => {
    const path = join(objects, sample);
    const bytes = new Uint8Array(readFileSync(path));
    const result = annotate(sample, bytes, everything).bytes ?? bytes;
    const seen = readListing(listingOf(sample));
    assert.deepEqual(listed(result, staticCallSites).sort(), seen.calls.sort());
    assert.deepEqual(listed(result, smpLocks).sort(), seen.locks.sort());
    // The kernel's objects bring their entries, and no markers.
    if (!sample.includes('kernel-entries'))
      assert.deepEqual(listed(result, jumpTable).sort(), seen.branches.sort());
    branches += seen.branches.length;
    calls += seen.calls.length;
    locks += seen.locks.length;
  });
}

toolTest('the samples hold hundreds of sites', [...new Set(samples.map(objdumpOf))], () => {
  const counts = `${calls} calls, ${branches} branches, ${locks} locks`;
  assert.ok(calls > 1000 && branches > 1000 && locks > 150, counts);
});
