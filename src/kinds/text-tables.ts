// Tables of an x86-64 kernel's other patching of its text, which textpoke reads and never writes: dump shows one that is
// named, and diff compares it. What a kernel makes of their places is replayed by text/.
import { code, type TableRow } from '../bytes/table.ts';
import { SHF_ALLOC } from '../elf/constants.ts';
import { readAlternatives } from '../image/alternatives.ts';
import type { Image } from '../image/image.ts';
import type { TableKind } from './kind.ts';
import { placesTable } from './places-table.ts';
import {
  type DumpedEntry,
  type DumpedInstruction,
  type DumpedPlace,
  instructionColumns,
  placeName,
  siteColumns,
} from './shown.ts';

/** An entry that names one place in code. */
export interface DumpedSite extends DumpedEntry {
  readonly site: DumpedPlace;
  readonly instruction?: DumpedInstruction;
}

/** An entry of `.altinstructions`. */
export interface DumpedReplacement extends DumpedSite {
  /** Where the code stands that replaces it. */
  readonly replacement: DumpedPlace;
  /** 32 times the word of the feature, plus its bit. */
  readonly feature: number;
  /** For processors without the feature. */
  readonly not: boolean;
  /** An indirect call becomes one of what its pointer holds. */
  readonly directCall: boolean;
  /** Bytes that are replaced, and of the code that replaces them. */
  readonly length: number;
  readonly replacementLength: number;
}

/** An entry of `.parainstructions`. */
export interface DumpedOperation extends DumpedSite {
  /** Number of the operation in pv_ops. */
  readonly operation: number;
  /** Bytes that are replaced. */
  readonly length: number;
}

/** What an entry of each table shows, by the name of the table in JSON. */
export interface TextTableEntries {
  /** `.altinstructions` */
  readonly alternatives: DumpedReplacement;
  /** `.retpoline_sites` */
  readonly retpolines: DumpedSite;
  /** `.return_sites` */
  readonly returns: DumpedSite;
  /** `.call_sites` */
  readonly calls: DumpedSite;
  /** `.ibt_endbr_seal` */
  readonly endbrSeals: DumpedSite;
  /** `.cfi_sites` */
  readonly cfiSites: DumpedSite;
  /** `.parainstructions` */
  readonly paravirtCalls: DumpedOperation;
  /** `__mcount_loc` */
  readonly tracedFunctions: DumpedSite;
  /** `runtime_ptr_NAME`, `runtime_shift_NAME` and `runtime_mask_NAME` */
  readonly constants: DumpedSite;
}

/** A table that is shown where it is named alone. */
export interface TextTableKind<E extends DumpedSite = DumpedSite> extends TableKind<E> {
  /** As diff tells of an entry: `return`. */
  readonly name: string;
  readonly plural: string;
  identify(entry: E): { readonly place: DumpedPlace; readonly key?: string; readonly flags?: string };
}

/** What tables of places have in common; the instruction is shown that stands there. */
function placesKind(
  id: string,
  table: TableRow,
  aliases: readonly string[],
  name: string,
  plural: string,
): TextTableKind {
  return {
    ...{ id, table, aliases, name, plural },
    isInScript: () => false,
    hasKeys: false,
    decode: ([site], reader) => ({ site: reader.code(site), ...reader.instruction(site) }),
    columns: [...siteColumns, ...instructionColumns],
    cells: ({ site, instruction }, tools) => [...tools.site(site), ...tools.instruction(instruction)],
    identify: ({ site }) => ({ place: site }),
  };
}

const word = (name: string) => ({ name, width: 'word', code: true, absolute: true }) as const;
const plain = (name: string) => ({ name, width: 's32', plain: true }) as const;

const alternativesRow: TableRow = {
  name: '.altinstructions',
  fields: [code('site'), code('replacement'), plain('rest')],
  flags: SHF_ALLOC,
  addralign: 1,
  entsize: 0,
  bounds: [['__alt_instructions', '__alt_instructions_end']],
};
/** With flags, since 6.3. */
const withFlags: TableRow = {
  ...alternativesRow,
  fields: [...alternativesRow.fields, { name: 'lengths', width: 'half', plain: true }],
};

/** Which of the two forms an image has: its entries are as far apart as they are long. */
function formOfAlternatives(image: Image): TableRow {
  const [first, second] = readAlternatives(image)?.listed ?? [];
  return first && second && second.entry - first.entry === 14 ? withFlags : alternativesRow;
}

