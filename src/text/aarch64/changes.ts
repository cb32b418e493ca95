// Changes of an arm64 kernel's text that were under way when the memory was read. Each place has one instruction, which one
// store replaces (aarch64_insn_patch_text_nosync): it holds what stood there before, or what will. The kernel's locks say that
// something is being changed, and only what the holder of a lock changes may be older than what decides about it.
import type { Program } from '../../demand/program.ts';
import { isHeld, type KernelVariables } from '../../memory/kernel/variables.ts';
import type { ExpectedText } from '../expected.ts';
import type { PassResult, TextPass } from '../pass.ts';
import { branchesOf } from '../static-branches.ts';
import { branchWord, bytesOfWord, nop, size, wordAt } from './words.ts';

const why = 'the place was being changed when the memory was read';

interface Old {
  readonly address: number;
  readonly word: number;
  readonly text: ExpectedText;
}

/**
 * An update of a static key (kernel/jump_label.c, jump_label_update): the key has its new value, or -1 while it is turned on for
 * the first time, and its sites follow one after the other. Behind all other passes; `program` has the sites.
 */
export function keyUpdate(kernel: KernelVariables, program: Program): TextPass<unknown> {
  return {
    kind: 'poke',
    name: 'updates under way',
    run({ slide, texts }): PassResult | undefined {
      if (!isHeld(kernel, 'jump_label_mutex')) return undefined;
      const old = new Map<number, Old[]>();
      for (const { address, key, target } of branchesOf(program)) {
        const text = texts.holding(address, size);
        const memory = text && kernel.reader.u32(address + slide);
        if (!text || memory === undefined) continue;
        const expected = wordAt(text, address);
        const branch = branchWord(false, address, target);
        if (memory === expected || (memory !== nop && memory !== branch)) continue;
        if (expected !== nop && expected !== branch) continue;
        const sites = old.get(key);
        const site = { address, word: memory, text };
        if (sites) sites.push(site);
        else old.set(key, [site]);
      }
      // One key is changed at a time: whatever else differs is something else.
      const [sites = []] = old.size === 1 ? old.values() : [];
      for (const { address, word, text } of sites)
        text.accept({ address, bytes: bytesOfWord(word), kind: 'poke', why });
      return sites.length === 0
        ? { sites: 0, notes: [] }
        : {
            sites: sites.length,
            notes: [{ severity: 'left', message: `${why}: the old or the new code may stand there` }],
          };
    },
  };
}
