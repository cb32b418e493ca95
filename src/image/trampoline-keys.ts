// .static_call_tramp_key: which key a trampoline has (include/linux/static_call_types.h, `struct
// static_call_tramp_key`), s32 tramp, s32 key.

import type { Address } from '../bytes/named-numbers.ts';
import { code, s32, type TableRow } from '../bytes/table.ts';
import { SHF_ALLOC } from '../elf/constants.ts';
import type { Image } from './image.ts';
import { readImageTable } from './tables.ts';

export const trampolineKeys: TableRow = {
  name: '.static_call_tramp_key',
  fields: [code('tramp'), s32('key')],
  flags: SHF_ALLOC,
  addralign: 4,
  entsize: 0,
  bounds: [['__start_static_call_tramp_key', '__stop_static_call_tramp_key']],
};

/** Keys by their trampolines; the first pair of one counts, as it does for the kernel. Error `table-malformed`. */
export function keysOfTrampolines(image: Image): ReadonlyMap<Address, Address> {
  const keys = new Map<number, number>();
  for (const { fields } of readImageTable(image, trampolineKeys)) {
    const [trampoline, key] = fields as [number, number];
    if (!keys.has(trampoline)) keys.set(trampoline, key);
  }
  return keys;
}
