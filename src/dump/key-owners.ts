// Names keys by what they belong to: the key of a tracepoint stands in its structure, and nobody calls it by its offset.
import type { DumpedPlace } from '../kinds/shown.ts';
import type { Identity } from './groups.ts';
import type { TableView } from './view.ts';

/** A tracepoint, which has one key (`struct tracepoint` of include/linux/tracepoint-defs.h). */
const tracepoint = /^__tracepoint_/;

/** The keys of a file by the structures that hold them; complete once all entries were gone through. */
export class KeyOwners<Place> {
  private readonly view: TableView<Place>;
  /** The key in each structure; undefined where there are several. */
  private readonly held = new Map<Identity, Identity | undefined>();

  constructor(view: TableView<Place>) {
    this.view = view;
  }

  /** Takes note of a key, whether it is shown or not. */
  note(key: Place, named: DumpedPlace): void {
    if (!this.isMember(key, named)) return;
    const identity = this.view.identify(key);
    const owner = this.view.identify(this.view.startOf(key, named));
    const known = this.held.has(owner) ? this.held.get(owner) : identity;
    this.held.set(owner, known === identity ? identity : undefined);
  }

  /** The key with its owner's name, where it is the only one there. */
  withOwner(key: Place, named: DumpedPlace): DumpedPlace {
    const { symbol } = named;
    if (symbol === undefined || !this.isMember(key, named)) return named;
    const owner = this.view.identify(this.view.startOf(key, named));
    return this.held.get(owner) === this.view.identify(key) ? { ...named, owner: symbol } : named;
  }

  /** True for a key inside of a structure. The second key of an array is called by its offset. */
  private isMember(key: Place, { symbol, symbolOffset = 0 }: DumpedPlace): boolean {
    if (symbol === undefined || symbolOffset <= 0) return false;
    if (tracepoint.test(symbol)) return true;
    const size = this.view.sizeAround(key);
    const keySize = 2 * this.view.arch.wordSize;
    const isArray = size % keySize === 0 && symbolOffset % keySize === 0;
    return !isArray && symbolOffset + keySize <= size;
  }
}
