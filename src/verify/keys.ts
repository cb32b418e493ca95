// The keys that entries name: aligned, in data that can be written to, large enough.
import type { Address } from '../bytes/named-numbers.ts';
import { isKeyPlace, keySize } from '../demand/keys.ts';
import type { Program } from '../demand/program.ts';
import type { Site } from '../demand/sites.ts';
import { STT_OBJECT } from '../elf/constants.ts';
import type { Image } from '../image/image.ts';
import { keyOf } from '../kinds/kind.ts';
import { kinds } from '../kinds/registry.ts';
import { inTables } from '../kinds/spans.ts';
import type { Checked } from './checked.ts';
import type { Finding } from './finding.ts';
import type { RuleId } from './rules.ts';

/** TP005, TP006. Each key is judged once, and with it every entry that names it. */
export function checkKeys({ image, sites }: Program): Checked {
  const findings: Finding[] = [];
  const faulty = new Set<number>();
  const judged = new Map<number, Finding | undefined>();
  const isInTable = inTables(image, sites);
  for (const kind of kinds) {
    for (const site of sites.of(kind)) {
      const key = keyOf(site);
      if (key === undefined) continue;
      const isKnown = judged.has(key);
      const finding = isKnown ? judged.get(key) : judgeKey(image, key, site, isInTable);
      judged.set(key, finding);
      if (!finding) continue;
      faulty.add(site.entry.address);
      if (!isKnown) findings.push({ ...finding, entry: site.entry.address });
    }
  }
  return { findings, faulty };
}

function judgeKey(
  image: Image,
  key: Address,
  { entry }: Site,
  isInTable: (key: Address) => boolean,
): Finding | undefined {
  const make = (rule: RuleId, address: number, message: string): Finding => ({
    rule,
    address,
    place: image.describe(address),
    message,
  });
  if (!Number.isSafeInteger(key)) {
    return make('TP006', entry.address, 'the key of the entry lies outside the address space');
  }
  const size = keySize(image);
  // Flags were split off as the low two bits, so an unaligned key shows as one that no symbol starts at.
  const above = image.symbolAt(key + 3);
  const start = above && key + 3 - above.offset;
  if (above && start !== undefined && start > key && image.symbols.addressOf(above.name) === start) {
    return make('TP005', start, `the key ${above.name} is not aligned to 4 bytes`);
  }
  if (!isKeyPlace(image, key)) {
    return make('TP006', key, 'an entry names a key that is not in writable data');
  }
  if (isInTable(key)) return make('TP006', key, 'an entry names a key that lies in a table of entries');
  const near = image.symbolAt(key);
  if (near?.type === STT_OBJECT && near.offset < near.size && near.offset + size > near.size) {
    const message = `a key needs ${size} bytes, but ${near.name} has only ${near.size - near.offset} bytes here`;
    return make('TP006', key, message);
  }
  return undefined;
}
