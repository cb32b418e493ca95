// Builds dist/: the command line as one file with its code cache, the library as one file, its types, and the page of reports.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('.', import.meta.url));
const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));
const bundle = `${root}dist/textpoke.cjs`;

/** Node's modules that packages load at once but hardly use: loading them would cost a tenth of a small annotate. */
const lazyBuiltins = {
  name: 'lazy-builtins',
  setup({ onLoad, onResolve }) {
    onResolve({ filter: /^(node:)?(assert|child_process|module)$/ }, ({ path, namespace, kind }) =>
      namespace === 'lazy' || kind === 'dynamic-import'
        ? { path, external: true }
        : { path, namespace: 'lazy' },
    );
    onLoad({ filter: /./, namespace: 'lazy' }, ({ path }) => ({
      contents: `module.exports = new Proxy({}, { get: (_, name) => require(${JSON.stringify(path)})[name] });`,
    }));
  },
};

/** Chalk is always told its level; what it would find out about the terminal by itself loads node:tty and node:net. */
const noTerminal = {
  name: 'no-terminal',
  setup({ onLoad }) {
    onLoad({ filter: /chalk.source.vendor.supports-color.index\.js$/ }, () => ({
      contents: 'export default { stdout: false, stderr: false };',
    }));
  },
};

rmSync(`${root}dist`, { recursive: true, force: true });
const common = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  legalComments: 'none',
  // Loaded only when there is something to be shown, cross-checked or decompressed; wasm files lie beside them.
  external: ['capstone-wasm', 'keystone-wasm', 'xz-decompress'],
};
const versionOf = { TEXTPOKE_VERSION: JSON.stringify(version) };
await build({
  ...common,
  entryPoints: [`${root}src/cli.ts`],
  outfile: bundle,
  // CommonJS starts faster than a module, and code from a cache cannot import(), so that becomes require.
  format: 'cjs',
  supported: { 'dynamic-import': false },
  plugins: [lazyBuiltins, noTerminal],
  define: { ...versionOf, 'import.meta.url': 'bundleUrl' },
  banner: { js: 'const bundleUrl = require("node:url").pathToFileURL(__filename).href;' },
  minifySyntax: true,
  minifyWhitespace: true,
});
await build({
  ...common,
  entryPoints: [`${root}src/index.ts`],
  outfile: `${root}dist/index.js`,
  format: 'esm',
  plugins: [noTerminal],
  define: versionOf,
  // elfy is CommonJS and asks for node:assert by `require`.
  banner: {
    js: "import { createRequire as requireHere } from 'node:module'; const require = requireHere(import.meta.url);",
  },
});
await buildPage();
// A run of annotate, so that the cache holds what a build step needs.
const scratch = mkdtempSync(join(tmpdir(), 'textpoke-build-'));
try {
  const object = join(scratch, 'sample.o');
  cpSync(`${root}samples/demo/work.o`, object);
  execFileSync(process.execPath, [`${root}bin/textpoke.js`, 'annotate', object], {
    env: { ...process.env, TEXTPOKE_WRITE_CODE_CACHE: `${bundle}.cache` },
    stdio: 'inherit',
  });
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

// What textpoke config names to a linker.
const { linkerScript } = await import(`${root}dist/index.js`);
mkdirSync(`${root}dist/ldscript`);
for (const machine of ['x86-64', 'aarch64', 'arm']) {
  writeFileSync(`${root}dist/ldscript/${machine}.ld`, linkerScript(machine));
  writeFileSync(`${root}dist/ldscript/${machine}-gc-sections.ld`, linkerScript(machine, false));
}

writeFileSync(`${root}dist/textpoke.1`, execFileSync(process.execPath, [`${root}bin/textpoke.js`, 'man']));

const tsc = `${root}node_modules/typescript/bin/tsc`;
execFileSync(process.execPath, [tsc, '-p', `${root}tsconfig.types.json`], { stdio: 'inherit' });

/** The page of textpoke report: a script, a style, and the licences of what is in them. */
async function buildPage() {
  const page = `${root}dist/page/`;
  const { metafile } = await build({
    entryPoints: { report: `${root}src/report/page/main.tsx` },
    outdir: page,
    bundle: true,
    format: 'iife',
    target: ['chrome103', 'firefox113', 'safari16.4'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    minify: true,
    charset: 'utf8',
    legalComments: 'none',
    metafile: true,
  });
  await build({
    entryPoints: { report: `${root}src/report/page/style.css` },
    outdir: page,
    minify: true,
    target: ['chrome103', 'firefox113', 'safari16.4'],
  });
  for (const name of ['report.js', 'report.css']) {
    // What stands in a file of markup must not end the element that it stands in.
    const text = readFileSync(page + name, 'utf8').trimEnd();
    if (/<\/(script|style)|<!--/i.test(text)) throw new Error(`dist/page/${name} would end its own element`);
    writeFileSync(page + name, text);
  }
  const packages = Object.keys(metafile.inputs).flatMap(
    (name) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(name)?.[1] ?? [],
  );
  const licences = [...new Set(packages)].sort().map((name) => {
    const folder = `${root}node_modules/${name}/`;
    const { version, license } = JSON.parse(readFileSync(`${folder}package.json`, 'utf8'));
    const file = readdirSync(folder).find((of) => /^licen[cs]e/i.test(of));
    if (file === undefined) throw new Error(`${name} has no licence text`);
    const text = readFileSync(folder + file, 'utf8').trim();
    if (/<\/script|<!--/i.test(text)) throw new Error(`the licence of ${name} would end its element`);
    return `${name} ${version} (${license})\n\n${text}\n`;
  });
  writeFileSync(`${page}licences.txt`, licences.join('\n---\n\n'));
}
