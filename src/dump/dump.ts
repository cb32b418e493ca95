// The passes of dump: read a file, decode each table that is asked for, name every place. Objects, images and the
// members of archives come out alike; an entry that makes no sense is shown as such, and the next one is read.
import type { InstructionSet, SiteInstruction } from '../arch/arch.ts';
import { archOf } from '../arch/registry.ts';
import { globMatcher } from '../bytes/glob.ts';
import { hexBytes } from '../bytes/integer.ts';
import {
  altSmp,
  callInit,
  callTail,
  jumpBit1,
  jumpBranch,
  jumpTable,
  keptLocks,
  smpBarriers,
  smpLocks,
  staticCallSites,
  type TableRow,
  trampolineKeys,
} from '../bytes/schema.ts';
import { keyPrefix, trampolinePrefix } from '../bytes/static-call-names.ts';
import { isArchive, readArchive } from '../elf/archive.ts';
import { ET_DYN, ET_REL } from '../elf/constants.ts';
import { ElfFile } from '../elf/file.ts';
import { isElf } from '../elf/magic.ts';
import { readElf, readElfFrom } from '../elf/read.ts';
import { type Disassemblers, loadDisassemblers } from '../engines/disassembler.ts';
import { inFile, TextpokeError } from '../errors.ts';
import { type ByteSource, memorySource, plainSource } from '../files/source.ts';
import { Image } from '../image/image.ts';
import { ObjectCode } from '../object/object-code.ts';
import { ImageView } from './image-view.ts';
import {
  type DumpedAlternative,
  type DumpedBarrier,
  type DumpedCallSite,
  type DumpedDeadEntry,
  type DumpedFile,
  type DumpedInstruction,
  type DumpedJumpEntry,
  type DumpedLock,
  type DumpedPlace,
  type DumpedTable,
  type DumpedTables,
  type DumpedTrampolineKey,
  placeName,
} from './model.ts';
import { ObjectView } from './object-view.ts';
import type { RawEntry, TableView } from './view.ts';

/** The tables under their names in the model, in the order of the output. */
export const dumpedTables = {
  jumpTable,
  staticCallSites,
  smpLocks,
  keptLocks,
  smpBarriers,
  altSmp,
  trampolineKeys,
} as const satisfies Record<keyof DumpedTables, TableRow>;

type TableName = keyof DumpedTables;

/** What a person may call a table, beside its section name. */
const shortNames: Readonly<Record<TableName, readonly string[]>> = {
  jumpTable: ['jump', 'jump-table', 'jump_table'],
  staticCallSites: ['call', 'static-call-sites', 'static_call_sites'],
  smpLocks: ['lock', 'locks', 'smp-locks', 'smp_locks'],
  keptLocks: ['kept', 'kept-locks'],
  smpBarriers: ['barrier', 'barriers', 'smp-barriers', 'smp_barriers'],
  altSmp: ['alt', 'alt-smp', 'alt.smp.init'],
  trampolineKeys: ['tramp', 'trampoline', 'static_call_tramp_key'],
};

/** The table that `--table` names; error `usage`. */
export function tableNamed(name: string): TableName {
  for (const [table, row] of Object.entries(dumpedTables) as [TableName, TableRow][]) {
    if (name === row.name || name === table || shortNames[table].includes(name)) return table;
  }
  const known = (Object.entries(dumpedTables) as [TableName, TableRow][])
    .map(([table, row]) => `${row.name} (${shortNames[table][0]})`)
    .join(', ');
  throw new TextpokeError('usage', `there is no table ${JSON.stringify(name)}; known: ${known}`);
}

export interface DumpOptions {
  /** As `--table` gives it; undefined: all of them. */
  readonly table?: string | undefined;
  /** Glob (`*`, `?`) over key names; entries of tables without keys then are left out. */
  readonly key?: string | undefined;
  /** Loads capstone for the text of instructions. */
  readonly disassemble?: boolean | undefined;
}

/**
 * Dumps a file: one result for an object or an image, one a member for an archive, each when it is asked for.
 * `path` names it in messages. Errors: those of reading; `usage` for a table that does not exist; `not-an-image`
 * for an ELF file that is neither an object nor linked.
 */
export async function* dumpFile(
  path: string,
  input: Uint8Array | ByteSource | ElfFile,
  options: DumpOptions = {},
): AsyncGenerator<DumpedFile> {
  const only = options.table === undefined ? undefined : tableNamed(options.table);
  for (const open of await opensOf(path, input)) {
    const file = open();
    const arch = inFile(file.path, () => archOf(file.header));
    const disassembler = options.disassemble ? await loadDisassemblers(arch) : undefined;
    yield inFile(file.path, () => dumpElf(file, only, options.key, disassembler));
  }
}

