// Keys of a program that runs, for people. The JSON is the library's document itself.
import { basename } from 'node:path';
import { largestOf } from '../bytes/integer.ts';
import type { ControlDocument } from '../control/document.ts';
import { count } from './count.ts';
import { textOf } from './text.ts';

/** A line for each key and call: what it is, its name, its file, how many sites follow it. */
export function controlText({ keys, calls, refused }: ControlDocument): string {
  const rows = [
    ...keys.map(({ key, enabled, sites, file }) => [
      key,
      `${enabled}`,
      count(sites, 'branch'),
      basename(file),
    ]),
    ...calls.map((of) => [of.call, of.function, count(of.sites, 'call'), basename(of.file)]),
  ];
  const widths = [0, 1, 2].map((i) => largestOf([0, ...rows.map((row) => (row[i] as string).length)]));
  const lines = rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return textOf([...lines, ...refused.map(({ file, message }) => `${file}: not patched: ${message}`)]);
}

/** The value of each, a line each. */
export function valuesText({ keys, calls }: ControlDocument): string {
  return textOf([...keys.map(({ enabled }) => `${enabled}`), ...calls.map((call) => call.function)]);
}
