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

/** Exit code lies behind init code, and is much smaller. */
const mostExitCode = 0x10000;

/** Where exit code ends that no symbol tells of: behind the last site or target that a jump entry has there. */
export function exitCodeEnd(
  { bytes, little, start }: FlatMemory,
  table: FoundTable,
  bits: 32 | 64,
  initEnd: number,
): number | undefined {
  const view = new ByteView(bytes, little).table(0, bytes.length);
  let end: number | undefined;
  for (let at = table.start - start; at + 8 <= table.end - start; at += bits === 32 ? 12 : 16) {
    for (const field of [at, at + 4]) {
      const place =
        bits === 32 ? view.getUint32(field, little) : start + field + view.getInt32(field, little);
      if (place >= initEnd && place < initEnd + mostExitCode)
        end = Math.max(end ?? 0 - Number.MAX_VALUE, place + 4);
    }
  }
  return end;
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
/** Other entries so near to the table, so many of them, may be a part of it. */
const near = 64;
const fewestNear = 8;
/** A jump leads no further than within a function and its cold part. */
const farthest = 1 << 20;

/** __jump_table: of arm64 with distances (code, target, 64-bit key), of 32-bit ARM with addresses. */
export function findJumpTable(memory: FlatMemory, bits: 32 | 64, initEnd: number): FoundTable | undefined {
  const { bytes, little, start, end } = memory;
  const isCode = (address: number) =>
    memory.isCode(address) || (address >= initEnd && address < initEnd + mostExitCode);
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
  const size = bits === 32 ? 12 : 16;
  return clear(
    '__jump_table',
    longestRun(memory, size, bits / 8, (at) => (isEntry(at) ? 'entry' : 'no')),
    start,
    size,
  );
}

/**
 * .alt.smp.init of 32-bit ARM (arch/arm/include/asm/assembler.h, ALT_UP): a place, as a distance or an address, and what
 * one processor gets there, which is another word than the one that stands there.
 */
export function findAltSmp(memory: FlatMemory): FoundTable | undefined {
  const { bytes, little, start, end, isCode } = memory;
  const view = new ByteView(bytes, little).table(0, bytes.length);
  const read = (at: number, site: number): Reading => {
    const place = site - start;
    if (site % 4 !== 0 || place < 0 || place + 4 > bytes.length || place === at) return 'no';
    const word = view.getUint32(at + 4, little);
    const other = view.getUint32(place, little);
    // The first words of other pairs may be distances, or addresses, and so are then the second ones.
    if (word === other || (word >= start && word < end)) return 'no';
    if (!isCode(site)) return 'maybe'; // a word of data
    if (word >>> 20 === 0 && other >>> 20 === 0) return 'entry'; // data among code (proc-v7.S)
    return word >>> 28 !== 0 && word >>> 24 < 0xf8 ? 'entry' : 'no';
  };
  const distance = (at: number) => read(at, start + at + view.getInt32(at, little));
  const address = (at: number) => read(at, view.getUint32(at, little));
  const said = saidByHead(memory, [distance, address]);
  if (said) return said;
  const byDistance = longestRun(memory, 8, 4, distance);
  const byAddress = longestRun(memory, 8, 4, address);
  const [less, more] = byDistance.count < byAddress.count ? [byDistance, byAddress] : [byAddress, byDistance];
  return clear('.alt.smp.init', { ...more, second: Math.max(more.second, less.count) }, start, 8);
}

/** Code in front of _stext, where the kernel starts. */
const headSize = 0x10000;

/**
 * What the code at the kernel's start says of the table, up to 5.10 (arch/arm/kernel/head.S, __fixup_smp): three words,
 * which are their own address and where the table begins and ends. Other tables are said so too; entries tell.
 */
function saidByHead(
  { bytes, little, start, end, isCode }: FlatMemory,
  readings: readonly ((at: number) => Reading)[],
): FoundTable | undefined {
  const view = new ByteView(bytes, little).table(0, bytes.length);
  const found: FoundTable[] = [];
  for (let at = 0; at + 12 <= Math.min(headSize, bytes.length); at += 4) {
    if (view.getUint32(at, little) !== start + at) continue;
    const table = { start: view.getUint32(at + 4, little), end: view.getUint32(at + 8, little) };
    const size = table.end - table.start;
    const isInside = table.start >= start && table.end <= Math.min(end, start + bytes.length);
    if (!isInside || size < fewest * 8 || size % 8 !== 0 || isCode(table.start)) continue;
    const places = Array.from({ length: size / 8 }, (_, i) => table.start - start + i * 8);
    if (readings.some((read) => places.every((place) => read(place) !== 'no'))) found.push(table);
  }
  return found.length === 1 ? found[0] : undefined;
}

/** btf_header of version 1 without flags (include/uapi/linux/btf.h): 24 bytes, types and then names. */
const btfHeader = 24;

/** The kernel's types, which begin with a header that says how long they are; undefined where no or several are there. */
export function findBtf({ bytes, little, start }: FlatMemory): FoundTable | undefined {
  const magic = Uint8Array.from(little ? [0x9f, 0xeb, 1, 0] : [0xeb, 0x9f, 1, 0]);
  const view = new ByteView(bytes, little).table(0, bytes.length);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const found: FoundTable[] = [];
  for (let at = buffer.indexOf(magic); at >= 0; at = buffer.indexOf(magic, at + 4)) {
    if (at % 4 !== 0 || at + btfHeader > bytes.length) continue;
    const [header, types, typesSize, names, namesSize] = [4, 8, 12, 16, 20].map((member) =>
      view.getUint32(at + member, little),
    ) as [number, number, number, number, number];
    const size = btfHeader + names + namesSize;
    if (header !== btfHeader || types !== 0 || typesSize !== names || at + size > bytes.length) continue;
    const [first, last] = [bytes[at + btfHeader + names], bytes[at + size - 1]];
    if (typesSize > 0 && namesSize > 0 && first === 0 && last === 0)
      found.push({ start: start + at, end: start + at + size });
  }
  return found.length === 1 ? found[0] : undefined;
}

/** What some bytes read like; `maybe` counts only between entries. */
type Reading = 'entry' | 'maybe' | 'no';

/** The longest run of entries outside of code, by offset and count, and the count of the next longest. */
interface Run {
  readonly at: number;
  readonly count: number;
  readonly second: number;
}

function longestRun(
  { bytes, start, isCode }: FlatMemory,
  size: number,
  alignment: number,
  read: (at: number) => Reading,
): Run {
  let best = { at: 0, count: 0, sure: 0 };
  let second = 0;
  const runs: { at: number; count: number }[] = [];
  for (let at = 0; at + size <= bytes.length; ) {
    if (read(at) !== 'entry' || isCode(start + at)) {
      at += alignment;
      continue;
    }
    let count = 1;
    let sure = 1;
    for (let i = 1; at + (i + 1) * size <= bytes.length; i++) {
      const reading = read(at + i * size);
      if (reading === 'no') break;
      if (reading === 'maybe') continue;
      sure++;
      count = i + 1;
    }
    if (sure >= fewestNear) runs.push({ at, count });
    if (sure > best.sure) {
      second = best.sure;
      best = { at, count, sure };
    } else second = Math.max(second, sure);
    at += count * size;
  }
  // An entry that reads like none would cut the table in two, which must not pass for the whole.
  const [from, to] = [best.at - near * size, best.at + (best.count + near) * size];
  const isCut = runs.some(({ at, count }) => at !== best.at && at < to && at + count * size > from);
  return { at: best.at, count: best.count, second: isCut ? best.count : second };
}

/** The table that a run is; undefined where there is none. Error `table-malformed` where another is nearly as long. */
function clear(
  name: string,
  { at, count, second }: Run,
  start: number,
  size: number,
): FoundTable | undefined {
  if (count < fewest) return undefined;
  if (second * times > count) throw ambiguous(name);
  return { start: start + at, end: start + at + count * size };
}

function ambiguous(name: string): TextpokeError {
  return new TextpokeError(
    'table-malformed',
    `the kernel's symbols do not say where ${name} lies (CONFIG_KALLSYMS_ALL is not set), and several stretches read like it; use the ELF file (vmlinux) of the same build`,
  );
}
