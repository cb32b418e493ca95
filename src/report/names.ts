// What keys are called: in a page as dump calls them, and in a command as boot takes them.
import { hex } from '../bytes/integer.ts';
import { countUpTo } from '../bytes/search.ts';
import { staticKeysNamed } from '../demand/keys.ts';
import { ImageView } from '../dump/image-view.ts';
import { KeyOwners } from '../dump/key-owners.ts';
import type { Image } from '../image/image.ts';
import { resolveStaticKey } from '../image/names.ts';
import { type DumpedPlace, keyName } from '../kinds/shown.ts';
import { isPlainName } from './calls.ts';
import { refusalOf } from './refusal.ts';

export class KeyNames {
  private readonly image: Image;
  private readonly view: ImageView;
  private readonly owners: KeyOwners<number>;
  private readonly keys: readonly number[];
  private readonly listed: ReadonlySet<number>;

  /** `keys` are the static keys of the tables in order of address, `others` those of calls. */
  constructor(image: Image, keys: readonly number[], others: readonly number[]) {
    this.image = image;
    this.view = new ImageView(image);
    this.owners = new KeyOwners(this.view);
    this.keys = keys;
    this.listed = new Set(keys);
    for (const list of [keys, others]) for (const key of list) this.owners.note(key, this.view.place(key));
  }

  private placeOf(key: number): DumpedPlace {
    return this.owners.withOwner(key, this.view.place(key));
  }

  /** As dump has it; that of a call without the prefix of its key. */
  nameOf(key: number): string {
    return keyName(this.placeOf(key));
  }

  /** What `--enable` takes for a static key: its name where that means nothing else, or its address. */
  spellingOf(key: number): string {
    const place = this.placeOf(key);
    const name = keyName(place);
    if (!isPlainName(name)) return hex(key);
    let means: readonly number[] = [];
    const refused = refusalOf(() => {
      means =
        place.owner === undefined ? [resolveStaticKey(this.image, name, [])] : this.keysOf(name, place, key);
    });
    return refused === undefined && means.length === 1 && means[0] === key ? name : hex(key);
  }

  /** What the name of a structure means. */
  private keysOf(name: string, { symbolOffset = 0 }: DumpedPlace, key: number): readonly number[] {
    const { keys, listed, image } = this;
    const start = key - symbolOffset;
    const from = countUpTo(keys, start - 1);
    const to = countUpTo(keys, start + (image.symbolAt(start)?.size ?? 0) - 1);
    // Whether it has one key or several is all that matters.
    const inside = keys.slice(from, Math.min(to, from + 2));
    return staticKeysNamed(image, name, inside, (at) => listed.has(at));
  }
}
