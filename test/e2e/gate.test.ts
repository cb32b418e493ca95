// verify as a gate in CI: silence for a good image, and for each of many broken ones the right rule at the right place
// and nothing else. Every rule is in it.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { noteTypes, readUnitNotes } from '../../src/object/unit-notes.ts';
import { ruleIds, rules } from '../../src/verify/rules.ts';
import { builtProgram } from '../built.ts';
import { startSync } from '../starter.ts';
import { longTest, run, scratch, toolTest } from '../tools.ts';
import { broken, type Change, callEntry, jumpEntry, s32, s64 } from './broken.ts';
import {
  addressOf,
  annotated,
  bytesAt,
  done,
  type Finding,
  fileOffset,
  fresh,
  hex,
  type ImageTables,
  imageSections,
  imageSymbols,
  once,
  onlyListed,
  readTables,
  scriptPath,
  textpoke,
} from './programs.ts';

const tools = ['gcc', 'readelf'];
const root = join(import.meta.dirname, '..', '..');
const schema = JSON.parse(readFileSync(join(root, 'docs', 'verify.schema.json'), 'utf8'));
const conforms = new Ajv2020({ strict: true, strictRequired: false, strictTypes: false }).compile(schema);

interface Program {
  readonly flags?: readonly string[];
  /** Another unit, left as the compiler made it. */
  readonly stranger?: string;
  readonly annotate?: boolean;
  /** With a function that the program has not otherwise. */
  readonly more?: boolean;
}

/** test/e2e/gate.c, linked. */
function linked({ flags = [], stranger, annotate = true, more = false }: Program = {}): string {
  return once(`gate ${JSON.stringify([flags, stranger, annotate, more])}`, (path) => {
    const compile = (source: string, object: string) =>
      run('gcc', [
        '-c',
        '-g',
        '-O2',
        ...(more ? ['-DMORE'] : []),
        `-I${join(root, 'include')}`,
        source,
        '-o',
        object,
      ]);
    copyFileSync(join(root, 'test', 'e2e', 'gate.c'), `${path}.c`);
    compile(`${path}.c`, `${path}.o`);
    if (annotate) done(['annotate', `${path}.o`]);
    const objects = [`${path}.o`];
    if (stranger !== undefined) {
      writeFileSync(`${path}-stranger.c`, stranger);
      compile(`${path}-stranger.c`, `${path}-stranger.o`);
      objects.push(`${path}-stranger.o`);
    }
    run('gcc', ['-no-pie', ...flags, ...objects, `-Wl,-T,${scriptPath('ldscript')}`, '-o', path]);
  });
}

/** The same, booted for two CPUs. */
function booted(program: Program = {}, args: readonly string[] = []): string {
  return once(`booted ${JSON.stringify([program, args])}`, (path) => {
    const result = textpoke(['boot', linked(program), '--cpus', '2', ...args, '-o', path]);
    assert.equal(result.status, 0, result.stderr);
  });
}

interface Gate {
  readonly name: string;
  readonly image?: () => string;
  readonly changes?: (image: string, tables: ImageTables) => readonly Change[];
  /** `rule address`. */
  readonly finds: (image: string, tables: ImageTables) => readonly string[];
  readonly args?: readonly string[];
  readonly original?: boolean;
  /** The earlier build that it is compared with. */
  readonly baseline?: () => string;
}

const branch = (image: string, tables: ImageTables, key: string, nth = 0) =>
  tables.branches.filter((b) => (b.key & ~3) === addressOf(image, key))[nth]!;
const call = (image: string, tables: ImageTables, name: string, nth = 0) =>
  tables.calls.filter((c) => (c.key & ~3) === addressOf(image, `__SCK__${name}`))[nth]!;
const at = (address: number) => (rule: string) => `${rule} ${hex(address)}`;
const section = (image: string, name: string) => imageSections(image).find((s) => s.name === name)!;
/** Where the types of textpoke's notes stand that have a site in them. */
const typesOfNotes = (image: string) => {
  const { address, size } = section(image, '.note.textpoke');
  const notes = readUnitNotes(Buffer.from(bytesAt(image, address, size), 'hex'), true);
  return [...notes].filter(({ type }) => type === noteTypes.sites).map(({ offset }) => address + offset + 8);
};
const kept = (image: string) => {
  const { address } = section(image, '.smp_locks.kept');
  return { entry: address, lock: address + Buffer.from(bytesAt(image, address, 4), 'hex').readInt32LE(0) };
};

