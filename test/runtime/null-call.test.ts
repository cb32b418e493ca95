// A call of NULL in the memory of a program: on 32-bit ARM its key does not hold 0.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { textpoke } from '../e2e/programs.ts';
import { run, scratchOfFile, testOfTurn } from '../tools.ts';
import { build, targets, toolsOf } from './programs.ts';

const directory = scratchOfFile();

for (const [turn, target] of targets.filter(({ machine }) => machine === 'ARM').entries())
  testOfTurn(turn, 2)(
    `${target.name}: verify knows the key of a call of NULL that libtextpoke has set`,
    [...toolsOf(target), 'readelf'],
    () => {
      const { program } = build(target, 'null-call', join(directory, target.name));
      const dump = join(directory, `${target.name}.raw`);
      run('qemu-arm', [program, dump]);
      const start = /(\w+)\s+\d+ \w+ +\w+ +\w+ +\w+ __executable_start$/m.exec(
        run('readelf', ['-sW', program]),
      );
      assert.ok(start, 'the program has a first byte');
      const words = ['verify', program, '--memory', dump, '--base', `0x${start[1]}`];
      const { status, stdout, stderr } = textpoke(words, directory);
      assert.equal(status, 0, `${stdout}${stderr}`);
      assert.match(stdout, /\.static_call_sites: 3 compared, 0 wrong/);
    },
  );
