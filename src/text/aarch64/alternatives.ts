// Alternatives of arm64 (arch/arm64/kernel/alternative.c): code for systems that have a capability, moved to its place, or
// what a callback makes of the place.
import type { Image } from '../../image/image.ts';
import type { ExpectedText } from '../expected.ts';
import {
  isGone,
  kernelOf,
  type PassNote,
  type PassResult,
  type TextPass,
  type TextSubject,
} from '../pass.ts';
import { type Alternative, readAlternatives, readModuleAlternatives } from './alternative-table.ts';
import { callbackNames, runCallback } from './callbacks.ts';
import type { Arm64State } from './state.ts';
import {
  adrpPages,
  branchDistance,
  isAdrp,
  size,
  usesLiteral,
  withDistance,
  withPages,
  wordAt,
  writeWord,
} from './words.ts';

/** The pass: what the boot processor has is patched first, the rest once all processors run. */
export const alternatives: TextPass<Arm64State> = {
  kind: 'alternative',
  name: 'alternatives',
  run(subject): PassResult | undefined {
    const { image, state } = subject;
    const entries = subject.kernel ? readModuleAlternatives(image) : readAlternatives(image);
    if (!entries) return undefined;
    const notes: PassNote[] = [];
    const names = callbackNames(kernelOf(subject));
    // A module's are all patched when it is loaded, with what the whole system has.
    const isEarly = (entry: Alternative) =>
      subject.kernel === undefined && entry.cap !== undefined && state.hasEarly(entry.cap);
    for (const early of [true, false])
      for (const entry of entries) {
        if (isEarly(entry) !== early || (entry.cap !== undefined && !state.has(entry.cap))) continue;
        const { address, length } = entry;
        const text = subject.texts.holding(address, length);
        if (!text) {
          if (!image.codeAt(address) && !isGone(subject, address) && !isOther(image, address))
            notes.push({ address, severity: 'wrong', message: 'an alternative is for what is no code' });
          continue;
        }
        if (entry.isCallback) runCallback(subject, entry, text, names, notes);
        else replace(subject, entry, text, notes);
      }
    return { sites: entries.length, notes };
  },
};

/** Code that is copied before it runs lies among read-only data (.rodata.text), and the loader of EFI among other data. */
function isOther(image: Image, address: number): boolean {
  return image.sectionAt(address) !== undefined;
}

function replace(
  { image, texts }: TextSubject<Arm64State>,
  { address, length, replacement }: Alternative,
  text: ExpectedText,
  notes: PassNote[],
): void {
  const from = texts.holding(replacement, length);
  if (!from) {
    notes.push({ address, severity: 'wrong', message: 'what replaces an alternative is no code' });
    return;
  }
  for (let at = 0; at < length; at += size) {
    const word = moved(wordAt(from, replacement + at), replacement + at, address + at, {
      start: replacement,
      length,
    });
    if (word === undefined) {
      const message = `the code of an alternative cannot be moved to ${image.describe(address)}`;
      notes.push({ address, severity: 'wrong', message });
      return;
    }
    writeWord(text, address + at, word, 'alternative');
  }
}

/** An instruction at another place (get_alt_insn); branches within the code that is moved stay as they are. */
function moved(
  word: number,
  from: number,
  to: number,
  within: { readonly start: number; readonly length: number },
): number | undefined {
  const distance = branchDistance(word);
  if (distance !== undefined) {
    const target = from + distance;
    const isInside = target >= within.start && target <= within.start + within.length;
    return isInside ? word : withDistance(word, target - to);
  }
  if (isAdrp(word)) {
    const page = (address: number) => Math.floor(address / 4096);
    return withPages(word, page(from) + adrpPages(word) - page(to));
  }
  return usesLiteral(word) ? undefined : word;
}
