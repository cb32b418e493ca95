// Variables of run-time constants that a compiler leaves out, since nothing reads them once the constant is in the code
// (fs/dcache.c, fs/namei.c, fs/file_table.c, kernel/futex/core.c): the value that stands in the code is held against what it
// must lead to.
import type { X86State } from './state.ts';

/** What is asked of the memory. */
type Structures = Pick<X86State, 'reader' | 'btf'>;

/** Names of caches as kmem_cache_create has them, by those of the variables. */
export const caches: Readonly<Record<string, string>> = {
  __dentry_cache: 'dentry',
  __names_cache: 'names_cache',
  __filp_cache: 'filp',
  __bfilp_cache: 'bfilp',
};
/** More than any kernel has. */
const mostCaches = 4096;
const longestName = 64;

/** Whether the pointer leads to what the variable of that name must lead to; `at` gives the address of a symbol that runs. */
export function leadsRight(
  state: Structures,
  at: (symbol: string) => number | undefined,
  variable: string,
  pointer: number,
): boolean {
  if (!Number.isFinite(pointer)) return false;
  const cache = caches[variable];
  if (cache !== undefined) return isCache(state, at('slab_caches'), cache, pointer);
  return variable === '__futex_queues' && isFutexQueues(state, pointer);
}

/** A cache of that name is on the list of all of them. */
function isCache(
  { reader, btf }: Structures,
  head: number | undefined,
  name: string,
  pointer: number,
): boolean {
  const list = btf?.member('kmem_cache', 'list')?.offset;
  const named = btf?.member('kmem_cache', 'name')?.offset;
  if (list === undefined || named === undefined || head === undefined) return false;
  let at = reader.word(head);
  for (let i = 0; i < mostCaches && at !== undefined && at !== head; i++) {
    if (at - list === pointer) {
      const text = reader.word(pointer + named);
      return text !== undefined && reader.text(text, longestName) === name;
    }
    at = reader.word(at);
  }
  return false;
}

/** The first table of a node begins with a list that leads back to itself. */
function isFutexQueues({ reader, btf }: Structures, pointer: number): boolean {
  const chain = btf?.member('futex_hash_bucket', 'chain.node_list')?.offset;
  const table = reader.word(pointer);
  if (chain === undefined || table === undefined) return false;
  const list = table + chain;
  const next = reader.word(list);
  return next !== undefined && reader.word(next + reader.wordSize) === list;
}
