// What the keys of a running kernel lead to: the first entry of their own table, or a list with one element for each
// module that has sites (kernel/jump_label.c, jump_label_add_module; kernel/static_call_inline.c, __static_call_init).
import type { KernelReader } from '../memory/kernel/reader.ts';
import { entryAt, type MemoryTable } from './linkage-tables.ts';

/** Where a pointer leads: unlike code and data of the image, what is allocated may lie farther than `hex` tells. */
const hex = (pointer: number) =>
  Number.isInteger(pointer) ? `0x${BigInt.asUintN(64, BigInt(pointer)).toString(16)}` : 'no address';

/** JUMP_TYPE_TRUE and JUMP_TYPE_LINKED of `static_key.type`. */
const typeTrue = 1;
const typeLinked = 2;
/** Of `static_call_key.type`: sites follow, and no list. */
const hasSites = 1;

/** Byte offsets of the members of `struct static_key_mod` or `static_call_mod`. */
export interface ListLayout {
  readonly next: number;
  readonly entries: number;
  readonly mod: number;
}

/** A key, and all tables that list sites of it. */
export interface LinkedKey {
  /** As the running kernel has it: of the word that leads to the entries. */
  readonly word: number;
  /** Whose key it is: `at` of the module, 0 for the kernel. */
  readonly owner: number;
  /** Tables with entries of the key. */
  readonly tables: readonly { readonly table: MemoryTable; readonly number: number }[];
}

/** What lists of modules are held against. */
export interface KnownOwners {
  readonly reader: KernelReader;
  readonly layout: ListLayout;
  /** Modules that are loaded, by the address of their `struct module`. */
  readonly modules: ReadonlyMap<
    number,
    { readonly name: string; readonly isLive: boolean; readonly isRead: boolean }
  >;
  /** True where every module is known; else an element may name one that is not. */
  readonly areAll: boolean;
}

/** How a key stands: by itself, sealed, or with a list; what is wrong with it; or that the dump does not tell. */
export type KeyLink =
  | { readonly form: 'entries' | 'sealed' | 'list' }
  | WrongLink
  | { readonly missing: true };

export interface WrongLink {
  readonly wrong: string;
  /** The module on its list that is not on the list of modules. */
  readonly stranger?: number;
}

/** What the word of a static key holds; `initial` is bit 0 where the file tells, `maySeal` whether it may be sealed. */
export function staticKeyLink(
  key: LinkedKey,
  owners: KnownOwners,
  { initial, maySeal }: { readonly initial: boolean | undefined; readonly maySeal: boolean },
): KeyLink {
  const found = owners.reader.tagged(key.word, typeTrue | typeLinked);
  if (!found) return { missing: true };
  const { pointer, bits } = found;
  if (initial !== undefined && ((bits & typeTrue) !== 0) !== initial) {
    const is = (on: boolean) => (on ? 'enabled' : 'disabled');
    return { wrong: `its type says that it was built ${is(!initial)}, but the file has it ${is(initial)}` };
  }
  if (maySeal && (bits & typeLinked) !== 0 && pointer === 0) return { form: 'sealed' };
  const own = ownEntries(key);
  const others = key.tables.filter(({ table }) => table.owner.at !== key.owner);
  if ((bits & typeLinked) === 0) {
    const missing = others.find(({ table }) => mustBeLinked(table, owners));
    if (missing)
      return { wrong: `${tellPointer(pointer)}; a list is required, since ${usersOf(others)} has sites` };
    return pointer === own.at
      ? { form: 'entries' }
      : { wrong: `${tellPointer(pointer)}; ${own.required} is required` };
  }
  // The owner's element came with the list, and says nothing where the owner has no sites.
  const link = walk(key, owners, pointer, [{ at: key.owner, entries: own.at }]);
  const isAlone = others.length === 0 && owners.areAll && !('stranger' in link);
  return isAlone
    ? { wrong: `${tellList(pointer)}; no module has sites, so ${own.required} is required` }
    : link;
}

