// Pages of code that kernels make and keep no list of, told by their bytes alone.

const int3 = 0xcc;
const lineSize = 64;

/**
 * A page of thunks against ITS (arch/x86/kernel/alternative.c, its_create_thunk): filled by int3, and in the upper half of
 * lines a jump through a register, with what counts the call in front of it where calls are counted.
 */
export function isThunkPage(page: Uint8Array): boolean {
  let thunks = 0;
  for (let at = 0; at < page.length; ) {
    if (page[at] === int3) {
      at++;
      continue;
    }
    const size = thunkSize(page, at);
    if (size === 0 || (at & (lineSize - 1)) + size > lineSize || (at & 0x20) === 0) return false;
    thunks++;
    at += size;
  }
  return thunks > 0;
}

/** Bytes of the thunk at a place: [sarq $5, %gs:DEPTH] jmp *%reg; 0: there is none. */
function thunkSize(page: Uint8Array, at: number): number {
  let size = 0;
  // 65 48 c1 3c 25 ADDRESS 05, or 65 48 c1 3d DISTANCE 05
  if (page[at] === 0x65 && page[at + 1] === 0x48 && page[at + 2] === 0xc1) {
    if (page[at + 3] === 0x3c && page[at + 4] === 0x25 && page[at + 9] === 5) size = 10;
    else if (page[at + 3] === 0x3d && page[at + 8] === 5) size = 9;
    else return 0;
  }
  if (page[at + size] === 0x41) size++;
  const [opcode, modrm] = [page[at + size], page[at + size + 1] ?? 0];
  return opcode === 0xff && (modrm & 0xf8) === 0xe0 ? size + 2 : 0;
}

/** NOPs of five bytes that can be patched at once, as the kernel chooses them for the processor (NOP_ATOMIC5). */
const prologues: readonly (readonly number[])[] = [
  [0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x66, 0x66, 0x66, 0x66, 0x90],
];

/**
 * A program of BPF on pages of its own, as kernels before 5.18 have them: a header with the number of its pages, int3, the
 * beginning of a program (arch/x86/net/bpf_jit_comp.c, emit_prologue).
 */
export function isBpfPage(page: Uint8Array): boolean {
  const view = new DataView(page.buffer, page.byteOffset, page.length);
  const pages = view.getUint32(0, true);
  if (pages === 0 || pages > 1 << 16) return false;
  // The image begins at a random multiple of 4 behind the header, and int3 fills what is in front of it.
  let at = 4;
  while (at < page.length && page[at] === int3) at++;
  return prologues.some((prologue) => prologue.every((byte, i) => page[at + i] === byte));
}