/** The `st_value` of a symbol, in the file. */
function moveSymbol(image: string, name: string, value: number): string {
  const contents = readFileSync(image);
  const index = Number(new RegExp(`^ *(\\d+): .* ${name}$`, 'm').exec(run('readelf', ['-sW', image]))![1]);
  const { offset } = section(image, '.symtab');
  contents.set(s64(value), offset + 24 * index + 8);
  const path = fresh('moved');
  writeFileSync(path, contents);
  return path;
}

/** The branches in a function as it was linked. */
const branchesOf = (name: string, tables: ImageTables) => {
  const { value, size } = imageSymbols(linked()).find((s) => s.name === name)!;
  return tables.branches.filter(({ code }) => code >= value && code < value + size);
};

const strangers = {
  call: `#include "textpoke/static_call.h"
    int plain(int);
    DECLARE_STATIC_CALL(work, plain);
    __attribute__((used)) int stranger(int n) { return static_call(work)(n) * 2; }`,
  lock: 'int n; __attribute__((used)) void stranger(void) { __atomic_fetch_add(&n, 1, __ATOMIC_SEQ_CST); }',
  branch: `#include "textpoke/static_key.h"
    DECLARE_STATIC_KEY_FALSE(off_key);
    __attribute__((used)) int stranger(int n) { return static_branch_unlikely(&off_key) ? n * 2 : n; }`,
  unused: `#include "textpoke/static_call.h"
    int plain(int);
    DEFINE_STATIC_CALL(idle, plain);`,
};
const withBarriers = () =>
  once('barriers', (path) => {
    copyFileSync(annotated('arm-gcc-O2', 'lock'), `${path}.o`);
    done(['annotate', '--smp-barriers', `${path}.o`]);
    assert.equal(textpoke(['boot', `${path}.o`, '--cpus', '1', '-o', path]).status, 0);
  });
const firstBarrier = (image: string) => {
  const { address } = section(image, '.smp_barriers');
  return address + Buffer.from(bytesAt(image, address, 4), 'hex').readInt32LE(0);
};

