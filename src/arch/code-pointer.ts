// Two readings of a code address: a place is where an instruction's first byte lies, and what tables and patches
// name; a code pointer is what a function pointer holds and a branch leads to. They differ on 32-bit ARM alone,
// where bit 0 of a code pointer says that Thumb instructions stand there (AAPCS32, "Interworking").
import type { Address, CodePointer } from '../bytes/named-numbers.ts';

/** The place that a code pointer leads to. */
export function placeOf({ thumbBit }: { readonly thumbBit: boolean }, pointer: CodePointer): Address {
  return (thumbBit && pointer % 2 !== 0 ? pointer - 1 : pointer) as number;
}
