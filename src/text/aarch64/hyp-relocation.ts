// Addresses that only the hypervisor uses: the kernel makes its own addresses of them that the hypervisor has, in literals of
// its code too (arch/arm64/kvm/va_layout.c, kvm_apply_hyp_relocations, since 5.12), unless the kernel is the hypervisor itself.
import { kernelOf, type PassNote, type PassResult, type TextPass } from '../pass.ts';
import { tableRange } from '../tables.ts';
import { findHypRelocations } from './found-tables.ts';
import type { Arm64State } from './state.ts';

const wordSize = 8;

export const hypRelocation: TextPass<Arm64State> = {
  kind: 'relocation',
  name: 'relocation for the hypervisor',
  run(subject): PassResult | undefined {
    const { image, texts, state } = subject;
    if (kernelOf(subject) !== image) return undefined;
    const range =
      tableRange(image, '.hyp.reloc', '__hyp_reloc_begin', '__hyp_reloc_end') ?? findHypRelocations(image);
    if (!range || range.size % 4 !== 0 || image.fileOffset(range.start, range.size) === undefined)
      return undefined;
    const notes: PassNote[] = [];
    let sites = 0;
    const vhe = state.cap('vhe');
    if (vhe !== undefined && state.has(vhe)) return { sites, notes };
    for (let entry = range.start; entry < range.start + range.size; entry += 4) {
      const place = entry + image.readS32(entry);
      const text = texts.holding(place, wordSize);
      if (!text) continue;
      sites++;
      const bytes = text.at(place, wordSize).slice();
      const view = new DataView(bytes.buffer);
      const address = view.getInt32(4, true) * 2 ** 32 + view.getUint32(0, true);
      const made = state.values.hypAddress(address);
      if (made === undefined) {
        const message =
          'what the addresses of the hypervisor are is not known, so its literals are not replayed';
        notes.push({ address: place, severity: 'left', message, input: 'va_mask' });
        continue;
      }
      view.setBigInt64(0, BigInt(made), true);
      text.write(place, bytes, 'relocation');
    }
    return { sites, notes };
  },
};
