// Relocations that an arm64 kernel applies to itself before anything else (arch/arm64/kernel/pi/relocate.c): records of
// R_AARCH64_RELATIVE, whose places hold nothing until then. Packed ones (RELR) have their values in their places.
import { ByteView, signed64 } from '../../bytes/view.ts';

const relative = 0x403; // R_AARCH64_RELATIVE
const size = 24;
/** A stretch that is shorter may be anything; a kernel that can be moved has tens of thousands. */
const fewest = 256;

/**
 * Writes the values into `bytes`, which begin at address `start`: an address in the kernel for each record of the longest
 * run of them. Returns how many there are.
 */
export function applyRelativeRelocations(bytes: Uint8Array, little: boolean, start: number): number {
  const view = new ByteView(bytes, little).table(0, bytes.length);
  const end = start + bytes.length;
  const [infoLow, infoHigh] = little ? [8, 12] : [12, 8];
  const isRecord = (at: number) => {
    if (view.getUint32(at + infoLow, little) !== relative || view.getUint32(at + infoHigh, little) !== 0)
      return false;
    const place = signed64(view, at, little);
    return place >= start && place + 8 <= end;
  };
  let best = { at: 0, count: 0 };
  for (let at = 0; at + size <= bytes.length; ) {
    let count = 0;
    while (at + (count + 1) * size <= bytes.length && isRecord(at + count * size)) count++;
    if (count > best.count) best = { at, count };
    at += count > 0 ? count * size : 8;
  }
  if (best.count < fewest) return 0;
  for (let i = 0; i < best.count; i++) {
    const at = best.at + i * size;
    const place = signed64(view, at, little) - start;
    // Records do not lie among the places that they name.
    if (place + 8 > best.at && place < best.at + best.count * size) continue;
    view.setBigUint64(place, view.getBigUint64(at + 16, little), little);
  }
  return best.count;
}
