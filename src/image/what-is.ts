// What stands at an address, in words, for a person who took it for something else.
import { placeOf } from '../arch/code-pointer.ts';
import { hex } from '../bytes/integer.ts';
import type { Address, CodePointer } from '../bytes/named-numbers.ts';
import { keyPrefix, trampolinePrefix } from '../bytes/static-call-names.ts';
import { STT_FUNC, STT_GNU_IFUNC, STT_OBJECT } from '../elf/constants.ts';
import { TextpokeError } from '../errors.ts';
import type { Image } from './image.ts';
import type { NearSymbol } from './symbols.ts';

function nounOf({ name, type, size }: NearSymbol): string {
  const bytes = size > 0 ? ` of ${size} bytes` : '';
  if (name.startsWith(keyPrefix)) return `a static call's key${bytes}`;
  if (name.startsWith(trampolinePrefix)) return `a static call's trampoline${bytes}`;
  if (type === STT_FUNC) return `a function${bytes}`;
  if (type === STT_GNU_IFUNC) return `an indirect function${bytes}`;
  if (type === STT_OBJECT) return `an object${bytes}`;
  return size > 0 ? `a symbol${bytes}` : 'a label without size';
}

/** `plain is a function of 20 bytes in .text`. */
export function whatIs(image: Image, pointer: Address | CodePointer): string {
  const name = image.describe(pointer);
  const place = placeOf(image.arch, pointer as number);
  if (!image.contains(place)) return `${hex(pointer)} is outside the image`;
  const section = image.sectionAt(place)?.name;
  const where = section === undefined ? '' : ` in ${section}`;
  const near = name.startsWith('0x') ? undefined : image.symbolAt(place);
  if (!near) return `${name} is an address${where || ' in the image'}, where no symbol is`;
  const inside = name.includes('+') && near.offset > 0 ? 'inside ' : '';
  return `${name} is ${inside}${nounOf(near)}${where}`;
}

/** The error for what is not what it was called; `required` says what would be one. */
export function isNot(image: Image, pointer: Address | CodePointer, required: string): TextpokeError {
  return new TextpokeError('unknown-key', `${whatIs(image, pointer)}, not ${required}`, {
    file: image.file.path,
  });
}
