// The data of an image as the views ask for it: columns with their differences added up, names made printable.
import { printable } from '../../errors.ts';
import type { BootData, ControlData, ImageData, PlacesData } from '../data.ts';

/** Bits of the column of flags (data.ts). */
const inInit = 1;
const isBranchOrTail = 2;
const isListedTwice = 4;

/** An address as people get it: the signed reading of 64 bits becomes `0x…`. */
export function hex(address: number): string {
  return `0x${address < 0 ? BigInt.asUintN(64, BigInt(address)).toString(16) : address.toString(16)}`;
}

/** `0f 1f 44 00 00`. */
export function spaced(digits: string): string {
  return digits.replace(/..(?=.)/g, '$& ');
}

const counts = new Intl.NumberFormat('en-US');

/** `26,803`. */
export function countText(count: number): string {
  return counts.format(count);
}

/** `1 site`, `26,803 sites`. */
export function countOf(count: number, noun: string, plural = `${noun}s`): string {
  return `${countText(count)} ${count === 1 ? noun : plural}`;
}

/** `20.1 MiB`. */
export function sizeText(bytes: number): string {
  if (bytes < 1024) return countOf(bytes, 'byte');
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KiB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

export class ImageModel {
  readonly data: ImageData;
  /** Absolute addresses, ascending. */
  readonly addresses: Float64Array;
  /** True where line tables tell of some places. */
  readonly hasSources: boolean;
  /** The end of a file's path. */
  readonly title: string;
  /** The directory that all source files lie in, with its last slash. */
  private readonly sourceRoot: string;
  private readonly texts: (string | undefined)[];
  private readonly placesByControl = new Map<number, number[]>();

  constructor(data: ImageData) {
    this.data = data;
    this.texts = new Array(data.strings.length);
    const differences = data.places?.address ?? [];
    this.addresses = new Float64Array(differences.length);
    let address = 0;
    differences.forEach((difference, i) => {
      address += difference;
      this.addresses[i] = address;
    });
    data.places?.control.forEach((control, place) => {
      const known = this.placesByControl.get(control);
      if (known) known.push(place);
      else this.placesByControl.set(control, [place]);
    });
    this.hasSources = data.places?.file.some((file) => file >= 0) ?? false;
    this.sourceRoot = this.commonDirectory();
    this.title = printable(data.summary.file.replace(/^.*\//, ''));
  }

  private commonDirectory(): string {
    let common: string | undefined;
    for (const file of new Set(this.data.places?.file)) {
      if (file < 0) continue;
      const name = this.string(file);
      common ??= name;
      let length = 0;
      while (length < common.length && common[length] === name[length]) length++;
      common = common.slice(0, length);
    }
    return common?.startsWith('/') ? common.slice(0, common.lastIndexOf('/') + 1) : '';
  }

  get places(): PlacesData {
    return this.data.places as PlacesData;
  }

  get boot(): BootData {
    return this.data.boot as BootData;
  }

  /** How many places there are in the columns. */
  get count(): number {
    return this.addresses.length;
  }

  /** A text of the list. Names are text, and what could mislead a reader in them is escaped. */
  string(number: number): string {
    let text = this.texts[number];
    if (text === undefined) {
      text = printable(this.data.strings[number] ?? '');
      this.texts[number] = text;
    }
    return text;
  }

  /** A byte string of the list in digits. */
  bytes(number: number): string {
    return this.data.bytes[number] ?? '';
  }

  /** `symbol+0x1c`. */
  placeName(place: number): string {
    const { symbol, offset } = this.places;
    const [name, from] = [symbol[place] as number, offset[place] as number];
    if (name < 0) return hex(this.addresses[place] as number);
    return from === 0 ? this.string(name) : `${this.string(name)}+0x${from.toString(16)}`;
  }

  /** The function alone. */
  functionName(place: number): string {
    const name = this.places.symbol[place] as number;
    return name < 0 ? '' : this.string(name);
  }

  /** `file.c:12`, from the directory that all sources lie in; undefined where no line table says. */
  source(place: number): string | undefined {
    return this.fullSource(place)?.slice(this.sourceRoot.length);
  }

  /** The same with all of the path. */
  fullSource(place: number): string | undefined {
    const { file, line } = this.places;
    const name = file[place] as number;
    return name < 0 ? undefined : `${this.string(name)}:${line[place]}`;
  }

  kindName(place: number): string {
    return this.data.kinds[this.places.kind[place] as number]?.name ?? '';
  }

  isInit(place: number): boolean {
    return ((this.places.flags[place] as number) & inInit) !== 0;
  }

  /** What else the table says of a place. */
  remarks(place: number): string[] {
    const flags = this.places.flags[place] as number;
    const kind = this.kindName(place);
    const remarks: string[] = [];
    if ((flags & isBranchOrTail) !== 0) remarks.push(kind === 'static branch' ? 'likely' : 'tail call');
    if ((flags & inInit) !== 0) remarks.push('init text');
    if ((flags & isListedTwice) !== 0) remarks.push('listed more than once');
    return remarks;
  }

  /** The places that a control decides, in order of address. */
  placesOf(control: number): readonly number[] {
    return this.placesByControl.get(control) ?? [];
  }

  /** The number of the first place whose address is not below `address`. */
  firstFrom(address: number): number {
    let [low, high] = [0, this.addresses.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.addresses[middle] as number) < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  controlName(control: ControlData): string {
    return this.string(control.name);
  }
}
