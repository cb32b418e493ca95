// The documents of a boot: every write and what else there is to tell, and what may stand at each place.
import type { QueryAnswer, Warning } from '../boot/log.ts';
import type { Runtime } from '../boot/runtime.ts';
import type { PlaceStates } from '../boot/states.ts';
import type { PokeRecord } from '../boot/text-poke.ts';
import { hex, hexBytes } from '../bytes/integer.ts';
import type { Program } from '../demand/program.ts';
import type { DebugPlaces } from '../dwarf/debug-files.ts';
import type { SourceLine } from '../dwarf/source-line.ts';
import { countGroups, countSites, moduleGroups, type SiteCounts } from '../kinds/registry.ts';
import { sourcesOf } from './boot-sources.ts';
import { jsonText } from './text.ts';

/** What `textpoke boot --json` prints (docs/boot.schema.json). */
export interface BootDocument {
  readonly schema: 'textpoke.boot/1';
  /** Names of the inputs with a space between them. */
  readonly file: string;
  /** Name of the profile whose rules were followed. */
  readonly profile: string;
  /** Entries of the image. */
  readonly sites: SiteCounts;
  /** Modules that are loaded in the end, oldest first. */
  readonly modules: readonly BootModule[];
  /** The phases of start-up in order, with the entries of their tables; absent unless a processor is given. */
  readonly phases?: readonly { readonly name: string; readonly sites?: number }[];
  /** Every write to the image and to modules, in order. */
  readonly writes: readonly BootWrite[];
  /** Answers to the steps `queryReserved`, in their order. */
  readonly reserved: readonly QueryAnswer[];
  /** Where a kernel warns and goes on (WARN), in order. */
  readonly warnings: readonly Warning[];
  /** What a person has to know though nothing was refused, in order. */
  readonly notes: readonly string[];
  /** Symbols that no object defines and that trap when called. */
  readonly undefinedSymbols: readonly string[];
  /** Why writes have no source, where line tables cannot be read. */
  readonly linesProblem?: string;
}

/** A module that is loaded. */
export interface BootModule {
  /** As a kernel has it: `a_b` of the file `a-b.ko`. */
  readonly name: string;
  /** Entries of the module. */
  readonly sites: SiteCounts;
}

/** A write of boot or of a step. */
export interface BootWrite {
  /** When it was done: `jump_label_init`, `static_call_init`, `SMP alternatives`, `run time`, or one of `phases`. */
  readonly phase: string;
  /** Instructions, or a table, a key or a relocation. */
  readonly what: 'text' | 'data';
  /** Virtual address of the first byte, `0x…`. */
  readonly address: string;
  /** The place as `symbol+0x1c`. */
  readonly symbol: string;
  /** Bytes that were replaced, two hexadecimal digits each. */
  readonly before: string;
  /** Bytes that were written, as many. */
  readonly after: string;
  /** Why, in words. */
  readonly reason: string;
  /** The key that decided, as `symbol+0x10`; absent where none did. */
  readonly key?: string;
  /** Source of the place in code, where the image or its debug file has line tables; a module's are not looked at. */
  readonly source?: SourceLine;
  /** Of the three writes of a live patch: breakpoint, tail, head; absent: one write did it. */
  readonly step?: 1 | 2 | 3;
}

/** `textpoke.boot/1`. */
export function bootJson(
  file: string,
  runtime: Runtime,
  undefinedSymbols: readonly string[],
  debug?: DebugPlaces,
): BootDocument {
  const { poker, program, log } = runtime;
  const { sources, problem } = sourcesOf(runtime, debug);
  return {
    schema: 'textpoke.boot/1',
    file,
    profile: program.profile.name,
    sites: countGroups(program),
    modules: runtime.state.modules.map((module) => {
      const counts = countGroups(module);
      return {
        name: module.name,
        sites: Object.fromEntries(moduleGroups.map(({ id }) => [id, counts[id] ?? 0])),
      };
    }),
    ...([...log.phases.values()].some((sites) => sites !== undefined) && {
      phases: Array.from(log.phases, ([name, sites]) => ({ name, ...(sites !== undefined && { sites }) })),
    }),
    writes: poker.records.map((record) => ({
      phase: record.phase,
      what: record.what,
      address: hex(record.address),
      symbol: record.symbol,
      before: hexBytes(record.before),
      after: hexBytes(record.after),
      reason: record.reason,
      ...(record.key && { key: record.key.name }),
      ...sourceOf(sources, record),
      ...(record.live ? { step: record.live.step } : {}),
    })),
    reserved: log.results,
    warnings: log.warnings,
    notes: log.notes,
    undefinedSymbols,
    ...(problem !== undefined && { linesProblem: problem }),
  };
}