/** One way to open each ELF file in the input, so that an archive's members are read one after the other. */
async function opensOf(path: string, input: Uint8Array | ByteSource | ElfFile): Promise<(() => ElfFile)[]> {
  if (input instanceof ElfFile) return [() => input];
  const given = input instanceof Uint8Array ? memorySource(input) : input;
  const source = await plainSource(given).catch((error) =>
    inFile(path, () => {
      throw error;
    }),
  );
  if (!isArchive(source.read(0, Math.min(source.size, 8)))) return [() => readElfFrom(path, source)];
  const bytes = source.read(0, source.size);
  return inFile(path, () => readArchive(bytes)).flatMap((member) => {
    const content = bytes.subarray(member.offset, member.offset + member.size);
    return member.special || !isElf(content) ? [] : [() => readElf(`${path}(${member.name})`, content)];
  });
}

function dumpElf(
  file: ElfFile,
  only: TableName | undefined,
  key: string | undefined,
  disassembler: Disassemblers | undefined,
): DumpedFile {
  const { header } = file;
  const arch = archOf(header);
  const isObject = header.type === ET_REL;
  const accepts = key === undefined ? undefined : keyFilter(key);
  const asked = (table: TableName) => only === undefined || only === table;
  // Tables are made of relocations and those of symbols: an object without symbols has none.
  const { tables, linesProblem } =
    isObject && !file.symtab
      ? { tables: {} }
      : isObject
        ? dumpTables(new ObjectView(new ObjectCode(file, arch)), asked, accepts, disassembler)
        : dumpTables(new ImageView(new Image(file)), asked, accepts, disassembler);
  return {
    file: file.path,
    class: header.class,
    machine: arch.name,
    type: isObject ? 'rel' : header.type === ET_DYN ? 'dyn' : 'exec',
    tables,
    ...(linesProblem !== undefined && { linesProblem }),
  };
}

function dumpTables<Place>(
  view: TableView<Place>,
  asked: (table: TableName) => boolean,
  accepts: ((key: DumpedPlace) => boolean) | undefined,
  disassembler: Disassemblers | undefined,
): Pick<DumpedFile, 'tables' | 'linesProblem'> {
  const places = new CodePlaces(view);
  const has = (table: TableName, hasKeys: boolean) => asked(table) && (hasKeys || !accepts);
  const accepted = (key: DumpedPlace) => !accepts || accepts(key);
  const lockEntry = (index: number, [lock]: readonly Place[]): DumpedLock => {
    const at = view.codeAt(lock as Place);
    const byte = at?.code.subarray(at.offset, at.offset + 1);
    return {
      index,
      lock: places.at(lock as Place),
      ...(byte ? { byte: hexBytes(byte) } : { problem: 'the place is not code' }),
    };
  };
  const tables: DumpedTables = {
    ...(has('jumpTable', true) && {
      jumpTable: dumpTable(view, jumpTable, accepts, (index, fields): DumpedJumpEntry | undefined => {
        const [code, target, value] = fields as [Place, Place, Place];
        const { key, flags } = view.splitKey(value);
        const keyPlace = view.place(key);
        if (!accepted(keyPlace)) return undefined;
        return {
          index,
          code: places.at(code),
          target: places.at(target),
          key: keyPlace,
          branch: (flags & jumpBranch) !== 0 ? 'likely' : 'unlikely',
          bit1: (flags & jumpBit1) !== 0,
          ...instructionAt(view, code, disassembler),
        };
      }),
    }),
    ...(has('staticCallSites', true) && {
      staticCallSites: dumpTable(
        view,
        staticCallSites,
        accepts,
        (index, fields): DumpedCallSite | undefined => {
          const [site, value] = fields as [Place, Place];
          const { key, flags } = view.splitKey(value);
          const keyPlace = view.place(key);
          if (!accepted(keyPlace)) return undefined;
          return {
            index,
            site: places.at(site),
            key: keyPlace,
            tail: (flags & callTail) !== 0,
            init: (flags & callInit) !== 0,
            ...instructionAt(view, site, disassembler),
          };
        },
      ),
    }),
    ...(has('smpLocks', false) && { smpLocks: dumpTable(view, smpLocks, accepts, lockEntry) }),
    ...(has('keptLocks', false) && { keptLocks: dumpTable(view, keptLocks, accepts, lockEntry) }),
    ...(has('smpBarriers', false) && {
      smpBarriers: dumpTable(
        view,
        smpBarriers,
        accepts,
        (index, [site]): DumpedBarrier => ({
          index,
          site: places.at(site as Place),
          ...instructionAt(view, site as Place, disassembler),
        }),
      ),
    }),
    ...(has('altSmp', false) && {
      altSmp: dumpTable(view, altSmp, accepts, (index, [site], bytes): DumpedAlternative => {
        const at = view.codeAt(site as Place);
        const place = places.at(site as Place);
        const data = view.unreadable === undefined ? view.dataAt(site as Place, 4) : undefined;
        if (data) {
          return {
            index,
            site: place,
            instruction: dataWord(data),
            replacement: dataWord(bytes.subarray(4)),
          };
        }
        return {
          index,
          site: place,
          ...instructionAt(view, site as Place, disassembler),
          ...(at && {
            replacement: instructionOf(at.instructions, bytes.subarray(4), at.address, disassembler),
          }),
        };
      }),
    }),
    ...(has('trampolineKeys', true) && {
      trampolineKeys: dumpTable(
        view,
        trampolineKeys,
        accepts,
        (index, fields): DumpedTrampolineKey | undefined => {
          const [trampoline, key] = fields as [Place, Place];
          const keyPlace = view.place(key);
          return accepted(keyPlace) ? { index, trampoline: places.at(trampoline), key: keyPlace } : undefined;
        },
      ),
    }),
  };
  return { tables, ...places.addLines() };
}

