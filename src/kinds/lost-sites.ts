// Sites of which nothing but an entry tells, held against the records that annotate left in notes: sites that a linker
// or a post-link tool has separated from their entries, and entries of code that no function is.
import { symbolPlace } from '../arch/code-map.ts';
import type { Address } from '../bytes/named-numbers.ts';
import { countUpTo } from '../bytes/search.ts';
import type { Program } from '../demand/program.ts';
import type { Site } from '../demand/sites.ts';
import { STB_LOCAL, STT_NOTYPE } from '../elf/constants.ts';
import type { Image } from '../image/image.ts';
import { kernelBanner } from '../image/kernel.ts';
import { recordsByName, unitNotes } from '../image/unit-notes.ts';
import { coverOf, type Extent, mayCover } from '../object/cover.ts';
import { bindings, hashKey, hashOfName, type SiteRecord } from '../object/unit-notes.ts';
import type { Kind } from './kind.ts';
import { kinds } from './registry.ts';

/** A site that should have an entry. */
export interface LostSite {
  readonly kind: Kind;
  readonly address: Address;
  /** True where the function is no longer the one that was annotated, so that the address is only its start. */
  readonly isMoved: boolean;
}

/** A symbol of code in an image. */
interface CodeSymbol extends Extent {
  readonly name: string;
  readonly isLocal: boolean;
  readonly section: number;
}

/** The kinds whose sites have records. */
export const recordedKinds: readonly Kind[] = kinds.filter(({ mayStand }) => mayStand);

/** True where records cannot be looked up: there are some, and no symbol says where functions lie. */
export function hasNoNames(image: Image): boolean {
  return unitNotes(image).records.length > 0 && (image.symbols.dynamicOnly || !image.symbols.table);
}

const symbolsOf = new WeakMap<Image, readonly CodeSymbol[]>();

/** Functions and labels in the code of an image. */
function codeSymbols(image: Image): readonly CodeSymbol[] {
  const known = symbolsOf.get(image);
  if (known) return known;
  const found: CodeSymbol[] = [];
  const { table, dynamicOnly } = image.symbols;
  for (let i = 1; table && !dynamicOnly && i < table.count; i++) {
    const section = table.section[i] as number;
    if (section <= 0 || !mayCover(image.arch, table, i)) continue;
    const start = symbolPlace(image.arch, table, i);
    if (!image.codeAt(start)) continue;
    const isLocal = table.binding(i) === STB_LOCAL;
    const rank = table.type(i) === STT_NOTYPE ? 0 : 1;
    found.push({ start, size: table.size[i] as number, rank, name: table.name(i), isLocal, section });
  }
  symbolsOf.set(image, found);
  return found;
}

/** The sites of annotated objects that are in an image and have no entry, in order of address. */
export function lostSites({ image, sites }: Program): LostSite[] {
  const byName = recordsByName(unitNotes(image));
  if (byName.size === 0) return [];
  const named = new Map<number, CodeSymbol[]>();
  for (const symbol of codeSymbols(image)) {
    const key = hashKey(hashOfName(symbol.name));
    if (!byName.has(key)) continue;
    const list = named.get(key);
    if (list) list.push(symbol);
    else named.set(key, [symbol]);
  }
  return recordedKinds
    .flatMap((kind) => {
      const listed = Float64Array.from(new Set<number>(sites.of(kind).map(({ address }) => address))).sort();
      return [...named].flatMap(([key, symbols]) =>
        lostOf(image, kind, byName.get(key) ?? [], symbols, listed),
      );
    })
    .sort((a, b) => a.address - b.address);
}

/** How many functions of one name and size an object's records are tried on: more of them are not told apart. */
const mostTried = 64;

/**
 * The lost sites of functions of one name. `units` are their records, one list for each object; `listed` are the sites
 * with entries, ascending. Objects may have functions of one name, and the link may have dropped some of them or made
 * one of several: each function that stands answers for one object, and the records of the others say nothing.
 */
