// What alternatives may make of their places: the replay of src/text/x86-64/alternatives.ts, once for each set of the features
// that the entries of a place ask for, and once for each form of the branches and returns in what is replaced or replaces.
import { readS32 } from '../../arch/x86-64/length.ts';
import { largestOf } from '../../bytes/integer.ts';
import { countUpTo } from '../../bytes/search.ts';
import { TextpokeError } from '../../errors.ts';
import type { Alternative } from '../../image/alternatives.ts';
import type { Image } from '../../image/image.ts';
import { Texts } from '../../text/expected.ts';
import type { PassNote } from '../../text/pass.ts';
import { AlternativeReplay, endOfPlace } from '../../text/x86-64/alternatives.ts';
import { setS32 } from '../../text/x86-64/branches.ts';
import { featureAlways } from '../../text/x86-64/features.ts';
import { nopStyles } from '../../text/x86-64/nops.ts';
import { distanceSize, withFields } from '../builder.ts';
import type { PolicyState, StateField } from '../policy.ts';
import { type InnerSite, innerSites, type Mode, someOutside } from './inner.ts';
import { functionStarts, type KernelFile, memoryOf, symbolsOf } from './kernel.ts';
import { operationTargets } from './operations.ts';
import { OneTarget, ToldText, type Written } from './told.ts';

/** More features than the entries of one place ask for. */
const mostFeatures = 8;
/** Kernels make some 12 ranges anew for each entry; a table of few entries may need more for one of them. */
const rangesPerEntry = 64;
const fewestRanges = 1 << 18;
/** Bytes whose sum with an address of the image has no carry out of 32 bits, and whose two upper bytes are not 0. */
const someSlide = 0x1260_0000;

/** Adds the places of all alternatives, and returns them. Error `too-large`: one can be made in too many ways. */
export function addAlternatives(kernel: KernelFile): number[] {
  const entries = kernel.subject.state.alternatives?.listed ?? [];
  const enumeration = new Enumeration(kernel);
  const places: number[] = [];
  for (let i = 0; i < entries.length; ) {
    const end = endOfPlace(entries, i);
    enumeration.place(entries, i, end);
    places.push((entries[i] as Alternative).address);
    i = end;
  }
  return places;
}

/** Where some writes are that have the same length, what they may be, and how often one run makes them. */
interface Place {
  readonly address: number;
  readonly states: PolicyState[];
  times: number;
}

/** What a run is made with: nothing of it changes how long anything is. */
interface World {
  readonly slide: number;
  /** Which of two places outside of the image stands for code of which only that is known. */
  readonly outside: 0 | 1;
  /** What operations lead to. */
  readonly operation: number;
}

/** A range of text that a run reads or writes. */
interface Range {
  readonly text: ToldText;
  readonly start: number;
  readonly end: number;
  readonly sites: readonly InnerSite[];
}

class Enumeration {
  private readonly kernel: KernelFile;
  private readonly texts: Texts;
  private readonly on = new Set<number>();
  private readonly pointers: OneTarget;
  private readonly replays: readonly AlternativeReplay[];
  private readonly notes: PassNote[] = [];
  /** Ranges that runs may still make anew. */
  private left: number;
  private readonly inner: ReturnType<typeof innerSites>;
  /** Operations: one that does nothing, and two functions whose addresses differ in the lowest byte. */
  private readonly operations: { readonly nothing: number | undefined; readonly some: readonly number[] };

  constructor(kernel: KernelFile) {
    this.kernel = kernel;
    const { subject, image } = kernel;
    this.texts = new Texts(subject.texts.all.map(({ name, start, file }) => new ToldText(name, start, file)));
    this.pointers = new OneTarget(memoryOf(image), image);
    const state = {
      ...subject.state,
      has: (feature: number) => feature === featureAlways || this.on.has(feature),
      reader: this.pointers,
    };
    const told = { ...subject, texts: this.texts, state };
    this.replays = nopStyles(image, state).map((style) => new AlternativeReplay(told, style, this.notes));
    this.inner = innerSites(kernel);
    this.left = fewestRanges + rangesPerEntry * (subject.state.alternatives?.count ?? 0);
    this.operations = { nothing: image.symbols.addressOf('nop_func'), some: twoFunctions(image) };
  }

