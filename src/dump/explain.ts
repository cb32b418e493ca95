// Everything about one place or one key of a file: which sites there are, what stands there, what may stand there and
// when. Objects are linked in memory to know what may stand at their sites.
import { archOf } from '../arch/registry.ts';
import { parseAddress } from '../bytes/integer.ts';
import { isEnabled, isLoneKey, readKey } from '../demand/keys.ts';
import { type DebugDirectories, debugPlacesOf } from '../dwarf/debug-files.ts';
import type { SourceLine } from '../dwarf/source-line.ts';
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
      ? explainIn(file, new ImageView(image, debug), image, text, disassemblers)
      : explainIn(file, new ObjectView(new ObjectCode(file, arch), debug), undefined, text, disassemblers);
    if (part.keys.length + part.sites.length > 0)
      found.push({ file: path, ...(member !== undefined && { member }), ...part });
    else if (image) other ??= whatIsNamed(image, text);
  }
  if (found.length > 0) return found;
  throw new TextpokeError(
    'unknown-key',
    `${other ?? JSON.stringify(text)} ${other ? 'and' : 'is'} no site and no key; a site is 0xADDRESS, SYMBOL+0xOFFSET, FUNCTION or FILE.c:LINE`,
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
): Omit<Explained, 'file' | 'member'> {
  const owners = new KeyOwners(view);
  for (const _ of entriesOf(view, owners, true));
  const met = [...entriesOf(view, owners, false)];
  const asked = new Asked(text, image);
  const byLine = asked.line && linesOf(view, met);
  const chosen = met.filter((entry) =>
    byLine ? asked.hasLine(byLine.get(entry)) : asked.hasSite(entry.shown) || asked.hasKey(entry.shown.key),
  );
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
      isSurvey: false,
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
  const keys = keysOf(met, chosen, asked, image);
  return { keys, sites, ...(problem !== undefined && { linesProblem: problem }) };
}

/** Every entry that names a site; a survey finds out whose the keys are. */
function* entriesOf<Place>(
  view: TableView<Place>,
  owners: KeyOwners<Place>,
  isSurvey: boolean,
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

/** The lines of the sites of entries. */
function linesOf<Place>(
  view: TableView<Place>,
  met: readonly Met<Place>[],
): Map<Met<Place>, SourceLine | undefined> {
  const first = met.flatMap(({ code }) => code.slice(0, 1));
  const { lines } = view.sourceLines(first, { inlines: true });
  let next = 0;
  return new Map(met.map((entry) => [entry, entry.code.length > 0 ? lines[next++] : undefined]));
}

/** The keys that were asked for, or that the sites that were asked for have. */
function keysOf<Place>(
  met: readonly Met<Place>[],
  chosen: readonly Met<Place>[],
  asked: Asked,
  image: Image | undefined,
): ExplainedKey[] {
  const numbers = new Map<string, number>();
  const nameOf = (key: DumpedPlace) => `${key.section} ${key.address} ${placeName(key)}`;
  for (const { shown } of met)
    if (shown.key) numbers.set(nameOf(shown.key), (numbers.get(nameOf(shown.key)) ?? 0) + 1);
  const keys = new Map<string, ExplainedKey>();
  for (const { kind, shown } of chosen) {
    const { key } = shown;
    if (!key || keys.has(nameOf(key))) continue;
    const isCall = kind.link?.isTyped === false;
    keys.set(nameOf(key), {
      place: key,
      kind: isCall ? 'call' : 'key',
      ...valueIn(image, key, isCall),
      sites: numbers.get(nameOf(key)) ?? 0,
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
