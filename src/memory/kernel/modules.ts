// The modules that a running kernel has loaded, newest first, as its list of them says (kernel/module/main.c, `modules`).

import type { Area, Counted, ModuleLayout, SectionsLayout } from './layout.ts';
import type { KernelReader } from './reader.ts';

/** enum module_state. */
export const moduleStates = ['live', 'coming', 'going', 'unformed'] as const;
export type ModuleState = (typeof moduleStates)[number];

/** A stretch of memory by addresses of the running kernel. */
export interface Stretch {
  readonly start: number;
  readonly size: number;
}

/** Where a section of a module was loaded to. */
export interface LoadedSection {
  readonly name: string;
  readonly address: number;
}

/** Where a table lies, as `struct module` has it. */
export interface LoadedTable {
  readonly start: number;
  readonly count: number;
}

/** A module by addresses of the running kernel. */
export interface LoadedModule {
  readonly name: string;
  /** Of its `struct module`, by which lists of keys name it. */
  readonly at: number;
  readonly state: ModuleState;
  /** Memory that it keeps: without init. */
  readonly memory: readonly Stretch[];
  /** Its code, init's as long as there is some. */
  readonly text: readonly Stretch[];
  /** In the order of the file's section headers; undefined where the kernel does not keep them, or the dump has them not. */
  readonly sections: readonly LoadedSection[] | undefined;
  /** What the addresses of its per-CPU variables count from; undefined where it has none, or the dump does not tell. */
  readonly perCpu: number | undefined;
  /** By the ids of the kinds that they list. */
  readonly tables: ReadonlyMap<string, LoadedTable>;
}

export interface ModuleList {
  readonly modules: readonly LoadedModule[];
  /** What is wrong with the list itself: who is on it may not be all that is loaded. */
  readonly broken: string | undefined;
  /** Why it could not be read to its end, though nothing is wrong with it. */
  readonly missing: string | undefined;
}

/** More modules than any machine loads; a distribution has 4,000 files. */
const mostModules = 1 << 14;
/** Sections of one module: those of drivers with -ffunction-sections have some thousands. */
const mostSections = 1 << 14;
/** Longest name of a section, NUL included (KSYM_NAME_LEN of names that sections have). */
const longestName = 512;

/** Reads the list whose head is at `head`. Error `memory-malformed` where it asks for more than any kernel has. */
export function readModules(reader: KernelReader, layout: ModuleLayout, head: number): ModuleList {
  const modules: LoadedModule[] = [];
  const seen = new Set<number>();
  const end = (broken?: string, missing?: string): ModuleList => ({ modules, broken, missing });
  let before = head;
  for (;;) {
    const next = reader.word(before);
    if (next === undefined) return end(undefined, 'the dump does not have all of the list');
    const back = reader.word(next + reader.wordSize);
    if (back !== undefined && back !== before)
      return end(`the list of modules is torn behind ${nameOf(modules)}: the next one does not lead back`);
    if (next === head) return end();
    if (seen.has(next)) return end(`the list of modules leads in circles behind ${nameOf(modules)}`);
    if (modules.length >= mostModules) return end(`the list of modules has more than ${mostModules} of them`);
    seen.add(next);
    const module = readModule(reader, layout, next - layout.list);
    if (!module) {
      const words = `the module behind ${nameOf(modules)} is not in the dump`;
      return Number.isSafeInteger(next) ? end(undefined, words) : end(`${words}: its address is none`);
    }
    modules.push(module);
    before = next;
  }
}

function nameOf(modules: readonly LoadedModule[]): string {
  return modules.at(-1)?.name ?? 'its head';
}

/** The module whose `struct module` lies at an address; undefined where the dump does not have it. */
export function readModule(reader: KernelReader, layout: ModuleLayout, at: number): LoadedModule | undefined {
  const name = reader.text(at + layout.name, Math.min(layout.nameSize, longestName));
  const state = reader.u32(at + layout.state);
  if (name === undefined || state === undefined) return undefined;
  const table = ({ pointer, count }: Counted): LoadedTable | undefined => {
    const [start, length] = [reader.word(at + pointer), reader.u32(at + count)];
    return start === undefined || length === undefined ? undefined : { start, count: length };
  };
  return {
    name,
    at,
    state: moduleStates[state] ?? 'unformed',
    memory: layout.memory.flatMap((area) => stretch(reader, at, area)),
    text: layout.text.flatMap((area) => stretch(reader, at, area)),
    sections: layout.sections && readSections(reader, layout.sections, at),
    perCpu: layout.perCpu === undefined ? undefined : reader.word(at + layout.perCpu) || undefined,
    tables: new Map(
      Array.from(layout.tables, ([id, counted]) => [id, table(counted)] as const).filter(
        (pair): pair is readonly [string, LoadedTable] => pair[1] !== undefined,
      ),
    ),
  };
}

function stretch(reader: KernelReader, at: number, { base, size }: Area): Stretch[] {
  const [start, length] = [reader.word(at + base), reader.u32(at + size)];
  return start === undefined || !length || !Number.isSafeInteger(start) ? [] : [{ start, size: length }];
}

function readSections(
  reader: KernelReader,
  layout: SectionsLayout,
  at: number,
): readonly LoadedSection[] | undefined {
  const attributes = reader.word(at + layout.pointer);
  if (!attributes) return undefined;
  const count = sectionCount(reader, layout, attributes);
  if (count === undefined) return undefined;
  const sections: LoadedSection[] = [];
  for (let i = 0; i < count; i++) {
    const element = attributes + layout.first + i * layout.size;
    const pointer = reader.word(element + layout.name);
    const name = pointer === undefined ? undefined : reader.text(pointer, longestName);
    const address = reader.word(element + layout.address);
    if (name === undefined || address === undefined) return undefined;
    sections.push({ name, address });
  }
  return sections;
}

function sectionCount(
  reader: KernelReader,
  { count, group }: SectionsLayout,
  attributes: number,
): number | undefined {
  if (count !== undefined) {
    const sections = reader.u32(attributes + count);
    return sections === undefined || sections > mostSections ? undefined : sections;
  }
  const pointers = group === undefined ? undefined : reader.word(attributes + group);
  if (!pointers) return undefined;
  for (let i = 0; i <= mostSections; i++) {
    const pointer = reader.word(pointers + i * reader.wordSize);
    if (pointer === undefined) return undefined;
    if (pointer === 0) return i;
  }
  return undefined;
}
