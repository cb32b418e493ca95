// Modules of a running kernel and the links of keys, over kernels made here in each form that versions have.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { gzipSync } from 'node:zlib';
import { TextpokeError } from '../../../src/errors.ts';
import { memorySource } from '../../../src/files/source.ts';
import { runningKernel } from '../../../src/memory/kernel/kernel.ts';
import { findModuleFiles } from '../../../src/memory/kernel/module-files.ts';
import { locateImage } from '../../../src/memory/locate.ts';
import { readSnapshot } from '../../../src/memory/open.ts';
import { type VerifiedMemory, verifyMemory } from '../../../src/verify/memory.ts';
import { imageOf } from '../../samples.ts';
import { buildId, type Form, type Made, makeKernel, moduleFile, slide } from './made.ts';

const forms: readonly Form[] = ['6.1', '6.6', '6.14'];

function withDirectory<T>(body: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'textpoke-modules-'));
  return body(directory).finally(() => rmSync(directory, { recursive: true }));
}

/** Verifies a made kernel; the module's file is put where `name` says unless that is undefined. */
function verify(
  { kernel, dump }: Made,
  { name = 'kernel/net/key-use.ko' as string | undefined, file = moduleFile(), dep = '' } = {},
): Promise<VerifiedMemory> {
  return withDirectory(async (directory) => {
    if (name !== undefined) {
      mkdirSync(join(directory, name, '..'), { recursive: true });
      writeFileSync(join(directory, name), file);
    }
    if (dep !== '') writeFileSync(join(directory, 'modules.dep'), dep);
    const image = imageOf(kernel);
    const place = locateImage(image, readSnapshot('dump', memorySource(dump()), image, undefined), undefined);
    const running = runningKernel(image, place);
    assert.ok(running, 'the image is a kernel');
    const files = running.list && (await findModuleFiles(image, running, directory));
    return verifyMemory(image, place, undefined, { running, files });
  });
}

const told = ({ findings }: VerifiedMemory) =>
  findings.map(({ rule, place, message }) => `${rule} ${place}: ${message}`);

/** One finding, and it says what it must. */
function assertFound(verified: VerifiedMemory, pattern: RegExp): void {
  const findings = told(verified);
  assert.equal(findings.length, 1, findings.join('\n'));
  assert.match(findings[0] as string, pattern);
}

for (const form of forms) {
  test(`${form}: the sites of a module are compared, and every key leads to its entries`, async () => {
    const verified = await verify(makeKernel(form));
    assert.deepEqual(told(verified), []);
    const { modules } = verified;
    const [module] = modules?.compared ?? [];
    assert.equal(module?.why, undefined);
    assert.equal(module?.file?.buildId, buildId);
    const tables = new Map(module?.tables.map((table) => [table.name, table]));
    for (const name of ['__jump_table', '.static_call_sites']) {
      const table = tables.get(name);
      assert.ok(table && table.compared >= 2 && table.mismatches === 0 && table.missing === 0, name);
    }
    assert.deepEqual(
      modules?.linkage.map(({ table, compared, lists, wrong, missing }) => [
        table,
        compared > 2,
        lists > 0,
        wrong,
        missing,
      ]),
      [
        ['__jump_table', true, true, 0, 0],
        ['.static_call_sites', true, true, 0, 0],
      ],
    );
  });

  test(`${form}: a key that is switched while the module is loaded is followed in the module too`, async () => {
    const verified = await verify(makeKernel(form, { steps: [{ do: 'enable', key: 'shared_false' }] }));
    assert.deepEqual(told(verified), []);
  });

  test(`${form}: a changed site of a module is found, by the names of module and function`, async () => {
    const made = makeKernel(form);
    const { guest, pages } = made;
    const site = guest.code.length > 0 ? siteOf(made) : 0;
    pages.write(site + slide, Uint8Array.of(0xf4, 0xf4));
    assertFound(await verify(made), /^TP007 key_use:\w+\+0x[0-9a-f]+: shared_\w+(\+0x[0-9a-f]+)? is /);
  });
}

/** The first static branch of the module, as linked. */
function siteOf({ guest }: Made): number {
  const section = guest.file.sections.find(({ name }) => name === '__jump_table');
  const at = section?.addr ?? 0;
  return at + guest.readS32(at);
}

