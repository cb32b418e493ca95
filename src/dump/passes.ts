// The passes of dump, top to bottom: read a file, decode each table that is asked for, name every place. Objects,
// images and the members of archives come out alike; an entry that makes no sense is shown as such, and the next one is
// read.
import { archOf } from '../arch/registry.ts';
import { hexBytes } from '../bytes/integer.ts';
import { entryLayout } from '../bytes/table.ts';
import { type DebugDirectories, type DebugPlaces, debugPlacesOf } from '../dwarf/debug-files.ts';
import type { LineOptions } from '../dwarf/source-lines.ts';
import { isArchive, readArchive } from '../elf/archive.ts';
import { ET_DYN, ET_REL } from '../elf/constants.ts';
import { ElfFile } from '../elf/file.ts';
import { isElf } from '../elf/magic.ts';
import { readElfFrom } from '../elf/read.ts';
import { type Disassemblers, loadDisassemblers } from '../engines/disassembler.ts';
import { inFile, TextpokeError } from '../errors.ts';
import { type ByteSource, memorySource, partOf } from '../files/source.ts';
import { Image } from '../image/image.ts';
import { withoutContainers } from '../kernel/plain.ts';
import type { Fields, TableKind } from '../kinds/kind.ts';
import { tableKinds } from '../kinds/registry.ts';
import { type DumpedDeadEntry, type DumpedEntry, type DumpedPlace, isDead } from '../kinds/shown.ts';
import { textTableKinds } from '../kinds/text-tables.ts';
import { ObjectCode } from '../object/object-code.ts';
import { ViewReader } from './entry-reader.ts';
import { ImageView } from './image-view.ts';
import { keyFilter, requireKeyName } from './key-filter.ts';
import { KeyOwners } from './key-owners.ts';
import type { DumpedFile, DumpedTable, DumpedTables } from './model.ts';
import { ObjectView } from './object-view.ts';
import { Tally } from './tally.ts';
import type { RawEntry, RawTable, TableView } from './view.ts';

/** The table that `--table` names; error `usage`. */
export function tableNamed(name: string): TableKind {
  const all = [...tableKinds, ...textTableKinds];
  const found = all.find(
    ({ id, table, aliases }) => name === table.name || name === id || aliases.includes(name),
  );
  if (found) return found;
  const known = all.map(({ table, aliases }) => `${table.name} (${aliases[0]})`).join(', ');
  throw new TextpokeError('usage', `unknown table ${JSON.stringify(name)}; known tables: ${known}`);
}

/** What dump is asked for. */
export interface DumpOptions extends DebugDirectories {
  /** Name of a table: its section's, `jumpTable`, or `jump` and so on; undefined: all of them. */
  readonly table?: string | undefined;
  /** Glob (`*`, `?`) over key names; entries of tables without keys then are left out. */
  readonly key?: string | undefined;
  /** Has capstone read the instructions; false unless given: their text then is their kind in short. */
  readonly disassemble?: boolean | undefined;
  /** Source lines come with those of what was inlined, and with the names of functions; false unless given. */
  readonly inlines?: boolean | undefined;
  /** Bytes that a compressed file may expand to; undefined: 64 MiB, or 20 times its size if that is more. */
  readonly expandLimit?: number | undefined;
}

/** What the commands ask for beside that. */
export interface CountingOptions extends DumpOptions {
  /** Counts what a summary is made of; false unless given. */
  readonly isCounted?: boolean | undefined;
}

/** What is asked of every file. */
interface Question {
  readonly key: string | undefined;
  readonly rows: readonly TableKind[];
  readonly accepts: ((key: DumpedPlace) => boolean) | undefined;
  readonly isCounted: boolean;
  readonly lines: LineOptions;
}

/**
 * Dumps a file: one result for an object or an image, one a member for an archive, each when it is asked for.
 * `path` names it in messages. Errors: those of reading; `usage` for a table that does not exist; `not-an-image`
 * for an ELF file that is neither an object nor linked.
 */
