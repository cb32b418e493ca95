// Builds dist/: the command line as one file, the library as one file, and its types.
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('.', import.meta.url));
const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));

rmSync(`${root}dist`, { recursive: true, force: true });
const common = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  define: { TEXTPOKE_VERSION: JSON.stringify(version) },
  // Their wasm files lie beside them, and they are loaded only when something is to be shown or cross-checked.
  external: ['capstone-wasm', 'keystone-wasm'],
  legalComments: 'none',
  format: 'esm',
  // elfy is CommonJS and asks for node:assert by `require`.
  banner: { js: "import { createRequire as textpokeRequire } from 'node:module'; const require = textpokeRequire(import.meta.url);" },
};
await build({ ...common, entryPoints: [`${root}src/cli.ts`], outfile: `${root}dist/textpoke.js`, minifySyntax: true, minifyWhitespace: true });
await build({ ...common, entryPoints: [`${root}src/index.ts`], outfile: `${root}dist/index.js` });
execFileSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-p', `${root}tsconfig.types.json`], { stdio: 'inherit' });
