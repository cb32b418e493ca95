// What verify --memory found, for people and for machines.
import { hex } from '../bytes/integer.ts';
import type { ComparedTable, VerifiedMemory } from '../verify/memory.ts';
import type { Report } from '../verify/report.ts';
import { count } from './console.ts';
import { findingJson } from './verify.ts';

/** A distance with its sign: an image may lie below the place it was linked for. */
function distance(value: number): string {
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

function tableLine({ name, compared, init, missing, mismatches }: ComparedTable): string {
  const left = [init > 0 ? `${init} in init memory` : '', missing > 0 ? `${missing} not in the dump` : ''];
  const leftOut = left.filter((text) => text !== '').join(', ');
  return `  ${name}: ${compared} compared, ${mismatches} wrong${leftOut ? ` (left out: ${leftOut})` : ''}`;
}

/** Where the image was found, and a line for each table. */
export function memoryText(dump: string, verified: VerifiedMemory): string {
  const { memory, slide, slideFrom } = verified.image.place;
  const cpus = verified.cpus === undefined ? '' : `; ${verified.cpus === 'one' ? 'one CPU' : 'several CPUs'}`;
  const lines = [
    `${dump}: ${memory.format}; slide ${distance(slide)}, from ${slideFrom}${cpus}`,
    ...verified.tables.map(tableLine),
    `  ${count(verified.keys.filter((key) => key.enabled > 0).length, 'key')} of ${verified.keys.length} enabled`,
  ];
  return `${lines.join('\n')}\n`;
}

/** `textpoke.memory/1`. */
export function memoryJson(report: Report, dump: string, verified: VerifiedMemory): unknown {
  const { image, tables, keys, calls, cpus } = verified;
  const { memory, offset, slide, slideFrom } = image.place;
  return {
    schema: 'textpoke.memory/1',
    file: report.file,
    memory: {
      file: dump,
      format: memory.format,
      addresses: memory.addresses,
      offset: distance(offset),
      slide: distance(slide),
      slideFrom,
    },
    ...(cpus === undefined ? {} : { cpus }),
    tables,
    keys: keys.map(({ address, enabled }) => ({
      key: image.describe(address),
      address: hex(address),
      enabled,
    })),
    calls: calls.map(({ name, address, value }) => ({ call: name, address: hex(address), function: value })),
    findings: report.findings.map(findingJson),
    suppressed: report.suppressed.map(({ finding, reason }) => ({ ...findingJson(finding), reason })),
  };
}