  /** The entries [from, to) of one place. */
  place(entries: readonly Alternative[], from: number, to: number): void {
    const { kernel } = this;
    const group = entries.slice(from, to);
    const { address } = group[0] as Alternative;
    const features = [...new Set(group.map(({ feature }) => feature))].filter((one) => one !== featureAlways);
    if (features.length > mostFeatures)
      throw new TextpokeError(
        'too-large',
        `the alternatives of ${kernel.image.describe(address)} ask for ${features.length} features; at most ${mostFeatures} are gone through`,
        { file: kernel.image.file.path },
      );
    const ranges = this.rangesOf(group);
    const sites = ranges.flatMap((range) => range.sites);
    const direct = group.some(({ isDirectCall }) => isDirectCall);
    const [some, other] = this.operations.some as [number, number];
    const slot = this.slotOf(address);
    const { nothing } = this.operations;
    const mayDoNothing =
      direct &&
      kernel.builder.target(operationTargets(kernel, slot)).addresses.includes(nothing ?? Number.NaN);
    const operations = mayDoNothing && nothing !== undefined ? [nothing, some] : [some];
    const found = new Map<string, Place>();
    for (let set = 0; set < 2 ** features.length; set++) {
      this.on.clear();
      for (const [i, feature] of features.entries()) if ((set >> i) & 1) this.on.add(feature);
      for (const mode of this.inner.modesOf(sites))
        for (const operation of operations)
          for (const replay of this.replays) {
            const run = (world: Partial<World>) =>
              this.run(replay, entries, from, to, ranges, mode, {
                slide: 0,
                outside: 0,
                operation,
                ...world,
              });
            const written = run({});
            const slid = this.isMoved(ranges) ? run({ slide: someSlide }) : written;
            const elsewhere = this.inner.leadsOutside(sites, mode) ? run({ outside: 1 }) : written;
            const called = direct && operation === some ? run({ operation: other }) : written;
            const times = new Map<Place, number>();
            for (const [i, { address: at, bytes }] of written.entries()) {
              const of = (writes: readonly Written[]) => (writes[i] as Written).bytes;
              const fields = [
                ...this.addressFields(bytes, of(slid)),
                ...this.branchFields(bytes, of(elsewhere), someOutside[1] - someOutside[0], () =>
                  symbolsOf(kernel, 'outside', [], true),
                ),
                ...this.branchFields(bytes, of(called), other - some, () => operationTargets(kernel, slot)),
              ];
              const key = `${at} ${bytes.length}`;
              const place = found.get(key) ?? { address: at, states: [], times: 0 };
              found.set(key, place);
              place.states.push(withFields(bytes, fields));
              times.set(place, (times.get(place) ?? 0) + 1);
            }
            for (const [place, count] of times) place.times = Math.max(place.times, count);
          }
    }
    for (const { address: at, states, times } of found.values())
      kernel.builder.add(at, 'alternative', 'start-up', states, times);
  }

  /** The pointer of an operation that the call at a place goes through: call *slot(%rip). */
  private slotOf(address: number): number {
    const code = this.texts.holding(address, 6)?.at(address, 6);
    return code?.[0] === 0xff && code[1] === 0x15 ? address + 6 + readS32(code, 2) : address;
  }

  private rangesOf(group: readonly Alternative[]): Range[] {
    const { address } = group[0] as Alternative;
    const longest = largestOf(group.map(({ length }) => length));
    const all = [
      [address as number, longest] as const,
      ...group.map((one) => [one.replacement as number, one.replacementLength] as const),
    ];
    return all.flatMap(([start, length]) => {
      const text = length === 0 ? undefined : (this.texts.holding(start, length) as ToldText | undefined);
      if (!text) return [];
      return [{ text, start, end: start + length, sites: this.inner.between(start, start + length) }];
    });
  }