const gates: readonly Gate[] = [
  {
    name: 'a jump entry whose site lies in data',
    changes: (image, tables) => [
      [
        branch(image, tables, 'off_key').entry,
        s32(addressOf(image, 'small') - branch(image, tables, 'off_key').entry),
      ],
    ],
    finds: (image) => [at(addressOf(image, 'small'))('TP001')],
  },
  {
    name: 'a jump entry whose target is outside the image',
    changes: (image, tables) =>
      jumpEntry(branch(image, tables, 'off_key').entry, {
        ...branch(image, tables, 'off_key'),
        target: 0x7000_0000,
      }),
    finds: () => ['TP001 0x70000000'],
  },
  {
    name: 'a static call entry whose site is outside the image',
    changes: (image, tables) =>
      callEntry(call(image, tables, 'work').entry, { ...call(image, tables, 'work'), site: 0x7000_0000 }),
    finds: () => ['TP001 0x70000000'],
  },
  {
    name: 'a lock entry that names data, of which the lock without entry is a part',
    changes: (image, { locks: [, lock] }) => [[lock!.entry, s32(addressOf(image, 'counter') - lock!.entry)]],
    finds: (image) => [at(addressOf(image, 'counter'))('TP001')],
    original: true,
  },
  {
    name: 'a jump entry in the middle of a NOP',
    changes: (image, tables) =>
      jumpEntry(branch(image, tables, 'on_key').entry, {
        ...branch(image, tables, 'on_key'),
        code: branch(image, tables, 'on_key').code + 2,
      }),
    finds: (image, tables) => [at(branch(image, tables, 'on_key').code + 2)('TP002')],
    original: true,
  },
  {
    name: 'a static call entry one byte late',
    changes: (image, tables) =>
      callEntry(call(image, tables, 'work').entry, {
        ...call(image, tables, 'work'),
        site: call(image, tables, 'work').site + 1,
      }),
    finds: (image, tables) => [at(call(image, tables, 'work').site + 1)('TP002')],
    original: true,
  },
  {
    name: 'a static call entry one byte late in an image that was not booted, whose call has no entry then',
    image: linked,
    changes: (image, tables) =>
      callEntry(call(image, tables, 'work').entry, {
        ...call(image, tables, 'work'),
        site: call(image, tables, 'work').site + 1,
      }),
    finds: (image, tables) => [at(call(image, tables, 'work').site + 1)('TP002')],
    args: ['--linked'],
  },
  {
    name: 'a lock entry that names the byte behind the prefix',
    changes: (_, { locks: [, lock] }) => [[lock!.entry, s32(lock!.lock + 1 - lock!.entry)]],
    finds: (_, { locks: [, lock] }) => [at(lock!.lock + 1)('TP002')],
    original: true,
  },
  {
    name: 'two entries of one site with different keys',
    changes: (image, tables) =>
      jumpEntry(branch(image, tables, 'off_key', 1).entry, {
        ...branch(image, tables, 'on_key'),
        key: addressOf(image, 'off_key'),
      }),
    finds: (image, tables) => [at(branch(image, tables, 'on_key').code)('TP003')],
  },
  {
    name: 'a static branch where a static call is',
    changes: (image, tables) => {
      const site = call(image, tables, 'rest').site;
      return jumpEntry(branch(image, tables, 'off_key', 1).entry, {
        code: site,
        target: addressOf(image, 'calls'),
        key: addressOf(image, 'off_key'),
      });
    },
    finds: (image, tables) => [at(call(image, tables, 'rest').site)('TP003')],
  },
  {
    name: 'two jump entries in the wrong order',
    changes: (_, { branches: [a, b] }) => [...jumpEntry(a!.entry, b!), ...jumpEntry(b!.entry, a!)],
    finds: (_, { branches: [, b] }) => [at(b!.entry)('TP004')],
    original: true,
  },
  {
    name: 'two static call entries in the wrong order',
    changes: (_, { calls: [a, b] }) => [...callEntry(a!.entry, b!), ...callEntry(b!.entry, a!)],
    finds: (_, { calls: [, b] }) => [at(b!.entry)('TP004')],
    original: true,
  },
  {
    name: 'a key that is not aligned',
    image: () => moveSymbol(booted(), 'on_key', addressOf(booted(), 'on_key') + 2),
    changes: (image, tables) => {
      const b = tables.branches.find(({ key }) => Math.abs(key - addressOf(image, 'on_key')) < 4)!;
      return [[b.entry + 8, s64(b.key + 2 - b.entry - 8)]];
    },
    finds: (image) => [at(addressOf(image, 'on_key'))('TP005')],
  },
  {
    name: 'a key in code',
    changes: (image, tables) =>
      callEntry(call(image, tables, 'rest').entry, {
        site: call(image, tables, 'rest').site,
        key: addressOf(image, 'plain') & ~3,
      }),
    finds: (image) => [at(addressOf(image, 'plain') & ~3)('TP006')],
  },
  {
    name: 'a key among constants',
    changes: (image, tables) =>
      jumpEntry(branch(image, tables, 'on_key').entry, {
        ...branch(image, tables, 'on_key'),
        key: addressOf(image, 'constants'),
      }),
    finds: (image) => [at(addressOf(image, 'constants'))('TP006')],
  },
  {
    name: 'a key that is an int',
    changes: (image, tables) =>
      jumpEntry(branch(image, tables, 'on_key').entry, {
        ...branch(image, tables, 'on_key'),
        key: addressOf(image, 'small'),
      }),
    finds: (image) => [at(addressOf(image, 'small'))('TP006')],
  },
  {
    name: 'a flipped bit in a NOP',
    changes: (image, tables) => [[branch(image, tables, 'off_key').code + 4, '01']],
    finds: (image, tables) => [at(branch(image, tables, 'off_key').code)('TP007')],
    original: true,
  },
  {
    name: 'a call that goes one byte too far',
    changes: (image, tables) => {
      const { site } = call(image, tables, 'work');
      return [[site + 1, s32(Buffer.from(bytesAt(image, site + 1, 4), 'hex').readInt32LE(0) + 1)]];
    },
    finds: (image, tables) => [at(call(image, tables, 'work').site)('TP007')],
    original: true,
  },
  {
    name: 'a key that was enabled behind the back of its sites',
    changes: (image) => [[addressOf(image, 'on_key'), '00000000']],
    finds: (image, tables) => [at(branch(image, tables, 'on_key').code)('TP007')],
    original: true,
  },
  {
    name: 'a function pointer that was changed behind the back of site and trampoline',
    changes: (image) => [[addressOf(image, '__SCK__rest'), s64(addressOf(image, 'other'))]],
    finds: (image, tables) => [at(call(image, tables, 'rest').site)('TP007')],
    original: true,
  },
  {
    name: 'a breakpoint left in a static branch',
    changes: (image, tables) => [[branch(image, tables, 'on_key').code, 'cc']],
    finds: (image, tables) => [at(branch(image, tables, 'on_key').code)('TP008')],
    original: true,
  },
  {
    name: 'a breakpoint left in a static call',
    changes: (image, tables) => [[call(image, tables, 'rest').site, 'cc']],
    finds: (image, tables) => [at(call(image, tables, 'rest').site)('TP008')],
    original: true,
  },
  {
    name: 'a breakpoint left in a trampoline',
    changes: (image) => [[addressOf(image, '__SCT__rest'), 'cc']],
    finds: (image) => [at(addressOf(image, '__SCT__rest'))('TP008')],
    original: true,
  },
  {
    name: 'a call from an object that was not annotated',
    image: () => booted({ stranger: strangers.call }),
    finds: (image) => [at(branchIn(image, 'stranger', '__SCT__work'))('TP009')],
  },
  {
    name: 'a lock from an object that was not annotated',
    image: () => booted({ stranger: strangers.lock }),
    finds: (image) => [at(addressOf(image, 'stranger'))('TP010')],
  },
  {
    name: 'a lock entry that was turned to another lock',
    changes: (_, { locks: [a, b] }) => [[b!.entry, s32(a!.lock - b!.entry)]],
    finds: (_, { locks: [, b] }) => [at(b!.lock)('TP010')],
    original: true,
  },
  {
    name: 'a dropped lock while there are two CPUs',
    changes: (_, { locks: [, b] }) => [[b!.lock, '3e']],
    finds: (_, { locks: [, b] }) => [at(b!.lock)('TP011')],
    args: ['--cpus', '2'],
    original: true,
  },
  {
    name: 'a kept lock that is gone',
    changes: (image) => [[kept(image).lock, '3e']],
    finds: (image) => [at(kept(image).lock)('TP011')],
  },
  {
    name: 'a trampoline that goes elsewhere',
    changes: (image) => {
      const place = addressOf(image, '__SCT__rest');
      return [[place + 1, s32(addressOf(image, 'other') - place - 5)]];
    },
    finds: (image) => [at(addressOf(image, '__SCT__rest'))('TP012')],
    original: true,
  },
  {
    name: 'a trampoline without its signature',
    changes: (image) => [[addressOf(image, '__SCT__rest') + 5, '909090']],
    finds: (image) => [at(addressOf(image, '__SCT__rest'))('TP012')],
    original: true,
  },
  {
    name: 'a constant that was changed',
    changes: (image) => [[addressOf(image, 'constants') + 8, '07']],
    finds: (image) => [at(addressOf(image, 'constants') + 8)('TP013')],
    original: true,
  },
  {
    name: 'an instruction that was changed',
    changes: (image) => [[addressOf(image, 'plain'), 'f4']],
    finds: (image) => [at(addressOf(image, 'plain'))('TP013')],
    original: true,
  },
  {
    name: 'an entry whose target was changed within the function',
    changes: (image, tables) => [
      ...jumpEntry(branch(image, tables, 'off_key', 1).entry, {
        ...branch(image, tables, 'off_key', 1),
        target: branch(image, tables, 'off_key', 0).target,
      }),
    ],
    finds: (image, tables) => [at(branch(image, tables, 'off_key', 1).code)('TP014')],
    original: true,
  },
  {
    name: 'an init flag on a site that stays',
    changes: (image, tables) => {
      const { entry, key } = branch(image, tables, 'on_key');
      return [[entry + 8, s64((key | 2) - entry - 8)]];
    },
    finds: (image, tables) => [at(branch(image, tables, 'on_key').code)('TP015')],
    original: true,
  },
  {
    name: 'no init flag on a site of init text',
    changes: (image, tables) => {
      const { entry, key } = branch(image, tables, 'off_key', 2);
      return [[entry + 8, s64((key & ~2) - entry - 8)]];
    },
    finds: (image, tables) => [at(branch(image, tables, 'off_key', 2).code)('TP015')],
    original: true,
  },
  {
    name: 'a program that nobody annotated',
    image: () => linked({ annotate: false }),
    finds: () => ['TP016 undefined'],
    args: ['--linked'],
  },
  {
    name: 'a barrier that was left in place for one CPU',
    image: withBarriers,
    changes: (image) => [[firstBarrier(image), '5bf07ff5']],
    finds: (image) => [at(firstBarrier(image))('TP017')],
    args: ['--cpus', '1'],
  },
  {
    name: 'a jump entry of zeros',
    changes: (image, tables) => [[branch(image, tables, 'off_key').entry, '00'.repeat(16)]],
    finds: (image, tables) => [at(branch(image, tables, 'off_key').entry)('TP018')],
    original: true,
  },
  {
    name: 'a static call entry of zeros',
    changes: (image, tables) => [[call(image, tables, 'rest').entry, '00'.repeat(8)]],
    finds: (image, tables) => [at(call(image, tables, 'rest').entry)('TP018')],
    original: true,
  },
  {
    name: 'a jump entry that is there twice, so that another one is missing',
    changes: (image, tables) =>
      jumpEntry(branch(image, tables, 'off_key', 1).entry, branch(image, tables, 'off_key', 0)),
    // One entry twice means another one missing, which hides more.
    finds: (image, tables) => [at(branch(image, tables, 'off_key', 1).code)('TP032')],
    args: ['--fail-on', 'warning'],
  },
  {
    name: 'a jump entry that is there twice, where no note tells of the other one',
    changes: (image, tables) => [
      ...jumpEntry(branch(image, tables, 'off_key', 1).entry, branch(image, tables, 'off_key', 0)),
      ...typesOfNotes(image).map((address): Change => [address, '7f000000']),
    ],
    finds: (image, tables) => [at(branch(image, tables, 'off_key').code)('TP019')],
    args: ['--fail-on', 'warning'],
  },
  {
    name: 'a static branch into another function',
    changes: (image, tables) =>
      jumpEntry(branch(image, tables, 'off_key').entry, {
        ...branch(image, tables, 'off_key'),
        target: addressOf(image, 'calls'),
      }),
    finds: (image, tables) => [at(branch(image, tables, 'off_key').code)('TP020')],
    original: true,
  },
  {
    name: 'a static branch of two bytes whose target is too far away',
    changes: (image, tables) => [[branch(image, tables, 'off_key').code, '66900f1f00']],
    finds: (image, tables) => [at(branch(image, tables, 'off_key').code)('TP021')],
  },
  {
    name: 'a short jump where a static call is',
    changes: (image, tables) => [[call(image, tables, 'rest').site, 'eb03909090']],
    finds: (image, tables) => [at(call(image, tables, 'rest').site)('TP021')],
    original: true,
  },
  {
    name: 'a marked branch of an object that was not annotated',
    image: () => booted({ stranger: strangers.branch, flags: ['-Wl,--emit-relocs'] }),
    finds: (image) => [at(nopIn(image, 'stranger'))('TP022')],
  },
  {
    name: 'a static branch of an object that was not annotated',
    image: () => booted({ stranger: strangers.branch }),
    finds: () => ['TP030 undefined'],
  },
  {
    name: 'a jump entry that a linker dropped',
    image: () =>
      moveSymbol(linked(), '__start___jump_table', addressOf(linked(), '__start___jump_table') + 16),
    finds: (_, { branches: [first] }) => [at(first!.code)('TP032')],
    args: ['--linked'],
  },
  {
    name: 'a function that a post-link tool moved, with the table left as it was',
    image: () => moveSymbol(linked(), 'branches', addressOf(linked(), 'shared')),
    finds: (_, tables) => branchesOf('branches', tables).map(({ code }) => at(code)('TP031')),
    args: ['--linked'],
  },
  {
    name: 'calls of a function that is freed',
    image: () => booted({}, ['--update', 'rest=early']),
    finds: (image, tables) => [at(call(image, tables, 'rest').site)('TP023')],
  },
  {
    name: 'a static call that nothing uses',
    image: () => booted({ stranger: strangers.unused }),
    finds: (image) => [at(addressOf(image, '__SCK__idle'))('TP024')],
    args: ['--fail-on', 'warning'],
  },
  {
    name: 'a kept lock that is listed as one to drop',
    changes: (image, { locks: [a] }) => [[kept(image).entry, s32(a!.lock - kept(image).entry)]],
    finds: (_, { locks: [a] }) => [at(a!.lock)('TP025')],
    args: onlyListed,
  },
  {
    name: 'a suppression that matches nothing',
    finds: () => ['TP026 undefined'],
    args: [
      '--fail-on',
      'warning',
      '--config',
      config([{ rule: 'TP010', symbol: 'native_*', reason: 'it was so' }]),
    ],
  },
  {
    name: 'a function with a site that is gone since the baseline',
    baseline: () => linked({ more: true }),
    finds: () => ['TP027 undefined'],
  },
  {
    name: 'a site that is new since the baseline',
    image: () => booted({ more: true }),
    baseline: () => linked(),
    finds: (image) => [at(nopIn(image, 'more'))('TP028')],
    args: ['--fail-on', 'warning'],
  },
];

