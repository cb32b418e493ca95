#!/usr/bin/env node
// Starts the bundle. Compiled code is taken from a cache that the build left beside it, which V8 refuses by itself
// when it is another version's: that halves the cost over starting Node.
'use strict';
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const vm = require('node:vm');

const bundle = join(__dirname, '..', 'dist', 'textpoke.cjs');

function readIfThere(path, encoding) {
  try {
    return readFileSync(path, encoding);
  } catch {
    return undefined;
  }
}

const source = readIfThere(bundle, 'utf8');
if (source === undefined) {
  process.stderr.write('textpoke: dist/ is missing; build it with: npm run build\n');
  process.exitCode = 70;
} else {
  const script = new vm.Script(`(function (require, __filename) {${source}\n})`, {
    filename: bundle,
    cachedData: readIfThere(`${bundle}.cache`),
  });
  // Packages are found from here as they are from dist/.
  script.runInThisContext()(require, bundle);
  // The build asks for the cache after a first run, when the functions that matter have been compiled.
  const wanted = process.env.TEXTPOKE_WRITE_CODE_CACHE;
  if (wanted) process.on('exit', () => require('node:fs').writeFileSync(wanted, script.createCachedData()));
}