  /** Carries the entries out once; what they write, in order. */
  private run(
    replay: AlternativeReplay,
    entries: readonly Alternative[],
    from: number,
    to: number,
    ranges: readonly Range[],
    mode: Mode,
    world: World,
  ): Written[] {
    for (const { text, start, end, sites } of ranges) {
      const at = start - text.start;
      text.bytes.set(text.file.subarray(at, end - text.start), at);
      if (world.slide !== 0) this.slideRange(text, start, end, world.slide);
      for (const site of sites) {
        const bytes = this.inner.bytesOf(site, mode, world.outside);
        if (bytes && site.address + bytes.length <= text.end)
          text.bytes.set(bytes, site.address - text.start);
      }
    }
    this.pointers.target = world.operation;
    this.left -= ranges.length;
    if (this.left < 0)
      throw new TextpokeError(
        'too-large',
        'the alternatives of the kernel can be made in more ways than those of any kernel',
        { file: this.kernel.image.file.path },
      );
    const written: Written[] = [];
    const [first] = ranges;
    if (!first) return written;
    first.text.told = (write) => written.push(write);
    replay.place(entries, from, to);
    first.text.told = () => undefined;
    for (const { text, start, end } of ranges)
      text.bytes.set(text.file.subarray(start - text.start, end - text.start), start - text.start);
    return written;
  }

  private *movedIn({
    start,
    end,
  }: Pick<Range, 'start' | 'end'>): Generator<readonly [place: number, sign: 1 | -1]> {
    const { lists } = this.kernel;
    const rows = [
      [lists?.relocs32, 1],
      [lists?.relocs64, 1],
      [lists?.inverse32, -1],
    ] as const;
    for (const [places, sign] of rows)
      for (let i = places ? countUpTo(places, start - 1) : 0; places && i < places.length; i++) {
        const place = places[i] as number;
        if (place + distanceSize > end) break;
        yield [place, sign];
      }
  }

  private isMoved(ranges: readonly Range[]): boolean {
    return ranges.some((range) => !this.movedIn(range).next().done);
  }

  private slideRange(text: ToldText, start: number, end: number, slide: number): void {
    for (const [place, sign] of this.movedIn({ start, end }))
      setS32(text.bytes, place - text.start, (readS32(text.bytes, place - text.start) + sign * slide) | 0);
  }

  /** Fields that grew with the slide, or shrank. */
  private addressFields(bytes: Uint8Array, slid: Uint8Array): StateField[] {
    const fields: StateField[] = [];
    for (let i = 0; i < bytes.length; i++) {
      if (bytes[i] === slid[i]) continue;
      // The two lower bytes of the slide are 0.
      const at = i - 2;
      const grown = at < 0 ? 0 : (readS32(slid, at) - readS32(bytes, at)) | 0;
      if (grown !== someSlide && grown !== -someSlide) this.fail('moves by something else than the slide');
      fields.push({ at, is: 'address', sign: grown > 0 ? 1 : -1 });
      i = at + distanceSize - 1;
    }
    return fields;
  }

  /** Distances that differ by so much because what they lead to is somewhere else. */
  private branchFields(
    bytes: Uint8Array,
    other: Uint8Array,
    difference: number,
    targets: () => number,
  ): StateField[] {
    const fields: StateField[] = [];
    for (let at = 0; at < bytes.length; at++) {
      if (bytes[at] === other[at]) continue;
      const fits = at + distanceSize <= bytes.length;
      if (!fits || ((readS32(other, at) - readS32(bytes, at) - difference) | 0) !== 0)
        this.fail('leads to something else than what it calls');
      fields.push({ at, is: 'branch', targets: targets() });
      at += distanceSize - 1;
    }
    return fields;
  }

  private fail(what: string): never {
    throw new TextpokeError('table-malformed', `the code of an alternative ${what}`, {
      file: this.kernel.image.file.path,
      section: '.altinstructions',
    });
  }
}

/** Two functions whose addresses differ in the lowest byte. */
function twoFunctions(image: Image): number[] {
  const starts = functionStarts(image).filter(
    (start) => image.symbolAt(start)?.offset === 0 && image.codeAt(start),
  );
  const some = starts[0] ?? 0;
  const other = starts.find((start) => ((start - some) & 0xff) !== 0) ?? some;
  return [some, other];
}
