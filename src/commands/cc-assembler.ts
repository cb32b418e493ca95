// The assembler of a command that links. What such a command compiles is in the program before anybody sees an object:
// sources that are compiled at once, and with -flto what the linker's plugin compiles. gcc looks for its assembler in
// COMPILER_PATH first (gcc's manual, "Environment Variables"), its plugin does so too, and there it finds one that
// annotates what it has assembled.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, delimiter, join } from 'node:path';
import type { AnnotateOptions } from '../annotate/options.ts';

/** Drivers that run an assembler; clang has one of its own. */
const driver = /^(.*-)?(gcc|g\+\+|cc|c\+\+|gfortran|gdc|gccgo)(-\d[\d.]*)?$/;

/** A directory with an assembler that annotates. */
export interface Assembler {
  readonly environment: NodeJS.ProcessEnv;
  /** True once it was run. */
  readonly hasRun: () => boolean;
  readonly remove: () => void;
}

/** The options of `textpoke cc` as its command line has them. */
function optionWords(options: AnnotateOptions): string[] {
  return Object.entries(options).flatMap(([name, value]) => {
    const flag = `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;
    return value === true ? [flag] : typeof value === 'string' ? [flag, value] : [];
  });
}

const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

/** An assembler for a compiler's line; undefined for a compiler that asks for none. */
export async function annotatingAssembler(
  words: readonly string[],
  options: AnnotateOptions,
): Promise<Assembler | undefined> {
  const at = words.findIndex((word) => driver.test(basename(word)));
  const script = process.argv[1];
  if (at < 0 || words.slice(0, at).some((word) => word.startsWith('-')) || script === undefined)
    return undefined;
  const { spawnSync } = await import('node:child_process');
  const launched = [...words.slice(1, at + 1), '-print-prog-name=as'];
  const { status, stdout } = spawnSync(words[0] as string, launched, { encoding: 'utf8' });
  const real = stdout?.trim();
  if (status !== 0 || !real) return undefined;
  const directory = mkdtempSync(join(tmpdir(), 'textpoke-cc-'));
  const ran = join(directory, 'ran');
  const line = [process.execPath, script, 'cc', ...optionWords(options), '--', real].map(quoted).join(' ');
  writeFileSync(join(directory, 'as'), `#!/bin/sh\n: > ${quoted(ran)}\nexec ${line} "$@"\n`, { mode: 0o755 });
  const path = [directory, process.env.COMPILER_PATH].filter(Boolean).join(delimiter);
  return {
    environment: { ...process.env, COMPILER_PATH: path },
    hasRun: () => existsSync(ran),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
