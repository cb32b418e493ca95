// textpoke runtime: where libtextpoke is, as words for a compiler.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TextpokeError } from '../errors.ts';
import { print } from '../output/console.ts';

export interface RuntimeArguments {
  cflags?: boolean;
  libs?: boolean;
  source?: boolean;
}

/** The package's directory, above this file or above the bundle. Error `read-failed` where it has no library. */
function packageRoot(): string {
  for (
    let at = dirname(fileURLToPath(import.meta.url)), up = dirname(at);
    at !== up;
    at = up, up = dirname(at)
  )
    if (existsSync(join(at, 'runtime', 'textpoke.c'))) return at;
  throw new TextpokeError('read-failed', 'runtime/textpoke.c is not there; the package is not complete');
}

/** Runs the command: the words asked for, in one line and in an order that a compiler takes; all of them without any. */
export function runRuntime(asked: RuntimeArguments): number {
  const root = packageRoot();
  const all = !asked.cflags && !asked.libs && !asked.source;
  const words: string[] = [];
  if (all || asked.cflags) words.push(`-I${join(root, 'include')}`);
  if (all || asked.source) words.push(join(root, 'runtime', 'textpoke.c'));
  if (all || asked.libs) words.push('-pthread');
  print(`${words.join(' ')}\n`);
  return 0;
}
