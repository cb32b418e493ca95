// Addresses that only the hypervisor uses: the kernel makes its own addresses of them that the hypervisor has, in literals of
// its code too (arch/arm64/kvm/va_layout.c, kvm_apply_hyp_relocations, since 5.12), unless the kernel is the hypervisor itself.
import type { Image } from '../../image/image.ts';
import { kernelOf, type PassNote, type PassResult, type TextPass } from '../pass.ts';
import { tableRange } from '../tables.ts';
import { findHypLiterals } from './found-tables.ts';
import type { Arm64State } from './state.ts';

const wordSize = 8;

export const hypRelocation: TextPass<Arm64State> = {
  kind: 'relocation',
  name: 'relocation for the hypervisor',
  run(subject): PassResult | undefined {
    const { image, texts, state } = subject;
    if (kernelOf(subject) !== image) return undefined;
    const places = placesOf(image);
    if (places.length === 0) return undefined;
    const notes: PassNote[] = [];
    let sites = 0;
    const vhe = state.cap('vhe');
    if (vhe !== undefined && state.has(vhe)) return { sites, notes };
    for (const place of places) {
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

function placesOf(image: Image): number[] {
  const range = tableRange(image, '.hyp.reloc', '__hyp_reloc_begin', '__hyp_reloc_end');
  if (!range) return findHypLiterals(image);
  const { start, size } = range;
  if (size % 4 !== 0 || image.fileOffset(start, size) === undefined) return [];
  return Array.from({ length: size / 4 }, (_, i) => start + 4 * i + image.readS32(start + 4 * i));
}
