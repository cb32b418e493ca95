// Which entries of tables can be compared with a memory, and what became of them.
import { keySize } from '../demand/keys.ts';
import type { MemoryImage } from '../memory/image.ts';
import type { Finding } from './finding.ts';

/** What became of the entries of a table. */
export interface ComparedTable {
  /** Section name of the table, or `trampolines`. */
  readonly name: string;
  /** Entries whose site and key are there. */
  readonly compared: number;
  /** In memory that the kernel gives back once it has started. */
  readonly init: number;
  /** Not in the dump, or their key is not. */
  readonly missing: number;
  /** Places among the compared that findings are about. */
  readonly mismatches: number;
}

export interface Counted {
  readonly name: string;
  compared: number;
  init: number;
  missing: number;
  /** Of the missing, those whose code is not in the dump. */
  missingCode: number;
  readonly places: Set<number>;
}

/** Parts the sites of tables into those that can be compared and those that cannot. */
export class Sieve {
  /** Sites that cannot be compared, by their addresses. */
  readonly leftOut = new Set<number>();
  readonly counted: Counted[] = [];
  private readonly image: MemoryImage;
  private readonly isFreed: (address: number) => boolean;

  /** `isFreed` says which memory was given back. */
  constructor(image: MemoryImage, isFreed: (address: number) => boolean) {
    this.image = image;
    this.isFreed = isFreed;
  }

  /** The sites of a table that can be compared; `size` is how many bytes each takes at most. */
  compare<S extends { readonly address: number }>(
    name: string,
    sites: readonly S[],
    size: number,
    keyOfSite: (site: S) => number | undefined,
  ): S[] {
    const count: Counted = { name, compared: 0, init: 0, missing: 0, missingCode: 0, places: new Set() };
    const kept = sites.filter((site) => {
      const key = keyOfSite(site);
      if (this.isFreed(site.address)) count.init++;
      else if (!this.isHere(site.address, size)) {
        count.missing++;
        count.missingCode++;
      } else if (key !== undefined && !this.isHere(key, keySize(this.image))) count.missing++;
      else {
        count.compared++;
        count.places.add(site.address);
        return true;
      }
      this.leftOut.add(site.address);
      return false;
    });
    if (sites.length > 0) this.counted.push(count);
    return kept;
  }

  private isHere(address: number, size: number): boolean {
    return !this.image.contains(address, size) || this.image.has(address, size);
  }

  /** What became of each table, once findings are known. */
  tables(findings: readonly Finding[]): ComparedTable[] {
    const wrong = new Set(findings.map(({ address }) => address));
    return this.counted.map(({ places, missingCode: _, ...count }) => ({
      ...count,
      mismatches: [...places].filter((address) => wrong.has(address)).length,
    }));
  }
}
