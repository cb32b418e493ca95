// Kernel files around any content: the containers as kernels' build systems make them, with little in them but the fields
// that say where the kernel lies.

/** A bzImage (Documentation/arch/x86/boot.rst) of protocol 2.15; `size` stands behind the payload unless gzip has it. */
export function bzImageOf(payload: Uint8Array, size?: number): Uint8Array {
  const setup = 512 * 5;
  const behind = Buffer.alloc(size === undefined ? 0 : 4);
  if (size !== undefined) behind.writeUInt32LE(size);
  const bytes = Buffer.alloc(setup + 0x100);
  bytes.write('MZ', 0, 'latin1');
  bytes[0x1f1] = 4;
  bytes.writeUInt16LE(0xaa55, 0x1fe);
  bytes.write('HdrS', 0x202, 'latin1');
  bytes.writeUInt16LE(0x20f, 0x206);
  bytes.writeUInt32LE(0x100, 0x248);
  bytes.writeUInt32LE(payload.length + behind.length, 0x24c);
  return new Uint8Array(Buffer.concat([bytes, payload, behind, Buffer.alloc(64)]));
}

/** An EFI zboot image (drivers/firmware/efi/libstub/zboot-header.S). */
export function zbootOf(payload: Uint8Array, compression: string): Uint8Array {
  const bytes = Buffer.alloc(0x100);
  bytes.write('MZ\0\0zimg', 0, 'latin1');
  bytes.writeUInt32LE(bytes.length, 8);
  bytes.writeUInt32LE(payload.length, 12);
  bytes.write(compression, 24, 'latin1');
  return new Uint8Array(Buffer.concat([bytes, payload, Buffer.alloc(16)]));
}

/** A zImage (arch/arm/boot/compressed/head.S), with the table of sizes that it has since 4.15; gzip has the size itself. */
export function zImageOf(payload: Uint8Array, size: number): Uint8Array {
  const start = 0x100;
  const behind = Buffer.alloc(payload[0] === 0x1f ? 0 : 4);
  if (behind.length > 0) behind.writeUInt32LE(size);
  const table = start + payload.length + behind.length;
  const bytes = Buffer.alloc(start);
  bytes.writeUInt32LE(0x016f2818, 0x24);
  bytes.writeUInt32LE(0x04030201, 0x30);
  bytes.writeUInt32LE(0x45454545, 0x34);
  bytes.writeUInt32LE(table, 0x38);
  const entry = Buffer.alloc(28);
  for (const [i, word] of [6, 0x5a534c4b, table - 4, 0x1000, 0x8000, 0x10000, 0].entries()) {
    entry.writeUInt32LE(word, 4 * i);
  }
  return new Uint8Array(Buffer.concat([bytes, payload, behind, entry]));
}

/** A unified kernel image: an EFI program with a section `.linux`. */
export function unifiedOf(kernel: Uint8Array, name = '.linux'): Uint8Array {
  const head = Buffer.alloc(0x200);
  head.write('MZ', 0, 'latin1');
  head.writeUInt32LE(0x40, 0x3c);
  head.write('PE\0\0', 0x40, 'latin1');
  head.writeUInt16LE(0x8664, 0x44);
  head.writeUInt16LE(2, 0x46);
  const section = (at: number, text: string, offset: number, size: number) => {
    head.write(text, at, 'latin1');
    head.writeUInt32LE(size, at + 8);
    head.writeUInt32LE(Math.ceil(size / 512) * 512, at + 16);
    head.writeUInt32LE(offset, at + 20);
  };
  section(0x58, '.osrel', 0x200, 0);
  section(0x58 + 40, name, 0x200, kernel.length);
  return new Uint8Array(Buffer.concat([head, kernel, Buffer.alloc(-kernel.length & 511)]));
}

/** Legacy LZ4: one block of literals alone. */
export function lz4Of(content: Uint8Array): Uint8Array {
  const lengths: number[] = [];
  if (content.length >= 15) {
    let rest = content.length - 15;
    for (; rest >= 255; rest -= 255) lengths.push(255);
    lengths.push(rest);
  }
  const token = Math.min(content.length, 15) * 16;
  const head = Buffer.alloc(8);
  head.writeUInt32LE(0x184c2102, 0);
  head.writeUInt32LE(1 + lengths.length + content.length, 4);
  return new Uint8Array(Buffer.concat([head, Buffer.from([token, ...lengths]), content]));
}

/** lzop: blocks that are stored. */
export function lzoOf(content: Uint8Array): Uint8Array {
  const head = Buffer.alloc(38);
  head.set([0x89, 0x4c, 0x5a, 0x4f, 0, 0x0d, 0x0a, 0x1a, 0x0a, 0x10, 0x30, 0x20, 0xa0, 0x09, 0x40, 1, 5]);
  const word = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  };
  return new Uint8Array(Buffer.concat([head, word(content.length), word(content.length), content, word(0)]));
}
