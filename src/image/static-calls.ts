// The static calls that an image's symbols name: trampoline `__SCT__name` and key `__SCK__name`
// (include/linux/static_call_types.h).

import { placeOf } from '../arch/code-pointer.ts';
import type { Address, CodePointer } from '../bytes/named-numbers.ts';
import { keyPrefix, trampolinePrefix } from '../bytes/static-call-names.ts';
import { STB_LOCAL, STT_FILE } from '../elf/constants.ts';
import type { Image } from './image.ts';
import { kernelBanner } from './kernel.ts';

/** A static call as the image's symbols know it. */
export interface StaticCall {
  /** Without prefix. */
  readonly name: string;
  readonly key: Address;
  /** Code pointer to the trampoline; undefined when the image has no symbol for it. */
  readonly trampoline: CodePointer | undefined;
  /** The word of data that the trampoline loads its function from (see `literalAt`). */
  readonly literal?: Address | undefined;
}

/** Bytes of a trampoline with a literal. */
export const literalTrampolineSize = 16;

/**
 * The literal that the trampoline at a code pointer loads its function from (AArch64 kernels with CFI, since 7.1);
 * undefined for a trampoline that branches to it. Such a kernel has no sites: calls go through the trampoline for ever.
 */
export function literalAt(image: Image, pointer: CodePointer): Address | undefined {
  const { trampolineLiteral } = image.arch.instructionsOf(pointer);
  if (!trampolineLiteral) return undefined;
  const place = placeOf(image.arch, pointer);
  const literal = trampolineLiteral(image.readUpTo(place, literalTrampolineSize), 0, place);
  const isData = literal !== undefined && image.contains(literal, image.arch.wordSize);
  return isData && !image.codeAt(literal) ? literal : undefined;
}

/** True for a kernel whose static calls have no sites, so that each trampoline has a literal. */
export function hasNoSites(image: Image): boolean {
  if (!image.arch.instructionsOf(0).trampolineLiteral || kernelBanner(image) === undefined) return false;
  const [start, stop] = ['__start_static_call_sites', '__stop_static_call_sites'].map((name) =>
    image.symbols.addressOf(name),
  );
  return start === stop;
}

/** Static calls by the address of their key. File-local ones may share a name: STT_FILE symbols tell them apart. */
export function readStaticCalls(image: Image): Map<Address, StaticCall> {
  const { table } = image.symbols;
  const calls = new Map<Address, StaticCall>();
  if (!table) return calls;
  const trampolines = new Map<string, number>();
  const keys: { scope: number; name: string; address: number }[] = [];
  const sck = new TextEncoder().encode(keyPrefix);
  const sct = new TextEncoder().encode(trampolinePrefix);
  let source = 0;
  for (let i = 1; i < table.count; i++) {
    if (table.type(i) === STT_FILE) source = i;
    if ((table.section[i] as number) <= 0) continue;
    const scope = table.binding(i) === STB_LOCAL ? source : 0;
    const address = table.value[i] as number;
    if (table.nameStartsWith(i, sct)) {
      const name = table.name(i).slice(trampolinePrefix.length);
      trampolines.set(`${scope}:${name}`, address);
      // Hidden symbols become local in a linked image; then they stand in no source's scope of their own.
      if (!trampolines.has(`any:${name}`)) trampolines.set(`any:${name}`, address);
    } else if (table.nameStartsWith(i, sck)) {
      keys.push({ scope, name: table.name(i).slice(keyPrefix.length), address });
    }
  }
  for (const { scope, name, address } of keys) {
    const trampoline = trampolines.get(`${scope}:${name}`) ?? trampolines.get(`any:${name}`);
    const literal = trampoline === undefined ? undefined : literalAt(image, trampoline);
    calls.set(address, { name, key: address, trampoline, literal });
  }
  return calls;
}
