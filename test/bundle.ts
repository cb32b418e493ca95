// Test files, each as one JavaScript file beside the parts that they share: to load their sources anew for every file
// costs more than most of the tests do.
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

/** A source asks where it lies itself; in another place it would find nothing beside it. */
const ownPlace: Plugin = {
  name: 'own-place',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const values: Readonly<Record<string, string>> = {
        dirname: dirname(path),
        filename: path,
        url: pathToFileURL(path).href,
      };
      const text = readFileSync(path, 'utf8');
      const contents = text.replace(/\bimport\.meta\.(dirname|filename|url)\b/g, (_, name: string) =>
        JSON.stringify(values[name]),
      );
      return { contents, loader: 'ts' };
    });
  },
};

/** Bundles test files to a directory that goes away with this process; the path of each one's bundle. */
export async function bundled(files: readonly string[]): Promise<Map<string, string>> {
  // Below the project, so that packages are found.
  const cache = join(root, 'node_modules', '.cache');
  mkdirSync(cache, { recursive: true });
  const directory = mkdtempSync(join(cache, 'textpoke-test-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  await build({
    entryPoints: [...files],
    outdir: directory,
    outbase: root,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    sourcemap: 'linked',
    logLevel: 'error',
    plugins: [ownPlace],
  });
  return new Map(files.map((file) => [file, join(directory, relative(root, file).replace(/\.ts$/, '.mjs'))]));
}
