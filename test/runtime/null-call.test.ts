// A call of NULL in the memory of a program: on 32-bit ARM its key does not hold 0.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { textpoke } from '../e2e/programs.ts';
import { run, scratchOfFile, testOfTurn } from '../tools.ts';
import { build, sharedArm, targets, toolsOf } from './programs.ts';

const directory = scratchOfFile();

const machines = [...targets.filter(({ machine }) => machine === 'ARM'), sharedArm];
for (const [turn, target] of machines.entries())
  testOfTurn(turn, 2)(
    `${target.name}: verify knows the key of a call of NULL that libtextpoke has set`,
    toolsOf(target),
    () => {
      const { program } = build(target, 'null-call', join(directory, `${turn}`));
      const dump = join(directory, `${turn}.raw`);
      const [emulator, ...words] = target.emulator as [string, ...string[]];
      const base = run(emulator, [...words, program, dump]).trim();
      const line = ['verify', program, '--memory', dump, '--base', base];
      const { status, stdout, stderr } = textpoke(line, directory);
      assert.equal(status, 0, `${stdout}${stderr}`);
      assert.match(stdout, /\.static_call_sites: 3 compared, 0 wrong/);
    },
  );
