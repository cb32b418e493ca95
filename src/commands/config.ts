// textpoke config: where the headers are, and what a linker is told, as words for a compiler.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Arch } from '../arch/arch.ts';
import { archNamed, familyOf } from '../arch/registry.ts';
import { TextpokeError } from '../errors.ts';
import { print } from '../output/console.ts';
import { packageRoot } from './package-root.ts';

/** Linkers by the names that compilers have for them (-fuse-ld), and whether each takes a script fragment by -T. */
const takesScript = { bfd: true, lld: true, gold: false, mold: false } as const;
type Linker = keyof typeof takesScript;
export const linkers = Object.keys(takesScript) as Linker[];

export interface ConfigArguments {
  include?: boolean;
  cflags?: boolean;
  ldflags?: boolean;
  linker?: Linker;
  machine?: string;
  gcSections?: boolean;
}

/** Names of machines as Node has them, which are among those of the registry; others are built for x86-64. */
function machineHere(): Arch {
  try {
    return archNamed(process.arch);
  } catch {
    return archNamed('x86-64');
  }
}

/** A path that stays one word for a shell and for make. Error `usage` for one that would not. */
function word(path: string): string {
  if (/^[\w@%+=:,./~-]+$/.test(path)) return path;
  throw new TextpokeError(
    'usage',
    `${JSON.stringify(path)} is not one word for a shell; install textpoke elsewhere, or quote the path that textpoke config --include prints`,
  );
}

/** The script fragment that the build of the package made. Error `read-failed` where it is missing. */
function scriptFile(root: string, arch: Arch, gcSections: boolean): string {
  const file = join(root, 'dist', 'ldscript', `${familyOf(arch)}${gcSections ? '-gc-sections' : ''}.ld`);
  if (existsSync(file)) return file;
  throw new TextpokeError('read-failed', 'the file is not there; the package is not complete', { file });
}

/** What a link needs. Error `usage` for a link that would lose entries (docs/linking.md). */
function linkWords(
  root: string,
  arch: Arch,
  linker: Linker | undefined,
  gcSections: boolean,
): readonly string[] {
  const chosen = linker === undefined ? [] : [`-fuse-ld=${linker}`];
  const dead = gcSections ? ['-Wl,--gc-sections'] : [];
  if (takesScript[linker ?? 'bfd'])
    return [...chosen, ...dead, `-Wl,-T,${word(scriptFile(root, arch, gcSections))}`];
  if (gcSections)
    throw new TextpokeError(
      'usage',
      `with --gc-sections ${linker} drops tables of code that lives; link without it, or with bfd or lld`,
    );
  return chosen;
}

/** When the script fragment matters, in a line. */
function scriptNote(linker: Linker | undefined): string {
  const free = 'boot and verify work without';
  return takesScript[linker ?? 'bfd']
    ? `libtextpoke in the program needs it; ${free}`
    : `${linker} takes none: ${free}, but libtextpoke in a program needs bfd or lld`;
}

/** Runs the command: the words asked for, in one line; without a question, all of them with what they are for. */
export function runConfig(asked: ConfigArguments): number {
  const root = packageRoot();
  const include = join(root, 'include');
  const arch = asked.machine === undefined ? machineHere() : archNamed(asked.machine);
  const link = () => linkWords(root, arch, asked.linker, asked.gcSections === true);
  if (asked.include || asked.cflags || asked.ldflags) {
    const words = [
      ...(asked.include ? [include] : []),
      ...(asked.cflags ? [`-I${word(include)}`] : []),
      ...(asked.ldflags ? link() : []),
    ];
    print(`${words.join(' ')}\n`);
    return 0;
  }
  const lines = [
    `include  ${include}`,
    `cflags   -I${word(include)}`,
    `ldflags  ${link().join(' ')}`,
    `script   ${scriptNote(asked.linker)}`,
  ];
  if (familyOf(arch) === 'arm')
    lines.push('gcc      also needs -fno-section-anchors beside -fPIE and -fPIC; clang does not know it');
  print(lines.map((line) => `${line}\n`).join(''));
  return 0;
}