/** Where a function's code branches to a symbol. */
function branchIn(image: string, name: string, target: string): number {
  const start = addressOf(image, name);
  const { size } = imageSymbols(image).find((s) => s.name === name)!;
  const code = Buffer.from(bytesAt(image, start, size), 'hex');
  const to = addressOf(image, target);
  for (let i = 0; i + 5 <= size; i++) {
    if ((code[i] === 0xe8 || code[i] === 0xe9) && start + i + 5 + code.readInt32LE(i + 1) === to)
      return start + i;
  }
  throw new Error(`no branch to ${target}`);
}

/** Where a function's NOP of five bytes is. */
function nopIn(image: string, name: string): number {
  const start = addressOf(image, name);
  const at = bytesAt(image, start, 64).indexOf('0f1f440000');
  assert.ok(at >= 0 && at % 2 === 0, `${name} has a NOP of five bytes`);
  return start + at / 2;
}

function config(suppress: readonly object[]): string {
  const path = fresh('config.json');
  writeFileSync(path, JSON.stringify({ schema: 'textpoke.config/1', suppress }));
  return path;
}

/** What verify finds, as JSON that its schema accepts. */
function found(image: string, args: readonly string[]): Finding[] {
  const result = textpoke(['verify', image, ...args, '--format', 'json']);
  assert.equal(result.stderr, '');
  const document = JSON.parse(result.stdout) as { findings: Finding[] };
  assert.ok(conforms(document), JSON.stringify(conforms.errors));
  assert.equal(result.status, document.findings.length > 0 ? 1 : 0, JSON.stringify(document.findings));
  return document.findings;
}

