// Where the installed package lies: its headers, its library in C, its linker scripts.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TextpokeError } from '../errors.ts';

/** The package's directory, above this file or above the bundle. Error `read-failed` where it has no library. */
export function packageRoot(): string {
  for (
    let at = dirname(fileURLToPath(import.meta.url)), up = dirname(at);
    at !== up;
    at = up, up = dirname(at)
  )
    if (existsSync(join(at, 'runtime', 'textpoke.c'))) return at;
  throw new TextpokeError('read-failed', 'runtime/textpoke.c is not there; the package is not complete');
}