export async function* dumpFile(
  path: string,
  input: Uint8Array | ByteSource | ElfFile,
  options: CountingOptions = {},
): AsyncGenerator<DumpedFile> {
  const asked = options.table === undefined ? tableKinds : [tableNamed(options.table)];
  const accepts = options.key === undefined ? undefined : keyFilter(options.key);
  const question = {
    key: options.key,
    rows: asked.filter(({ hasKeys }) => hasKeys || !accepts),
    accepts,
    isCounted: options.isCounted ?? false,
    lines: { inlines: options.inlines },
  };
  const archive = { path };
  for (const { member, form, open, given } of await opensOf(path, input, options.expandLimit)) {
    const file = open();
    const arch = inFile(file.path, () => archOf(file.header));
    const disassembler = options.disassemble ? await loadDisassemblers(arch) : undefined;
    const debug = debugPlacesOf(given, options);
    const dumped = inFile(
      file.path,
      (): DumpedFile => ({
        ...dumpElf(file, question, disassembler, debug),
        ...(form !== undefined && { unpacked: form }),
      }),
    );
    yield member === undefined ? dumped : { ...dumped, member, archive };
  }
}

/** An ELF file in the input, and the way to open it: an archive's members are read one after the other. */
export interface Openable {
  readonly member?: string;
  /** What was unpacked, of a kernel file. */
  readonly form?: string;
  readonly open: () => ElfFile;
  /** The path that the file was given by; undefined for bytes and members. */
  readonly given: string | undefined;
}

export async function opensOf(
  path: string,
  input: Uint8Array | ByteSource | ElfFile,
  limit: number | undefined,
): Promise<Openable[]> {
  if (input instanceof ElfFile) return [{ open: () => input, given: input.source.path }];
  const given = input instanceof Uint8Array ? memorySource(input) : input;
  const { source, form } = await withoutContainers(path, given, limit);
  if (!isArchive(source.read(0, Math.min(source.size, 8))))
    return [
      { ...(form !== undefined && { form }), open: () => readElfFrom(path, source), given: given.path },
    ];
  return inFile(path, () => readArchive(source)).flatMap((member) => {
    const content = partOf(source, member.offset, member.size);
    if (member.special || !isElf(content.read(0, Math.min(content.size, 4)))) return [];
    const open = () => readElfFrom(`${path}(${member.name})`, content);
    return [{ member: member.name, open, given: undefined }];
  });
}

function dumpElf(
  file: ElfFile,
  question: Question,
  disassembler: Disassemblers | undefined,
  debug: DebugPlaces,
): DumpedFile {
  const arch = archOf(file.header);
  const isObject = file.header.type === ET_REL;
  // Tables are made of relocations and those of symbols: an object without symbols has none.
  const dumped: Dumped =
    isObject && !file.symtab
      ? { tables: {} }
      : isObject
        ? dumpTables(new ObjectView(new ObjectCode(file, arch), debug), question, disassembler)
        : dumpImage(new Image(file), question, disassembler, debug);
  return { ...headOf(file), ...dumped };
}

/** Dumps all tables of an image that is open, through a view of it, and counts what a summary is made of. */
export function dumpOpenImage({ file }: Image, view: ImageView): DumpedFile {
  const question: Question = {
    ...{ key: undefined, rows: tableKinds, accepts: undefined },
    ...{ isCounted: true, lines: {} },
  };
  return inFile(file.path, () => ({ ...headOf(file), ...dumpTables(view, question, undefined) }));
}

function headOf({ path, header }: ElfFile): Omit<DumpedFile, 'tables'> {
  const type = header.type === ET_REL ? 'rel' : header.type === ET_DYN ? 'dyn' : 'exec';
  return { file: path, class: header.class, machine: archOf(header).name, type };
}

type Dumped = Pick<DumpedFile, 'tables' | 'tally' | 'linesProblem'>;

