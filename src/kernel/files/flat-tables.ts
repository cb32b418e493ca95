// Tables of a flat kernel whose kallsyms has only functions (CONFIG_KALLSYMS_ALL is not set), so that no symbol says where
// they lie: found by what their entries are. Only one stretch of the data reads as such a table.
import { ByteView } from '../../bytes/view.ts';
import { TextpokeError } from '../../errors.ts';

/** Ranges of addresses, and the kernel's bytes from `start` on. */
export interface FlatMemory {
  readonly bytes: Uint8Array;
  readonly little: boolean;
  readonly start: number;
  readonly end: number;
  /** True for an address in code, init code included. */
  readonly isCode: (address: number) => boolean;
}

/** Where a table lies, by address. */
export interface FoundTable {
  readonly start: number;
  readonly end: number;
}

/** A stretch that is shorter may be anything. */
const fewest = 16;
/** How much longer the table has to be than anything else that reads like it. */
const times = 4;
/** A jump leads no further than within a function and its cold part. */
const farthest = 1 << 20;

/** __jump_table: of arm64 with distances (code, target, 64-bit key), of 32-bit ARM with addresses. */
export function findJumpTable(memory: FlatMemory, bits: 32 | 64): FoundTable | undefined {
  const { bytes, little, start, end, isCode } = memory;
  const view = new ByteView(bytes, little).table(0, bytes.length);
  const inData = (key: number) => key >= start && key < end && !isCode(key);
  const isPair = (site: number, target: number) =>
    site % 4 === 0 &&
    target % 4 === 0 &&
    Math.abs(site - target) < farthest &&
    site !== target &&
    isCode(site) &&
    isCode(target);
  const isEntry =
    bits === 32
      ? (at: number) => {
          const [site, target] = [view.getUint32(at, little), view.getUint32(at + 4, little)];
          return isPair(site, target) && inData(view.getUint32(at + 8, little));
        }
      : (at: number) => {
          const high = view.getInt32(at + (little ? 12 : 8), little);
          const low = view.getUint32(at + (little ? 8 : 12), little);
          if (high !== 0 && high !== -1) return false;
          const address = start + at;
          const site = address + view.getInt32(at, little);
          return (
            isPair(site, address + 4 + view.getInt32(at + 4, little)) &&
            inData(address + 8 + high * 2 ** 32 + low)
          );
        };
  return longestRun(memory, '__jump_table', bits === 32 ? 12 : 16, bits / 8, isEntry);
}

/**
 * .alt.smp.init of 32-bit ARM (arch/arm/include/asm/assembler.h, ALT_UP): a place, as a distance or an address, and what
 * one processor gets there, which is another word than the one that stands there.
 */
export function findAltSmp(memory: FlatMemory): FoundTable | undefined {
  const { bytes, little, start, isCode } = memory;
  const view = new ByteView(bytes, little).table(0, bytes.length);
  const isEntry = (at: number, site: number) => {
    const place = site - start;
    if (site % 4 !== 0 || place < 0 || place + 4 > bytes.length || place === at) return false;
    const word = view.getUint32(at + 4, little);
    if (word === view.getUint32(place, little)) return false;
    // Flags of page tables and small numbers stand in data; in code there are no words of distances backwards.
    return isCode(site) ? word !== 0 && word >>> 24 < 0xf8 : word < 0x10000;
  };
  const byDistance = longestRun(memory, '.alt.smp.init', 8, 4, (at) =>
    isEntry(at, start + at + view.getInt32(at, little)),
  );
  const byAddress = longestRun(memory, '.alt.smp.init', 8, 4, (at) => isEntry(at, view.getUint32(at, little)));
  if (!byDistance || !byAddress) return byDistance ?? byAddress;
  const size = ({ start: from, end }: FoundTable) => end - from;
  const [less, more] = size(byDistance) < size(byAddress) ? [byDistance, byAddress] : [byAddress, byDistance];
  if (size(less) * times > size(more)) throw ambiguous('.alt.smp.init');
  return more;
}

/** The longest run of entries outside of code. Error `table-malformed` where another one is nearly as long. */
function longestRun(
  { bytes, start, isCode }: FlatMemory,
  name: string,
  size: number,
  alignment: number,
  isEntry: (at: number) => boolean,
): FoundTable | undefined {
  let best = { at: 0, count: 0 };
  let second = 0;
  for (let at = 0; at + size <= bytes.length; ) {
    let count = 0;
    while (at + (count + 1) * size <= bytes.length && isEntry(at + count * size)) count++;
    if (count > 0 && !isCode(start + at)) {
      if (count > best.count) {
        second = best.count;
        best = { at, count };
      } else second = Math.max(second, count);
    }
    at += count > 0 ? count * size : alignment;
  }
  if (best.count < fewest) return undefined;
  if (second * times > best.count) throw ambiguous(name);
  return { start: start + best.at, end: start + best.at + best.count * size };
}

function ambiguous(name: string): TextpokeError {
  return new TextpokeError(
    'table-malformed',
    `the kernel's symbols do not say where ${name} lies (CONFIG_KALLSYMS_ALL is not set), and several stretches read like it; use the ELF file (vmlinux) of the same build`,
  );
}
