// npm run test:kernel [-- --only NAME] [DIRECTORY]: real kernels, built from Debian's linux-source. What each is for
// is said in docs/kernel.md; the packages that are needed too. Writes DIRECTORY/report.md.
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { bootAndSwitch } from './boot.ts';
import { buildKernel, buildObjects, type Kernel, kernels, unpack } from './build.ts';
import { dumpPackage } from './package.ts';
import { compareKept, keepSections } from './passes.ts';
import { comparePrelink } from './prelink.ts';
import { Report } from './report.ts';

const { values, positionals } = parseArgs({
  options: { only: { type: 'string', multiple: true } },
  allowPositionals: true,
});
const directory = resolve(positionals[0] ?? join(tmpdir(), 'textpoke-kernel'));
mkdirSync(directory, { recursive: true });
const report = new Report();
const source = unpack(directory);

/** x86-64: every object against objtool, then a kernel made by textpoke runs. */
function x86(kernel: Kernel): void {
  const keep = join(directory, `${kernel.name}-kept`);
  const out = buildKernel(source, directory, kernel, { keep });
  compareKept(report, keep, join(out, 'tools/objtool/objtool'));
  const made = buildKernel(source, directory, { ...kernel, name: `${kernel.name}-textpoke` }, {});
  for (const cpus of [1, 2]) bootAndSwitch(report, directory, made, cpus);
}

const runs: Record<string, () => void> = {
  ...Object.fromEntries(
    kernels.map((kernel) => [
      kernel.name,
      () => {
        if (kernel.arch === 'x86') x86(kernel);
        else comparePrelink(report, buildKernel(source, directory, kernel, {}), kernel.tables);
      },
    ]),
  ),
  package: () => dumpPackage(report, directory),
  // What .ci/run has the time for: some directories of the first kernel, every object against objtool.
  slice: () => {
    const keep = join(directory, 'slice-kept');
    const out = buildObjects(source, directory, 'slice', keep);
    keepSections(keep, join(out, 'tools/objtool/objtool'));
    compareKept(report, keep, join(out, 'tools/objtool/objtool'));
  },
};
const names = values.only ?? Object.keys(runs).filter((name) => name !== 'slice');
for (const name of names) {
  const run = runs[name];
  if (!run) throw new Error(`there is no ${name}; known: ${Object.keys(runs).join(', ')}`);
  report.say(`\n## ${name}\n`);
  run();
}
writeFileSync(join(directory, 'report.md'), report.text);
process.exitCode = report.failed ? 1 : 0;