function dumpImage(
  image: Image,
  question: Question,
  disassembler: Disassemblers | undefined,
  debug: DebugPlaces,
): Dumped {
  const dumped = dumpTables(new ImageView(image, debug), question, disassembler);
  const found = Object.values(dumped.tables).some(
    ({ entries, problems }) => entries.length + problems.length > 0,
  );
  if (question.key !== undefined && !found) requireKeyName(image, question.key);
  return dumped;
}

/** Goes through all entries once, which tells how many there are and which lines are asked for; decoding comes later. */
function dumpTables<Place>(
  view: TableView<Place>,
  { rows, accepts, isCounted, lines: lineOptions }: Question,
  disassembler: Disassemblers | undefined,
): Dumped {
  const asked: Place[] = [];
  const tally = isCounted ? new Tally(view) : undefined;
  const owners = new KeyOwners(view);
  const survey = new ViewReader(view, {
    filter: accepts,
    lineOf: (place) => {
      asked.push(place);
      return undefined;
    },
    owners,
    isSurvey: true,
  });
  const found = rows.flatMap((row) => {
    const form = view.formOf(row);
    if (!form) return [];
    const raw = view.read(form);
    const counted = tally?.table(row);
    const firstAsked = asked.length;
    let length = 0;
    let isMalformed = false;
    let isAsBuilt = !view.hasAddresses;
    for (const entry of raw.entries) {
      const line = asked.length;
      const decoded = decodeEntry(entry, row, survey, accepts !== undefined);
      if (!decoded) continue;
      length++;
      isMalformed ||= decoded.problem !== undefined;
      isAsBuilt ||= !isDead(decoded) && row.isAsBuilt?.(decoded) === true;
      counted?.add(entry, decoded, line);
    }
    counted?.done(raw.parts.length, entryLayout(form, view.arch.wordSize).size);
    return { row, raw, length, isMalformed, isAsBuilt, firstAsked };
  });
  const { lines, problem } = view.sourceLines(asked, lineOptions);
  const tables = found.map(({ row, raw, length, isMalformed, isAsBuilt, firstAsked }) => {
    const entries = () => {
      let next = firstAsked;
      const lineOf = () => lines[next++];
      const reader = new ViewReader(view, { filter: accepts, disassembler, lineOf, owners });
      return decode(raw, row, reader, accepts !== undefined);
    };
    const { parts, total, absolute } = raw;
    // One reason for all entries is said once.
    const problems =
      view.unreadable !== undefined && total > 0 ? [...raw.problems, view.unreadable] : raw.problems;
    const table: DumpedTable<DumpedEntry> = {
      name: row.table.name,
      ...(absolute && { absolute }),
      parts,
      total,
      entries: { length, [Symbol.iterator]: entries },
      isAsBuilt,
      isMalformed,
      problems,
    };
    return [row.id, table];
  });
  return {
    tables: Object.fromEntries(tables) as DumpedTables,
    ...(tally && { tally: tally.finish(lines, owners) }),
    ...(problem !== undefined && { linesProblem: problem }),
  };
}

/** The entries of a table; what the key pattern leaves out is not among them. */
function* decode<Place>(
  { entries }: RawTable<Place>,
  row: TableKind,
  reader: ViewReader<Place>,
  isFiltered: boolean,
): Generator<DumpedEntry | DumpedDeadEntry> {
  for (const entry of entries) {
    const decoded = decodeEntry(entry, row, reader, isFiltered);
    if (decoded) yield decoded;
  }
}

function decodeEntry<Place>(
  entry: RawEntry<Place>,
  row: TableKind,
  reader: ViewReader<Place>,
  isFiltered: boolean,
): DumpedEntry | DumpedDeadEntry | undefined {
  const { index, fields, bytes } = entry;
  if (!fields) return isFiltered ? undefined : deadEntry(entry);
  const decoded = row.decode(fields as unknown as Fields<Place>, reader, bytes);
  return decoded && { index, ...decoded };
}

function deadEntry({ index, bytes, discarded, problem }: RawEntry<unknown>): DumpedDeadEntry {
  return {
    index,
    bytes: hexBytes(bytes),
    ...(discarded && { discarded }),
    ...(problem !== undefined && { problem }),
  };
}
