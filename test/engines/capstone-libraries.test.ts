// Every branch of Debian's cross C libraries as capstone reads it: same places, sizes, kinds and targets.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BranchKind } from '../../src/arch/arch.ts';
import { readArchive } from '../../src/elf/archive.ts';
import { isElf } from '../../src/elf/magic.ts';
import { readElf } from '../../src/elf/read.ts';
import { loadDisassemblers } from '../../src/engines/disassembler.ts';
import { objectCode } from '../samples.ts';
import { isAll, rowsOf, toolTest } from '../tools.ts';

/** A direct branch in capstone's words, at the end its target; conditions, widths and registers in between. */
const conditions = 'eq|ne|hs|cs|lo|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|al';
const branch = new RegExp(
  `^(blx|bl|b|cbn?z|tbn?z)(?:\\.?(${conditions}))?(?:\\.[nw])? (?:[wxr]\\w+, )?(?:#\\w+, )?#?(0x[0-9a-f]+|\\d+)$`,
);
const always = new Set([undefined, 'al']);

function kindOf(mnemonic: string, condition: string | undefined): BranchKind {
  if (mnemonic.startsWith('bl')) return 'call';
  return mnemonic === 'b' && always.has(condition) ? 'jump' : 'conditional jump';
}

for (const triple of ['arm-linux-gnueabihf', 'aarch64-linux-gnu']) {
  const folder = `/usr/${triple}/lib`;
  toolTest(
    `${triple}: every branch of the C library's archives${isAll ? '' : ', of each fourth member,'} is capstone's: place, size, kind and target`,
    [join(folder, 'libc.a')],
    async (t) => {
      let [branches, instructions] = [0, 0];
      for (const name of existsSync(folder) ? readdirSync(folder).filter((n) => n.endsWith('.a')) : []) {
        const bytes = new Uint8Array(readFileSync(join(folder, name)));
        if (Buffer.from(bytes.subarray(0, 7)).toString() !== '!<arch>') continue; // libm.a may be a linker script
        for (const member of rowsOf(readArchive(bytes), 4)) {
          const content = bytes.subarray(member.offset, member.offset + member.size);
          if (member.special || !isElf(content) || !readElf(member.name, content).symtab) continue;
          const object = objectCode(content);
          const { arch } = object;
          const disassemblers = await loadDisassemblers(arch);
          for (const { section, code } of object.codeSections) {
            const map = object.codeMap(section);
            const ours: string[] = [];
            arch.forEachBranch(code, map, (at, to, kind) => {
              const { size } = arch.instructionsAt(map, at).readInstruction(code, at);
              ours.push(`${at} ${size} ${kind} ${(to - (arch.thumbBit ? to & 1 : 0)) >>> 0}`);
            });
            const theirs: string[] = [];
            const edges = [...new Set([0, ...map.starts, ...map.data, ...map.thumb, code.length])].sort(
              (a, b) => a - b,
            );
            const isData = (at: number) => {
              for (let i = 0; i < map.data.length; i += 2)
                if (at >= (map.data[i] as number) && at < (map.data[i + 1] as number)) return true;
              return false;
            };
            edges.slice(0, -1).forEach((start, i) => {
              if (isData(start)) return;
              const run = code.subarray(start, edges[i + 1]);
              for (const { text, address, size, decoded } of disassemblers(
                arch.instructionsAt(map, start),
              ).lines(run, start)) {
                instructions++;
                const found = decoded ? branch.exec(text) : null;
                if (found) {
                  const [, mnemonic, condition, target] = found;
                  theirs.push(
                    `${address} ${size} ${kindOf(mnemonic as string, condition)} ${Number(target) >>> 0}`,
                  );
                }
              }
            });
            // capstone gives a branch in an IT block the block's condition; the instruction is b all the same.
            const plain = (list: readonly string[]) =>
              arch.thumbBit ? list.map((line) => line.replace('conditional jump', 'jump')) : list;
            assert.deepEqual(plain(ours), plain(theirs), `${name}(${member.name}) ${section.name}`);
            branches += ours.length;
          }
        }
      }
      assert.ok(branches > (isAll ? 60_000 : 12_000), String(branches));
      t.diagnostic(`${branches} branches of ${instructions} instructions`);
    },
  );
}
