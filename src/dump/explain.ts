// Everything about one place or one key of a file: which sites there are, what stands there, what may stand there and
// when. Objects are linked in memory to know what may stand at their sites.
import { archOf } from '../arch/registry.ts';
import { parseAddress } from '../bytes/integer.ts';
import { didYouMean } from '../bytes/nearest.ts';
import { callNameOf } from '../bytes/static-call-names.ts';
import { isEnabled, isLoneKey, readKey } from '../demand/keys.ts';
import { type DebugDirectories, debugPlacesOf } from '../dwarf/debug-files.ts';
import { ET_REL } from '../elf/constants.ts';
import type { ElfFile } from '../elf/file.ts';
import { type Disassemblers, loadDisassemblers } from '../engines/disassembler.ts';
import { TextpokeError } from '../errors.ts';
import type { ByteSource } from '../files/source.ts';
import { Image } from '../image/image.ts';
import { splitName } from '../image/names.ts';
import { whatIs } from '../image/what-is.ts';
import { type Fields, isKind, type Kind } from '../kinds/kind.ts';
import { tableKinds } from '../kinds/registry.ts';
import { type DumpedPlace, placeName } from '../kinds/shown.ts';
import { ObjectCode } from '../object/object-code.ts';
import { ViewReader } from './entry-reader.ts';
import { Asked } from './explain-asked.ts';
import type { Explained, ExplainedKey, ExplainedSite, Shown } from './explain-model.ts';
import { StatesOf } from './explain-states.ts';
import { ImageView } from './image-view.ts';
import { KeyOwners } from './key-owners.ts';
import { ObjectView } from './object-view.ts';
import { opensOf } from './passes.ts';
import type { TableView } from './view.ts';

/** How the file is read. */
export interface ExplainOptions extends DebugDirectories {
  readonly expandLimit?: number | undefined;
}

/** An entry as it was read, before anything is looked up for it. */
interface Met<Place> {
  readonly kind: Kind;
  readonly index: number;
  /** How many entries with places were in front of it. */
  readonly ordinal: number;
  readonly fields: readonly Place[];
  readonly bytes: Uint8Array;
  readonly shown: Shown;
  /** Places whose lines the entry shows. */
  readonly code: readonly Place[];
}

/**
 * What a person's name means in a file, one result for a file or a member that has it. A site is `0xADDRESS`,
 * `SYMBOL+0xOFFSET`, a function (all of its sites) or `FILE.c:LINE`; a key is what `dump --key` takes, or a tracepoint's
 * name. Errors: those of dump; `unknown-key` where the name means nothing.
 */
export async function explain(
  path: string,
  input: ByteSource,
  text: string,
  options: ExplainOptions = {},
): Promise<Explained[]> {
  const found: Explained[] = [];
  let other: string | undefined;
  const names = new Set<string>();
  for (const { member, open, given } of await opensOf(path, input, options.expandLimit)) {
    const file = open();
    const arch = archOf(file.header);
    const debug = debugPlacesOf(given, options);
    const disassemblers = await loadDisassemblers(arch).catch((error) => {
      if (error instanceof TextpokeError) return undefined;
      throw error;
    });
    if (file.header.type === ET_REL && !file.symtab) continue;
    const isObject = file.header.type === ET_REL;
    const image = isObject ? undefined : new Image(file);
    const part = image
      ? explainIn(file, new ImageView(image, debug), image, text, disassemblers, names)
      : explainIn(
          file,
          new ObjectView(new ObjectCode(file, arch), debug),
          undefined,
          text,
          disassemblers,
          names,
        );
    if (part.keys.length + part.sites.length > 0)
      found.push({ file: path, ...(member !== undefined && { member }), ...part });
    else if (image) other ??= whatIsNamed(image, text);
  }
  if (found.length > 0) return found;
  throw new TextpokeError(
    'unknown-key',
    `${other ?? JSON.stringify(text)} ${other ? 'and' : 'is'} no site and no key; a site is 0xADDRESS, SYMBOL+0xOFFSET, FUNCTION or FILE.c:LINE${other ? '' : didYouMean(text, names)}`,
    { file: path },
  );
}

/** What a name means that is neither a site nor a key, if anything. */
function whatIsNamed(image: Image, text: string): string | undefined {
  const address = parseAddress(text) ?? image.symbols.addressOf(splitName(text).name);
  return address === undefined ? undefined : whatIs(image, address);
}