/** What the word of a static call's key holds. */
export function callKeyLink(key: LinkedKey, owners: KnownOwners): KeyLink {
  const found = owners.reader.tagged(key.word, hasSites);
  if (!found) return { missing: true };
  const { pointer, bits } = found;
  const kernels = key.tables.find(({ table }) => table.owner.at === 0);
  const kernel = kernels ? entryAt(kernels.table, kernels.number) : 0;
  const required = kernels ? firstEntry(kernels.table, kernel) : 'no site';
  const modules = key.tables.filter(({ table }) => table.owner.at !== 0);
  if ((bits & hasSites) !== 0) {
    const missing = modules.find(({ table }) => mustBeLinked(table, owners));
    if (missing)
      return { wrong: `${tellPointer(pointer)}; a list is required, since ${usersOf(modules)} has sites` };
    return pointer === kernel
      ? { form: 'entries' }
      : { wrong: `${tellPointer(pointer)}; ${required} is required` };
  }
  // The list of a call stays when the modules are gone.
  return walk(key, owners, pointer, kernels ? [{ at: 0, entries: kernel }] : []);
}

/** The entries that the owner of a static key has of it itself. */
function ownEntries({ owner, tables }: LinkedKey): { readonly at: number; readonly required: string } {
  const own = tables.find(({ table }) => table.owner.at === owner);
  if (!own) return { at: 0, required: 'no entry' };
  const at = entryAt(own.table, own.number);
  return { at, required: firstEntry(own.table, at) };
}

function firstEntry({ row }: MemoryTable, at: number): string {
  return `the first entry of ${row.name} with this key, at ${hex(at)},`;
}

const tellPointer = (pointer: number) =>
  pointer === 0 ? 'it leads to no entry' : `it leads to ${hex(pointer)}`;
const tellList = (pointer: number) => `it leads to a list of modules at ${hex(pointer)}`;

function usersOf(tables: LinkedKey['tables']): string {
  return tables.map(({ table }) => table.owner.name ?? 'the kernel').join(', ');
}

/** A module that is coming or going may be on lists or not. */
function mustBeLinked({ owner }: MemoryTable, { modules }: KnownOwners): boolean {
  return modules.get(owner.at)?.isLive === true;
}

/** Elements of a list: no more than there are modules, and the kernel. */
function walk(
  key: LinkedKey,
  owners: KnownOwners,
  head: number,
  own: readonly { readonly at: number; readonly entries: number }[],
): KeyLink {
  const { reader, layout, modules, areAll } = owners;
  const wanted = new Map(own.map(({ at, entries }) => [at, entries]));
  const required = new Set(wanted.keys());
  for (const { table, number } of key.tables) {
    if (wanted.has(table.owner.at)) continue;
    wanted.set(table.owner.at, entryAt(table, number));
    if (mustBeLinked(table, owners)) required.add(table.owner.at);
  }
  const nameOf = (at: number) =>
    at === 0 ? 'the kernel' : (modules.get(at)?.name ?? `a module at ${hex(at)}`);
  const met = new Set<number>();
  const seen = new Set<number>();
  for (let at = head; at !== 0; ) {
    if (seen.has(at)) return { wrong: `its list of modules, at ${hex(head)}, leads in circles` };
    seen.add(at);
    const [next, entries, mod] = [layout.next, layout.entries, layout.mod].map((offset) =>
      reader.word(at + offset),
    );
    if (next === undefined || entries === undefined || mod === undefined) return { missing: true };
    const expected = wanted.get(mod);
    const known = mod === 0 ? { isRead: true } : modules.get(mod);
    if (met.has(mod)) return { wrong: `its list of modules has ${nameOf(mod)} twice` };
    if (expected !== undefined && expected !== entries)
      return {
        wrong: `its list of modules has ${hex(entries)} for ${nameOf(mod)}; ${expected === 0 ? 'no entry' : hex(expected)} is required`,
      };
    if (expected === undefined && known?.isRead)
      return { wrong: `its list of modules has ${nameOf(mod)}, which has no site of it` };
    if (expected === undefined && !known && areAll)
      return { wrong: `its list of modules has ${nameOf(mod)}, which is not loaded`, stranger: mod };
    met.add(mod);
    at = next;
  }
  for (const at of required)
    if (!met.has(at)) return { wrong: `its list of modules, at ${hex(head)}, lacks ${nameOf(at)}` };
  return { form: 'list' };
}
