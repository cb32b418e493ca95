// Where a branch leads once the stubs that linkers put on its way are seen through.
import type { Address } from '../../bytes/named-numbers.ts';
import type { Pointer } from '../../image/dynamic.ts';
import type { Image } from '../../image/image.ts';

/** Where a branch of those bytes at an address goes, through stubs; undefined for another instruction. */
export function calleeOf(image: Image, bytes: Uint8Array, address: Address): Pointer | undefined {
  const instruction = image.instructionsAt(address).readInstruction(bytes, 0, address);
  if (instruction.kind !== 'call' && instruction.kind !== 'jump' && instruction.kind !== 'conditional jump') {
    return undefined;
  }
  return image.stubs.callee(image.addressAt(address, instruction.displacement));
}

/** The same for the bytes that stand there. */
export function calleeAt(image: Image, address: Address): Pointer | undefined {
  return calleeOf(image, image.readUpTo(address, image.arch.maxSite), address);
}
