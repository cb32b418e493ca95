// Dumps that makedumpfile has written, held against how they are read.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { memorySource } from '../../src/files/source.ts';
import { unflatten } from '../../src/memory/flat.ts';
import { locateImage } from '../../src/memory/locate.ts';
import { readSnapshot } from '../../src/memory/open.ts';
import { verifyMemory } from '../../src/verify/memory.ts';
import { imageOf } from '../samples.ts';
import { scratch, toolTest } from '../tools.ts';
import { flattened, kdump, kernelBytes, run } from './dumps.ts';
import { byLzo, bySnappy } from './forms.ts';

const kernel = kernelBytes('gcc-O2');
const pages = run(kernel, 0x600000);

for (const [what, pack] of [
  ['zlib', undefined],
  ['lzo', byLzo],
  ['snappy', bySnappy],
] as const) {
  toolTest(
    `makedumpfile -R puts a flattened dump of ${what} together as it is read`,
    ['makedumpfile'],
    (t) => {
      const flat = flattened(kdump(pages, pack ? { pack } : {}));
      const path = join(scratch(t), 'dump');
      execFileSync('makedumpfile', ['-R', path], { input: flat, stdio: ['pipe', 'ignore', 'ignore'] });
      const made = readFileSync(path);
      const read = unflatten(memorySource(flat));
      assert.deepEqual(made, Buffer.from(read.read(0, read.size)));
      const image = imageOf(kernel);
      const snapshot = readSnapshot('dump', memorySource(made), image, undefined);
      assert.deepEqual(verifyMemory(image, locateImage(image, snapshot, undefined), undefined).findings, []);
    },
  );
}