function explainIn<Place>(
  file: ElfFile,
  view: TableView<Place>,
  image: Image | undefined,
  text: string,
  disassemblers: Disassemblers | undefined,
  names: Set<string>,
): Omit<Explained, 'file' | 'member'> {
  const asked = new Asked(text, image);
  const owners = new KeyOwners(view);
  const isAtLine = survey(view, owners, asked);
  // All entries of a large image would take fifty times their bytes.
  const chosen: Met<Place>[] = [];
  const sitesOf = new Map<string, number>();
  let number = 0;
  for (const entry of entriesOf(view, owners)) {
    const { shown } = entry;
    const name = shown.key && idOf(shown.key);
    if (name !== undefined) sitesOf.set(name, (sitesOf.get(name) ?? 0) + 1);
    for (const known of [shown.key && placeName(shown.key), shown.place.symbol])
      if (known !== undefined) names.add(callNameOf(known) ?? known);
    if (isAtLine ? isAtLine(number) : asked.hasSite(shown) || asked.hasKey(shown.key)) chosen.push(entry);
    number++;
  }
  const { lines, problem } = view.sourceLines(
    chosen.flatMap(({ code }) => [...code]),
    { inlines: true },
  );
  const states = new StatesOf(file, image, disassemblers);
  let next = 0;
  const sites = chosen.map((entry): ExplainedSite => {
    const withLines = new ViewReader(view, {
      filter: undefined,
      disassembler: disassemblers,
      lineOf: () => lines[next++],
      owners,
    });
    const shown = shownOf(entry.kind, entry.fields, entry.bytes, withLines) ?? entry.shown;
    return {
      kind: entry.kind.name,
      table: entry.kind.table.name,
      index: entry.index,
      ...shown,
      ...states.of(entry.kind, entry.ordinal, shown),
    };
  });
  const keys = keysOf(chosen, sitesOf, asked, image);
  return { keys, sites, ...(problem !== undefined && { linesProblem: problem }) };
}

/** Every entry that names a site; a survey finds out whose the keys are. */
function* entriesOf<Place>(
  view: TableView<Place>,
  owners: KeyOwners<Place>,
  isSurvey = false,
): Generator<Met<Place>> {
  let code: Place[] = [];
  const reader = new ViewReader(view, {
    filter: undefined,
    lineOf: (place) => {
      code.push(place);
      return undefined;
    },
    owners,
    isSurvey,
  });
  for (const kind of tableKinds) {
    const form = isKind(kind) ? view.formOf(kind) : undefined;
    if (!form || !isKind(kind)) continue;
    let ordinal = 0;
    for (const { index, fields, bytes } of view.read(form).entries) {
      if (!fields) continue;
      code = [];
      const shown = shownOf(kind, fields, bytes, reader);
      if (shown) yield { kind, index, ordinal, fields, bytes, shown, code };
      ordinal++;
    }
  }
}

function shownOf<Place>(
  kind: Kind,
  fields: readonly Place[],
  bytes: Uint8Array,
  reader: ViewReader<Place>,
): Shown | undefined {
  const entry = kind.decode(fields as unknown as Fields<Place>, reader, bytes);
  if (!entry) return undefined;
  const { place, flags } = kind.identify({ index: 0, ...entry });
  const { key, target, instruction, problem } = entry as Partial<Omit<Shown, 'place' | 'flags'>>;
  return {
    place,
    ...(key && { key }),
    ...(flags && { flags }),
    ...(target && { target }),
    ...(instruction && { instruction }),
    ...(problem !== undefined && { problem }),
  };
}

/**
 * Goes through all entries to find out whose the keys are; where a line is asked for, what comes back tells whether the
 * site of an entry, by its number, is at it.
 */
function survey<Place>(
  view: TableView<Place>,
  owners: KeyOwners<Place>,
  asked: Asked,
): ((entry: number) => boolean) | undefined {
  const places: Place[] = [];
  const entries: number[] = [];
  let number = 0;
  for (const { code } of entriesOf(view, owners, true)) {
    if (asked.line && code.length > 0) {
      places.push(code[0] as Place);
      entries.push(number);
    }
    number++;
  }
  if (!asked.line) return undefined;
  const { lines } = view.sourceLines(places, { inlines: true });
  const found = new Set(entries.filter((_, i) => asked.hasLine(lines[i])));
  return (entry) => found.has(entry);
}

/** Tells keys apart. */
function idOf(key: DumpedPlace): string {
  return `${key.section} ${key.address} ${placeName(key)}`;
}

/** The keys that were asked for, or that the sites that were asked for have. */
function keysOf<Place>(
  chosen: readonly Met<Place>[],
  sitesOf: ReadonlyMap<string, number>,
  asked: Asked,
  image: Image | undefined,
): ExplainedKey[] {
  const keys = new Map<string, ExplainedKey>();
  for (const { kind, shown } of chosen) {
    const { key } = shown;
    if (!key || keys.has(idOf(key))) continue;
    const isCall = kind.link?.isTyped === false;
    keys.set(idOf(key), {
      place: key,
      kind: isCall ? 'call' : 'key',
      ...valueIn(image, key, isCall),
      sites: sitesOf.get(idOf(key)) ?? 0,
    });
  }
  if (keys.size > 0 || !image) return [...keys.values()];
  return asked.line ? [] : loneKeys(image, asked);
}

/** Keys that no entry names: their sites were dropped, or there never were some. */
function loneKeys(image: Image, asked: Asked): ExplainedKey[] {
  return asked.addresses.flatMap((address): ExplainedKey[] => {
    if (!image.contains(address) || !isLoneKey(image, address)) return [];
    const place = new ImageView(image).place(address);
    return [{ place, kind: 'key', ...valueIn(image, place, false), sites: 0 }];
  });
}

function valueIn(image: Image | undefined, { address }: DumpedPlace, isCall: boolean): { value?: string } {
  const at = parseAddress(address ?? '');
  if (!image || at === undefined) return {};
  try {
    if (!isCall) return { value: isEnabled(readKey(image, at)) ? 'enabled' : 'disabled' };
    const to = image.readPointer(at);
    if (to.kind === 'external') return { value: to.name };
    return { value: to.address === 0 ? 'NULL' : image.describe(to.address) };
  } catch (error) {
    if (error instanceof TextpokeError) return {};
    throw error;
  }
}
