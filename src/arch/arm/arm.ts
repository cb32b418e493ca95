// 32-bit ARM as three kinds of ELF file hold it: A32 and T32 side by side, told apart by mapping symbols and by
// bit 0 of code pointers. Relocations and mapping symbols: ELF for the Arm Architecture (aaelf32) sections 5.6 and
// 5.5.5; EF_ARM_BE8: section 5.2.
import { countUpTo } from '../../bytes/search.ts';
import { EM_ARM } from '../../elf/constants.ts';
import type { Arch, BranchKind, RelocatedBranch } from '../arch.ts';
import type { CodeMap } from '../code-map.ts';
import { type ArmOrder, a32, decodeA32Branch } from './a32.ts';
import { applyArmRelocation, armRelocationName } from './relocations.ts';
import { decodeThumbBranch, displacementOf, sizeOfHalf, t32 } from './t32.ts';
import { bytesOfWord, mappingSymbols } from './words.ts';

const UDF = 0xe7f0_00f0; // udf #0

/** Types whose field is the displacement of a branch, by the instruction set of the branch. */
const a32Branches = new Set([
  1, // R_ARM_PC24
  27, // R_ARM_PLT32
  28, // R_ARM_CALL
  29, // R_ARM_JUMP24
]);
const t32Branches = new Set([
  10, // R_ARM_THM_CALL
  16, // R_ARM_THM_XPC22
  30, // R_ARM_THM_JUMP24
  51, // R_ARM_THM_JUMP19
  102, // R_ARM_THM_JUMP11
  103, // R_ARM_THM_JUMP8
]);

const isThumb = (map: CodeMap, offset: number) => countUpTo(map.thumb, offset) % 2 === 1;

/** Calls `visitRun` with every stretch of code between symbols and changes of state, in order. */
function forEachRun(
  size: number,
  { starts, data, thumb }: CodeMap,
  visitRun: (start: number, end: number, isThumb: boolean) => void,
): void {
  let [nextStart, nextData, nextThumb] = [0, 0, 0];
  for (let offset = 0; offset < size; ) {
    while ((starts[nextStart] ?? size) <= offset) nextStart++;
    while ((data[nextData + 1] ?? size) <= offset) nextData += 2;
    while ((thumb[nextThumb + 1] ?? size) <= offset) nextThumb += 2;
    const dataStart = data[nextData] ?? size;
    if (dataStart <= offset) {
      offset = data[nextData + 1] ?? size;
      continue;
    }
    const thumbStart = thumb[nextThumb] ?? size;
    const inThumb = thumbStart <= offset;
    const edge = (inThumb ? thumb[nextThumb + 1] : thumbStart) ?? size;
    const end = Math.min(size, starts[nextStart] ?? size, dataStart, edge);
    visitRun(offset, end, inThumb);
    offset = end;
  }
}

/** Every Thumb instruction between `start` and `end` by its first halfword; half of one at the end is none. */
function forEachThumb(
  view: DataView,
  [start, end]: readonly [number, number],
  little: boolean,
  visit: (offset: number, first: number) => void,
): void {
  for (let offset = start + (start & 1); offset + 2 <= end; ) {
    const first = view.getUint16(offset, little);
    const size = sizeOfHalf(first);
    if (offset + size > end) return;
    visit(offset, first);
    offset += size;
  }
}

const viewOf = (code: Uint8Array) => new DataView(code.buffer, code.byteOffset, code.byteLength);

