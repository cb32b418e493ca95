// The initial file system of a distribution's kernel: init.c, and modules in the order in which they can be loaded.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** What unpacks a module, by the end of its name. */
const unpackers: Record<string, readonly string[]> = {
  xz: ['xz', '-dc'],
  zst: ['zstd', '-dc'],
  gz: ['gzip', '-dc'],
  ko: ['cat'],
};

/** Finds the modules of a kernel by name; `-` and `_` are the same in names of modules. */
function modulesBelow(directory: string): Map<string, string> {
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  return new Map(
    files
      .filter((file) => /\.ko(\.\w+)?$/.test(file))
      .map((file) => [
        basename(file)
          .replace(/\.ko.*/, '')
          .replaceAll('-', '_'),
        join(directory, file),
      ]),
  );
}

/** The modules that a module says it needs: `depends=a,b` in its .modinfo. */
function needs(module: Buffer): string[] {
  const at = module.indexOf('\0depends=');
  if (at < 0) return [];
  const text = module.toString('latin1', at + '\0depends='.length, module.indexOf(0, at + 1));
  return text === '' ? [] : text.split(',').map((name) => name.replaceAll('-', '_'));
}

/**
 * Writes DIRECTORY/initramfs.cpio with `init` (a program), those modules with what they need, and what `more` puts
 * into its directory. A module that the kernel does not have is left out. Returns the archive and the modules' names in
 * the order of loading.
 */
export function distroInitramfs(
  directory: string,
  init: string,
  modules: string | undefined,
  wanted: readonly string[],
  more: (root: string) => void = () => undefined,
): { archive: string; loaded: string[] } {
  const root = join(directory, 'initramfs');
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root, { recursive: true });
  const known = modules ? modulesBelow(modules) : new Map<string, string>();
  const loaded: string[] = [];
  const seen = new Set<string>();
  const add = (name: string): void => {
    const path = known.get(name);
    if (path === undefined || seen.has(name)) return;
    seen.add(name);
    const [command = '', ...args] = unpackers[path.replace(/.*\./, '')] ?? [];
    const module = execFileSync(command, [...args, path], { maxBuffer: 1 << 27 });
    for (const other of needs(module)) add(other);
    writeFileSync(join(root, `${name}.ko`), module);
    loaded.push(name);
  };
  for (const name of wanted) add(name);
  writeFileSync(join(root, 'modules'), loaded.map((name) => `/${name}.ko\n`).join(''));
  writeFileSync(join(root, 'init'), readFileSync(init), { mode: 0o755 });
  mkdirSync(join(root, 'dev'));
  more(root);
  const archive = join(directory, 'initramfs.cpio');
  execFileSync('sh', ['-c', 'find . | cpio -o -H newc --quiet > ../initramfs.cpio'], { cwd: root });
  return { archive, loaded };
}
