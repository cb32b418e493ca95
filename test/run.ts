// Runs tests with node:test, from the files under test/ whose names hold one of the arguments (all without any).
//
// npm test builds dist/ and runs them, then names and counts those that were left out because an outside tool is missing.
// Long matrices are tried in part (rowsOf, turnOf and longTest of tools.ts); npm run test:all tries every row. With
// TEXTPOKE_ALL_TOOLS=1 (as .ci/run sets it) leaving any out for want of a tool is a failure.
//
// npm run test:unit runs those that need nothing but Node, and counts the others. Two kinds are left: tests that start
// what is built, which all lie in the folders named here, and tests that need outside tools, which are toolTests.
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { bundled } from './bundle.ts';
import { leftForAll, leftOut } from './tools.ts';

const startsWhatIsBuilt = /^(cli|e2e)\//;

// With it every Node that starts reads a system's certificates, and no test asks a network.
delete process.env.NODE_EXTRA_CA_CERTS;

const here = fileURLToPath(new URL('.', import.meta.url));
const options = ['--unit', '--all'];
const [unit, all] = options.map((option) => process.argv.includes(option));
const wanted = process.argv.slice(2).filter((argument) => !options.includes(argument));
const names = readdirSync(here, { recursive: true, encoding: 'utf8' })
  .filter(
    (name) => name.endsWith('.test.ts') && (wanted.length === 0 || wanted.some((w) => name.includes(w))),
  )
  .sort();
const left = names.filter((name) => unit && startsWhatIsBuilt.test(name));
const paths = names.filter((name) => !left.includes(name)).map((name) => join(here, name));

/**
 * What needs a process of its own: files that start others, as each start costs more in a large one, that change what
 * belongs to the whole process, or that count its work. A hook in front of all tests would run too late in the second
 * file of a process.
 */
const needsOwn =
  /(tool|long|root)Test\(|child_process|worker_threads|chdir|process\.env|workOf|hasTool|^before\(/m;
/** What must not happen beside other files: the rest of those share processes too, where matrices are tried in part. */
const changesProcess = /chdir|process\.(env|on)|worker_threads|workOf|^before\(|runMain/m;
const isPart = !unit && !all && wanted.length === 0;
const sharedDirectory = mkdtempSync(join(tmpdir(), 'textpoke-test-'));
process.on('exit', () => rmSync(sharedDirectory, { recursive: true, force: true }));

/** What takes longest begins first, so that nobody waits for a last file: tens of seconds each under --all, in this order. */
const longest = [
  ...['e2e/cross', 'e2e/link', 'runtime/api', 'e2e/builds', 'e2e/linkers', 'e2e/runtime', 'dwarf/compiled'],
  ...['headers/cross', 'headers/program', 'cli/cc', 'e2e/stubs', 'headers/spelling', 'runtime/library'],
  ...['cli/bounds', 'e2e/kills', 'headers/markers', 'e2e/veneers', 'e2e/boot', 'e2e/arm', 'docs/documents'],
  ...[
    'report/page',
    'arch/x86-64/sweep',
    'elf/extended-numbers',
    'bytes/decompress',
    'e2e/gate',
    'cli/manners',
  ],
];

/** The place of a file in that order. */
function placeOf(path: string): number {
  const place = longest.indexOf(relative(here, path).replace(/\.test\.ts$/, ''));
  return place < 0 ? longest.length : place;
}

/** To start a process costs more than most files do: many small ones share a few. */
function inFewProcesses(all: ReadonlyMap<string, string>, processes: number): string[] {
  const alone: string[] = [];
  const small: string[] = [];
  const withTools: string[] = [];
  for (const [source, bundle] of all) {
    const text = readFileSync(source, 'utf8');
    if (!needsOwn.test(text)) small.push(bundle);
    else if (isPart && !changesProcess.test(text)) withTools.push(bundle);
    else alone.push(bundle);
  }
  return [...alone, ...shared('tools', withTools, 2 * processes), ...shared('shared', small, processes)];
}

/** Files that import some each. */
function shared(name: string, all: readonly string[], processes: number): string[] {
  return Array.from({ length: Math.min(processes, all.length) }, (_, i) => {
    const path = join(sharedDirectory, `${name}-${i + 1}.test.mjs`);
    const imports = all
      .filter((_, n) => n % processes === i)
      .map((one) => `import ${JSON.stringify(pathToFileURL(one))};\n`);
    writeFileSync(path, imports.join(''));
    return path;
  });
}

/** How many tests some files hold, without running them. */
async function countTests(files: readonly string[]): Promise<number> {
  const args = [...process.execArgv, join(here, 'count.ts'), ...files.map((name) => join(here, name))];
  return Number((await promisify(execFile)(process.execPath, args)).stdout);
}

if (unit) {
  process.env.TEXTPOKE_UNIT = '1';
  // A test that starts a tool, and is no toolTest, does not find it.
  process.env.PATH = '/dev/null';
} else {
  // Files that were asked for by name are few: they run whole.
  if (isPart) process.env.TEXTPOKE_LOOP = 'part';
  execFileSync(process.execPath, [join(here, '..', 'build.js')], { stdio: 'inherit' });
}

const counted = countTests(left);
const missing: string[] = [];
let long = 0;
let failed = false;
// A file that stalls fails by its name, and does not hold up the rest for ever.
const bundles = await bundled(paths.sort((a, b) => placeOf(a) - placeOf(b)));
// Bundles are JavaScript. What fails is still shown where it is written. And most of what tests do they do for a moment:
// where V8 waits longer before it optimises a function, they take a tenth of the CPU time less.
process.execArgv.splice(0, process.execArgv.length, '--enable-source-maps', '--interrupt-budget=800000');
// Files that were asked for by name are few.
const files = wanted.length === 0 ? inFewProcesses(bundles, 4) : [...bundles.values()];
// One more than there are processors, for each waits now and then.
const stream = run({ files, concurrency: availableParallelism() + 1, timeout: 15 * 60_000 });
stream.on('test:fail', () => {
  failed = true;
});
stream.on('test:pass', (event) => {
  if (typeof event.skip !== 'string') return;
  if (event.skip.startsWith(leftOut)) missing.push(`${event.name} (${event.skip})`);
  if (event.skip === leftForAll) long++;
});
const report = stream.compose(new spec());
report.pipe(process.stdout);
report.on('end', async () => {
  if (unit) {
    const inFolders = await counted;
    process.stdout.write(
      `\n${missing.length + inFolders} tests were left for npm test: ${missing.length} need outside tools, ${inFolders} are in test/cli and test/e2e\n`,
    );
  } else if (missing.length > 0) {
    process.stdout.write(`\n${missing.length} tests were left out for want of tools:\n`);
    for (const line of missing) process.stdout.write(`  ${line}\n`);
  }
  if (process.env.TEXTPOKE_LOOP === 'part')
    process.stdout.write(`\n${long} long tests, and rows of long matrices, were left for npm run test:all\n`);
  const strict = process.env.TEXTPOKE_ALL_TOOLS === '1' && !unit;
  if (failed || names.length === 0 || (strict && missing.length > 0)) process.exitCode = 1;
});
