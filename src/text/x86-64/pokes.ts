// Places that were being changed when the memory was read: each holds what stood there, what will, or a breakpoint in front of
// the rest of either. What will stand there must be what the passes say, or what stood there must.
import { sameBytes } from '../../bytes/integer.ts';
import { conditionalSize, type Pokes } from '../../memory/kernel/pokes.ts';
import type { KernelReader } from '../../memory/kernel/reader.ts';
import type { PassNote, PassResult, TextPass } from '../pass.ts';
import { branchSize, callOpcode, int3, jumpOpcode } from './branches.ts';

const nop = Uint8Array.of(0x0f, 0x1f, 0x44, 0, 0);
/** Static branches of 2 bytes (since 5.14). */
const shortNop = Uint8Array.of(0x66, 0x90);
const shortJump = 0xeb;
const returned = Uint8Array.of(0xc3, int3, int3, int3, int3);
const why = 'the place was being changed when the memory was read';

/** `isCode` says whether code lies at an address of the running kernel. */
export function pokes(
  batch: Pokes | undefined,
  reader: KernelReader,
  isCode: (address: number) => boolean,
): TextPass<unknown> {
  return {
    kind: 'poke',
    name: 'changes under way',
    run({ slide, texts, kernel }): PassResult | undefined {
      if (!batch) return undefined;
      const notes: PassNote[] = [];
      const input = 'the batch of text_poke';
      // The batch is the kernel's; what is wrong with it is said once.
      if (batch.broken !== undefined && !kernel)
        notes.push({ severity: 'wrong', message: batch.broken, input });
      let sites = 0;
      for (const { address: runs, bytes, old } of batch.pokes) {
        const address = runs - slide;
        const text = texts.holding(address, bytes.length);
        const memory = reader.bytes(runs, bytes.length);
        if (!text || !memory) continue;
        sites++;
        const expected = text.at(address, bytes.length).slice();
        const isNew = sameBytes(expected, bytes);
        if (!isNew && expected[0] !== old && !sameBytes(memory, expected)) {
          const message =
            'a change was under way that leads from and to other code than the keys and records say';
          notes.push({ severity: 'wrong', address, message, input });
          continue;
        }
        const forms = [bytes, behindBreakpoint(bytes), behindBreakpoint(expected)];
        // What stood there is known by its first byte alone.
        const before = Uint8Array.of(old, ...memory.subarray(1));
        if (isNew && isPatchable(before, runs, isCode)) forms.push(before, behindBreakpoint(before));
        const form = forms.find((one) => sameBytes(one, memory));
        if (form && !sameBytes(form, expected)) text.accept({ address, bytes: form, kind: 'poke', why });
      }
      if (sites > 0)
        notes.push({
          severity: 'left',
          message: `${why}: a breakpoint, the old or the new code may stand there`,
        });
      return { sites, notes };
    },
  };
}

function behindBreakpoint(bytes: Uint8Array): Uint8Array {
  return Uint8Array.of(int3, ...bytes.subarray(1));
}

/**
 * What a kernel changes while it runs: a NOP or a jump of 2 or 5 bytes, a return, a call, a conditional jump of 6; or one byte.
 */
export function isPatchable(bytes: Uint8Array, runs: number, isCode: (address: number) => boolean): boolean {
  const { length } = bytes;
  if (length === 1) return true;
  if ([nop, shortNop, returned].some((form) => sameBytes(bytes, form))) return true;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const [first, second = 0] = bytes;
  const isBranch =
    (length === branchSize && (first === callOpcode || first === jumpOpcode)) ||
    (length === conditionalSize && first === 0x0f && (second & 0xf0) === 0x80);
  if (isBranch) return isCode(runs + length + view.getInt32(length - 4, true));
  return length === shortNop.length && first === shortJump && isCode(runs + length + view.getInt8(1));
}
