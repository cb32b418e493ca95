// The section of an EFI program that holds a kernel: unified kernel images of systemd-stub (UAPI.5, "Unified Kernel
// Image"; PE/COFF specification, "COFF File Header" and "Section Table").
import { record } from '../../bytes/record.ts';
import { ByteView } from '../../bytes/view.ts';
import { TextpokeError } from '../../errors.ts';
import { type ByteSource, partOf } from '../../files/source.ts';

const signature = 0x0000_4550; // PE\0\0
const placeOfHeader = 0x3c;
const CoffHeader = record({
  machine: 'u16',
  sections: 'u16',
  time: 'u32',
  symbols: 'u32',
  symbolCount: 'u32',
  optionalSize: 'u16',
  flags: 'u16',
});
const SectionHeader = record({
  name0: 'u32',
  name1: 'u32',
  virtualSize: 'u32',
  virtualAddress: 'u32',
  size: 'u32',
  offset: 'u32',
  relocations: 'u32',
  lines: 'u32',
  counts: 'u32',
  flags: 'u32',
});
const linux = Buffer.from('.linux\0\0', 'latin1');

/**
 * The kernel in a unified kernel image, as a part of it; undefined for an EFI program without one. Errors:
 * `elf-truncated` for a file that ends before its headers or its kernel do.
 */
export function linuxSection(source: ByteSource): ByteSource | undefined {
  const view = (at: number, size: number) => new ByteView(source.read(at, size), true, { offset: at });
  if (source.size < placeOfHeader + 4) return undefined;
  const at = view(placeOfHeader, 4).u32(0);
  if (at + 4 + CoffHeader.size > source.size) return undefined;
  const head = view(at, 4 + CoffHeader.size);
  if (head.u32(0) !== signature) return undefined;
  const { sections, optionalSize } = CoffHeader.read(head, 4);
  const first = at + 4 + CoffHeader.size + optionalSize;
  const table = view(first, sections * SectionHeader.size);
  for (let i = 0; i < sections; i++) {
    const start = i * SectionHeader.size;
    if (linux.compare(table.bytes, start, start + 8) !== 0) continue;
    const { virtualSize, size, offset } = SectionHeader.read(table, start);
    // What the section has in memory; the file fills it up to its alignment.
    const used = virtualSize === 0 ? size : Math.min(virtualSize, size);
    if (offset + used > source.size) {
      throw new TextpokeError(
        'elf-truncated',
        `the section .linux needs bytes ${offset} to ${offset + used}, but the file has ${source.size} bytes`,
      );
    }
    return partOf(source, offset, used);
  }
  return undefined;
}
