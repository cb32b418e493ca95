// The record of a boot for people: phases with counts, then each write with before, after, reason, disassembly.
import { runTime } from '../boot/passes.ts';
import type { Part, Runtime } from '../boot/runtime.ts';
import { keysInUse } from '../boot/static-key.ts';
import type { PokeRecord } from '../boot/text-poke.ts';
import { hex, hexBytes, largestOf, sameBytes } from '../bytes/integer.ts';
import type { DebugPlaces } from '../dwarf/debug-files.ts';
import type { Disassemblers } from '../engines/disassembler.ts';
import type { MismatchError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import type { Group } from '../kinds/kind.ts';
import { countGroups, groupsOf, moduleGroups } from '../kinds/registry.ts';
import { sourcesOf } from './boot-sources.ts';
import { outputColours } from './console.ts';
import { count } from './count.ts';
import { sourceText } from './findings.ts';
import { textOf } from './text.ts';

/** One instruction as text; a breakpoint's or a prefix's single byte reads as what it is. */
function disassemble(
  disassemblers: Disassemblers | undefined,
  image: Image,
  bytes: Uint8Array,
  address: number,
): string {
  const disassembler = disassemblers?.(image.instructionsAt(address));
  if (!disassembler) return '';
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const line = disassembler.one(bytes.subarray(at), address + at, (target) => image.describe(target));
    if (!line) {
      lines.push(
        image.arch.lockPrefix?.lock === bytes[at]
          ? 'lock'
          : `.byte 0x${hexBytes(bytes.subarray(at, at + 1))}`,
      );
      at++;
      continue;
    }
    lines.push(line.text);
    at += line.size;
  }
  return lines.join('; ');
}

/** Longest instruction on any machine, in bytes. */
const longest = 15;

/** Where the instruction starts that has a prefix at `address`: 66 may stand in front of a lock. */
function instructionAround(image: Image, address: number): number {
  const range = image.codeAt(address);
  if (!range) return address;
  const map = image.codeMap(range);
  for (let start = address; start > address - longest; start--) {
    if (image.arch.startsInstruction(range.code, map, start - range.address)) return start;
  }
  return address;
}

/** A prefix makes no instruction alone: show the one it belongs to. */
function instructionText(
  disassemblers: Disassemblers | undefined,
  image: Image,
  record: PokeRecord,
  bytes: Uint8Array,
): string {
  if (record.what !== 'text' || !disassemblers) return '';
  if (bytes.length > 1) return disassemble(disassemblers, image, bytes, record.address);
  const start = instructionAround(image, record.address);
  const whole = image.readUpTo(start, longest).slice();
  whole.set(bytes, record.address - start);
  const line = disassemblers(image.instructionsAt(start)).one(whole, start, (target) =>
    image.describe(target),
  );
  return line?.text ?? '';
}

/** A live patch never lets another CPU run half an instruction (text_poke_bp, smp_text_poke_single since 6.16). */
const liveSteps = { 1: 'breakpoint', 2: 'tail', 3: 'head' } as const;

/** A trace, and why places have no source line, where line tables cannot be read. */
export interface Trace {
  readonly text: string;
  readonly linesProblem: string | undefined;
}

/**
 * The trace of every write that is asked for, with source lines where the image or its debug file has them; bytes alone without
 * `disassemblers`.
 */
export function traceText(
  runtime: Runtime,
  disassemblers: Disassemblers | undefined,
  debug: DebugPlaces,
  isAsked: (record: PokeRecord) => boolean = () => true,
): Trace {
  const { image, poker } = runtime;
  const colour = outputColours();
  const lines: string[] = [];
  const { sources, problem } = sourcesOf(runtime, debug);
  let phase = '';
  for (const record of poker.records) {
    if (!isAsked(record)) continue;
    if (record.phase !== phase) {
      phase = record.phase;
      lines.push(colour.bold(phase));
    }
    const show = (sign: string, bytes: Uint8Array) => {
      const text = instructionText(disassemblers, image, record, bytes);
      lines.push(`    ${sign} ${hexBytes(bytes)}${text ? `  ${text}` : ''}`);
    };
    const { live } = record;
    if (!live || live.step === 1) {
      const source = sources.get(record.address);
      const at = source ? ` (${sourceText(source)})` : '';
      lines.push(`  ${hex(record.address)} ${colour.cyan(record.symbol)}${at}: ${record.reason}`);
      show('-', live?.before ?? record.before);
      show('+', live?.after ?? record.after);
    }
    if (live) {
      const offset = live.step === 2 ? live.after.length - record.after.length : 0;
      const step = `${live.step} of 3: ${liveSteps[live.step]}`;
      lines.push(`      ${step.padEnd(18)} ${'  '.repeat(offset)}${hexBytes(record.after)}`);
    }
  }
  return { text: textOf(lines), linesProblem: problem };
}

