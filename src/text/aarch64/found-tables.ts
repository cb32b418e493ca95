// Tables of a kernel whose kallsyms has functions alone (CONFIG_KALLSYMS_ALL is not set): found by what their entries are.
import type { Image } from '../../image/image.ts';
import type { TableRange } from '../tables.ts';

export function findAlternatives(_image: Image): TableRange | undefined {
  return undefined;
}

export function findRelocations(_image: Image): TableRange | undefined {
  return undefined;
}

export function findMcount(_image: Image): Float64Array | undefined {
  return undefined;
}
