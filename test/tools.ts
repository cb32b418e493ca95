// Tests that need a compiler, linker or reader from outside say so here: they run wherever the tools are
// present, and test/run.ts lists by name what was left out where they are not.
import type { SpawnSyncReturns } from 'node:child_process';
import { accessSync, constants, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, type TestContext } from 'node:test';
import { startSync } from './starter.ts';

/** The word that marks a test as left out for want of a tool; test/run.ts looks for it. */
export const leftOut = 'left out: needs ';

/** The words that mark a test as one of `npm run test:all` alone. */
export const leftForAll = 'left for npm run test:all';

/** Only tests that need nothing but Node are to run; test/run.ts says so. */
export const isUnit = process.env.TEXTPOKE_UNIT === '1';

/** Every test and every row of a matrix is to run; test/run.ts says so, and a file that is run alone is run whole. */
export const isAll = process.env.TEXTPOKE_LOOP !== 'part' && !isUnit;

/** The rows of a long matrix that `npm test` tries: the first of every `step`. `npm run test:all` tries them all. */
export function rowsOf<Row>(all: readonly Row[], step: number): readonly Row[] {
  return isAll ? all : all.filter((_, i) => i % step === 0);
}

/** A short list that a row of a matrix tries: all of it under npm run test:all, else the one whose turn it is. */
export function turnOf<Row>(all: readonly Row[], turn: number): readonly Row[] {
  return isAll ? all : all.filter((_, i) => i === turn % all.length);
}

/** How many cases of `all` a long row of seeded cases tries: all under npm run test:all, else a tenth. */
export function casesOf(all: number): number {
  return isAll ? all : all / 10;
}

const present = new Map<string, boolean>();

function isOnPath(tool: string): boolean {
  return (process.env.PATH ?? '').split(':').some((directory) => {
    const path = join(directory, tool);
    try {
      accessSync(path, constants.X_OK);
      return statSync(path).isFile();
    } catch {
      return false;
    }
  });
}

/** True when `tool` can be started from PATH, or is a file that exists when it is a path; never for unit tests. */
export function hasTool(tool: string): boolean {
  if (isUnit) return false;
  let known = present.get(tool);
  if (known === undefined) {
    known = tool.includes('/') ? existsSync(tool) : isOnPath(tool);
    present.set(tool, known);
  }
  return known;
}

/** A test that needs outside tools (names on PATH or absolute paths); without them it is left out by name. */
export function toolTest(
  name: string,
  tools: readonly string[],
  body: (t: TestContext) => void | Promise<void>,
): void {
  const missing = tools.filter((tool) => !hasTool(tool));
  test(name, isUnit || missing.length > 0 ? { skip: `${leftOut}${missing.join(', ')}` } : {}, body);
}

/** A toolTest that takes long: it runs under `npm run test:all` alone. */
export function longTest(
  name: string,
  tools: readonly string[],
  body: (t: TestContext) => void | Promise<void>,
): void {
  if (isAll || isUnit) toolTest(name, tools, body);
  else test(name, { skip: leftForAll }, body);
}

/** What runs a row of a matrix: npm test tries one of every `of` rows, npm run test:all each. */
export function testOfTurn(turn: number, of: number): typeof toolTest {
  return turn % of === 0 ? toolTest : longTest;
}

/** A toolTest of what only root may do, such as giving files away. */
export function rootTest(
  name: string,
  tools: readonly string[],
  body: (t: TestContext) => void | Promise<void>,
): void {
  if (isUnit || process.getuid?.() === 0) toolTest(name, tools, body);
  else test(name, { skip: `${leftOut}root` }, body);
}

/** Standard output of a tool; throws with its diagnostics when it fails. `cwd` is a directory. */
export function run(tool: string, args: readonly string[], cwd?: string): string {
  const result = startSync(tool, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  if (result.error) throw result.error;
  if (result.status === 0) return result.stdout;
  throw Object.assign(new Error(`Command failed: ${[tool, ...args].join(' ')}\n${result.stderr}`), result);
}

/** Exit status and both outputs of a tool, whatever the status is. */
export function tryRun(tool: string, args: readonly string[], cwd?: string): SpawnSyncReturns<string> {
  return startSync(tool, args, { cwd, stdio: 'pipe' });
}

/** A fresh directory that goes away with the test. */
export function scratch(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'textpoke-test-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** A fresh directory that goes away when the tests of the file have run. */
export function scratchOfFile(): string {
  const dir = mkdtempSync(join(tmpdir(), 'textpoke-test-'));
  after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}
