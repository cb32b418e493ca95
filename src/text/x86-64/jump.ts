// Branches of 5 bytes, as kernels write them (arch/x86/include/asm/text-patching.h, __text_gen_insn).

/** `opcode` (call or jmp rel32) at a place; undefined where the target is too far away. */
export function jumpTo(opcode: number, place: number, target: number): Uint8Array | undefined {
  const distance = target - (place + 5);
  if (!Number.isInteger(distance) || distance < -0x8000_0000 || distance > 0x7fff_ffff) return undefined;
  const bytes = new Uint8Array(5);
  bytes[0] = opcode;
  new DataView(bytes.buffer).setInt32(1, distance, true);
  return bytes;
}
