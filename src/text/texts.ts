// The stretches of an image that hold code, and those among them that a kernel keeps.
import { SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS } from '../elf/constants.ts';
import type { Image } from '../image/image.ts';
import { ExpectedText, Texts } from './expected.ts';

/**
 * A text for each section of code: what replaces other code is there too, and what is freed after start-up. A section that may
 * be written to holds data (.data since 6.18, in which kexec has code that it copies before it runs).
 */
export function textsOf(image: Image): Texts {
  const stretches: ExpectedText[] = [];
  for (const { name, addr, size, flags, type } of image.file.sections) {
    const isCode =
      (flags & SHF_ALLOC) !== 0 &&
      (flags & SHF_EXECINSTR) !== 0 &&
      (flags & SHF_WRITE) === 0 &&
      type !== SHT_NOBITS;
    if (!isCode || size === 0 || image.fileOffset(addr, size) === undefined) continue;
    if (stretches.some((text) => addr < text.end && text.start < addr + size)) continue;
    stretches.push(new ExpectedText(name, addr, image.read(addr, size)));
  }
  return new Texts(stretches);
}

/** The text from _text to _etext, and how many of its bytes that is; undefined where the image has none. */
export function keptText(
  image: Image,
  texts: Texts,
): { readonly text: ExpectedText; readonly length: number } | undefined {
  const start = image.symbols.addressOf('_text');
  const end = image.symbols.addressOf('_etext');
  const text = start === undefined ? undefined : texts.holding(start);
  if (!text || end === undefined || start !== text.start || end <= start) return undefined;
  return { text, length: Math.min(end, text.end) - start };
}