const keyOf = (made: Made, name: string) => {
  const key = made.image.symbols.addressOf(name) as number;
  const element = made.elements.get(key);
  assert.ok(element, `${name} has a list`);
  return { ...element, word: key + slide + 8 };
};

for (const [what, change, pattern] of [
  [
    'entries of a key that no module has sites of',
    (made: Made) => {
      const key = made.image.symbols.addressOf('off_key') as number;
      made.pages.word(key + slide + 8, made.image.readWord(key + 8) + 16);
    },
    /^TP033 off_key: .* leads to 0x[0-9a-f]+; the first entry of __jump_table with this key, at 0x[0-9a-f]+, is required$/,
  ],
  [
    'the initial state in a key',
    (made: Made) => {
      const key = made.image.symbols.addressOf('off_key') as number;
      made.pages.word(key + slide + 8, made.image.readWord(key + 8) + 1);
    },
    /^TP033 off_key: .* built enabled, but the file has it disabled$/,
  ],
  [
    'entries in the element of a module',
    (made: Made) => made.pages.word(keyOf(made, 'shared_false').module + 8, made.jumpTable + 16 * 50),
    /^TP033 shared_false: .* list of modules has 0x[0-9a-f]+ for key_use; 0x[0-9a-f]+ is required$/,
  ],
  [
    'the module in an element',
    (made: Made) => made.pages.word(keyOf(made, 'shared_false').module + 16, made.at + 64),
    /^TP033 shared_false: .* a module at 0x50000040, which is not loaded$/,
  ],
  [
    'a list that is cut off',
    (made: Made) => made.pages.word(keyOf(made, 'shared_false').module, 0),
    /^TP033 shared_false: .* lacks the kernel$/,
  ],
  [
    'a list in circles',
    (made: Made) => made.pages.word(keyOf(made, 'shared_false').owner, keyOf(made, 'shared_false').module),
    /^TP033 shared_false: .* leads in circles$/,
  ],
  [
    'a list without the module',
    (made: Made) => made.pages.word(keyOf(made, 'shared_false').word, keyOf(made, 'shared_false').owner + 2),
    /^TP033 shared_false: .* lacks key_use$/,
  ],
  [
    'a direct pointer where a module has sites',
    (made: Made) => made.pages.word(keyOf(made, 'shared_false').word, 0),
    /^TP033 shared_false: .* a list is required, since key_use has sites$/,
  ],
  [
    'sites of a call of the kernel',
    (made: Made) => {
      const key = made.image.symbols.addressOf('__SCK__local_work') as number;
      made.pages.word(key + slide + 8, made.image.readWord(key + 8) + 8);
    },
    /^TP033 __SCK__local_work: .* the first entry of \.static_call_sites with this key/,
  ],
  [
    'sites in the element of a call',
    (made: Made) => made.pages.word(keyOf(made, '__SCK__shared_call').module + 16, made.callSites + 8),
    /^TP033 __SCK__shared_call: .* for key_use; 0x[0-9a-f]+ is required$/,
  ],
  [
    'an entry of the module',
    (made: Made) => made.pages.word(made.jumpTable + 4, 8, 4),
    /^TP034 key_use:\w+\+0x[0-9a-f]+: the entry at 0x[0-9a-f]+ of __jump_table lists .*; the file lists /,
  ],
  [
    'where struct module has its table',
    (made: Made) => made.pages.word(made.at + made.fields.jumpTable, made.jumpTable + 16),
    /^TP034 key_use:__jump_table: struct module says that __jump_table has \d+ entries at 0x[0-9a-f]+; its file has \d+ entries at/,
  ],
  [
    'the list of modules, torn',
    (made: Made) => made.pages.word(made.link + 8, made.link),
    /^TP035 modules: the list of modules is torn behind its head/,
  ],
  [
    'a module that took itself out of the list',
    (made: Made) => {
      made.pages.word(made.head, made.head);
      made.pages.word(made.head + 8, made.head);
    },
    /^TP033 .* a module at 0x50000000, which is not loaded(; so have the lists of \d+ more keys)?$/,
  ],
] as const) {
  test(`what leads to sites is changed, and found: ${what}`, async () => {
    const made = makeKernel('6.6');
    change(made);
    const verified = await verify(made);
    if (what.startsWith('a module that')) {
      // Static keys and calls each say so once.
      assert.ok(
        told(verified).length > 0 && told(verified).every((text) => pattern.test(text)),
        told(verified).join('\n'),
      );
    } else assertFound(verified, pattern);
  });
}

