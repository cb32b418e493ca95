// What a person has asked explain for: an address, a name with or without an offset, a line, a key.
import { hex, parseAddress } from '../bytes/integer.ts';
import type { SourceLine } from '../dwarf/source-line.ts';
import { demangled } from '../engines/demangler.ts';
import type { Image } from '../image/image.ts';
import { splitName } from '../image/names.ts';
import { type DumpedPlace, placeName } from '../kinds/shown.ts';
import type { Shown } from './explain-model.ts';
import { keyFilter } from './key-filter.ts';

/** What the kernel puts in front of the name of a tracepoint, whose key is a member of it. */
const tracepoint = '__tracepoint_';

/** Tells whether sites, keys and lines are those that were asked for. */
export class Asked {
  readonly line: { readonly file: string; readonly line: number } | undefined;
  private readonly text: string;
  private readonly address: number | undefined;
  private readonly places = new Set<string>();
  private readonly isKey: (key: DumpedPlace) => boolean;

  constructor(text: string, image: Image | undefined) {
    this.text = text;
    const [, file, line] = /^(.+):(\d+)$/.exec(text) ?? [];
    this.line = file === undefined ? undefined : { file, line: Number(line) };
    this.address = parseAddress(text);
    this.isKey = keyFilter(text);
    const { name, offset } = splitName(text);
    // A place may be named by another of its symbols.
    for (const start of image?.symbols.addressesOf(name) ?? []) this.places.add(hex(start + (offset ?? 0)));
    if (this.address !== undefined) this.places.add(hex(this.address));
    if (offset !== undefined) this.text = offset === 0 ? name : `${name}+0x${offset.toString(16)}`;
  }

  /** Addresses that the name stands for in an image. */
  get addresses(): number[] {
    return Array.from(this.places, (address) => parseAddress(address) as number);
  }

  hasSite({ place, instruction }: Shown): boolean {
    if (place.address !== undefined && this.places.has(place.address)) return true;
    if (placeName(place) === this.text || place.symbol === this.text) return true;
    if (place.symbol !== undefined && demangled(place.symbol) === this.text) return true;
    const start = parseAddress(place.address ?? '');
    const size = (instruction?.bytes.length ?? 0) / 2;
    const { address } = this;
    return start !== undefined && address !== undefined && start <= address && address < start + size;
  }

  hasKey(key: DumpedPlace | undefined): boolean {
    if (!key) return false;
    return this.isKey(key) || this.places.has(key.address ?? '') || key.symbol === tracepoint + this.text;
  }

  hasLine(line: SourceLine | undefined): boolean {
    const { line: asked } = this;
    if (!line || !asked) return false;
    const isIt = (at: SourceLine) =>
      at.line === asked.line && (at.file === asked.file || at.file.endsWith(`/${asked.file}`));
    return [line, ...(line.inlined ?? [])].some(isIt);
  }
}
