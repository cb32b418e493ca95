// The functions of an image by its unwind tables, which strip leaves.
import { type Frame, readFrames } from '../dwarf/frames.ts';
import { SHT_NOBITS } from '../elf/constants.ts';
import type { AddressSpace } from './address-space.ts';

/** The functions that the image's unwind tables describe, in order of address. */
export function framesOfImage(image: AddressSpace): readonly Frame[] {
  const frames: Frame[] = [];
  for (const { name, type, addr, size } of image.file.sections) {
    if (name !== '.eh_frame' || type === SHT_NOBITS || !image.contains(addr, size)) continue;
    const found = readFrames(image.read(addr, size), image.file.header.little, {
      resolve: (at, value, isRelative) => ({ section: 0, offset: isRelative ? addr + at + value : value }),
      isRelocated: () => false,
    });
    // Of an address that no number holds nothing is known.
    for (const frame of found) if (!Number.isNaN(frame.start)) frames.push(frame);
  }
  return frames.sort((a, b) => a.start - b.start);
}
