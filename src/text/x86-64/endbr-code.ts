// The instruction at which indirect branches may end (endbr64), and what kernels write over it.
import { sameBytes } from '../../bytes/integer.ts';
import type { TextSubject } from '../pass.ts';
import type { X86State } from './state.ts';

export const endbr = Uint8Array.of(0xf3, 0x0f, 0x1e, 0xfa);
const endbr32 = Uint8Array.of(0xf3, 0x0f, 0x1e, 0xfb);
const oldPoison = Uint8Array.of(0x66, 0x0f, 0x1f, 0x00);
/** With the opcode of an undefined instruction in it. */
const newPoison = Uint8Array.of(0x0f, 0x1f, 0x40, 0xd6);
export const endbrSize = 4;
/** What some kernel writes over endbr. */
export const poisons: readonly Uint8Array[] = [oldPoison, newPoison];
/** How many places say which poison a kernel writes. */
const mostVotes = 64;

/** As the kernel asks: what was poisoned already counts. */
export function isEndbr(bytes: Uint8Array, poison: Uint8Array): boolean {
  return [endbr, endbr32, poison].some((one) => sameBytes(bytes, one));
}

/**
 * What a kernel writes over endbr (gen_endbr_poison): what most of the first places in memory hold, since stable branches
 * may take the newer one over; else that of the version.
 */
export function poisonOf({ state, slide }: TextSubject<X86State>, sites: Float64Array): Uint8Array {
  let balance = 0;
  for (const address of sites.subarray(0, mostVotes)) {
    const found = state.reader.bytes(address + slide, endbrSize);
    if (found && sameBytes(found, oldPoison)) balance--;
    if (found && sameBytes(found, newPoison)) balance++;
  }
  const [major, minor] = state.version;
  if (balance === 0) balance = 1000 * major + minor < 6018 ? -1 : 1;
  return balance < 0 ? oldPoison : newPoison;
}