function armOf(name: string, order: ArmOrder): Arch {
  const { littleCode } = order;
  const arm = a32(order);
  const thumb = t32(order);
  /** By map, which is of one section: for each halfword whether the sweep has a Thumb instruction start there. */
  const thumbStarts = new WeakMap<CodeMap, Uint8Array>();

  function thumbStartsOf(code: Uint8Array, map: CodeMap): Uint8Array {
    let found = thumbStarts.get(map);
    if (!found) {
      const marks = new Uint8Array(code.length >> 1);
      const view = viewOf(code);
      forEachRun(code.length, map, (start, end, inThumb) => {
        if (inThumb)
          forEachThumb(view, [start, end], littleCode, (offset) => {
            marks[offset >> 1] = 1;
          });
      });
      found = marks;
      thumbStarts.set(map, found);
    }
    return found;
  }

  function startsInstruction(code: Uint8Array, map: CodeMap, offset: number): boolean {
    if (offset < 0 || offset % 2 !== 0) return false;
    if (isThumb(map, offset)) return thumbStartsOf(code, map)[offset >> 1] === 1;
    return offset % 4 === 0 && offset + 4 <= code.length && countUpTo(map.data, offset) % 2 === 0;
  }

  function forEachBranch(
    code: Uint8Array,
    map: CodeMap,
    visit: (offset: number, target: number, kind: BranchKind, short: boolean) => void,
  ): void {
    const view = viewOf(code);
    const visitThumb = (offset: number, first: number) => {
      // Branches of 2 bytes begin with 1011 (cbz), 1101 or 1110; those of 4 with 11110.
      if (first < 0xb100 || first >= 0xf800) return;
      const branch = decodeThumbBranch(first, first < 0xf000 ? 0 : view.getUint16(offset + 2, littleCode));
      if (branch) visit(offset, offset + displacementOf(branch, offset), branch.kind, branch.short);
    };
    forEachRun(code.length, map, (start, end, inThumb) => {
      if (inThumb) return forEachThumb(view, [start, end], littleCode, visitThumb);
      for (let offset = (start + 3) & ~3; offset + 4 <= end; offset += 4) {
        const branch = decodeA32Branch(view.getUint32(offset, littleCode));
        if (branch) visit(offset, offset + branch.displacement, branch.kind, false);
      }
    });
  }

  /** The field holds the addend, so where the branch goes as it stands is what there is to add to S. */
  function branchOfRelocation(type: number, code: Uint8Array, place: number): RelocatedBranch | undefined {
    const instructions = a32Branches.has(type) ? arm : t32Branches.has(type) ? thumb : undefined;
    // Its own blx needs no rounding here: the linker rounds S - P (aaelf32, 5.6.1.6).
    const read = instructions?.readInstruction(code, place, 0);
    if (read?.kind !== 'call' && read?.kind !== 'jump' && read?.kind !== 'conditional jump') return undefined;
    const { kind, size, short, displacement } = read;
    return { offset: place, kind, size, short, bias: displacement - (displacement & 1) };
  }

  return {
    name,
    machine: EM_ARM,
    class: 32,
    wordSize: 4,
    pageSize: 0x10000,
    relocations: {
      none: 0, // R_ARM_NONE
      place32: 3, // R_ARM_REL32
      absolute32: 2, // R_ARM_ABS32
      placeLong: 3,
      rela: false,
      name: armRelocationName,
    },
    dynamic: { none: 0, relative: 23, symbolic: 2, jumpSlot: 22, globData: 21 },
    lockPrefix: undefined,
    breakpoint: undefined,
    mappingSymbol: mappingSymbols({ a: 'code', t: 'thumb', d: 'data' }),
    veneerName:
      /^(__.*_(veneer|from_arm|from_thumb|change_to_arm|change_to_thumb)|__(ARM|Thumb)[vV]\d.*Thunk_.*|.*\$thunk\d*)$/,
    thumbBit: true,
    maxSite: Math.max(arm.maxSite, thumb.maxSite),
    trampolineSize: Math.max(arm.trampolineSize, thumb.trampolineSize),
    instructionsAt: (map, offset) => (isThumb(map, offset) ? thumb : arm),
    instructionsOf: (pointer) => (pointer % 2 !== 0 ? thumb : arm),
    branchOfRelocation,
    startsInstruction,
    startsBranch: startsInstruction,
    forEachBranch,
    trapFill: (size) => new Uint8Array(size).map((_, i) => bytesOfWord(littleCode, UDF)[i % 4] as number),
    applyRelocation: (relocation) => applyArmRelocation(relocation, littleCode),
  };
}

export const arm = armOf('ARM', { littleCode: true, littleData: true });
/** Images with EF_ARM_BE8 (ARMv6 and later): the linker has made their instructions little-endian. */
export const arm_be8 = armOf('ARM BE8', { littleCode: true, littleData: false });
/** Relocatable objects, and images from before ARMv6. */
export const arm_be32 = armOf('ARM big-endian', { littleCode: false, littleData: false });
