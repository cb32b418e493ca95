// What verify --memory found, for people and for machines.
import { hex } from '../bytes/integer.ts';
import type { ComparedTable } from '../verify/compared.ts';
import type { LinkedKeys } from '../verify/linkage-check.ts';
import type { VerifiedMemory } from '../verify/memory.ts';
import { countOf, type Report } from '../verify/report.ts';
import { count } from './count.ts';
import { type MemoryModule, moduleLines, moduleNotes, modulesJson, tableText } from './memory-modules.ts';
import { type MemoryText, memoryTextLines, memoryTextOf } from './memory-text.ts';
import { textOf } from './text.ts';
import { explanationJson, findingsJson, findingsLater, type VerifyDocument } from './verify.ts';

/** A distance with its sign: an image may lie below the place it was linked for. */
function distance(value: number): string {
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

/** Where the image was found, and a line for each table; `isWhole`: what explains the text, and the tables of modules, too. */
export function memoryText(dump: string, verified: VerifiedMemory, isWhole = false): string {
  const { memory, slide, slideFrom } = verified.image.place;
  const cpus = verified.cpus === undefined ? '' : `; ${verified.cpus === 'one' ? 'one CPU' : 'several CPUs'}`;
  const lines = [
    `${dump}: ${memory.format}; slide ${distance(slide)}, from ${slideFrom}${cpus}`,
    ...(verified.modules?.text
      ? memoryTextLines(memoryTextOf(verified.modules.text, verified.modules.moduleTexts), isWhole)
      : []),
    ...verified.tables.map((table) => `  ${table.name}: ${tableText(table)}`),
    `  ${count(verified.keys.filter((key) => key.enabled > 0).length, 'key')} of ${verified.keys.length} enabled`,
    ...(verified.modules ? moduleLines(verified.modules, isWhole) : []),
  ];
  return textOf(lines);
}

/** What was compared in part alone, which no finding tells. */
export function memoryNotes(dump: string, { tables, modules }: VerifiedMemory): string[] {
  const partly = tables
    .filter(({ compared, missing }) => compared > 0 && missing > 0)
    .map(
      ({ name, compared, missing }) =>
        `${dump}: ${missing} of ${compared + missing} entries of ${name} are not in the dump and were not compared`,
    );
  return [...partly, ...(modules ? moduleNotes(dump, modules) : [])];
}

/** What `textpoke verify --memory SNAPSHOT --format json` prints (docs/memory.schema.json). */
export interface MemoryDocument
  extends Pick<VerifyDocument, 'errors' | 'warnings' | 'explanation' | 'findings' | 'suppressed'> {
  readonly schema: 'textpoke.memory/1';
  /** The image, by the name that it was given. */
  readonly file: string;
  /** Where the image was found in the snapshot. */
  readonly memory: MemoryPlace;
  /** How many CPUs the sites had to fit; absent where neither an option nor a site says. */
  readonly cpus?: 'one' | 'several';
  /** Tables that have entries, and the trampolines of static calls. */
  readonly tables: readonly ComparedTable[];
  /** Static keys of the branches that were compared, in order of address. */
  readonly keys: readonly MemoryKey[];
  /** Static calls whose key the snapshot has. */
  readonly calls: readonly MemoryCall[];
  /** What leads a running kernel from its keys to their sites, a row for each table; absent for what is no kernel. */
  readonly linkage?: readonly LinkedKeys[];
  /** Modules that a kernel has loaded, newest first; absent where they cannot be known. */
  readonly modules?: readonly MemoryModule[];
  /** The text of a kernel, byte for byte; absent where it cannot be replayed. */
  readonly text?: MemoryText;
}

/** Where an image lies in a snapshot. Distances are `0x…`, with a sign in front below 0. */
export interface MemoryPlace {
  /** The snapshot, by the name that it was given. */
  readonly file: string;
  /** What a person calls its format. */
  readonly format: string;
  /** By which addresses it was read. */
  readonly addresses: 'virtual' | 'physical';
  /** What is linked at A lies at A + offset in the snapshot's addresses. */
  readonly offset: string;
  /** What is linked at A ran at A + slide. */
  readonly slide: string;
  /** What the slide was told by. */
  readonly slideFrom: string;
}

/** A static key as a snapshot has it. */
export interface MemoryKey {
  /** `symbol+0x10`. */
  readonly key: string;
  /** Virtual address as linked, `0x…`. */
  readonly address: string;
  /** Its count, as static_key_count gives it. */
  readonly enabled: number;
}

/** A static call as a snapshot has it. */
export interface MemoryCall {
  /** The name given to DEFINE_STATIC_CALL. */
  readonly call: string;
  /** Virtual address of its key as linked, `0x…`. */
  readonly address: string;
  /** What it calls: `symbol+0x10`, the name of what another file defines, `NULL` or `RET0`. */
  readonly function: string;
}

/** `textpoke.memory/1`. */
export function memoryJson(report: Report, dump: string, verified: VerifiedMemory): MemoryDocument {
  return memoryDocument(report, dump, verified, findingsJson(report));
}

/** The same, whose findings are made when they are written. */
export function memoryLater(report: Report, dump: string, verified: VerifiedMemory): object {
  return memoryDocument(report, dump, verified, findingsLater(report));
}

function memoryDocument<Lists>(report: Report, dump: string, verified: VerifiedMemory, lists: Lists) {
  const { image, tables, keys, calls, cpus } = verified;
  const modules = verified.modules && modulesJson(verified.modules);
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
    ...(verified.modules && { linkage: verified.modules.linkage }),
    ...(modules && { modules }),
    ...(verified.modules?.text && {
      text: memoryTextOf(verified.modules.text, verified.modules.moduleTexts),
    }),
    ...explanationJson(report),
    errors: countOf(report, 'error'),
    warnings: countOf(report, 'warning'),
    ...lists,
  } as const;
}
