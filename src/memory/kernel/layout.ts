// The forms of the structures that modules are kept in, as the kernel's BTF has them: what one version has and another
// has not is asked for by name (include/linux/module.h, kernel/module/sysfs.c, include/linux/sysfs.h).
import type { Btf } from '../../kernel/btf.ts';
import { kinds } from '../../kinds/registry.ts';

/** Byte offsets in `struct module`, from its first byte. */
export interface ModuleLayout {
  readonly state: number;
  /** Of `list`, whose pointers lead to the same place of the next and the previous module. */
  readonly list: number;
  readonly name: number;
  readonly nameSize: number;
  /** Where the memory that a module keeps is said to lie: core_layout until 6.3, then mem[] without the types of init. */
  readonly memory: readonly Area[];
  /** Where its code is said to lie, init's as long as there is some. */
  readonly text: readonly Area[];
  readonly sections: SectionsLayout | undefined;
  /** Of the pointer to its per-CPU variables. */
  readonly perCpu: number | undefined;
  /** Where tables are, by the ids of the kinds that they list. */
  readonly tables: ReadonlyMap<string, Counted>;
}

/** A pointer and the member with the size of what it leads to, in bytes. */
export interface Area {
  readonly base: number;
  readonly size: number;
}

/** A pointer and the member with the number of elements behind it (32 bits). */
export interface Counted {
  readonly pointer: number;
  readonly count: number;
}

/** Where `struct module` has its pointer to `struct module_sect_attrs`, and what an element of attrs[] is like. */
export interface SectionsLayout {
  readonly pointer: number;
  /** Of nsections; undefined since 6.14, when the pointers of the group end with a NULL. */
  readonly count: number | undefined;
  /** Of the pointer to those pointers. */
  readonly group: number | undefined;
  readonly first: number;
  readonly size: number;
  readonly name: number;
  readonly address: number;
}

/** Types of memory in front of those of init (enum mod_mem_type): text, data, read-only, read-only after init. */
const keptTypes = 4;

/** Undefined where BTF does not have the structure, as in a kernel without modules. */
export function moduleLayout(btf: Btf): ModuleLayout | undefined {
  const at = (path: string) => btf.member('module', path)?.offset;
  const state = at('state');
  const list = at('list');
  const name = btf.member('module', 'name');
  if (state === undefined || list === undefined || !name) return undefined;
  const counted = (pointer: string, count: string): Counted | undefined => {
    const [of, by] = [at(pointer), at(count)];
    return of === undefined || by === undefined ? undefined : { pointer: of, count: by };
  };
  return {
    state,
    list,
    name: name.offset,
    nameSize: name.size,
    memory: memoryAreas(btf, at),
    text: textAreas(btf, at),
    sections: sectionsLayout(btf, at('sect_attrs')),
    perCpu: at('percpu'),
    tables: new Map(
      kinds.flatMap(({ id, link }) => {
        const found = link && counted(...link.module);
        return found ? [[id, found] as const] : [];
      }),
    ),
  };
}

type MemberAt = (path: string) => number | undefined;
/** More types of memory than any kernel has. */
const mostTypes = 16;

function memoryAreas(btf: Btf, at: MemberAt): Area[] {
  const kept = (init: number) => Array.from({ length: Math.min(init, mostTypes) }, (_, type) => type);
  return areasOf(btf, at, kept) ?? layoutAreas(at, ['core_layout', 'data_layout'], 'size');
}

/** Code comes first in what core_layout says; since 6.4 it has a type of its own, the first one, as init's has. */
function textAreas(btf: Btf, at: MemberAt): Area[] {
  const code = (init: number) => [0, init].filter((type) => type < mostTypes);
  return areasOf(btf, at, code) ?? layoutAreas(at, ['core_layout', 'init_layout'], 'text_size');
}

/** Elements of mem[], since 6.4; `typesOf` is given the type of init's code. */
function areasOf(btf: Btf, at: MemberAt, typesOf: (init: number) => readonly number[]): Area[] | undefined {
  const all = at('mem');
  const size = btf.structSize('module_memory');
  const base = btf.member('module_memory', 'base')?.offset;
  const length = btf.member('module_memory', 'size')?.offset;
  if (all === undefined || size === undefined || base === undefined || length === undefined) return undefined;
  const types = typesOf(btf.enumValue('mod_mem_type', 'MOD_INIT_TEXT') ?? keptTypes);
  return types.map((type) => ({ base: all + type * size + base, size: all + type * size + length }));
}

/** Until 6.3. */
function layoutAreas(at: MemberAt, layouts: readonly string[], member: string): Area[] {
  return layouts.flatMap((layout) => {
    const [from, long] = [at(`${layout}.base`), at(`${layout}.${member}`)];
    return from === undefined || long === undefined ? [] : [{ base: from, size: long }];
  });
}

/** Until 6.13 an attribute had the address beside it; since then it is what `private` of the attribute is. */
function sectionsLayout(btf: Btf, pointer: number | undefined): SectionsLayout | undefined {
  const within = (struct: string, path: string) => btf.member(struct, path)?.offset;
  const first = within('module_sect_attrs', 'attrs');
  if (pointer === undefined || first === undefined) return undefined;
  const group =
    within('module_sect_attrs', 'grp.bin_attrs') ?? within('module_sect_attrs', 'grp.bin_attrs_new');
  const before614 = {
    name: within('module_sect_attr', 'battr.attr.name'),
    size: btf.structSize('module_sect_attr'),
  };
  const address = within('module_sect_attr', 'address');
  const count = within('module_sect_attrs', 'nsections');
  if (before614.name !== undefined && before614.size !== undefined && address !== undefined)
    return { pointer, count, group, first, size: before614.size, name: before614.name, address };
  const name = within('bin_attribute', 'attr.name');
  const held = within('bin_attribute', 'private');
  const size = btf.structSize('bin_attribute');
  if (name === undefined || held === undefined || size === undefined) return undefined;
  return { pointer, count, group, first, size, name, address: held };
}