for (const { name, image = booted, changes, finds, args = [], original, baseline } of gates) {
  toolTest(`the gate closes: ${name}`, tools, () => {
    const good = image();
    const tables = readTables(good);
    const wanted = [...finds(good, tables)].sort();
    const bad = changes ? broken(good, changes(good, tables)) : good;
    for (const more of original ? [[], ['--original', good]] : [[]]) {
      if (more.length === 0 && ['TP013', 'TP014'].includes(wanted[0]!.slice(0, 5))) continue;
      const against = baseline ? ['--baseline', baseline()] : [];
      const findings = found(bad, [...args, ...more, ...against]);
      assert.deepEqual(
        findings.map((f) => `${f.rule} ${f.address}`).sort(),
        wanted,
        JSON.stringify(findings, null, 1),
      );
    }
  });
}

toolTest('the gate opens for a good image, without a word in any format that people read', tools, () => {
  for (const program of [{}, { flags: ['-Wl,--emit-relocs'] }, { flags: ['-Wl,--gc-sections'] }]) {
    for (const [image, args] of [
      [linked(program), ['--linked', '--fail-on', 'warning']],
      [booted(program), ['--original', linked(program), '--cpus', '2', '--fail-on', 'warning']],
    ] as const) {
      for (const format of ['text', 'github']) {
        const { status, stdout, stderr } = textpoke(['verify', image, ...args, '--format', format]);
        assert.deepEqual(
          [status, stdout, stderr],
          [0, '', ''],
          `${args.join(' ')} ${JSON.stringify(program)}`,
        );
      }
      assert.deepEqual(found(image, args), []);
    }
  }
});

