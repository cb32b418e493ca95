// A kernel that runs, beyond its image: its memory by its own addresses, the forms of its structures, its modules.
import type { Image } from '../../image/image.ts';
import { kernelBanner } from '../../image/kernel.ts';
import { type Btf, readBtf } from '../../kernel/btf.ts';
import type { ImagePlace, Memory } from '../memory.ts';
import { moduleLayout } from './layout.ts';
import { findListHeads } from './list-head.ts';
import { type ModuleList, readModules } from './modules.ts';
import { KernelReader } from './reader.ts';
import { isListHead } from './variables.ts';

export interface RunningKernel {
  readonly place: ImagePlace;
  /** By addresses of the running kernel; without page tables, its image alone. */
  readonly reader: KernelReader;
  readonly btf: Btf | undefined;
  /** Undefined where the modules cannot be known; `why` says it then. */
  readonly list: ModuleList | undefined;
  readonly why: string | undefined;
}

/** Whether all modules are known, as far as their list is to be believed. */
export const knowsModules = ({ list }: RunningKernel): boolean =>
  list !== undefined && list.missing === undefined;

/** A function that loads modules (kernel/module/main.c). */
const loader = 'load_module';

/** Undefined for what is no kernel. Errors: `memory-malformed`, `elf-malformed` for damaged BTF. */
export function runningKernel(image: Image, place: ImagePlace): RunningKernel | undefined {
  if (kernelBanner(image) === undefined) return undefined;
  const memory = place.kernelMemory;
  const reader = new KernelReader(memory ?? imageMemory(image, place), image);
  const btf = btfOf(image);
  const know = (list: ModuleList | undefined, why?: string): RunningKernel => ({
    place,
    reader,
    btf,
    list,
    why,
  });
  const heads = image.symbols.addressesOf('modules');
  // A kernel without modules has no list of them.
  if (heads.length === 0 && image.symbols.addressOf(loader) === undefined)
    return know({ modules: [], broken: undefined, missing: undefined });
  if (!memory) return know(undefined, place.kernelMemoryFrom);
  if (!btf)
    return know(undefined, 'the kernel has no BTF (CONFIG_DEBUG_INFO_BTF), which says what a module is like');
  const layout = moduleLayout(btf);
  if (!layout) return know(undefined, 'the BTF of the kernel does not say what a module is like');
  const named = heads.map((at) => image.addressAt(at, place.slide));
  // Others may call something of theirs the same: a head of a list leads to what leads back to it.
  const head = named.find((at) => isListHead(reader, at)) ?? named[0];
  if (head !== undefined) return know(readModules(reader, layout, head));
  const found = findListHeads(image, reader, layout, place.slide);
  if (found.length === 1) return know(readModules(reader, layout, found[0] as number));
  const why = found.length === 0 ? 'nothing in its data leads to a module' : 'several lists have modules';
  return know(undefined, `no symbol names the list of modules (CONFIG_KALLSYMS_ALL is not set), and ${why}`);
}

/** The types that a kernel has of itself; undefined for one without BTF. Error `elf-malformed`. */
export function btfOf(image: Image): Btf | undefined {
  const start = image.symbols.addressOf('__start_BTF');
  const stop = image.symbols.addressOf('__stop_BTF');
  const section = image.file.sections.find(({ name, size }) => name === '.BTF' && size > 0);
  const [address, size] =
    start !== undefined && stop !== undefined
      ? [start, stop - start]
      : [section?.addr ?? 0, section?.size ?? 0];
  if (size <= 0 || image.fileOffset(address, size) === undefined) return undefined;
  return readBtf(image.read(address, size), image.file.header.little);
}

/** The image as its own addresses have it, where nothing leads to the rest of the kernel's memory. */
function imageMemory(image: Image, { memory, offset, slide }: ImagePlace): Memory {
  return {
    format: memory.format,
    addresses: 'virtual',
    fileSize: memory.fileSize,
    runs: memory.runs,
    read(address, into) {
      const linked = image.addressAt(address, -slide);
      if (!image.contains(linked, into.length)) return false;
      return memory.read(linked + offset, into);
    },
  };
}
