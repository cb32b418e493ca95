// Offsets and sizes of a kernel's structures, from the types that it carries (BTF: Documentation/bpf/btf.rst). A kernel has
// them in `.BTF`, between __start_BTF and __stop_BTF. Modules' types, which count on from the kernel's, are not read.
import { CallTypes } from './btf/calls.ts';
import { kinds, modifiers, typeSize } from './btf/kinds.ts';
import { BtfTypes } from './btf/types.ts';

/** A member of a structure or union. */
export interface BtfMember {
  /** Bytes from the start of the structure that was asked for; of a bit field, the byte that has its first bit. */
  readonly offset: number;
  /** Bytes of the whole member: of an array, of all its elements. */
  readonly size: number;
  /** As C writes it, without struct, union and enum: `list_head`, `u32`, `jump_entry *`; of an array, the element's. */
  readonly typeName: string;
  /** Elements of an array; of one with several dimensions, of the first. */
  readonly elements?: number;
  /** Bits from the start of the byte at `offset`, and their number: of a bit field. */
  readonly bitOffset?: number;
  readonly bitSize?: number;
}

/** Modifiers and dimensions in a row; more are taken for a circle. */
const deepest = 64;

const tagged: ReadonlySet<number> = new Set([kinds.struct, kinds.union, kinds.enum, kinds.enum64]);
const plain: ReadonlySet<number> = new Set([kinds.int, kinds.typedef, kinds.float]);
const layouts: ReadonlySet<number> = new Set([kinds.struct, kinds.union]);
const enums: ReadonlySet<number> = new Set([kinds.enum, kinds.enum64]);

/** Names of the integer that is as wide as a pointer. */
const longNames = ['long unsigned int', 'unsigned long', 'long int', 'long'];

interface Place {
  readonly type: number;
  /** Bits from the start of the structure, and of a bit field. */
  readonly bits: number;
  readonly bitSize: number;
}

/**
 * The types of one kernel. The first look-up is linear in BTF. Errors of all: `elf-malformed` for types that lead
 * nowhere or in circles, `elf-unsupported` for a name whose types differ in what was asked for.
 */
export class Btf {
  private readonly types: BtfTypes;
  private readonly known = new Map<string, readonly number[]>();
  private pointer: number | undefined;
  private made: CallTypes | undefined;

  constructor(types: BtfTypes) {
    this.types = types;
  }

  /** True where a structure, union, enum, typedef or number has this name. */
  hasType(name: string): boolean {
    return this.named(name).length > 0;
  }

  /** Size in bytes of the structure or union of this name, or that its typedef leads to. */
  structSize(name: string): number | undefined {
    const sizes = this.layoutsOf(name).map((id) => this.types.sizeOrType(id));
    return this.only(sizes, `the size of ${name}`);
  }

  /**
   * A member by a path of names with dots between: `mkobj.kobj`. Members of members without a name belong to the whole.
   * Undefined where the structure, or it without that member, is what there is.
   */
  member(struct: string, path: string): BtfMember | undefined {
    const found = this.layoutsOf(struct).map((id) => this.memberOf(id, path.split('.')));
    return this.only(found, `${struct}.${path}`);
  }

  /** The type of what lies at an offset of a structure, through structures inside it; undefined where nothing begins there. */
  typeAt(struct: string, offset: number): number | undefined {
    let [type] = this.layoutsOf(struct);
    let bits = 8 * offset;
    for (let depth = 0; type !== undefined && this.types.kind(type) === kinds.struct; depth++) {
      if (depth === deepest) return undefined;
      const place: Place = { type, bits: 0, bitSize: 0 };
      const members = Array.from({ length: this.types.memberCount(type) }, (_, i) => {
        const at = this.types.at(place.type) + typeSize + 12 * i;
        return this.place(place, at, this.types.view.u32(at + 4));
      });
      const inside = members.findLast((member) => member.bits <= bits);
      if (!inside) return undefined;
      bits -= inside.bits;
      type = this.strip(inside.type);
    }
    return bits === 0 ? type : undefined;
  }