/** What is right, though it is close to what a rule forbids. */
const openings: readonly Pick<Gate, 'name' | 'changes'>[] = [
  {
    name: 'a static branch of two bytes whose target it reaches',
    changes: (image, tables) => [[branch(image, tables, 'off_key', 1).code, '66900f1f00']],
  },
  {
    name: 'a target in the same function',
    changes: (image, tables) => {
      const { target } = branch(image, tables, 'off_key', 1);
      return jumpEntry(branch(image, tables, 'off_key').entry, {
        ...branch(image, tables, 'off_key'),
        target,
      });
    },
  },
  {
    name: 'a key of exactly the size that one has',
    changes: (image, tables) => {
      const { entry, code, target } = branch(image, tables, 'on_key');
      const { size } = imageSymbols(image).find(({ name }) => name === 'on_key')!;
      assert.equal(size, 16);
      return jumpEntry(entry, { code, target, key: addressOf(image, 'on_key') + 1 });
    },
  },
];

for (const { name, changes } of openings) {
  toolTest(`the gate opens: ${name}`, tools, () => {
    const image = booted();
    const bad = changes ? broken(image, changes(image, readTables(image))) : image;
    assert.deepEqual(found(bad, ['--fail-on', 'warning']), []);
  });
}

test('every rule of images has an image that breaks it and nothing else', () => {
  const source = readFileSync(import.meta.filename, 'utf8');
  // test/memory/program.test.ts, test/memory/kernel/ for what leads a running kernel from keys to sites, test/text/ for its text
  const ofMemory = [
    'TP029',
    'TP033',
    'TP034',
    'TP035',
    'TP036',
    'TP037',
    'TP038',
    'TP039',
    'TP040',
    'TP041',
    'TP042',
  ];
  assert.deepEqual(
    ruleIds.filter(
      (id) => !ofMemory.includes(id) && !source.includes(`'${id}'`) && !source.includes(`'${id} `),
    ),
    [],
  );
  assert.ok(gates.length >= 30, `${gates.length} gates`);
});