const alternatives: TextTableKind<DumpedReplacement> = {
  ...(placesKind(
    'alternatives',
    alternativesRow,
    ['alternative', 'alternatives', 'altinstructions'],
    'alternative',
    'alternatives',
  ) as unknown as TextTableKind<DumpedReplacement>),
  formIn: formOfAlternatives,
  decode: ([site, replacement], reader, bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const [kind, lengthAt] = [view.getUint16(8, true), bytes.length - 2];
    const flags = bytes.length === 12 ? kind >> 15 : view.getUint16(10, true);
    return {
      site: reader.code(site),
      ...reader.instruction(site),
      replacement: reader.data(replacement),
      feature: bytes.length === 12 ? kind & 0x7fff : kind,
      not: (flags & 1) !== 0,
      directCall: (flags & 2) !== 0,
      length: bytes[lengthAt] as number,
      replacementLength: bytes[lengthAt + 1] as number,
    };
  },
  columns: [...siteColumns, ...instructionColumns, 'feature', 'replacement', 'lengths'],
  cells: (entry, tools) => [
    ...tools.site(entry.site),
    ...tools.instruction(entry.instruction),
    featureText(entry),
    entry.replacementLength === 0 ? '-' : placeName(entry.replacement),
    `${entry.replacementLength} for ${entry.length}`,
  ],
  // Numbers of features move from version to version; their order at a place does not.
  identify: ({ site, not }) => ({ place: site, ...(not && { flags: 'not' }) }),
};

function featureText({ feature, not, directCall }: DumpedReplacement): string {
  const text = `${not ? 'not ' : ''}${feature >>> 5}*32+${feature & 31}`;
  return directCall ? `${text}, direct call` : text;
}

const paravirt: TextTableKind<DumpedOperation> = {
  ...(placesKind(
    'paravirtCalls',
    {
      name: '.parainstructions',
      // struct paravirt_patch_site: a pointer, two bytes, fill
      fields: [word('site'), plain('operation'), plain('fill')],
      flags: SHF_ALLOC,
      addralign: 8,
      entsize: 0,
      lastIsShort: true,
      bounds: [['__parainstructions', '__parainstructions_end']],
    },
    ['paravirt', 'parainstructions'],
    'paravirt call',
    'paravirt calls',
  ) as unknown as TextTableKind<DumpedOperation>),
  decode: ([site], reader, bytes) => ({
    site: reader.code(site),
    ...reader.instruction(site),
    operation: bytes[8] as number,
    length: bytes[9] as number,
  }),
  columns: [...siteColumns, ...instructionColumns, 'operation', 'length'],
  cells: ({ site, instruction, operation, length }, tools) => [
    ...tools.site(site),
    ...tools.instruction(instruction),
    String(operation),
    String(length),
  ],
  identify: ({ site, operation }) => ({ place: site, key: `operation ${operation}` }),
};

const rows = {
  tracedFunctions: placesKind(
    'tracedFunctions',
    {
      name: '__mcount_loc',
      fields: [word('site')],
      flags: SHF_ALLOC,
      addralign: 8,
      entsize: 0,
      bounds: [['__start_mcount_loc', '__stop_mcount_loc']],
    },
    ['mcount', 'ftrace'],
    'traced function',
    'traced functions',
  ),
  paravirtCalls: paravirt,
  cfiSites: placesKind(
    'cfiSites',
    placesTable('.cfi_sites', 'site', ['__cfi_sites', '__cfi_sites_end']),
    ['cfi'],
    'hash of a function',
    'hashes of functions',
  ),
  retpolines: placesKind(
    'retpolines',
    placesTable('.retpoline_sites', 'site', ['__retpoline_sites', '__retpoline_sites_end']),
    ['retpoline', 'retpolines'],
    'retpoline',
    'retpolines',
  ),
  returns: placesKind(
    'returns',
    placesTable('.return_sites', 'site', ['__return_sites', '__return_sites_end']),
    ['return', 'returns'],
    'return',
    'returns',
  ),
  alternatives,
  calls: placesKind(
    'calls',
    placesTable('.call_sites', 'site', ['__call_sites', '__call_sites_end']),
    ['call-thunk', 'call-thunks', 'call_sites'],
    'counted call',
    'counted calls',
  ),
  endbrSeals: placesKind(
    'endbrSeals',
    placesTable('.ibt_endbr_seal', 'site', ['__ibt_endbr_seal', '__ibt_endbr_seal_end']),
    ['endbr', 'ibt'],
    'sealed function',
    'sealed functions',
  ),
  constants: {
    ...placesKind(
      'constants',
      {
        ...placesTable('runtime constants', 'site', ['', '']),
        bounds: [],
        matches: /^runtime_(ptr|shift|mask)_/,
      },
      ['constant', 'constants'],
      'run-time constant',
      'run-time constants',
    ),
    // The place is a field of an instruction.
    decode: ([site], reader) => ({ site: reader.code(site) }),
    columns: siteColumns,
    cells: ({ site }, tools) => tools.site(site),
  } satisfies TextTableKind,
} as const satisfies { readonly [Name in keyof TextTableEntries]: TextTableKind<TextTableEntries[Name]> };

/** In the order of a kernel's start. */
export const textTableKinds: readonly TextTableKind[] = Object.values(
  rows,
) as unknown as readonly TextTableKind[];
