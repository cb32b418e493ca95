// textpoke runtime: where libtextpoke is, as words for a compiler.
import { join } from 'node:path';
import { print } from '../output/console.ts';
import { packageRoot } from './package-root.ts';

export interface RuntimeArguments {
  cflags?: boolean;
  libs?: boolean;
  source?: boolean;
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