/** `3 static branches`, by group; groups without sites are left out where another has some. */
function groupsText(part: Part, groups: readonly Group[]): string {
  const counts = countGroups(part);
  const some = groups.filter(({ id }) => (counts[id] ?? 0) > 0);
  const shown = some.length > 0 ? some : groups.slice(0, 1);
  return shown.map(({ id, noun }) => count(counts[id] ?? 0, noun)).join(', ');
}

/** What each phase of boot deals with. */
function phaseSubjects({ program, log }: Runtime): Map<string, string> {
  const subjects = [...log.phases].map(([phase, sites]): [string, string] => [
    phase,
    sites === undefined
      ? groupsText(
          program,
          groupsOf((kind) => kind.phase === phase),
        )
      : count(sites, 'site'),
  ]);
  return new Map([...subjects, [runTime, 'steps']]);
}

/** How many keys and calls are named before the rest is only counted. */
const shownChanges = 8;

/** The keys and calls that are otherwise than they were before boot. */
function changes(runtime: Runtime): string[] {
  const { poker, program } = runtime;
  const keys = new Set([...program.calls.keys(), ...keysInUse(runtime)]);
  const first = new Map<number, PokeRecord>();
  const last = new Map<number, PokeRecord>();
  for (const record of poker.records) {
    if (record.what !== 'data' || !keys.has(record.address)) continue;
    if (!first.has(record.address)) first.set(record.address, record);
    last.set(record.address, record);
  }
  const texts: string[] = [];
  for (const [address, { reason, after }] of last) {
    if (!sameBytes((first.get(address) as PokeRecord).before, after)) texts.push(reason);
  }
  const more = texts.length - shownChanges;
  return more > 0 ? [...texts.slice(0, shownChanges), `and ${more} more`] : texts;
}

/** Phases with counts, modules, and what changed. */
export function bootSummary(runtime: Runtime): string {
  const subjects = phaseSubjects(runtime);
  const phases = new Map(Array.from(subjects.keys(), (name) => [name, { text: 0, data: 0 }]));
  for (const record of runtime.poker.records) {
    const counts = phases.get(record.phase);
    if (counts) counts[record.what]++;
  }
  const width = largestOf([16, ...Array.from(phases.keys(), (name) => name.length)]);
  const lines = [...phases].map(
    ([name, { text, data }]) =>
      `${name.padEnd(width)} ${(subjects.get(name) ?? '').padEnd(22)} ${count(text, 'text write')}, ${count(data, 'data write')}`,
  );
  const { profile } = runtime.program;
  if (profile.version) lines.push(`${'profile'.padEnd(16)} ${profile.name}`);
  for (const module of runtime.state.modules) {
    const counts = countGroups(module);
    const sites = moduleGroups.map(({ id, noun }) => count(counts[id] ?? 0, noun));
    lines.push(`${'module'.padEnd(16)} ${module.name}: ${sites.join(', ')}`);
  }
  for (const { step, reserved } of runtime.log.results) {
    const owners = Object.entries(reserved).flatMap(([what, is]) => (is ? [what] : []));
    lines.push(`${'reserved'.padEnd(16)} ${step}: ${owners.length > 0 ? owners.join(', ') : 'no'}`);
  }
  for (const text of changes(runtime)) lines.push(`${'changed'.padEnd(16)} ${text}`);
  return textOf(lines);
}

/** How many places are shown before the rest is only counted. */
const shownMismatches = 20;

/** Places that were not what they had to be: bytes found and allowed, with their disassembly where there is one. */
export function mismatchLines(
  error: MismatchError,
  image: Image,
  disassemblers: Disassemblers | undefined,
): string[] {
  const lines: string[] = [];
  for (const mismatch of error.mismatches.slice(0, shownMismatches)) {
    const show = (bytes: Uint8Array) =>
      `${hexBytes(bytes)}  ${disassemble(disassemblers, image, bytes, mismatch.address)}`.trimEnd();
    lines.push(`  ${hex(mismatch.address)} ${mismatch.name}: ${mismatch.reason}`);
    lines.push(`    found    ${show(mismatch.found)}`);
    for (const { bytes, meaning } of mismatch.allowed)
      lines.push(`    required ${show(bytes)}  (${meaning})`);
  }
  const more = error.mismatches.length - shownMismatches;
  if (more > 0) lines.push(`  and ${count(more, 'further place')}`);
  return lines;
}
