// Probes on arm64: a breakpoint at the place (arch/arm64/kernel/probes/kprobes.c). What runs instead of the instruction under
// it is a copy in a slot with a breakpoint behind it, or nothing where the instruction is simulated.
import { type Kprobes, type Probe, probeFlags } from '../../memory/kernel/kprobes.ts';
import { isHeld, type KernelVariables } from '../../memory/kernel/variables.ts';
import { brokenList, type PassNote, type PassResult, type TextPass } from '../pass.ts';
import { bytesOfWord, size, wordAt, writeWord } from './words.ts';

const changing =
  'a probe was being set or taken away when the memory was read: its breakpoint need not stand there';
/** brk #4 */
const breakpoint = 0xd4200080;
/** brk #6, behind a copy. Before 5.11 the processor stepped over the copy, and nothing stood behind it. */
const stepped = 0xd42000c0;

export function kprobes(kernel: KernelVariables, tables: Kprobes | undefined): TextPass<unknown> {
  const { reader } = kernel;
  const opcodeAt = kernel.offset('kprobe', 'opcode');
  const slotAt =
    kernel.offset('kprobe', 'ainsn.xol_insn') ??
    kernel.offset('kprobe', 'ainsn.api.insn') ??
    kernel.offset('kprobe', 'ainsn.insn');
  return {
    kind: 'kprobe',
    name: 'kprobes',
    run({ image, slide, texts, kernel: owner }): PassResult | undefined {
      if (!tables) return undefined;
      const notes: PassNote[] = [];
      // A probe is in the table before its breakpoint is in the text, and longer (register_kprobe, unregister_kprobes).
      const isChanging = isHeld(kernel, 'kprobe_mutex');
      let waiting = 0;
      let sites = 0;
      const wrong = (address: number, what: string) =>
        notes.push({
          address,
          severity: 'wrong',
          message: `the probe at ${image.describe(address)} ${what}`,
          input: 'kprobe_table',
        });
      for (const probe of tables.probes) {
        const address = probe.address - slide;
        const text = texts.holding(address, size);
        if (!text || !isWritten(probe, tables)) continue;
        sites++;
        const code = wordAt(text, address);
        const kept = opcodeAt === undefined ? undefined : reader.u32(probe.at + opcodeAt);
        if (kept !== code) wrong(address, 'keeps another instruction than the code under it has');
        const slot = slotAt === undefined ? 0 : (reader.word(probe.at + slotAt) ?? 0);
        if (slot !== 0) {
          const [copy, behind] = [reader.u32(slot), reader.u32(slot + size)];
          if (copy === undefined) wrong(address, 'has its copied instruction outside of the dump');
          else if (copy !== code) wrong(address, 'runs another instruction than the one under it');
          else if (behind !== stepped && hasStep(kernel))
            wrong(address, 'does not come back from its copied instruction');
        }
        if (isChanging && reader.u32(probe.address) === code) {
          text.accept({ address, bytes: bytesOfWord(code), kind: 'poke', why: changing });
          waiting++;
        }
        writeWord(text, address, breakpoint, 'kprobe');
      }
      if (waiting > 0) notes.push({ severity: 'left', message: changing });
      if (!owner) for (const of of tables.broken) notes.push(brokenList(of, 'kprobe_table'));
      return { sites, notes };
    },
  };
}

/** Kernels that have a handler for the breakpoint behind a copy. */
function hasStep(kernel: KernelVariables): boolean {
  return ['kprobe_breakpoint_ss_handler', 'kprobe_ss_brk_handler'].some(
    (name) => kernel.at(name) !== undefined,
  );
}

/** Whether the probe has changed text: others are not armed, or are calls of ftrace. */
function isWritten({ flags }: Probe, { allDisarmed }: Kprobes): boolean {
  return (flags & (probeFlags.gone | probeFlags.disabled | probeFlags.ftrace)) === 0 && !allDisarmed;
}
