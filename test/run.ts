// Runs every test under test/ with node:test, then names and counts the tests that were left out because an
// outside tool is missing. With TEXTPOKE_ALL_TOOLS=1 (as .ci/run sets it) leaving any out is a failure.
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { leftOut } from './tools.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(here, { recursive: true, encoding: 'utf8' })
  .filter(
    (name) => name.endsWith('.test.ts') && (wanted.length === 0 || wanted.some((w) => name.includes(w))),
  )
  .sort()
  .map((name) => join(here, name));

// Tests of the command line start what is built.
execFileSync(process.execPath, [join(here, '..', 'build.js')], { stdio: 'inherit' });

const missing: string[] = [];
let failed = false;
const stream = run({ files, concurrency: 2 });
stream.on('test:fail', () => {
  failed = true;
});
stream.on('test:pass', (event) => {
  if (typeof event.skip === 'string' && event.skip.startsWith(leftOut)) {
    missing.push(`${event.name} (${event.skip})`);
  }
});
const report = stream.compose(new spec());
report.pipe(process.stdout);
report.on('end', () => {
  if (missing.length > 0) {
    process.stdout.write(`\n${missing.length} tests were left out for want of tools:\n`);
    for (const line of missing) process.stdout.write(`  ${line}\n`);
  }
  const strict = process.env.TEXTPOKE_ALL_TOOLS === '1';
  if (failed || files.length === 0 || (strict && missing.length > 0)) process.exitCode = 1;
});
