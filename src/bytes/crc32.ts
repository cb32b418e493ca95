// CRC-32 with the lowest bit first. Node has the one of gzip from version 22.2 on.

/** Checksums by a polynomial; its table is made when it is first asked for. */
function crcBy(polynomial: number): (bytes: Uint8Array, before?: number) => number {
  let table: Int32Array | undefined;
  return (bytes, before = 0) => {
    table ??= Int32Array.from({ length: 256 }, (_, i) => {
      let value = i;
      for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ ((value & 1) === 0 ? 0 : polynomial);
      return value;
    });
    let crc = ~before;
    for (let i = 0; i < bytes.length; i++)
      crc = (crc >>> 8) ^ (table[(crc ^ (bytes[i] as number)) & 0xff] as number);
    return ~crc >>> 0;
  };
}

/** As gzip, zip and xz have it (ISO 3309), unsigned; `before` is the checksum of the bytes in front. */
export const crc32 = crcBy(0xedb8_8320);

/** By Castagnoli's polynomial (RFC 3720, B.4), which the frames of snappy have. */
export const crc32c = crcBy(0x82f6_3b78);