function sourceOf(
  sources: ReadonlyMap<number, SourceLine>,
  { what, address }: PokeRecord,
): Pick<BootWrite, 'source'> {
  const source = what === 'text' ? sources.get(address) : undefined;
  return source ? { source: { file: source.file, line: source.line } } : {};
}

/** What a person has to know of a boot besides its record, a line each; `output` is the file that was written. */
export function bootNotes(
  { program, state, log }: Runtime,
  undefinedSymbols: readonly string[],
  output?: string,
): string[] {
  const notes: string[] = [];
  if (undefinedSymbols.length > 0) {
    notes.push(
      `${undefinedSymbols.length} symbols are undefined, and a call of an undefined symbol traps: ${undefinedSymbols.join(' ')}`,
    );
  }
  if (countSites(program) === 0 && state.modules.length === 0)
    notes.push('no table has an entry; annotate the objects before the link');
  if (output !== undefined && state.modules.length > 0)
    notes.push(`${output} contains only the image; patches in modules are not stored`);
  for (const note of new Set(log.notes)) notes.push(note);
  for (const { step, warning, about } of log.warnings)
    notes.push(`${step === undefined ? '' : `${step}: `}${about}: ${warning}`);
  return notes;
}

/** What `textpoke boot --states` prints (docs/states.schema.json). */
export interface StatesDocument {
  readonly schema: 'textpoke.states/1';
  /** Names of the inputs with a space between them. */
  readonly file: string;
  /** Name of the profile whose rules were followed. */
  readonly profile: string;
  /** Places that patching may write to, in order of address. */
  readonly places: readonly PatchablePlace[];
}

/** A place that patching may write to. */
export interface PatchablePlace {
  /** Virtual address of the first byte, `0x…`. */
  readonly address: string;
  /** The place as `symbol+0x1c`. */
  readonly symbol: string;
  /** `static branch`, `static call`, `trampoline`, `lock` or `barrier`. */
  readonly kind: string;
  /** The key that decides; absent where the number of CPUs does. */
  readonly key?: string;
  /** What may stand there, each once. */
  readonly states: readonly PlaceState[];
}

/** A byte string that may stand at a place while the program runs. */
export interface PlaceState {
  /** From the place's address on, two hexadecimal digits each. */
  readonly bytes: string;
  /** The bits of `bytes` that count; absent: all. */
  readonly mask?: string;
  /** When they stand there, in words. */
  readonly meaning: string;
}

/** `textpoke.states/1`. */
export function statesJson(
  file: string,
  { image, profile }: Program,
  places: readonly PlaceStates[],
): StatesDocument {
  return {
    schema: 'textpoke.states/1',
    file,
    profile: profile.name,
    places: places.map(({ address, kind, key, states }) => ({
      address: hex(address),
      symbol: image.describe(address),
      kind,
      ...(key === undefined ? {} : { key: image.describe(key) }),
      states: states.map(({ bytes, mask, meaning }) => ({
        bytes: hexBytes(bytes),
        ...(mask ? { mask: hexBytes(mask) } : {}),
        meaning,
      })),
    })),
  };
}

/** The document of states as text, a place a line. */
export function statesText({ places, ...head }: StatesDocument): string {
  const lines = places.map((place) => jsonText(place));
  return `${jsonText(head).slice(0, -1)},"places":[\n${lines.join(',\n')}\n]}`;
}