toolTest('a warning ends in status 0 unless it is asked for', tools, () => {
  const image = booted({ stranger: strangers.unused });
  const result = textpoke(['verify', image]);
  assert.equal(result.status, 0);
  assert.match(result.stdout, /warning TP024 unused-key: .*\n.*__SCK__idle: /);
  assert.equal(textpoke(['verify', image, '--fail-on', 'warning']).status, 1);
  assert.equal(rules.TP024.severity, 'warning');
});

toolTest('the file offset of a finding in SARIF is where its bytes are', tools, () => {
  const image = booted();
  const { code } = branch(image, readTables(image), 'on_key');
  const bad = broken(image, [[code, 'cc']]);
  const log = JSON.parse(textpoke(['verify', bad, '--format', 'sarif']).stdout);
  const [result] = log.runs[0].results;
  const [binary] = result.relatedLocations;
  assert.equal(binary.physicalLocation.region.byteOffset, fileOffset(image, code));
  assert.equal(binary.physicalLocation.address.absoluteAddress, code);
  const [source] = result.locations;
  const [, file, line] = /^(.*):(\d+)/.exec(run('addr2line', ['-e', image, hex(code)]))!;
  assert.equal(source.physicalLocation.artifactLocation.uri, `file://${file}`);
  assert.equal(source.physicalLocation.region.startLine, Number(line));
});

