// The virtual memory of a running kernel, as its page tables have it: with modules and heap, which are not where
// physical addresses would let one look for them. Which form of tables it is, the tables themselves tell: through the
// right one the kernel's banner is where it runs.
import { EM_AARCH64, EM_ARM, EM_X86_64 } from '../elf/constants.ts';
import type { Image } from '../image/image.ts';
import type { Memory, TableRoot } from './memory.ts';
import { armTables } from './page-tables/arm.ts';
import { arm64Tables } from './page-tables/arm64.ts';
import type { PageTables } from './page-tables/format.ts';
import { walkedMemory } from './page-tables/walk.ts';
import { x86Tables } from './page-tables/x86-64.ts';
import type { KernelSays } from './vmcoreinfo.ts';

/** Physical memory in which the image was found. */
export interface PhysicalPlace {
  readonly memory: Memory;
  /** What is linked at A lies at A + offset. */
  readonly offset: number;
  /** What is linked at A runs at A + slide. */
  readonly slide: number;
}

/** Virtual memory, or why there is none, as words for a note. */
export interface KernelMemory {
  readonly memory: Memory | undefined;
  readonly words: string;
  /** The tables through which it is had. */
  readonly tables?: TableRoot | undefined;
}

/** The forms of page tables that a machine's kernels have. */
const formsOf: Readonly<Record<number, (says: KernelSays | undefined) => readonly PageTables[]>> = {
  [EM_X86_64]: (says) => x86Tables(says?.encryption ?? 0),
  [EM_AARCH64]: () => arm64Tables,
  [EM_ARM]: () => armTables,
};
/** The kernel's own page tables by their names: x86's, all others'. */
const rootNames = ['init_top_pgt', 'swapper_pg_dir'];

interface Root {
  readonly name: string;
  /** As linked. */
  readonly address: number;
}

/** Walks the page tables that lead from where the image runs to where it lies; `known` is linked there. */
export function walkKernel(
  image: Image,
  { memory, offset, slide }: PhysicalPlace,
  known: number,
  says: KernelSays | undefined,
): KernelMemory {
  const { header } = image.file;
  const forms = formsOf[header.machine]?.(says) ?? [];
  const roots = rootsOf(image, slide, says);
  if (roots.length === 0) {
    const words = `no symbol says where the page tables lie (${rootNames.join(' or ')})`;
    return { memory: undefined, words };
  }
  for (const { name, address } of roots) {
    for (const tables of forms) {
      const from = { physical: memory, tables, root: address + offset, little: header.little };
      const words = `page tables of ${tables.name}, from ${name}`;
      const walked = walkedMemory(from, `${memory.format}, through ${words}`);
      if (walked.translate(known + slide) === known + offset) return { memory: walked, words, tables: from };
    }
  }
  const [first] = roots as [Root];
  const words = `through the page tables at ${first.name} the kernel is not where it runs; they are damaged, or not in the dump`;
  return { memory: undefined, words };
}

function rootsOf(image: Image, slide: number, says: KernelSays | undefined): Root[] {
  const roots: Root[] = [];
  for (const name of rootNames) {
    const address = image.symbols.addressOf(name);
    if (address !== undefined) roots.push({ name, address });
    const told = says?.symbol(name);
    if (told !== undefined) roots.push({ name: `${name} of VMCOREINFO`, address: told - slide });
  }
  return roots;
}
