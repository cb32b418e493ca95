// What diff found: for people, for machines, and for a comment on a pull request.
import type { Difference } from '../diff/compare.ts';
import type { ComparedFile } from '../diff/files.ts';
import { type ComparedSite, describeSite } from '../diff/sites.ts';
import { kinds } from '../kinds/registry.ts';
import { textTableKinds } from '../kinds/text-tables.ts';
import { count } from './count.ts';
import { coloursOf, readable, textOf } from './text.ts';

function sentence(difference: Difference): string {
  if (difference.what === 'added') return describeSite(difference.after);
  if (difference.what === 'removed') return describeSite(difference.before);
  const { before, after } = difference;
  if (before.flags !== after.flags) return `${describeSite(before)} is now ${after.flags}`;
  return `${describeSite(before)} is now of ${after.key}`;
}

const siteOf = (difference: Difference): ComparedSite =>
  difference.what === 'removed' ? difference.before : difference.after;

const signs = { removed: '-', added: '+', changed: '~' } as const;

function tally(files: readonly ComparedFile[]): { removed: number; added: number; changed: number } {
  const numbers = { removed: 0, added: 0, changed: 0 };
  for (const { differences } of files) for (const { what } of differences) numbers[what]++;
  return numbers;
}

function summary(files: readonly ComparedFile[]): string {
  const { removed, added, changed } = tally(files);
  return `${count(removed, 'site')} removed, ${added} added, ${changed} changed`;
}

/** `static branches 12 to 11`, for kinds whose number is another one. */
function kindCounts(files: readonly ComparedFile[]): string[] {
  const number = (side: 'before' | 'after', kind: string) =>
    files.reduce((sum, file) => sum + (file[side].get(kind) ?? 0), 0);
  return [...kinds, ...textTableKinds].flatMap(({ name, plural }) => {
    const [before, after] = [number('before', name), number('after', name)];
    return before === after ? [] : [`${plural} ${before} to ${after}`];
  });
}

/** Differences by function, a line each; nothing where there are none. */
export function diffText(files: readonly ComparedFile[], color?: boolean): string {
  const colour = coloursOf(color);
  const paint = { removed: colour.red, added: colour.green, changed: colour.yellow } as const;
  const lines: string[] = [];
  for (const { member, differences } of files) {
    let last: string | undefined;
    for (const difference of differences) {
      if (difference.function !== last) {
        lines.push(colour.bold(`${member === undefined ? '' : `${member}: `}${difference.function}`));
      }
      last = difference.function;
      const { place, source } = siteOf(difference);
      const at = source === undefined ? place : `${place} ${source}`;
      lines.push(
        `  ${paint[difference.what](signs[difference.what])} ${sentence(difference)}  ${colour.dim(at)}`,
      );
    }
  }
  if (lines.length === 0) return '';
  return textOf([...lines, [summary(files), ...kindCounts(files)].join('; ')]);
}

/** What `textpoke diff --format json` prints (docs/diff.schema.json). */
export interface DiffDocument {
  readonly schema: 'textpoke.diff/1';
  /** The old build, by the name that it was given. */
  readonly old: string;
  /** The new build, by the name that it was given. */
  readonly new: string;
  /** How many sites the new build has no more. */
  readonly removed: number;
  /** How many sites the old build has not. */
  readonly added: number;
  /** How many sites say something else now. */
  readonly changed: number;
  /** One for an object or an image, one a member for an archive. */
  readonly files: readonly ComparedDocument[];
}

/** Two builds of an object, an image or a member of an archive. */
export interface ComparedDocument {
  /** The member's name, in an archive. */
  readonly member?: string;
  /** How many sites each build has, by the name of the kind: `static branch`. */
  readonly sites: {
    readonly old: Readonly<Record<string, number>>;
    readonly new: Readonly<Record<string, number>>;
  };
  /** In order of the old build's functions, new functions behind them. */
  readonly differences: readonly DifferenceDocument[];
}

/** A site that one build has and the other has not, or that says something else now. */
export interface DifferenceDocument {
  readonly what: 'removed' | 'added' | 'changed';
  /** Without what compilers put behind its name (`.cold`, `.isra.0`). */
  readonly function: string;
  /** Name of the kind of site: `static branch`. */
  readonly kind: string;
  /** Absent for a site that was added. */
  readonly old?: SiteDocument;
  /** Absent for a site that was removed. */
  readonly new?: SiteDocument;
}

/** A site as one build has it. */
export interface SiteDocument {
  /** Key of a branch, name of a call; absent for sites without. */
  readonly key?: string;
  /** What else the entry says: `likely`, `tail`, `init`. */
  readonly flags?: string;
  /** `symbol+0x1c`. */
  readonly place: string;
  /** `file.c:12`, where DWARF has it. */
  readonly source?: string;
}

/** `textpoke.diff/1`. */
export function diffJson(old: string, now: string, files: readonly ComparedFile[]): DiffDocument {
  const side = (site: ComparedSite): SiteDocument => ({
    ...(site.key === undefined ? {} : { key: site.key }),
    ...(site.flags === '' ? {} : { flags: site.flags }),
    place: site.place,
    ...(site.source === undefined ? {} : { source: site.source }),
  });
  return {
    schema: 'textpoke.diff/1',
    old,
    new: now,
    ...tally(files),
    files: files.map(({ member, before, after, differences }) => ({
      ...(member === undefined ? {} : { member }),
      sites: { old: Object.fromEntries(before), new: Object.fromEntries(after) },
      differences: differences.map((difference) => ({
        what: difference.what,
        function: difference.function,
        kind: siteOf(difference).kind,
        ...('before' in difference ? { old: side(difference.before) } : {}),
        ...('after' in difference ? { new: side(difference.after) } : {}),
      })),
    })),
  };
}

/** Rows of a table in a comment; GitHub takes 65,536 characters. */
const mostRows = 200;

/** A table for a comment on a pull request. */
export function diffMarkdown(old: string, now: string, files: readonly ComparedFile[]): string {
  const code = (text: string) => `\`${readable(text).replaceAll('`', "'").replaceAll('|', '\\|')}\``;
  const differences = files.flatMap(({ member, differences: of }) =>
    of.map((difference) => ({ member, difference })),
  );
  const head = `**Patch sites**, ${code(old)} to ${code(now)}: `;
  if (differences.length === 0) return `${head}no difference.\n`;
  const rows = differences.slice(0, mostRows).map(({ member, difference }) => {
    const { place, source } = siteOf(difference);
    const where = `${member === undefined ? '' : `${member}: `}${difference.function}`;
    const text = readable(sentence(difference)).replace(/[\\`*[\]<>|&~]/g, '\\$&');
    return `| ${difference.what} | ${code(where)} | ${text} | ${code(source ?? place)} |`;
  });
  const more = differences.length - rows.length;
  return [
    `${head}${[summary(files), ...kindCounts(files)].join('; ')}.`,
    '',
    '| | function | site | where |',
    '| --- | --- | --- | --- |',
    ...rows,
    ...(more > 0 ? ['', `And ${more} more.`] : []),
    '',
  ].join('\n');
}
