// What an alternative may have made of the code that it replaces. Which features a processor has is not asked: the code
// is right if some alternative of the place makes exactly that.
import type { Address } from '../bytes/named-numbers.ts';
import { type Alternatives, readAlternatives } from '../image/alternatives.ts';
import type { Image } from '../image/image.ts';

/**
 * What tells of a running kernel whether an alternative has replaced the code that holds the byte at an address; `linked`
 * is the image as it was, whose table and replacements the kernel has given back. The table is read when it is asked for.
 */
export function replacedCode(image: Image, linked: Image | undefined): (address: Address) => boolean {
  let table: Alternatives | undefined;
  let isRead = false;
  return (address) => {
    const { isReplacement } = image.arch;
    if (!linked || !isReplacement) return false;
    if (!isRead) table = readAlternatives(linked);
    isRead = true;
    return (
      table?.at(address).some(({ address: to, length, replacement, replacementLength }) => {
        const code = linked.read(replacement, replacementLength);
        return isReplacement(image.readUpTo(to, length), code, replacement, to);
      }) ?? false
    );
  };
}
