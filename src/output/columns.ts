// Lays out the columns of a table for a terminal: names give way, then columns that say the least. Numbers, addresses and
// bytes are never cut.
import { largestOf } from '../bytes/integer.ts';
import { leastWidth, padEnd, shortened, widthOf } from './width.ts';

/** A column, as it is measured. */
export interface Column {
  /** Its head. */
  readonly name: string;
  /** Columns that its longest cell takes. */
  width: number;
  /** The same once each name in it is as short as it can be. */
  least: number;
  /** No cell says anything. */
  isEmpty: boolean;
  /** It is not shown, and nothing is said of that. */
  isAbsent: boolean;
}

/** What a cell has that says nothing. */
export const nothing = '-';

/** Heads of columns that hold names. */
const names: ReadonlySet<string> = new Set([
  'site',
  'source',
  'target',
  'key',
  'trampoline',
  'replacement',
  'instruction',
  'name',
  'state',
]);
/** Columns that are left out where the others have no room, the first of them first. */
const leftOut = ['one CPU', 'bytes', 'instruction', 'target', 'flags', 'lengths', 'replacement', 'source'];
/** A name that is shorter tells too little. */
const usefulName = 24;
const gap = 2;

/** Columns with their heads measured. */
export function columnsOf(heads: readonly string[]): Column[] {
  return heads.map((name) => ({
    name,
    width: widthOf(name),
    least: widthOf(name),
    isEmpty: true,
    isAbsent: false,
  }));
}

/** Measures the cells of a row. */
export function measureRow(columns: readonly Column[], cells: readonly string[]): void {
  columns.forEach((column, i) => {
    const cell = cells[i] ?? '';
    if (cell !== nothing) column.isEmpty = false;
    const width = widthOf(cell);
    if (width > column.width) column.width = width;
    const least = names.has(column.name) ? leastWidth(cell) : width;
    if (least > column.least) column.least = least;
  });
}

/** What a table's lines look like. */
export interface Layout {
  /** Width of each column that is shown, by its position. */
  readonly widths: ReadonlyMap<number, number>;
  /** Heads of those that are not. */
  readonly leftOut: readonly string[];
}

/** The layout in `room` columns, gaps in front of all columns included; undefined room: everything as it is. */
export function layOut(columns: readonly Column[], room: number | undefined): Layout {
  const shown = [...columns.keys()].filter((i) => !columns[i]?.isAbsent);
  const gone: string[] = [];
  const needed = (least: (column: Column) => number) =>
    shown.reduce((sum, i) => sum + gap + least(columns[i] as Column), 0);
  const useful = ({ width, least }: Column) => Math.min(width, Math.max(least, usefulName));
  if (room !== undefined) {
    if (needed(useful) > room) {
      for (const i of [...shown]) if (columns[i]?.isEmpty) shown.splice(shown.indexOf(i), 1);
    }
    for (const name of leftOut) {
      // The last column of a name goes first: what replaces an instruction stands behind it.
      while (needed(useful) > room) {
        const at = shown.findLastIndex((i) => columns[i]?.name === name);
        if (at < 0) break;
        gone.push(name);
        shown.splice(at, 1);
      }
    }
  }
  const widest =
    room === undefined
      ? Number.POSITIVE_INFINITY
      : widestName(
          shown.map((i) => columns[i] as Column),
          room,
        );
  return {
    widths: new Map(
      shown.map((i) => {
        const { width, least } = columns[i] as Column;
        return [i, Math.min(width, Math.max(least, widest))];
      }),
    ),
    leftOut: gone,
  };
}

/** The width to which names are cut so that all fit: the longest give way, and the others stay whole. */
function widestName(columns: readonly Column[], room: number): number {
  const total = (widest: number) =>
    columns.reduce((sum, { width, least }) => sum + gap + Math.min(width, Math.max(least, widest)), 0);
  let widest = largestOf(columns.map(({ width }) => width));
  while (widest > 0 && total(widest) > room) widest--;
  return widest;
}

/** The cells of a row in their columns, each with the gap in front of it. */
export function rowText(
  { widths }: Layout,
  cells: readonly string[],
  isRight?: (column: number) => boolean,
): string {
  let line = '';
  for (const [i, width] of widths) {
    const cell = shortened(cells[i] ?? '', width);
    line +=
      ' '.repeat(gap) +
      (isRight?.(i) ? ' '.repeat(Math.max(0, width - widthOf(cell))) + cell : padEnd(cell, width));
  }
  return line;
}
