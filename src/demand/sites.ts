// The sites of one image, by kind: read once, never changed; other lists make another object.
import type { Address, EntryAddress } from '../bytes/named-numbers.ts';
import type { Image } from '../image/image.ts';

/** A site that a table lists. There may be hundreds of thousands, so an entry keeps nothing but where it stands. */
export interface Site {
  readonly entry: { readonly address: EntryAddress };
  /** Place of the instruction or prefix. */
  readonly address: Address;
}

/** A site whose instruction follows the value of a key. */
export interface KeyedSite extends Site {
  /** Address of the `struct static_key` or `struct static_call_key`. */
  readonly key: Address;
}

/** How the sites of a kind are told apart from others, and read; the whole row is in kinds/kind.ts. */
export interface SiteKind<S extends Site = Site> {
  /** Name of the table in JSON. */
  readonly id: string;
  /** Every site that the image's table lists, in the table's order. Error `table-malformed`. */
  read(image: Image): readonly S[];
}

export class SiteLists {
  private readonly lists: ReadonlyMap<string, readonly Site[]>;

  constructor(lists: ReadonlyMap<string, readonly Site[]>) {
    this.lists = lists;
  }

  /** The sites of a kind; none where the lists do not have it. */
  of<S extends Site>({ id }: SiteKind<S>): readonly S[] {
    return (this.lists.get(id) ?? []) as readonly S[];
  }

  /** The same with other sites of one kind. */
  with<S extends Site>({ id }: SiteKind<S>, sites: readonly S[]): SiteLists {
    return new SiteLists(new Map(this.lists).set(id, sites));
  }

  /** The same without the sites of some entries, by the entries' addresses. */
  without(entries: ReadonlySet<EntryAddress>): SiteLists {
    if (entries.size === 0) return this;
    const sound = ({ entry }: Site) => !entries.has(entry.address);
    return new SiteLists(new Map(Array.from(this.lists, ([id, sites]) => [id, sites.filter(sound)])));
  }
}

/** Reads the tables of every kind. Error `table-malformed`. */
export function readSites(image: Image, kinds: readonly SiteKind[]): SiteLists {
  return new SiteLists(new Map(kinds.map((kind) => [kind.id, kind.read(image)])));
}
