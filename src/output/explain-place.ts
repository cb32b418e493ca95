// What explain tells of a place or a key, for people and for machines.

import { largestOf } from '../bytes/integer.ts';
import type { Explained, ExplainedKey, ExplainedSite, ExplainedState } from '../dump/explain-model.ts';
import type { SourceLine } from '../dwarf/source-line.ts';
import { type DumpedPlace, keyName, placeName, sourceName } from '../kinds/shown.ts';
import { count } from './count.ts';
import { type Colours, coloursOf, readable, textOf } from './text.ts';
import { padEnd, widthOf } from './width.ts';

/** What `textpoke explain SITE|KEY IMAGE --json` prints (docs/explain-place.schema.json). */
export interface ExplainDocument {
  readonly schema: 'textpoke.explain-place/1';
  /** As the command line has it. */
  readonly asked: string;
  /** One for an object or an image that has it, one a member for an archive. */
  readonly files: readonly Explained[];
}

/** `textpoke.explain-place/1`. */
export function explainDocument(asked: string, files: readonly Explained[]): ExplainDocument {
  return { schema: 'textpoke.explain-place/1', asked, files };
}

/** Sites that are told in full; of more each gets a line, and of very many the first ones. */
const inFull = 3;
const inLines = 30;

/** The text for people. */
export function explainText({ files }: ExplainDocument, color?: boolean): string {
  const colour = coloursOf(color);
  return textOf(files.flatMap((file, i) => [...(i > 0 ? [''] : []), ...fileLines(file, colour)]));
}

function* fileLines(
  { file, member, keys, sites, linesProblem }: Explained,
  colour: Colours,
): Generator<string> {
  const name = member === undefined ? file : `${file}(${member})`;
  if (linesProblem !== undefined) yield `${colour.red('problem')}: ${linesProblem}`;
  const areFew = sites.length <= inFull;
  let isFirst = true;
  for (const key of keys.slice(0, inLines)) {
    if (!isFirst && areFew) yield '';
    isFirst = false;
    yield* keyLines(key, name, colour);
  }
  if (keys.length > inLines) yield `and ${count(keys.length - inLines, 'more key')}`;
  if (areFew) {
    for (const site of sites) {
      if (!isFirst) yield '';
      isFirst = false;
      yield* siteLines(site, name, colour);
    }
    return;
  }
  yield '';
  yield* siteRows(sites.slice(0, inLines));
  const more = sites.length - inLines;
  if (more > 0) yield `  and ${count(more, 'more site')}; textpoke dump ${name} --key shows all`;
}

function* keyLines(
  { place, kind, value, sites }: ExplainedKey,
  file: string,
  colour: Colours,
): Generator<string> {
  yield `${colour.bold(keyName(place))}: ${kind === 'call' ? 'key of a static call' : 'static key'}${place.undefined ? ', of another object' : ''}`;
  yield row('where', `${where(place)}`);
  if (value !== undefined) yield row('in the file', value);
  yield row('sites', String(sites));
  yield row('changed by', changes(kind, place, file));
}

function* siteLines(site: ExplainedSite, file: string, colour: Colours): Generator<string> {
  const { place, key, flags, target, instruction, states, statesProblem, problem } = site;
  yield `${colour.bold(placeName(place))}: ${site.kind}${key ? ` of ${keyName(key)}` : ''}${flags ? ` (${flags})` : ''}`;
  yield row('where', `${where(place)}; entry ${site.index} of ${site.table}`);
  const [line, ...inlined] = linesOf(place);
  if (line) yield row('source', sourceOf(line));
  for (const at of inlined) yield row('', `inlined: ${sourceOf(at)}`);
  if (target) yield row('target', [placeName(target), sourceName(target)].filter(Boolean).join(', '));
  if (instruction) yield row('there', `${spaced(instruction.bytes)}  ${instruction.text}`);
  if (problem !== undefined) yield row(colour.red('malformed'), problem);
  for (const [i, state] of (states ?? []).entries())
    yield row(i === 0 ? 'may be' : '', stateText(state, colour));
  if (statesProblem !== undefined) yield row('may be', `not known: ${statesProblem}`);
  const change =
    site.changedBy === 'cpus'
      ? `the number of CPUs, at the start: textpoke boot ${file} --cpus 1`
      : site.changedBy === 'nothing'
        ? 'nothing'
        : key
          ? changes(site.changedBy, key, file)
          : site.changedBy;
  yield row('changed by', change);
}

/** A line for each site, in columns. */
function* siteRows(sites: readonly ExplainedSite[]): Generator<string> {
  const rows = sites.map(({ place, kind, key, flags, instruction }) => {
    const what = [kind, key && `of ${keyName(key)}`, flags && `(${flags})`].filter(Boolean).join(' ');
    const bytes = instruction ? `${spaced(instruction.bytes)}  ${instruction.text}` : '';
    return [placeName(place), sourceName({ ...place, inlined: [] }) ?? '', what, bytes].map(readable);
  });
  const widths = [0, 1, 2].map((i) => largestOf(rows.map((cells) => widthOf(cells[i] as string))));
  for (const cells of rows) {
    const shown = cells.map((cell, i) => padEnd(cell, widths[i] ?? 0)).filter((_, i) => widths[i] !== 0);
    yield `  ${shown.join('  ').trimEnd()}`;
  }
}

const row = (head: string, text: string) => `  ${head.padEnd(11)} ${text}`;

/** `0xffffffff81000000, .text+0x1000`. */
function where({ address, section, offset }: DumpedPlace): string {
  const inSection = section === undefined ? undefined : `${section}+0x${(offset ?? 0).toString(16)}`;
  const isAddress = address !== undefined && address !== `0x${(offset ?? 0).toString(16)}`;
  return [isAddress ? address : undefined, inSection].filter(Boolean).join(', ') || (address ?? '-');
}

function linesOf({ file, line, function: name, inlined = [] }: DumpedPlace): SourceLine[] {
  if (file === undefined || line === undefined) return [];
  return [{ file, line, ...(name !== undefined && { function: name }) }, ...inlined];
}

function sourceOf({ file, line, function: name }: SourceLine): string {
  return `${file}:${line}${name === undefined ? '' : ` in ${name}`}`;
}

function spaced(bytes: string): string {
  return bytes.replace(/..(?=.)/g, '$& ');
}

function stateText(
  { bytes, mask, text, meaning, isThere, isRight }: ExplainedState,
  colour: Colours,
): string {
  // Digits of which no bit counts are dots.
  const shown =
    mask === undefined ? bytes : [...bytes].map((digit, i) => (mask[i] === '0' ? '.' : digit)).join('');
  const notes = [isThere ? 'stands there' : '', isRight ? 'what the keys ask for' : ''].filter(Boolean);
  const besides = notes.length > 0 ? ` ${colour.green(`(${notes.join('; ')})`)}` : '';
  return `${spaced(shown)}${text === undefined ? '' : `  ${text}`}: ${meaning}${besides}`;
}

function changes(kind: 'key' | 'call', key: DumpedPlace, file: string): string {
  const name = keyName(key);
  if (kind === 'key')
    return `static_key_enable() and static_key_disable(): textpoke boot ${file} --enable ${name}`;
  return `static_call_update(): textpoke boot ${file} --update ${name}=FUNCTION`;
}
