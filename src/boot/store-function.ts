// Stores the `func` of a static call's key, in a file that a dynamic loader may still change.
import type { Address } from '../bytes/named-numbers.ts';
import { ByteView } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import type { StaticCall } from '../image/static-calls.ts';
import type { Runtime } from './runtime.ts';

/** An address or a count as a word of the image. */
export function wordBytes(image: Image, value: number): Uint8Array {
  const word = new Uint8Array(image.arch.wordSize);
  const view = new ByteView(word, image.file.header.little);
  if (word.length === 8) view.setS64(0, value);
  else view.setU32(0, value >>> 0);
  return word;
}

/**
 * Stores `func`: the address of a function that people call `what`, or 0. In a position-independent image the loader makes the pointer, so its relocation changes: to a
 * relative one for an address, to none for NULL. Error `store-refused` where there is no relocation to change.
 */
export function storeFunction(runtime: Runtime, call: StaticCall, address: number, what: string): void {
  storePointer(runtime, call.key, address, `__SCK__${call.name}.func = ${what}`, call.key);
}

/** The same for any pointer to a function, which lies `at` an address and follows a key. */
export function storePointer(
  runtime: Runtime,
  at: Address,
  address: number,
  reason: string,
  key: Address,
): void {
  const { image, poker } = runtime;
  const { arch, dynamic } = image;
  const refuse = (why: string): never => {
    throw new TextpokeError('store-refused', `${reason}: ${why}`, { file: image.file.path });
  };
  const relocation = dynamic.at(at);
  let word = wordBytes(image, address);
  if (dynamic.isPacked(at)) {
    if (address === 0)
      refuse(
        'the loader adds the load base to this pointer (packed relocation, DT_RELR), so the pointer cannot be NULL; link without -z pack-relative-relocs',
      );
  } else if (relocation) {
    // Asked before the only relocation that may tell is changed.
    const repeats = dynamic.repeatsAddends(arch);
    const type = address === 0 ? arch.dynamic.none : arch.dynamic.relative;
    const record = dynamic.encode(arch, relocation, type, at, address);
    poker.store(relocation.record, record, `relocation of ${reason}`, key);
    dynamic.changed(relocation.record);
    const relative = dynamic.relativeCount();
    if (relative) {
      poker.store(
        relative.at,
        wordBytes(image, relative.count),
        'the number of leading relative relocations',
        key,
      );
    }
    // The loader leaves a pointer without relocation as it stands, so NULL has to stand there. Else it ignores what
    // does, and the linker's habit is kept: GNU ld repeats the addend there, lld writes zero.
    if (address !== 0 && !repeats) word = wordBytes(image, 0);
  } else if (address !== 0 && image.isPositionIndependent) {
    refuse('the image is position-independent, but the pointer has no dynamic relocation for a new value');
  }
  poker.store(at, word, reason, key);
}
