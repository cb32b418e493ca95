// Code that arm64 kernels make and keep no list of, told by its bytes alone.

/** brk #0x100, which JIT compilers fill with (AARCH64_BREAK_FAULT), byte by byte. */
const trap = [0x00, 0x20, 0x20, 0xd4] as const;
const trapWord = 0xd420_2000;

/** Whether a byte is one of an instruction that fills free memory, by its place. */
export const isTrap = (byte: number, place: number): boolean => byte === trap[place & 3];

const isBti = (word: number) => word === 0xd503245f || word === 0xd50324df;
/** add x9, x30, #0, which is how the compiler of BPF moves x30. */
const keepReturn = 0x910003c9;
const nop = 0xd503201f;
const paciasp = 0xd503233f;
/** stp x29, x30, [sp, #-16]! */
const pushFrame = 0xa9bf7bfd;
/** Pages of one program. */
const mostPages = 1 << 16;

/**
 * A program of BPF on pages of its own, as kernels before 6.9 have them: a header with the number of its bytes, brk, the
 * beginning of a program (arch/arm64/net/bpf_jit_comp.c, build_prologue).
 */
export function isBpfPage(page: Uint8Array): boolean {
  const view = new DataView(page.buffer, page.byteOffset, page.length);
  const bytes = view.getUint32(0, true);
  if (bytes === 0 || bytes % page.length !== 0 || bytes / page.length > mostPages) return false;
  let at = 4;
  const next = () => (at + 4 <= page.length ? view.getUint32(at, true) : 0);
  const skip = (is: boolean) => {
    if (is) at += 4;
    return is;
  };
  while (skip(next() === trapWord));
  skip(isBti(next()));
  if (!skip(next() === keepReturn) || !skip(next() === nop)) return false;
  skip(next() === paciasp);
  return next() === pushFrame;
}
