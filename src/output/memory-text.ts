// What verify --memory says of the text of a kernel, for people and for machines.
import { largestOf } from '../bytes/integer.ts';
import type { PassNote } from '../text/pass.ts';
import type { ReplayedText, TextNotCompared } from '../text/result.ts';

/** What became of a kernel's text, from _text to _etext. */
export type MemoryText = ComparedMemoryText | { readonly notCompared: string };

/** Text that was compared. */
export interface ComparedMemoryText {
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

export function memoryTextOf(text: ReplayedText | TextNotCompared): MemoryText {
  if ('why' in text) return { notCompared: text.why };
  const { compared, passes, notes } = text;
  const { bytes, missing, differ, unexplained } = compared;
  const sites = new Map<string, number>();
  for (const pass of passes) sites.set(pass.kind, (sites.get(pass.kind) ?? 0) + pass.sites);
  const kinds = compared.kinds.map((one) => ({ ...one, sites: sites.get(one.kind) ?? 0 }));
  return { bytes, missing, differ, unexplained, kinds, left: leftOf(notes) };
}

/** What was left, the same sentence once. */
function leftOf(notes: readonly PassNote[]): ComparedMemoryText['left'] {
  const counts = new Map<string, number>();
  for (const { severity, message } of notes)
    if (severity === 'left') counts.set(message, (counts.get(message) ?? 0) + 1);
  return Array.from(counts, ([what, count]) => ({ what, count }));
}

const grouped = (number: number) => `${number}`.replace(/\B(?=(\d{3})+$)/g, ',');

/** Lines for people: whether the text is sound, what explains it, and what does not. */
export function memoryTextLines(text: MemoryText): string[] {
  if ('notCompared' in text) return [`  text: not compared: ${text.notCompared}`];
  const { bytes, missing, differ, unexplained, kinds, left } = text;
  const verdict = unexplained === 0 ? 'all explained' : `${grouped(unexplained)} not explained`;
  const width = largestOf([0, ...kinds.map(({ kind }) => kind.length)]);
  const digits = largestOf([0, ...kinds.map((one) => grouped(one.bytes + one.others).length)]);
  return [
    `  text: ${grouped(bytes)} bytes, ${grouped(differ)} differ from the file: ${verdict}` +
      `${missing > 0 ? ` (left out: ${grouped(missing)} not in the dump)` : ''}`,
    ...kinds.map(({ kind, bytes: own, others, sites }) => {
      const forms = others > 0 ? `, ${grouped(others)} bytes in another form` : '';
      return `    ${kind.padEnd(width)}  ${grouped(own + others).padStart(digits)}  ${grouped(sites)} sites${forms}`;
    }),
    ...left.map(
      ({ what, count }) => `    not replayed: ${what}${count > 1 ? ` (${grouped(count)} times)` : ''}`,
    ),
  ];
}