function lostOf(
  image: Image,
  kind: Kind,
  units: readonly (readonly SiteRecord[])[],
  symbols: readonly CodeSymbol[],
  listed: Float64Array,
): LostSite[] {
  const listedIn = ({ start, size }: CodeSymbol) =>
    listed.subarray(countUpTo(listed, start - 1), countUpTo(listed, start + size));
  const open = new Map<string, CodeSymbol>();
  const bySites = new Map<string, string[]>();
  for (const one of symbols) {
    const place = `${one.start}:${one.size}`;
    if (open.has(place)) continue;
    open.set(place, one);
    const sites = [one.size >>> 0, ...Array.from(listedIn(one), (address) => address - one.start)].join();
    const places = bySites.get(sites);
    if (places) places.push(place);
    else bySites.set(sites, [place]);
  }
  const unmatched = units.filter((records) => {
    const sites = [records[0]?.size, ...records.map(({ offset }) => offset)].join();
    const own = bySites.get(sites)?.pop();
    return own === undefined || !open.delete(own);
  });
  const lost: LostSite[] = [];
  const mayBe = (address: Address) => kind.mayStand?.(image, address) === true;
  for (const records of unmatched) {
    const isGlobal = records.some(({ binding }) => binding === bindings.global);
    let tried = 0;
    for (const [place, one] of open) {
      if (records[0]?.size !== one.size >>> 0) continue;
      const missing = records
        .map(({ offset }) => one.start + offset)
        .filter((address) => listed[countUpTo(listed, address) - 1] !== address);
      if ((isGlobal && !one.isLocal) || missing.every(mayBe)) {
        open.delete(place);
        for (const address of missing) lost.push({ kind, address, isMoved: false });
        break;
      }
      if (++tried === mostTried) break;
    }
  }
  // No two objects can define one global function: what has the name and another size was made of it.
  if (!unmatched.some((records) => records.some(({ binding }) => binding === bindings.global))) return lost;
  const sizes = new Set(units.map((records) => records[0]?.size));
  for (const one of open.values()) {
    if (one.isLocal || sizes.has(one.size >>> 0) || listedIn(one).length > 0) continue;
    lost.push({ kind, address: one.start, isMoved: true });
  }
  return lost;
}

/** Sites in code that no function and no label covers, which a tool has left behind; nothing for a kernel. */
export function sitesOutsideFunctions({ image, sites }: Program): { kind: Kind; site: Site }[] {
  // A kernel has weak functions that others replace, and very many symbols.
  if (recordedKinds.every((kind) => sites.of(kind).length === 0) || kernelBanner(image) !== undefined)
    return [];
  const symbols = codeSymbols(image);
  // A linker or strip may drop all local symbols (-x).
  if (symbols.length === 0) return [];
  const found = recordedKinds.flatMap((kind) => {
    const own = sites
      .of(kind)
      .filter(({ address }) => image.codeAt(address))
      .sort((a, b) => a.address - b.address);
    const covers = coverOf(
      symbols,
      own.map(({ address }) => address),
    );
    const isInside = (cover: CodeSymbol | undefined, { address }: Site) =>
      cover && (cover.size > 0 || image.sectionAt(address)?.index === cover.section);
    return own.filter((site, i) => !isInside(covers[i], site)).map((site) => ({ kind, site }));
  });
  return found.slice(found.length === 0 ? 0 : excusesOf(image, symbols));
}

/** How many sites outside of functions are to be expected: of labels that nobody sees, and of functions without symbol. */
function excusesOf(image: Image, symbols: readonly CodeSymbol[]): number {
  const { records } = unitNotes(image);
  const hasLocal = symbols.some(({ isLocal, size }) => isLocal && size > 0);
  if (records.length === 0 && !hasLocal) return Number.POSITIVE_INFINITY;
  const sizes = new Map<number, Set<number>>();
  for (const { name, size } of symbols) {
    const key = hashKey(hashOfName(name));
    const known = sizes.get(key);
    if (known) known.add(size >>> 0);
    else sizes.set(key, new Set([size >>> 0]));
  }
  let excuses = 0;
  for (const { hash, size, binding } of records.flat()) {
    const known = sizes.get(hashKey(hash));
    const isDropped = known === undefined && binding === bindings.local && !hasLocal;
    const isReplaced = binding === bindings.weak && known !== undefined && !known.has(size);
    if (binding === bindings.none || isDropped || isReplaced) excuses++;
  }
  return excuses;
}
