// What verify --memory found of a kernel's modules, for people and for machines.
import { hex } from '../bytes/integer.ts';
import type { ComparedTable } from '../verify/compared.ts';
import type { LinkedKeys } from '../verify/linkage-check.ts';
import type { VerifiedModules } from '../verify/memory.ts';
import { count } from './count.ts';
import { type ModuleText, moduleTextOf } from './memory-text.ts';

/** What became of the entries of a table, as the end of a line. */
export function tableText({ compared, init, missing, mismatches }: ComparedTable): string {
  const left = [init > 0 ? `${init} in init memory` : '', missing > 0 ? `${missing} not in the dump` : ''];
  const leftOut = left.filter((text) => text !== '').join(', ');
  return `${compared} compared, ${mismatches} wrong${leftOut ? ` (left out: ${leftOut})` : ''}`;
}

/** The lines about modules: how many there are, their tables together, and which of them were not compared. */
export function moduleLines(verified: VerifiedModules, isWhole: boolean): string[] {
  return [...verified.linkage.map(linkageLine), ...listLines(verified, isWhole)];
}

/** How the keys of a table lead to its entries. */
function linkageLine({ table, compared, wrong, sealed, lists, init, missing }: LinkedKeys): string {
  const of = [sealed > 0 ? `${sealed} sealed` : '', lists > 0 ? `${lists} with lists of modules` : ''];
  const left = [init > 0 ? `${init} in init memory` : '', missing > 0 ? `${missing} not in the dump` : ''];
  const [forms, leftOut] = [of, left].map((texts) => texts.filter((text) => text !== '').join(', '));
  return (
    `  keys of ${table}: ${compared} compared${forms ? ` (${forms})` : ''}, ${wrong} wrong` +
    `${leftOut ? ` (left out: ${leftOut})` : ''}`
  );
}

/** Modules that are named before the rest is only counted. */
const shownModules = 4;

function listLines(
  { running, files, compared, moduleTexts = [] }: VerifiedModules,
  isWhole: boolean,
): string[] {
  const { list, why } = running;
  if (!list) return [`  modules: not known: ${why}`];
  const { modules } = list;
  if (modules.length === 0) return [];
  if (!files) {
    const shown = isWhole ? modules : modules.slice(0, shownModules);
    const more = modules.length > shown.length ? ` and ${modules.length - shown.length} more` : '';
    const names = `${shown.map(({ name }) => name).join(', ')}${more}`;
    return [
      `  ${count(modules.length, 'module')} not compared (--modules says where their files are): ${names}`,
    ];
  }
  const missed = compared.filter(({ why }) => why !== undefined);
  return [
    `  ${compared.length - missed.length} of ${count(modules.length, 'module')} compared`,
    ...sumTables(compared.map(({ tables }) => tables))
      .filter(({ mismatches }) => isWhole || mismatches > 0)
      .map((sum) => `    ${sum.name}: ${tableText(sum)}`),
    ...someOf(
      [
        ...missed.map(({ module, why }) => `    not compared: ${module.name}: ${why}`),
        ...moduleTexts
          .filter(({ module, why }) => why !== undefined && missed.every((of) => of.module !== module))
          .map(({ module, why }) => `    text not compared: ${module.name}: ${why}`),
      ],
      isWhole,
    ),
  ];
}

/** The first of some lines, unless all are asked for. */
function someOf(lines: readonly string[], isWhole: boolean): readonly string[] {
  if (isWhole || lines.length <= shownModules) return lines;
  return [...lines.slice(0, shownModules), `    and ${lines.length - shownModules} more; -v shows each`];
}

/** The tables of all modules together, by name. */
function sumTables(parts: readonly (readonly ComparedTable[])[]): ComparedTable[] {
  const sums = new Map<string, ComparedTable>();
  for (const table of parts.flat()) {
    const sum = sums.get(table.name) ?? { name: table.name, compared: 0, init: 0, missing: 0, mismatches: 0 };
    sums.set(table.name, {
      name: table.name,
      compared: sum.compared + table.compared,
      init: sum.init + table.init,
      missing: sum.missing + table.missing,
      mismatches: sum.mismatches + table.mismatches,
    });
  }
  return [...sums.values()];
}

/** What a person has to know of modules though no finding tells. */
export function moduleNotes(dump: string, { running, files, compared }: VerifiedModules): string[] {
  const notes: string[] = [];
  const { list } = running;
  if (list?.missing !== undefined) notes.push(`${dump}: not all modules are known: ${list.missing}`);
  const missed = compared.filter(({ why }) => why !== undefined);
  if (files && missed.length > 0)
    notes.push(`${dump}: ${count(missed.length, 'module')} of ${compared.length} not compared`);
  return notes;
}

/** A module that is loaded. */
export interface MemoryModule {
  readonly name: string;
  /** Where its `struct module` lies in the running kernel, `0x…`. */
  readonly address: string;
  readonly state: 'live' | 'coming' | 'going' | 'unformed';
  /** The file that it was compared with. */
  readonly file?: string;
  /** Of the file and the memory, as hexadecimal digits. */
  readonly buildId?: string;
  /** Why it was not compared. */
  readonly notCompared?: string;
  /** What became of its text; absent where text is not replayed, or `textNotCompared` says why this one was not. */
  readonly text?: ModuleText;
  readonly textNotCompared?: string;
  /** Tables of the file that have entries. */
  readonly tables: readonly ComparedTable[];
}

/** The modules of a running kernel, newest first. */
export function modulesJson({
  running,
  compared,
  moduleTexts = [],
}: VerifiedModules): readonly MemoryModule[] | undefined {
  if (!running.list) return undefined;
  const known = new Map(compared.map((of) => [of.module, of]));
  const texts = new Map(moduleTexts.map((of) => [of.module, of]));
  return running.list.modules.map((module) => {
    const of = known.get(module);
    const notCompared = of ? of.why : 'no directory of modules was given';
    const text = texts.get(module);
    const textNotCompared = notCompared === undefined ? text?.why : undefined;
    return {
      name: module.name,
      address: hex(module.at),
      state: module.state,
      ...(of?.file && { file: of.file.path }),
      ...(of?.file?.buildId !== undefined && { buildId: of.file.buildId }),
      ...(notCompared !== undefined && { notCompared }),
      ...(text && text.why === undefined && { text: moduleTextOf(text) }),
      ...(textNotCompared !== undefined && { textNotCompared }),
      tables: of?.tables ?? [],
    };
  });
}
