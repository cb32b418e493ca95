// What verify --memory says of the text of a kernel and of its modules, for people and for machines.
import { largestOf } from '../bytes/integer.ts';
import type { ComparedText } from '../text/compare.ts';
import { textKinds } from '../text/kind.ts';
import type { PassNote } from '../text/pass.ts';
import type { PassDone, ReplayedModule, ReplayedText, TextNotCompared } from '../text/result.ts';
import { count, grouped } from './count.ts';

/** What became of a kernel's text, from _text to _etext. */
export type MemoryText = ComparedMemoryText | { readonly notCompared: string };

/** Text that was compared. */
export interface ComparedMemoryText extends ComparedBytes {
  /** The same of the modules together; absent where nobody said where their files are. */
  readonly modules?: ComparedModuleTexts;
}

/** The text of modules. */
export interface ComparedModuleTexts extends ComparedBytes {
  /** Modules whose text was compared, and all that are loaded. */
  readonly compared: number;
  readonly loaded: number;
  /** Bytes of the memory of their code that no section has, and those of them that the loader did not leave there. */
  readonly filling: number;
  readonly stray: number;
}

/** Bytes of text, and what explains them. */
export interface ComparedBytes {
  /** Bytes that were compared. */
  readonly bytes: number;
  /** Bytes that the dump does not have. */
  readonly missing: number;
  /** Bytes that differ from the file. */
  readonly differ: number;
  /** Bytes that nothing explains. */
  readonly unexplained: number;
  /** What wrote the others, in the order of patching. */
  readonly kinds: readonly MemoryTextKind[];
  /** What is right and was not replayed, each with how often. */
  readonly left: readonly { readonly what: string; readonly count: number }[];
}

/** What one kind of patching wrote. */
export interface MemoryTextKind {
  /** Such as `return`. */
  readonly kind: string;
  /** Bytes that differ from the file, as the state of the kernel demands. */
  readonly bytes: number;
  /** Such bytes in another form that the place may hold for ever. */
  readonly others: number;
  /** Entries of the tables. */
  readonly sites: number;
}

export function memoryTextOf(
  text: ReplayedText | TextNotCompared,
  modules?: readonly ReplayedModule[],
): MemoryText {
  if ('why' in text) return { notCompared: text.why };
  const { compared, passes, notes } = text;
  return {
    ...bytesOf([compared], passes, notes),
    ...(modules && { modules: moduleTextsOf(modules) }),
  };
}

function moduleTextsOf(modules: readonly ReplayedModule[]): ComparedModuleTexts {
  const compared = modules.filter(({ why }) => why === undefined);
  const parts = compared.flatMap(({ sections }) => sections.map((of) => of.compared));
  const sum = (of: (module: ReplayedModule) => number) => compared.reduce((n, one) => n + of(one), 0);
  return {
    ...{ compared: compared.length, loaded: modules.length },
    ...bytesOf(
      parts,
      compared.flatMap(({ passes }) => passes),
      compared.flatMap(({ notes }) => notes),
    ),
    filling: sum(({ room, missingRoom }) => room - missingRoom),
    stray: sum(({ stray }) => stray.reduce((n, { bytes }) => n + bytes.length, 0)),
  };
}

/** What became of the text of one module. */
export interface ModuleText extends Pick<ComparedBytes, 'bytes' | 'missing' | 'differ' | 'unexplained'> {
  /** Bytes between its sections that the loader did not leave there. */
  readonly stray: number;
}

export function moduleTextOf(module: ReplayedModule): ModuleText {
  const {
    compared: _,
    loaded: __,
    filling: ___,
    kinds: ____,
    left: _____,
    ...text
  } = moduleTextsOf([module]);
  return text;
}

function bytesOf(
  parts: readonly ComparedText[],
  passes: readonly PassDone[],
  notes: readonly PassNote[],
): ComparedBytes {
  const sum = (of: (part: ComparedText) => number) => parts.reduce((n, part) => n + of(part), 0);
  const kinds = textKinds.map((kind): MemoryTextKind => {
    const rows = parts.flatMap((part) => part.kinds.filter((row) => row.kind === kind));
    return {
      kind,
      bytes: rows.reduce((n, row) => n + row.bytes, 0),
      others: rows.reduce((n, row) => n + row.others, 0),
      sites: passes.reduce((n, pass) => (pass.kind === kind ? n + pass.sites : n), 0),
    };
  });
  return {
    bytes: sum(({ bytes }) => bytes),
    missing: sum(({ missing }) => missing),
    differ: sum(({ differ }) => differ),
    unexplained: sum(({ unexplained }) => unexplained),
    kinds: kinds.filter(({ bytes, others }) => bytes + others > 0),
    left: leftOf(notes),
  };
}

/** What was left, the same sentence once. */
function leftOf(notes: readonly PassNote[]): ComparedBytes['left'] {
  const counts = new Map<string, number>();
  for (const { severity, message } of notes)
    if (severity === 'left') counts.set(message, (counts.get(message) ?? 0) + 1);
  return Array.from(counts, ([what, count]) => ({ what, count }));
}

/** Lines for people: whether the text is sound, what explains it if `isWhole`, and what does not. */
export function memoryTextLines(text: MemoryText, isWhole: boolean): string[] {
  if ('notCompared' in text) return [`  text: not compared: ${text.notCompared}`];
  const { modules } = text;
  const lines = bytesLines('text', 'the file', text, isWhole);
  if (!modules || modules.loaded === 0) return lines;
  const { compared, loaded, filling, stray } = modules;
  const of = `text of ${compared === loaded ? '' : `${compared} of `}${count(loaded, 'module')}`;
  const rest = stray > 0 ? `${grouped(stray)} of them something else` : 'all filling';
  return [
    ...lines,
    ...bytesLines(of, 'the files', modules, isWhole),
    ...(filling > 0 && (isWhole || stray > 0)
      ? [`    outside of sections: ${grouped(filling)} bytes, ${rest}`]
      : []),
  ];
}

function bytesLines(what: string, files: string, text: ComparedBytes, isWhole: boolean): string[] {
  const { bytes, missing, differ, unexplained, kinds, left } = text;
  const verdict = unexplained === 0 ? 'all explained' : `${grouped(unexplained)} not explained`;
  const width = largestOf([0, ...kinds.map(({ kind }) => kind.length)]);
  const digits = largestOf([0, ...kinds.map((one) => grouped(one.bytes + one.others).length)]);
  return [
    `  ${what}: ${grouped(bytes)} bytes, ${grouped(differ)} differ from ${files}: ${verdict}` +
      `${missing > 0 ? ` (left out: ${grouped(missing)} not in the dump)` : ''}`,
    ...(isWhole ? kinds : []).map(({ kind, bytes: own, others, sites }) => {
      const forms = others > 0 ? `, ${grouped(others)} bytes in another form` : '';
      return `    ${kind.padEnd(width)}  ${grouped(own + others).padStart(digits)}  ${grouped(sites)} sites${forms}`;
    }),
    ...left.map(
      ({ what: of, count: times }) =>
        `    not replayed: ${of}${times > 1 ? ` (${grouped(times)} times)` : ''}`,
    ),
  ];
}