/** The places in code of a dump, whose source lines are looked up together when all of them are known. */
class CodePlaces<Place> {
  private readonly view: TableView<Place>;
  private readonly asked: Place[] = [];
  private readonly named: DumpedPlace[] = [];

  constructor(view: TableView<Place>) {
    this.view = view;
  }

  /** Names a place now; `addLines` will add to the same object. */
  at(place: Place): DumpedPlace {
    const named = this.view.place(place);
    this.asked.push(place);
    this.named.push(named);
    return named;
  }

  addLines(): Pick<DumpedFile, 'linesProblem'> {
    const { lines, problem } = this.view.sourceLines(this.asked);
    for (const [i, line] of lines.entries()) if (line) Object.assign(this.named[i] as DumpedPlace, line);
    return problem === undefined ? {} : { linesProblem: problem };
  }
}

/** One table; `decode` gives undefined for an entry that the key pattern leaves out. */
function dumpTable<Place, Entry extends { readonly index: number }>(
  view: TableView<Place>,
  row: TableRow,
  filtered: unknown,
  decode: (index: number, fields: readonly Place[], bytes: Uint8Array) => Entry | undefined,
): DumpedTable<Entry> {
  const { parts, entries: raw, problems, absolute } = view.read(row);
  const entries: (Entry | DumpedDeadEntry)[] = [];
  for (const entry of raw) {
    if (entry.fields) {
      const decoded = decode(entry.index, entry.fields, entry.bytes);
      if (decoded) entries.push(decoded);
    } else if (!filtered) entries.push(deadEntry(entry));
  }
  // One reason for all entries is said once.
  const all = view.unreadable !== undefined && raw.length > 0 ? [...problems, view.unreadable] : problems;
  return { name: row.name, ...(absolute && { absolute }), parts, total: raw.length, entries, problems: all };
}

function deadEntry({ index, bytes, discarded, problem }: RawEntry<unknown>): DumpedDeadEntry {
  return {
    index,
    bytes: hexBytes(bytes),
    ...(discarded && { discarded }),
    ...(problem !== undefined && { problem }),
  };
}

/** The instruction at a site, or why there is none. */
function instructionAt<Place>(
  view: TableView<Place>,
  site: Place,
  disassembler: Disassemblers | undefined,
): { instruction?: DumpedInstruction; problem?: string } {
  const at = view.codeAt(site);
  if (!at) return view.unreadable === undefined ? { problem: 'the site is not code' } : {};
  const { instructions } = at;
  const { kind, size } = instructions.readInstruction(at.code, at.offset, at.address);
  const to = view.branchTarget(site);
  const target = to === undefined ? undefined : placeName(view.place(to));
  const line = disassembler?.(instructions).one(at.code.subarray(at.offset), at.address, () => target);
  const shown = at.code.subarray(at.offset, at.offset + (size || line?.size || instructions.maxSite));
  return {
    instruction: { bytes: hexBytes(shown), kind, text: line?.text ?? shortText(instructions, kind, target) },
  };
}

/** An instruction that stands nowhere yet, as it would read at `address`. */
function instructionOf(
  instructions: InstructionSet,
  bytes: Uint8Array,
  address: number,
  disassembler: Disassemblers | undefined,
): DumpedInstruction {
  const { kind } = instructions.readInstruction(bytes, 0);
  const text = disassembler?.(instructions).one(bytes, address)?.text ?? kind;
  return { bytes: hexBytes(bytes), kind, text };
}

function dataWord(bytes: Uint8Array): DumpedInstruction {
  return { bytes: hexBytes(bytes), kind: 'data', text: 'data' };
}

/** What stands for the disassembly where capstone is not asked. */
function shortText(
  { mnemonics }: InstructionSet,
  kind: SiteInstruction['kind'],
  target: string | undefined,
): string {
  switch (kind) {
    case 'call':
    case 'jump':
    case 'conditional jump':
      return `${mnemonics[kind]} ${target}`;
    case 'return':
      return 'ret';
    default:
      return kind;
  }
}

/** Matches a key by symbol, `symbol+0x10`, or a static call's name without its prefix. */
function keyFilter(pattern: string): (key: DumpedPlace) => boolean {
  const matches = globMatcher(pattern);
  return (key) => {
    const { symbol } = key;
    if (symbol === undefined) return matches(placeName(key));
    if (matches(symbol) || matches(placeName(key))) return true;
    const isCall = symbol.startsWith(keyPrefix) || symbol.startsWith(trampolinePrefix);
    return isCall && matches(symbol.slice(keyPrefix.length));
  };
}
