// A new kind of site is a folder in kinds/ and a row in the registry: a copy of the source gets one, and then every
// command knows it.
import assert from 'node:assert/strict';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { tsImport } from 'tsx/esm/api';
import {
  EM_X86_64,
  SHF_ALLOC,
  SHF_EXECINSTR,
  SHT_PROGBITS,
  STB_GLOBAL,
  STT_FUNC,
} from '../../src/elf/constants.ts';
import { makeObject } from '../elf/objects.ts';
import { runMain } from '../in-process.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Files that a new kind may touch. */
const mostTouched = 8;

let copy: string;
/** `main` of the copy. */
let main: (argv: readonly string[]) => Promise<number>;

before(async () => {
  copy = mkdtempSync(join(tmpdir(), 'textpoke-test-'));
  cpSync(join(root, 'src'), join(copy, 'src'), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  writeFileSync(join(copy, 'package.json'), '{ "type": "module" }');
  mkdirSync(join(copy, 'src/kinds/demo'));
  const kind = readFileSync(fileURLToPath(new URL('demo-kind.ts', import.meta.url)), 'utf8')
    .replaceAll("'../../src/kinds/", "'../")
    .replaceAll("'../../src/", "'../../");
  writeFileSync(join(copy, 'src/kinds/demo/kind.ts'), kind);
  const registry = join(copy, 'src/kinds/registry.ts');
  const text = readFileSync(registry, 'utf8');
  const changed = text
    .replace(/^import \{.*lock-prefix/m, "import { type DumpedDemo, demo } from './demo/kind.ts';\n$&")
    .replace(/^\s*readonly jumpTable: .*$/m, '$&\n  readonly demoSites: DumpedDemo;')
    .replace(/^\s*jumpTable: staticBranch,$/m, '$&\n  demoSites: demo,');
  assert.equal(changed.split('\n').length, text.split('\n').length + 3, 'the registry has these lines');
  writeFileSync(registry, changed);
  const code = Uint8Array.of(0x90, 0x90, 0x90, 0x90, 0xc3, 0x90, 0x90, 0x90, 0x90, 0xc3); // nop x4; ret, twice
  const sections = [
    { name: '.text', type: SHT_PROGBITS, flags: SHF_ALLOC | SHF_EXECINSTR, data: code, addralign: 16 },
  ];
  const info = (STB_GLOBAL << 4) | STT_FUNC;
  const symbols = [
    { name: 'demo_site_1', section: 1, value: 0, size: 5, info },
    { name: 'demo_site_2', section: 1, value: 5, size: 5, info },
  ];
  writeFileSync(join(copy, 'plain.o'), makeObject({ machine: EM_X86_64, type: 1, sections, symbols }));
  process.chdir(copy); // so that output names files as a person would
  main = (await tsImport(join(copy, 'src/main.ts'), import.meta.url)).main;
});
after(() => rmSync(copy, { recursive: true, force: true }));

/** Output of the copy's command line, which ends with `status`. */
async function textpoke(t: TestContext, argv: readonly string[], status = 0): Promise<string> {
  const ran = await runMain(t, main, argv);
  assert.equal(ran.status, status, ran.errors + ran.text);
  return ran.text;
}

test(`a new kind touches at most ${mostTouched} files`, () => {
  const names = readdirSync(join(copy, 'src'), { recursive: true, encoding: 'utf8' }).filter((f) =>
    f.endsWith('.ts'),
  );
  const textOf = (tree: string, name: string) => {
    try {
      return readFileSync(join(tree, 'src', name), 'utf8');
    } catch {
      return undefined;
    }
  };
  const touched = names.filter((name) => textOf(root, name) !== textOf(copy, name));
  assert.deepEqual(touched.sort(), ['kinds/demo/kind.ts', 'kinds/registry.ts']);
  assert.equal(touched.length <= mostTouched, true, touched.join(' '));
});

test('annotate has an option for the new kind, lists its sites and counts them', async (t) => {
  await textpoke(t, ['annotate', 'plain.o', '-o', 'demo.o']);
  await textpoke(t, ['boot', 'demo.o', '-o', 'demo']);
  assert.match(await textpoke(t, ['annotate', '--help']), /--demo-sites\s+only demo sites/);
  assert.match(await textpoke(t, ['annotate', 'plain.o', '--stats', '--dry-run']), / 2 demo sites, /);
  const [stats] = JSON.parse(await textpoke(t, ['annotate', 'demo.o', '--demo-sites', '--json'])).files;
  assert.equal(stats.demoSites, 0);
  assert.equal(stats.alreadyListed, 2);
});

test('dump shows its table as text and as JSON, and takes its name', async (t) => {
  const text = await textpoke(t, ['dump', 'demo', '--table', 'demo']);
  assert.match(text, /\.demo_sites: 2 entries/);
  assert.match(text, /demo_site_2/);
  const [file] = JSON.parse(await textpoke(t, ['dump', 'demo.o', '--json'])).files;
  assert.deepEqual(
    file.demoSites.map(({ site }: { site: { symbol: string } }) => site.symbol),
    ['demo_site_1', 'demo_site_2'],
  );
});

test('boot has its phase, writes what is demanded, and states list both byte strings', async (t) => {
  const booted = JSON.parse(await textpoke(t, ['boot', 'demo.o', '--json']));
  assert.equal(booted.sites.demos, 2);
  assert.deepEqual(
    booted.writes.map(({ phase, before: was, after: is }: Record<string, string>) => `${phase} ${was} ${is}`),
    ['demo_init 90909090 0f1f4000', 'demo_init 90909090 0f1f4000'],
  );
  assert.match(await textpoke(t, ['boot', 'demo.o']), /^demo_init\s+2 demo sites\s+2 text writes/m);
  const { places } = JSON.parse(await textpoke(t, ['boot', 'demo.o', '--states']));
  assert.deepEqual(
    places[0].states.map(({ bytes }: { bytes: string }) => bytes),
    ['90909090', '0f1f4000', 'cc909090', 'cc1f4000'],
  );
});

test('verify accepts what boot wrote, and finds a site that holds something else', async (t) => {
  await textpoke(t, ['verify', 'demo', '--original', 'demo']);
  const bytes = readFileSync(join(copy, 'demo'));
  const at = bytes.indexOf(Uint8Array.of(0x0f, 0x1f, 0x40, 0x00));
  bytes[at + 3] = 0x01; // nopl 1(%rax)
  writeFileSync(join(copy, 'broken'), bytes);
  const { findings } = JSON.parse(await textpoke(t, ['verify', 'broken', '--format', 'json'], 1));
  assert.deepEqual(
    findings.map(({ rule, place, found, expected }: Record<string, string>) => [
      rule,
      place,
      found,
      expected,
    ]),
    [['TP007', 'demo_site_1', '0f1f4001', '0f1f4000']],
  );
});

test('verify --memory compares its sites', async (t) => {
  const text = await textpoke(t, ['verify', 'demo', '--memory', 'demo', '--base', '0x400000']);
  assert.match(text, /\.demo_sites: 2 compared, 0 wrong/);
});

test('diff tells its sites apart, and the linker script has its table', async (t) => {
  assert.match(await textpoke(t, ['diff', 'demo.o', 'plain.o'], 1), /- demo site\b/);
  assert.match(await textpoke(t, ['ldscript']), /\.demo_sites : ALIGN\(4\)/);
});
