// Every place of an image that its tables list, and every trampoline, as columns in order of address: what it is, where it
// is, and what stands there in the file. All of it is asked of the image before boot writes to it.
import { placeOf } from '../arch/code-pointer.ts';
import { largestOf } from '../bytes/integer.ts';
import { keySize } from '../demand/keys.ts';
import type { Program } from '../demand/program.ts';
import type { SourceLines } from '../dwarf/source-lines.ts';
import type { Image } from '../image/image.ts';
import { literalTrampolineSize, type StaticCall } from '../image/static-calls.ts';
import { keyOf } from '../kinds/kind.ts';
import { kinds } from '../kinds/registry.ts';
import type { KindData, PlacesData } from './data.ts';
import type { InstructionTexts } from './instructions.ts';
import type { Pools } from './pools.ts';

/** A place, before it becomes a row of the columns. */
export interface Place {
  readonly address: number;
  /** Bytes that patching changes at once. */
  readonly size: number;
  readonly kind: number;
  /** Address of the key that decides; undefined: the number of CPUs, or nothing. */
  readonly key: number | undefined;
  /** As in `PlacesData.flags`. */
  flags: number;
}

/** The places of an image, and how many of each kind. */
export interface FoundPlaces {
  readonly places: readonly Place[];
  readonly kinds: readonly KindData[];
}

const inInit = 1;
const isBranchOrTail = 2;
const isListedTwice = 4;

/** A call's trampoline that lies in the image. */
export function trampolinesOf({ image, calls }: Program): (StaticCall & { readonly place: number })[] {
  return [...calls.values()].flatMap((call) => {
    if (call.trampoline === undefined || !image.contains(call.key, keySize(image))) return [];
    const place = placeOf(image.arch, call.trampoline);
    return image.contains(place, image.arch.trampolineSize) ? [{ ...call, place }] : [];
  });
}

/** How many places a program has at most, entries that repeat one another included. */
export function countPlaces(program: Program): number {
  const listed = kinds.reduce((sum, kind) => sum + program.sites.of(kind).length, 0);
  return listed + trampolinesOf(program).length;
}

/** Finds them, in order of address. */
export function findPlaces(program: Program): FoundPlaces {
  const { image, sites } = program;
  const found: Place[] = [];
  const rows: { name: string; plural: string; count: number }[] = [];
  const numberOf = (name: string, plural: string): number => {
    const at = rows.findIndex((row) => row.name === name);
    return at >= 0 ? at : rows.push({ name, plural, count: 0 }) - 1;
  };
  for (const kind of kinds) {
    const listed = sites.of(kind);
    if (listed.length === 0) continue;
    const number = numberOf(kind.group?.state ?? kind.name, kind.plural);
    for (const site of listed) {
      const { address } = site;
      const { branch, tail } = site as { branch?: boolean; tail?: boolean };
      found.push({
        address,
        size: Math.max(1, kind.sizeOf(image, site)),
        kind: number,
        key: keyOf(site),
        flags: (image.isInitText(address) ? inInit : 0) + (branch || tail ? isBranchOrTail : 0),
      });
    }
  }
  for (const { place, key, trampoline, literal } of trampolinesOf(program)) {
    const { branchSizes } = image.arch.instructionsOf(trampoline as number);
    const size = literal === undefined ? largestOf(branchSizes) : literalTrampolineSize;
    found.push({ address: place, size, kind: numberOf('trampoline', 'trampolines'), key, flags: 0 });
  }
  found.sort((a, b) => a.address - b.address || a.kind - b.kind);
  const places: Place[] = [];
  for (const place of found) {
    const last = places.at(-1);
    // Folded code has several entries for one site.
    if (last && last.address === place.address && last.kind === place.kind && last.key === place.key) {
      last.flags |= isListedTwice;
      continue;
    }
    places.push(place);
    (rows[place.kind] as { count: number }).count++;
  }
  return { places, kinds: rows };
}