/** The commands of a step of samples/ci/github.yml. */
function commandsOf(step: string): string {
  const text = readFileSync(join(root, 'samples', 'ci', 'github.yml'), 'utf8');
  const [, body = ''] =
    new RegExp(`- name: ${step}\\n(?: +if: .*\\n)? +run:(?: \\|\\n)?((?:.*\\n(?! +- ))*.*\\n)`).exec(text) ??
    [];
  assert.ok(body.includes('textpoke'), step);
  return body;
}

longTest(
  'the steps of samples/ci/github.yml do what they say, as a runner starts them',
  [...tools, 'bash'],
  (t) => {
    const directory = scratch(t);
    const bin = join(directory, 'bin');
    mkdirSync(bin);
    const stub = (name: string, text: string) =>
      writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    stub('textpoke', `exec "${process.execPath}" "${builtProgram()}" "$@"`);
    copyFileSync(join(root, 'test', 'e2e', 'gate.c'), join(directory, 'prog.c'));
    writeFileSync(
      join(directory, 'Makefile'),
      `program: prog.c
\ttextpoke cc -- gcc -g -O2 $$(textpoke config --cflags) -c prog.c
\tgcc -no-pie prog.o $$(textpoke config --ldflags) -o $@
`,
    );
    const env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, GITHUB_WORKSPACE: directory };
    const step = (name: string) => startSync('bash', ['-e', '-c', commandsOf(name)], { cwd: directory, env });
    const built = step('Build');
    assert.equal(built.status, 0, built.stderr);
    const good = step('Gate');
    assert.deepEqual([good.status, good.stdout, good.stderr], [0, '', '']);
    const image = join(directory, 'program.up');
    const { code } = branch(image, readTables(image), 'on_key');
    copyFileSync(broken(image, [[code, 'cc']]), image);
    const bad = step('Gate');
    assert.equal(bad.status, 1);
    assert.match(
      bad.stdout,
      /^::error file=prog\.c,line=25,title=TP008 half-patched::program\.up: 0x[0-9a-f]+ branches\+0x[0-9a-f]+: .*\n$/,
    );
    assert.equal(step('Report').status, 0);
    const { results } = JSON.parse(readFileSync(join(directory, 'textpoke.sarif'), 'utf8')).runs[0];
    assert.equal(results[0].ruleId, 'TP008');
  },
);

toolTest(
  'boot --trace names the source line of each write to code, as addr2line has it',
  [...tools, 'addr2line'],
  () => {
    const image = linked();
    const { stdout } = textpoke(['boot', image, '--cpus', '1', '--trace']);
    const lines = [...stdout.matchAll(/^ {2}(0x[0-9a-f]+) \S+ \((.*:\d+)\): /gm)];
    const { calls, locks } = readTables(image);
    assert.equal(lines.length, calls.length + locks.length);
    const wanted = run('addr2line', ['-e', image, ...lines.map((m) => m[1]!)])
      .trimEnd()
      .split('\n');
    assert.deepEqual(
      lines.map((m) => m[2]),
      wanted.map((line) => line.replace(/ \(discriminator.*/, '')),
    );
  },
);

longTest('150,000 findings are told like one', ['as', 'ld'], () => {
  const path = fresh('many');
  const count = 150_000;
  writeFileSync(
    `${path}.s`,
    `.globl _start, function
    .text
    _start: ret
    function: ret
    .section .static_call.text, "ax"
    __SCT__work: jmp function
    .byte 0x0f, 0xb9, 0xcc
    .data
    .balign 16
    __SCK__work: .quad function, 0
    .rept ${count}
    .text
    1: call __SCT__work
    .section .static_call_sites, "aw"
    .long 1b - ., __SCK__work - .
    .endr\n`,
  );
  run('as', [`${path}.s`, '-o', `${path}.o`]);
  run('ld', [`${path}.o`, '-o', path]);
  for (const format of ['json', 'github']) {
    const { status, stdout, stderr } = textpoke(['verify', path, '--format', format]);
    assert.deepEqual([status, stderr], [1, ''], format);
    assert.ok((stdout.match(/the site holds a different instruction/g) ?? []).length === count, format);
  }
});
