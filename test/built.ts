// The command line as it was built, for tests and benchmarks that start it.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const fresh = new Set<string>();

/** A path below `bin` of a checkout, to be started; fails when that would start what other sources were built to. */
export function builtProgram(name = 'textpoke.js', checkout = root): string {
  if (process.env.TEXTPOKE_UNIT === '1')
    throw new Error('a unit test starts no command line: its file belongs in test/cli or test/e2e');
  if (!fresh.has(checkout)) requireFresh(checkout);
  fresh.add(checkout);
  return join(checkout, 'bin', name);
}

/** Throws when dist/ of a checkout is missing, or older than a file that it is built of. */
export function requireFresh(checkout: string): void {
  const written = (name: string) => statSync(join(checkout, name), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const built = written('dist/textpoke.cjs');
  if (built === 0) throw new Error('dist/ is missing; build it with: npm run build');
  const sources = readdirSync(join(checkout, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(tsx?|css)$/.test(name))
    .map((name) => join('src', name));
  const newer = [...sources, 'build.js', 'package.json'].filter((name) => written(name) > built);
  if (newer.length === 0) return;
  const more = newer.length > 1 ? ` and ${newer.length - 1} more` : '';
  throw new Error(`dist/ is older than ${newer[0]}${more}; build it anew with: npm run build`);
}