/** The columns, and what does not become one. */
export interface PlacesWithAround {
  readonly data: PlacesData;
  /** For each place. */
  readonly around: readonly Around[];
}

/** Makes the columns. `controlOf` numbers keys; `lines` are those of the places. */
export function placesData(
  image: Image,
  places: readonly Place[],
  controlOf: (key: number | undefined) => number,
  pools: Pools,
  texts: InstructionTexts,
  lines: SourceLines['lines'],
): PlacesWithAround {
  const column = (value: (place: Place, number: number) => number): number[] => places.map(value);
  const around = places.map((place) => instructionAround(image, place, texts));
  const symbols = places.map(({ address }) => nameAt(image, address));
  const data: PlacesData = {
    address: column(({ address }, i) => (i === 0 ? address : address - (places[i - 1] as Place).address)),
    kind: column(({ kind }) => kind),
    control: column(({ key }) => controlOf(key)),
    symbol: symbols.map(({ name }) => (name === undefined ? -1 : pools.string(name))),
    offset: symbols.map(({ offset }) => offset),
    file: lines.map((line) => (line ? pools.string(line.file) : -1)),
    line: lines.map((line) => line?.line ?? 0),
    flags: column(({ flags }) => flags),
    built: column(({ address, size }) => pools.bytes(image.readUpTo(address, size))),
    builtText: column(({ address, size }, i) => {
      const { lead, rest } = around[i] as Around;
      const bytes = joined(lead, image.readUpTo(address, size), rest);
      return texts.of(bytes, address - lead.length);
    }),
    lead: around.map(({ lead }) => (lead.length === 0 ? -1 : pools.bytes(lead))),
    rest: around.map(({ rest }) => (rest.length === 0 ? -1 : pools.bytes(rest))),
  };
  return { data, around };
}

/** The symbol that holds a place; where none does, the offset counts from the section. */
function nameAt(image: Image, address: number): { name: string | undefined; offset: number } {
  const section = image.sectionAt(address);
  const near = image.symbolAt(address);
  const start = section?.addr ?? 0;
  if (near && (near.offset === 0 || !section || section.index === near.section))
    return { name: near.name, offset: near.offset };
  return { name: section?.name, offset: address - start };
}

/** Bytes of the same instruction in front of a place and behind it. */
export interface Around {
  readonly lead: Uint8Array;
  readonly rest: Uint8Array;
}

const nothing: Around = { lead: new Uint8Array(0), rest: new Uint8Array(0) };
/** Prefixes that may stand in front of a lock: sizes, segments, repetitions. */
const prefixes = new Set([0x66, 0x67, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0xf2, 0xf3]);
const mostPrefixes = 4;

/** The rest of the instruction that a place of one byte belongs to, where something decodes it: a lock is a prefix. */
function instructionAround(image: Image, { address, size }: Place, texts: InstructionTexts): Around {
  if (size !== 1 || !image.arch.lockPrefix) return nothing;
  const start = instructionStart(image, address);
  const length = texts.sizeAt(start) ?? 0;
  const at = address - start;
  if (length <= at) return nothing;
  const bytes = image.readUpTo(start, length);
  return { lead: bytes.slice(0, at), rest: bytes.slice(at + 1, length) };
}

/** Where the instruction of a prefix begins: nearly always with it. */
function instructionStart(image: Image, address: number): number {
  const [before] = image.readUpTo(address - 1, 1);
  if (before === undefined || !prefixes.has(before) || image.isInstructionStart(address)) return address;
  for (let start = address - 1; start >= address - mostPrefixes; start--)
    if (image.isInstructionStart(start)) return start;
  return address;
}

/** Byte strings one behind the other. */
export function joined(lead: Uint8Array, bytes: Uint8Array, rest: Uint8Array): Uint8Array {
  if (lead.length + rest.length === 0) return bytes;
  const all = new Uint8Array(lead.length + bytes.length + rest.length);
  all.set(lead);
  all.set(bytes, lead.length);
  all.set(rest, lead.length + bytes.length);
  return all;
}