for (const [what, options, id, pattern] of [
  ['no file of its name', { name: 'kernel/other.ko' }, buildId, /^no file of this name$/],
  [
    'a file of another build',
    { file: moduleFile('ffeeddcc') },
    buildId,
    /its build id is ffeeddcc, the loaded module has 00112233$/,
  ],
  ['a build id in the file alone', {}, null, /the file has a build id, and the loaded module has none$/],
  ['a file that is no module', { file: Buffer.from('nonsense') }, buildId, /key-use\.ko: .*ELF/],
  ['a file that is cut off', { file: moduleFile().subarray(0, 2000) }, buildId, /key-use\.ko: /],
] as const) {
  test(`a module is named as not compared, and all else is: ${what}`, async () => {
    const verified = await verify(makeKernel('6.1', { id }), options);
    const [module] = verified.modules?.compared ?? [];
    assert.match(module?.why ?? '', pattern);
    assert.deepEqual(module?.tables, []);
    assertFound(
      verified,
      /^TP029 modules: nothing was compared: none of the 1 modules has a file that fits$/,
    );
  });
}

for (const [what, options] of [
  ['compressed', { name: 'kernel/key_use.ko.gz', file: gzipSync(moduleFile()) }],
  ['in modules.dep', { name: 'here/key-use.ko', dep: 'here/key-use.ko: here/other.ko\n' }],
  ['not in modules.dep', { name: 'extra/key-use.ko', dep: 'kernel/other.ko:\n' }],
] as const) {
  test(`a module's file is found: ${what}`, async () => {
    const verified = await verify(makeKernel('6.14'), options);
    assert.equal(verified.modules?.compared[0]?.why, undefined);
    assert.notEqual(verified.modules?.compared[0]?.tables.length, 0);
  });
}

test('a walk does not follow links, which may lead in circles', () =>
  withDirectory(async (directory) => {
    symlinkSync('.', join(directory, 'build'));
    writeFileSync(join(directory, 'a-b.ko'), '');
    const { ModuleIndex } = await import('../../../src/memory/kernel/module-index.ts');
    assert.deepEqual(new ModuleIndex(directory).filesOf('a_b'), [join(directory, 'a-b.ko')]);
    assert.deepEqual(new ModuleIndex(directory).filesOf('c'), []);
    assert.throws(
      () => new ModuleIndex(join(directory, 'none')),
      (error) => error instanceof TextpokeError && error.code === 'read-failed',
    );
  }));

for (const [what, change, say] of [
  [
    'a name without end',
    ({ pages, at, fields }: Made) => pages.write(at + fields.name, new Uint8Array(56).fill(0x61)),
    undefined,
  ],
  [
    'a number of sections',
    ({ pages, attributes }: Made) => pages.word(attributes - 8, 0xffffffff, 4),
    /sect_attrs/,
  ],
  [
    'a number of entries',
    ({ pages, at, fields }: Made) => pages.word(at + fields.jumpCount, 0xffffffff, 4),
    undefined,
  ],
  [
    'a section outside of the module',
    ({ pages, attributes }: Made) => pages.word(attributes + 32, 0x1234),
    /outside of the memory/,
  ],
  [
    'an address that is none',
    ({ pages, attributes }: Made) => pages.word(attributes + 32, 2 ** 52),
    /outside of the memory/,
  ],
  ['a list into nothing', ({ pages, head }: Made) => pages.word(head, 0x70000000), undefined],
  ['a state', ({ pages, at }: Made) => pages.word(at, 1, 4), /it is coming/],
] as const) {
  test(`hostile memory ends, and is told of: ${what}`, async () => {
    const made = makeKernel('6.6');
    change(made);
    const verified = await verify(made);
    const { modules } = verified;
    if (say) assert.match(modules?.compared[0]?.why ?? '', say);
    else assert.ok(told(verified).length > 0 || modules?.running.list?.missing !== undefined, 'it is told');
  });
}
