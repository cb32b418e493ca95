// .ibt_endbr_seal (since 5.18): functions whose address nobody takes. Their endbr becomes a NOP that nothing else has
// (arch/x86/kernel/alternative.c, apply_seal_endbr, before 6.6 apply_ibt_endbr), whether the processor has IBT or not. With
// FineIBT or kCFI, what stands in front of the function goes as well (poison_cfi).
//
// Order: the last step of alternative_instructions in front of locks, behind alternatives and call thunks.
import { kernelOf, type TextPass, type TextSubject } from '../pass.ts';
import { sealOf } from './cfi.ts';
import { endbrSize, isEndbr, poisonOf } from './endbr-code.ts';
import { Notes, readSites, TextFinder } from './sites.ts';
import type { X86State } from './state.ts';

export const endbrSeal: TextPass<X86State> = {
  kind: 'endbr',
  name: 'endbr seal',
  run(subject) {
    const sites = readSites(subject.image, 'endbr');
    return sites && seal(subject, sites);
  },
};

function seal(subject: TextSubject<X86State>, sites: Float64Array) {
  const notes = new Notes();
  const finder = new TextFinder(subject);
  const poison = poisonOf(subject, sites);
  const sealCfi = sealOf(subject);
  for (const address of sites) {
    const text = finder.site(address, endbrSize, notes);
    if (!text) continue;
    if (isEndbr(text.at(address, endbrSize), poison)) text.write(address, poison, 'endbr');
    else {
      const name = kernelOf(subject).describe(address);
      notes.wrong(address, `.ibt_endbr_seal names ${name}, which does not begin with endbr`);
    }
    sealCfi?.(address);
  }
  return { sites: sites.length, notes: notes.all };
}