  /** The value of an enumerator; undefined where the enum has none of this name. */
  enumValue(name: string, enumerator: string): number | undefined {
    const found = this.underlying(name, enums).map((id) => this.valueIn(id, Buffer.from(enumerator)));
    return this.only(found, `${enumerator} of ${name}`);
  }

  /** How functions are called. */
  get calls(): CallTypes {
    this.made ??= new CallTypes(this.types);
    return this.made;
  }

  /** Bytes of a pointer, as the kernel's `long` has them. */
  get pointerSize(): number {
    if (this.pointer === undefined) {
      const long = longNames
        .flatMap((name) => this.named(name))
        .find((id) => this.types.kind(id) === kinds.int);
      this.pointer = long === undefined ? 8 : this.types.sizeOrType(long);
    }
    return this.pointer;
  }

  /** Types of one name that stand for the same thing: structures before typedefs, in the order of their numbers. */
  private named(name: string): readonly number[] {
    const known = this.known.get(name);
    if (known) return known;
    const found = this.types.named(name);
    const of = (wanted: ReadonlySet<number>) => found.filter((id) => wanted.has(this.types.kind(id)));
    const ids = [...of(tagged), ...of(plain)];
    this.known.set(name, ids);
    return ids;
  }

  /** The types of these kinds that a name stands for, each once. */
  private underlying(name: string, wanted: ReadonlySet<number>): number[] {
    const ids = this.named(name).map((id) => this.strip(id));
    return [...new Set(ids)].filter((id) => wanted.has(this.types.kind(id)));
  }

  private layoutsOf(name: string): number[] {
    return this.underlying(name, layouts);
  }

  /** What all answers say. Kernels have some structures twice; they do no harm where both say the same. */
  private only<T>(answers: readonly (T | undefined)[], what: string): T | undefined {
    const [first, ...rest] = answers;
    if (rest.some((other) => JSON.stringify(other) !== JSON.stringify(first))) {
      this.types.fail(
        0,
        `${what} is not the same in ${answers.length} types of that name`,
        'elf-unsupported',
      );
    }
    return first;
  }

  /** The type behind typedefs, const, volatile and tags. */
  private strip(id: number): number {
    let at = id;
    for (let steps = 0; modifiers.has(this.types.kind(at)); steps++) {
      if (steps === deepest) this.types.fail(this.types.at(id), `the type ${id} leads in a circle`);
      at = this.types.sizeOrType(at);
    }
    return at;
  }

  private memberOf(struct: number, path: readonly string[]): BtfMember | undefined {
    let type = struct;
    let place: Place = { type: struct, bits: 0, bitSize: 0 };
    for (const name of path) {
      if (!layouts.has(this.types.kind(type))) return undefined;
      const found = this.search(type, Buffer.from(name));
      if (!found) return undefined;
      place = { ...found, bits: place.bits + found.bits };
      type = this.strip(place.type);
    }
    const { bits, bitSize } = place;
    const array = this.types.kind(type) === kinds.array;
    return {
      offset: Math.floor(bits / 8),
      size: this.sizeOf(place.type),
      typeName: this.nameOf(array ? this.elementOf(type) : place.type),
      ...(array && { elements: this.lengthOf(type) }),
      ...(bitSize > 0 && { bitOffset: bits % 8, bitSize }),
    };
  }

  /** A member of a structure, or of those without a name inside it. Each type is gone through once, so circles end. */
  private search(struct: number, name: Uint8Array): Place | undefined {
    const seen = new Set([struct]);
    const queue: Place[] = [{ type: struct, bits: 0, bitSize: 0 }];
    for (const next of queue) {
      for (let i = 0; i < this.types.memberCount(next.type); i++) {
        const at = this.types.at(next.type) + typeSize + 12 * i;
        const nameOffset = this.types.view.u32(at);
        const type = this.types.view.u32(at + 4);
        if (nameOffset !== 0 && name.length > 0 && this.types.isText(nameOffset, name)) {
          return this.place(next, at, type);
        }
        const inner = nameOffset === 0 ? this.strip(type) : 0;
        if (inner === 0 || seen.has(inner) || !layouts.has(this.types.kind(inner))) continue;
        seen.add(inner);
        queue.push({ ...this.place(next, at, type), type: inner });
      }
    }
    return undefined;
  }

