// The address space in which an x86-64 kernel calls the firmware (efi_mm), and where the firmware's code and data lie in it
// (efi.memmap): arch/x86/platform/efi/efi_64.c, drivers/firmware/efi/memmap.c. Structures are had by BTF.
import type { TableRoot } from '../memory.ts';
import { PageWalk } from '../page-tables/walk.ts';
import { type Broken, brokenOf, impossible, type KernelVariables, lacking } from './variables.ts';

/**
 * Memory that the firmware keeps for itself while the system runs, or that it needed until then: this is mapped as well as
 * long as it stands in the map (efi=debug, efi_free_boot_services).
 */
export interface EfiRegion {
  readonly physical: number;
  /** Where it was mapped for the firmware's sake; it is mapped at `physical` as well. */
  readonly virtual: number;
  /** Bytes. */
  readonly size: number;
}

export interface EfiSpace {
  readonly tables: TableRoot;
  /** By `physical`, none over another. */
  readonly regions: readonly EfiRegion[];
  /** Why the firmware's map is not known, or not all of it. */
  readonly broken: Broken | undefined;
}

/** efi_memory_desc_t (UEFI specification, GetMemoryMap): type, physical and virtual start, pages, attributes. */
const descriptor = { physical: 8, virtual: 16, pages: 24, attribute: 32, size: 40 } as const;
/** EFI_MEMORY_RUNTIME is bit 63, in the upper half. */
const runtime = 0x8000_0000;
/** EFI_BOOT_SERVICES_CODE, EFI_BOOT_SERVICES_DATA. */
const bootServices: readonly number[] = [3, 4];
const pageSize = 4096;
/** Descriptors of a map that firmware makes, and their size. */
const mostRegions = 1 << 14;
const largest = 1 << 10;
/** Up to where physical memory reaches. */
const physicalEnd = 2 ** 52;

/** Undefined for a kernel that does not call firmware. `tables` are the kernel's own. */
export function readEfi(kernel: KernelVariables, tables: TableRoot): EfiSpace | undefined {
  const at = kernel.at('efi_mm');
  const pgd = kernel.offset('mm_struct', 'pgd');
  if (at === undefined || pgd === undefined) return undefined;
  const virtual = kernel.reader.word(at + pgd);
  if (virtual === 0) return undefined;
  const root = virtual === undefined ? undefined : new PageWalk(tables).translate(virtual);
  const space = { tables: { ...tables, root: root ?? 0 }, regions: [] };
  if (root === undefined) return { ...space, broken: brokenOf('the address space of EFI', lacking('is')) };
  return { ...space, ...readRegions(kernel) };
}

function readRegions(kernel: KernelVariables): Pick<EfiSpace, 'regions' | 'broken'> {
  const none = (broken: Broken) => ({ regions: [], broken: brokenOf('the memory map of EFI', broken) });
  const { reader } = kernel;
  const at = kernel.at('efi');
  const layout = kernel.offsets('efi', 'memmap.map', 'memmap.nr_map', 'memmap.desc_size');
  if (at === undefined || !layout) return none(lacking('is'));
  const map = reader.word(at + layout['memmap.map']);
  const count = reader.u32(at + layout['memmap.nr_map']);
  const size = reader.word(at + layout['memmap.desc_size']);
  if (map === undefined || count === undefined || size === undefined) return none(lacking('is'));
  if (count > mostRegions || !(size >= descriptor.size && size <= largest))
    return none(impossible(`has ${count} stretches of ${size} bytes, as no firmware makes it`));
  const bytes = reader.bytes(map, count * size);
  if (!bytes) return none(lacking('is'));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const word = (from: number) =>
    view.getInt32(from + 4, reader.little) * 2 ** 32 + view.getUint32(from, reader.little);
  const found: EfiRegion[] = [];
  for (let from = 0; from < bytes.length; from += size) {
    const isRuntime = (view.getUint32(from + descriptor.attribute + 4, reader.little) & runtime) !== 0;
    if (!isRuntime && !bootServices.includes(view.getUint32(from, reader.little))) continue;
    const physical = word(from + descriptor.physical);
    const pages = word(from + descriptor.pages);
    if (!(physical >= 0 && pages > 0 && physical + pages * pageSize <= physicalEnd))
      return none(impossible('has memory where no machine has any'));
    found.push({ physical, virtual: word(from + descriptor.virtual), size: pages * pageSize });
  }
  found.sort((a, b) => a.physical - b.physical);
  const overlap = found.find(({ physical }, i) => {
    const before = found[i - 1];
    return before !== undefined && before.physical + before.size > physical;
  });
  if (overlap) return none(impossible('has stretches over one another'));
  return { regions: found, broken: undefined };
}
