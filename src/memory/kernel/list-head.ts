// The head of the list of modules where no symbol names it (CONFIG_KALLSYMS_ALL is not set): a pair of pointers in the
// kernel's data to what leads back to it and is a module.
import { SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS } from '../../elf/constants.ts';
import type { Image } from '../../image/image.ts';
import type { ModuleLayout } from './layout.ts';
import { moduleStates, readModule, type Stretch } from './modules.ts';
import type { KernelReader } from './reader.ts';
import { isListHead } from './variables.ts';

/** Bytes that are read at once. */
const chunk = 1 << 16;
const pageSize = 4096;
/** More than the largest modules have, in bytes. */
const largest = 1 << 27;
/** A name as modules have them (scripts/Makefile.lib, name-fix). */
const moduleName = /^\w{1,63}$/;

/**
 * Addresses of the running kernel at which the head of a list of modules lies: the kernel's one, if there is no more than
 * one. A list without a module looks like any other.
 */
export function findListHeads(
  image: Image,
  reader: KernelReader,
  layout: ModuleLayout,
  slide: number,
): number[] {
  const heads: number[] = [];
  for (const { type, flags, addr, size } of image.file.sections) {
    if (type === SHT_NOBITS || (flags & SHF_WRITE) === 0 || (flags & SHF_EXECINSTR) !== 0) continue;
    const start = image.addressAt(addr, slide);
    for (let at = 0; at < size; at += chunk)
      for (const place of pairsIn(reader, start + at, Math.min(chunk + reader.wordSize, size - at)))
        if (isHead(reader, layout, place)) heads.push(place);
  }
  return heads;
}

/** Places of two pointers in a row that may be those of a list: the upper quarter of what addresses there are. */
function* pairsIn(reader: KernelReader, start: number, size: number): Generator<number> {
  const bytes = reader.bytes(start, size);
  if (!bytes) return;
  const { little, wordSize } = reader;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const top = little ? wordSize - 1 : 0;
  for (let at = 0; at + 2 * wordSize <= size; at += wordSize)
    if (view.getUint8(at + top) >= 0xc0 && view.getUint8(at + wordSize + top) >= 0xc0) yield start + at;
}

function isHead(reader: KernelReader, layout: ModuleLayout, head: number): boolean {
  const { wordSize } = reader;
  const [next, last] = [reader.word(head), reader.word(head + wordSize)];
  if (next === undefined || last === undefined || next === head) return false;
  if (!isListHead(reader, head) || reader.word(last) !== head) return false;
  return isModule(reader, layout, next - layout.list) && isModule(reader, layout, last - layout.list);
}

/** A module has a state and a name, and lies in the memory that it says is its own, which begins with a page. */
function isModule(reader: KernelReader, layout: ModuleLayout, at: number): boolean {
  const module = readModule(reader, layout, at);
  if (!module || !moduleName.test(module.name)) return false;
  if ((reader.u32(at + layout.state) ?? moduleStates.length) >= moduleStates.length) return false;
  const isOwn = ({ start, size }: Stretch) =>
    start % pageSize === 0 && size <= largest && at >= start && at < start + size;
  return module.memory.some(isOwn);
}
