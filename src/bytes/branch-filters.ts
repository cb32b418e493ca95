// The filters that xz puts in front of compression for code: targets of branches become absolute, so that equal targets
// give equal bytes. Here they become relative again (xz-file-format.txt 5.3.2; lib/xz/xz_dec_bcj.c).

/** Turns all bytes of a block back, in place. */
export type BranchFilter = (bytes: Uint8Array) => void;

/** By the numbers that the format gives them. */
export const branchFilters: ReadonlyMap<number, BranchFilter> = new Map([
  [0x04, filterX86],
  [0x07, filterArm],
  [0x08, filterThumb],
  [0x0a, filterArm64],
]);

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Bits of the mask of bytes that looked like opcodes in front: whether an opcode behind them is taken for one. */
const takenBehind = [true, true, true, false, true, false, false, false] as const;
const byteOfMask = [0, 1, 2, 2, 3, 3, 3, 3] as const;

/** The highest byte of a displacement that a compiler would write. */
function isSignExtension(byte: number): boolean {
  return byte === 0 || byte === 0xff;
}

/** call and jmp (e8, e9): the filter leaves alone what is too near to another opcode. */
function filterX86(bytes: Uint8Array): void {
  const view = viewOf(bytes);
  let last = -1;
  let mask = 0;
  for (let at = 0; at + 4 < bytes.length; at++) {
    if (((bytes[at] as number) & 0xfe) !== 0xe8) continue;
    const gap = at - last;
    if (gap > 3) mask = 0;
    else {
      mask = (mask << (gap - 1)) & 7;
      if (mask !== 0) {
        const byte = bytes[at + 4 - (byteOfMask[mask] as number)] as number;
        if (!takenBehind[mask] || isSignExtension(byte)) {
          last = at;
          mask = (mask << 1) | 1;
          continue;
        }
      }
    }
    last = at;
    if (!isSignExtension(bytes[at + 4] as number)) {
      mask = (mask << 1) | 1;
      continue;
    }
    let source = view.getUint32(at + 1, true);
    let target: number;
    for (;;) {
      target = (source - (at + 5)) | 0;
      if (mask === 0) break;
      const bit = (byteOfMask[mask] as number) * 8;
      if (!isSignExtension((target >>> (24 - bit)) & 0xff)) break;
      source = target ^ (2 ** (32 - bit) - 1);
    }
    target &= 0x01ff_ffff;
    if ((target & 0x0100_0000) !== 0) target |= 0xfe00_0000;
    view.setInt32(at + 1, target, true);
    // What follows is not looked for opcodes in the displacement.
    at += 4;
    last = at - 4;
    mask = 0;
  }
}

/** bl: its place counts from 8 bytes behind. */
function filterArm(bytes: Uint8Array): void {
  const view = viewOf(bytes);
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    if (bytes[at + 3] !== 0xeb) continue;
    const words = (view.getUint32(at, true) & 0xff_ffff) - ((at + 8) >>> 2);
    view.setUint32(at, (0xeb00_0000 | (words & 0xff_ffff)) >>> 0, true);
  }
}

/** bl of Thumb: two halfwords, which count from 4 bytes behind. */
function filterThumb(bytes: Uint8Array): void {
  const view = viewOf(bytes);
  for (let at = 0; at + 4 <= bytes.length; at += 2) {
    const [high, low] = [view.getUint16(at, true), view.getUint16(at + 2, true)];
    if ((high & 0xf800) !== 0xf000 || (low & 0xf800) !== 0xf800) continue;
    const target = (((high & 0x7ff) << 11) | (low & 0x7ff)) - ((at + 4) >>> 1);
    view.setUint16(at, 0xf000 | ((target >>> 11) & 0x7ff), true);
    view.setUint16(at + 2, 0xf800 | (target & 0x7ff), true);
    at += 2;
  }
}

/** bl, and adrp within 512 MiB. */
function filterArm64(bytes: Uint8Array): void {
  const view = viewOf(bytes);
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    const word = view.getUint32(at, true);
    if (word >>> 26 === 0x25) {
      view.setUint32(at, (0x9400_0000 | ((word - (at >>> 2)) & 0x03ff_ffff)) >>> 0, true);
    } else if ((word & 0x9f00_0000) >>> 0 === 0x9000_0000) {
      const page = ((word >>> 29) & 3) | ((word >>> 3) & 0x1f_fffc);
      if (((page + 0x2_0000) & 0x1c_0000) !== 0) continue;
      const to = page - (at >>> 12);
      const sign = (to & 0x2_0000) === 0 ? 0 : 0xe0_0000;
      const moved = (word & 0x9000_001f) | ((to & 3) << 29) | ((to & 0x3_fffc) << 3) | sign;
      view.setUint32(at, moved >>> 0, true);
    }
  }
}
