// What a static call is to do: the `func` of its key, as code and people name it.

import type { CallTarget } from '../../arch/arch.ts';
import { placeOf } from '../../arch/code-pointer.ts';
import { parseAddress } from '../../bytes/integer.ts';
import type { Address, CodePointer } from '../../bytes/named-numbers.ts';
import { requireKey } from '../../demand/keys.ts';
import type { Program } from '../../demand/program.ts';
import { STT_FUNC, STT_GNU_IFUNC, STT_OBJECT } from '../../elf/constants.ts';
import { TextpokeError } from '../../errors.ts';
import type { Pointer } from '../../image/dynamic.ts';
import type { Image } from '../../image/image.ts';
import { resolveSymbol } from '../../image/names.ts';
import { isNot } from '../../image/what-is.ts';

/** What a call is to do; `external` is a function of another object, whose address only the loader knows. */
export type CallValue = CallTarget | { readonly kind: 'external'; readonly name: string };

/**
 * What libtextpoke puts into the key of a call of NULL (runtime/object.h): on 32-bit ARM a trampoline loads its function
 * from the key, and a thread may stand between its two loads.
 */
function isNullFunction({ arch, symbols }: Image, pointer: CodePointer): boolean {
  return arch.thumbBit && symbols.addressOf('textpoke_return') === pointer;
}

/** What a `func` pointer means. */
function callValue(image: Image, pointer: Pointer, returnZero: CodePointer | undefined): CallValue {
  if (pointer.kind === 'external') return { kind: 'external', name: pointer.name };
  if (pointer.address === 0 || isNullFunction(image, pointer.address)) return { kind: 'null' };
  if (pointer.address === returnZero) return { kind: 'return 0', address: pointer.address };
  return { kind: 'function', address: pointer.address };
}

/** Reads the `func` of a `struct static_call_key`; error `table-malformed` outside the image, `key-unaligned`. */
export function readCallValue({ image, returnZero }: Program, key: Address): CallValue {
  requireKey(image, key, '.static_call_sites');
  return callValue(image, image.readPointer(key), returnZero);
}

export function describeValue(image: Image, value: CallValue): string {
  switch (value.kind) {
    case 'null':
      return 'NULL';
    case 'return 0':
      return 'RET0';
    case 'external':
      return value.name;
    case 'function':
      return image.describe(value.address);
  }
}

/** True when two values make a call do the same. */
export function sameValue(a: CallValue, b: CallValue): boolean {
  return a.kind === b.kind && ('address' in a ? a.address : 0) === ('address' in b ? b.address : 0);
}

/** What `--update CALL=…` names: NULL, RET0, a function's symbol or an address. Errors: those of names. */
export function parseCallValue({ image, returnZero }: Program, text: string): CallTarget {
  if (text === 'NULL') return { kind: 'null' };
  if (text === 'RET0') {
    const address = image.symbols.addressOf('__static_call_return0');
    if (address !== undefined)
      return callValue(image, { kind: 'address', address }, returnZero) as CallTarget;
    throw new TextpokeError(
      'unknown-key',
      'RET0 needs __static_call_return0, but the image does not contain this function',
      { file: image.file.path },
    );
  }
  const address = parseAddress(text) ?? resolveSymbol(image, text, 'function');
  const why = whyNoFunction(image, address);
  if (why !== undefined) throw isNot(image, address, `a function${why}`);
  return callValue(image, { kind: 'address', address }, returnZero) as CallTarget;
}

/** Why no function begins where a code pointer leads: the end of a sentence; undefined where one may. */
function whyNoFunction(image: Image, pointer: CodePointer): string | undefined {
  const place = placeOf(image.arch, pointer);
  if (!image.codeAt(place) || image.isData(place, 1))
    return '; a function in the code of the image is required';
  if (!image.isInstructionStart(place)) return ': no instruction begins there';
  if (image.arch.thumbBit && image.unreadable === undefined) {
    const isThumb = image.instructionsAt(place) !== image.arch.instructionsOf(place as number);
    if (isThumb !== ((pointer as number) !== (place as number)))
      return `: it is ${isThumb ? 'Thumb code, whose addresses are odd' : 'ARM code, whose addresses are even'}`;
  }
  const near = image.symbolAt(place);
  if (near?.type === STT_GNU_IFUNC) return '; its symbol names the resolver, which a call would run';
  // A label inside of a function may be another way into it.
  const isInside = near?.type === STT_FUNC && near.offset > 0 && near.offset < near.size;
  return isInside && !image.symbolsAt(place).some((type) => type !== STT_OBJECT)
    ? '; its beginning is required'
    : undefined;
}
