// What leads a running kernel from its keys to their sites, against the tables: who redirects it redirects the next
// toggle of the key.
import type { TableRow } from '../bytes/table.ts';
import type { Program } from '../demand/program.ts';
import type { Image } from '../image/image.ts';
import { readImageTable, tableRanges } from '../image/tables.ts';
import { trampolineKeys } from '../image/trampoline-keys.ts';
import type { LinkedKind } from '../kinds/kind.ts';
import { kinds } from '../kinds/registry.ts';
import type { MemoryImage } from '../memory/image.ts';
import type { RunningKernel } from '../memory/kernel/kernel.ts';
import type { Finding } from './finding.ts';
import { LinkageCheck, type LinkedKeys } from './linkage-check.ts';
import type { ModuleSites } from './modules.ts';

export interface Linkage {
  readonly findings: readonly Finding[];
  readonly keys: readonly LinkedKeys[];
}

/**
 * TP033, TP034, TP035. `program` is the kernel's with all its sites, as its memory has it and with the calls of its
 * modules; `linked` is its image.
 */
export function checkLinkage(
  program: Program,
  linked: Image,
  running: RunningKernel,
  modules: readonly ModuleSites[],
): Linkage {
  const image = program.image as MemoryImage;
  const findings: Finding[] = [];
  const keys: LinkedKeys[] = [];
  const broken = running.list?.broken;
  if (broken !== undefined)
    findings.push({
      rule: 'TP035',
      address: image.symbols.addressOf('modules'),
      place: 'modules',
      message: broken,
    });
  const check = new LinkageCheck(program, linked, running, modules);
  for (const kind of kinds) {
    const of = kind.link && check.keysOf(kind as LinkedKind);
    if (!of) continue;
    for (const finding of of.findings) findings.push(finding);
    keys.push(of.keys);
  }
  for (const finding of checkPairs(image, linked)) findings.push(finding);
  return { findings, keys };
}

/** TP034 of `.static_call_tramp_key`: which key a trampoline has is what the file says. */
function* checkPairs(image: MemoryImage, linked: Image): Generator<Finding> {
  const row: TableRow = trampolineKeys;
  const [range] = tableRanges(linked, row);
  if (!range || !image.has(range.start, range.end - range.start)) return;
  const now = readImageTable(image, row)[Symbol.iterator]();
  for (const { address, fields } of readImageTable(linked, row)) {
    const found: readonly number[] = now.next().value?.fields ?? [];
    if (fields.every((field, k) => field === found[k])) continue;
    const tell = ([trampoline = 0, key = 0]: readonly number[]) =>
      `${image.describe(trampoline)} with the key ${image.describe(key)}`;
    const message = `${row.name} in memory pairs ${tell(found)}; the file pairs ${tell(fields)}`;
    yield { rule: 'TP034', address, place: image.describe(address), message };
  }
}
