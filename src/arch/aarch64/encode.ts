// Instructions of A64 that kernels make themselves (Arm ARM, DDI 0487, C6.2).

/** Bytes of an instruction. */
const size = 4;
/** Branches reach 128 MiB. */
const branchReach = 1 << 27;
const pageSize = 4096;

/** `b` or `bl` from one place to another; undefined where it does not reach. */
export function branchWord(isCall: boolean, from: number, to: number): number | undefined {
  const distance = to - from;
  if (distance % size !== 0 || distance < -branchReach || distance >= branchReach) return undefined;
  return ((isCall ? 0x9400_0000 : 0x1400_0000) | ((distance / size) & 0x3ff_ffff)) >>> 0;
}

/** The same adrp for another distance in pages. */
export function withPages(word: number, pages: number): number | undefined {
  const most = 2 ** 20;
  if (!Number.isInteger(pages) || pages < -most || pages >= most) return undefined;
  return ((word & 0x9f00_001f) | ((pages & 3) << 29) | (((pages >> 2) & 0x7ffff) << 5)) >>> 0;
}

/** adrp and add, for which a register holds `to` behind them; undefined where adrp does not reach (4 GiB). */
export function addressPair(register: number, from: number, to: number): [number, number] | undefined {
  const [page, low] = [Math.floor(to / pageSize), ((to % pageSize) + pageSize) % pageSize];
  const adrp = withPages((0x9000_0000 | register) >>> 0, page - Math.floor(from / pageSize));
  const add = (0x9100_0000 | (low << 10) | (register << 5) | register) >>> 0;
  return adrp === undefined ? undefined : [adrp, add];
}

/** br of a register. */
export const branchRegister = (register: number): number => (0xd61f_0000 | (register << 5)) >>> 0;
