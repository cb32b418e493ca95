// A kind of site that nobody needs: four NOPs of one byte at a symbol `demo_site_…`, which boot makes one NOP. The test
// of kinds puts this file into a copy of src/kinds.
import type { Site } from '../../src/demand/sites.ts';
import { readImageTable } from '../../src/image/tables.ts';
import type { Kind } from '../../src/kinds/kind.ts';
import { placesTable } from '../../src/kinds/places-table.ts';
import {
  type DumpedEntry,
  type DumpedInstruction,
  type DumpedPlace,
  siteColumns,
} from '../../src/kinds/shown.ts';
import { type Found, type Search, sitesOf } from '../../src/object/found.ts';
import { readObjectTable } from '../../src/object/tables.ts';

const nop = Uint8Array.of(0x0f, 0x1f, 0x40, 0x00); // nopl 0(%rax)
const nops = Uint8Array.of(0x90, 0x90, 0x90, 0x90);

const table = placesTable('.demo_sites', 'site', ['__demo_sites', '__demo_sites_end']);

export interface DumpedDemo extends DumpedEntry {
  readonly site: DumpedPlace;
  readonly instruction?: DumpedInstruction;
}

function find({ object }: Search): Found {
  const listed = readObjectTable(object, table);
  const known = sitesOf(listed);
  const sites = object.codeSections.flatMap(({ section }) =>
    object
      .symbolsIn(section.index)
      .filter((i) => object.symbols.name(i).startsWith('demo_site_'))
      .map((i) => ({ section: section.index, offset: object.placeOfSymbol(i) })),
  );
  const entries = sites.filter((site) => !known.has(site)).map((site) => ({ row: table, site, more: [] }));
  return { entries, listed: [{ row: table, entries: listed }] };
}

export const demo: Kind<Site, DumpedDemo> = {
  id: 'demoSites',
  table,
  aliases: ['demo'],
  isInScript: ({ name }) => name === 'x86-64',
  name: 'demo site',
  plural: 'demo sites',
  noun: 'demo site',
  group: { id: 'demos', noun: 'demo site', state: 'demo site' },
  statistic: 'demoSites',
  annotate: {
    option: 'demoSites',
    options: [{ flags: '--demo-sites', description: 'only demo sites (.demo_sites)' }],
    find,
  },

  hasKeys: false,
  decode: ([site], reader) => ({ site: reader.code(site), ...reader.instruction(site) }),
  columns: siteColumns,
  cells: ({ site }, tools) => tools.site(site),
  identify: ({ site }) => ({ place: site }),

  read: (image) =>
    Array.from(readImageTable(image, table), ({ address, fields }) => ({
      entry: { address },
      address: fields[0] as number,
    })),
  sizeOf: () => nop.length,
  longest: () => nop.length,
  places: (_, { address }) => [{ address, what: 'a demo entry names a site', starts: 'instruction' }],
  meaning: () => '',
  tell: () => '',
  changes: (_, { address }) => [[address, nop.length]],

  demand: (_program, _site, { state }) => ({
    right: state === 'linked' ? [nop, nops] : [nop],
    why: 'one NOP is required',
  }),
  states: () => [
    { bytes: nops, meaning: 'as it was compiled' },
    { bytes: nop, meaning: 'one NOP' },
  ],
  phase: 'demo_init',
};
