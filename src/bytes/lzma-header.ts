// The header of LZMA files, which has no magic number (lzma-file-format.txt): properties, size of the dictionary, size.

/** Its size in bytes. */
export const lzmaHeaderSize = 13;

/** True for the first bytes of such a file as xz writes it: usual properties, and a dictionary of 64 KiB or more. */
export function isLzmaAlone(start: Uint8Array): boolean {
  if (start.length < lzmaHeaderSize || start[0] !== 0x5d || start[1] !== 0 || start[2] !== 0) return false;
  const dictionary = (start[3] as number) + 256 * (start[4] as number);
  // A power of two, or half as much again: what every encoder takes (lzma_alone_decoder of liblzma).
  const bits = dictionary.toString(2).replace(/0*$/, '');
  const size = start.subarray(5, lzmaHeaderSize);
  return (
    (bits === '1' || bits === '11') &&
    (size.every((byte) => byte === 0xff) || (size[5] === 0 && size[7] === 0))
  );
}