  /** Where the member whose record is at byte `at` lies. A bit field is told by the flag, or by its number's own size. */
  private place(inside: Place, at: number, type: number): Place {
    const raw = this.types.view.u32(at + 8);
    if (this.types.flag(inside.type)) {
      return { type, bits: inside.bits + (raw & 0xff_ffff), bitSize: raw >>> 24 };
    }
    const number = this.strip(type);
    if (this.types.kind(number) !== kinds.int) return { type, bits: inside.bits + raw, bitSize: 0 };
    const shape = this.types.view.u32(this.types.at(number) + typeSize);
    const [first, size] = [(shape >>> 16) & 0xff, shape & 0xff];
    const whole = first === 0 && size === 8 * this.types.sizeOrType(number);
    return { type, bits: inside.bits + raw + first, bitSize: whole ? 0 : size };
  }

  private elementOf(array: number): number {
    return this.types.view.u32(this.types.at(array) + typeSize);
  }
  private lengthOf(array: number): number {
    return this.types.view.u32(this.types.at(array) + typeSize + 8);
  }

  /** Bytes of a type; functions and what is only named have none. */
  private sizeOf(id: number): number {
    let times = 1;
    let at = this.strip(id);
    for (let steps = 0; this.types.kind(at) === kinds.array; steps++) {
      times *= this.lengthOf(at);
      if (steps === deepest || !Number.isSafeInteger(times)) {
        this.types.fail(this.types.at(id), `the type ${id} is an array without an end`);
      }
      at = this.strip(this.elementOf(at));
    }
    const kind = this.types.kind(at);
    if (kind === kinds.pointer) return times * this.pointerSize;
    const sized = tagged.has(kind) || kind === kinds.int || kind === kinds.float;
    return sized ? times * this.types.sizeOrType(at) : 0;
  }

  /** A type as C writes it; `void` and functions as that. */
  private nameOf(id: number): string {
    let stars = '';
    let at = id;
    for (let steps = 0; at !== 0; steps++) {
      const kind = this.types.kind(at);
      if (kind !== kinds.pointer && kind !== kinds.array && (kind === kinds.typedef || !modifiers.has(kind)))
        break;
      if (kind === kinds.pointer) stars = stars === '' ? ' *' : `${stars}*`;
      if (steps === deepest) this.types.fail(this.types.at(id), `the type ${id} leads in a circle`);
      at = kind === kinds.array ? this.elementOf(at) : this.types.sizeOrType(at);
    }
    if (at === 0) return `void${stars}`;
    if (this.types.kind(at) === kinds.prototype) return `function${stars}`;
    return this.types.text(this.types.nameOffset(at)) + stars;
  }

  private valueIn(id: number, name: Uint8Array): number | undefined {
    const { view } = this.types;
    const wide = this.types.kind(id) === kinds.enum64;
    const signed = this.types.flag(id);
    for (let i = 0; i < this.types.memberCount(id); i++) {
      const at = this.types.at(id) + typeSize + (wide ? 12 : 8) * i;
      if (!this.types.isText(view.u32(at), name)) continue;
      if (!wide) return signed ? view.s32(at + 4) : view.u32(at + 4);
      // The lower half stands first in either byte order.
      const high = signed ? view.s32(at + 8) : view.u32(at + 8);
      const value = high * 0x1_0000_0000 + view.u32(at + 4);
      if (!Number.isSafeInteger(value))
        this.types.fail(at, 'the value does not fit a number', 'elf-unsupported');
      return value;
    }
    return undefined;
  }
}

/** Reads a kernel's BTF. Errors: `elf-malformed`, `elf-truncated`, `elf-unsupported`. */
export function readBtf(bytes: Uint8Array, little: boolean): Btf {
  return new Btf(new BtfTypes(bytes, little));
}
