// The types of BTF by number, and its strings. Everything is read where it lies; the only index is where each type begins.

import { NameIndex } from '../../bytes/name-index.ts';
import { sumOfBytes, sumOfName } from '../../bytes/name-sums.ts';
import { ByteView } from '../../bytes/view.ts';
import { TextpokeError } from '../../errors.ts';
import { extraSizes, kinds, typeSize } from './kinds.ts';

const magic = 0xeb9f;
const version = 1;
/** Bytes of `struct btf_header`; later ones may be longer. */
const headerSize = 24;
/** BTF_MAX_TYPE. */
const mostTypes = 0xf_ffff;

export class BtfTypes {
  /** Number of types, with void, which is 0 and has no record. */
  readonly count: number;
  readonly view: ByteView;
  /** Byte offset of each type's record. */
  private readonly starts: Uint32Array;
  private readonly strings: Buffer;
  private names: NameIndex | undefined;

  /** Errors: `elf-malformed` for what is no sound BTF, `elf-unsupported` for kinds that are not known. */
  constructor(bytes: Uint8Array, little: boolean) {
    const view = new ByteView(bytes, little, { section: '.BTF' });
    this.view = view;
    const found = view.u16(0);
    if (found !== magic) {
      this.fail(
        0,
        `the magic number is 0x${found.toString(16)}; 0x${magic.toString(16)} is required in this byte order`,
      );
    }
    if (view.u8(2) !== version)
      this.fail(2, `the version is ${view.u8(2)}; ${version} is supported`, 'elf-unsupported');
    const header = view.u32(4);
    if (header < headerSize) this.fail(4, `the header has ${header} bytes; ${headerSize} are required`);
    const part = (at: number, what: string) => {
      const [start, size] = [header + view.u32(at), view.u32(at + 4)];
      if (start + size > bytes.length) {
        this.fail(at, `${what} need bytes ${start} to ${start + size}, but BTF has ${bytes.length}`);
      }
      return { start, end: start + size };
    };
    const types = part(8, 'the types');
    const strings = part(16, 'the strings');
    this.strings = Buffer.from(bytes.buffer, bytes.byteOffset + strings.start, strings.end - strings.start);
    if (this.strings.length === 0 || this.strings[0] !== 0 || this.strings[this.strings.length - 1] !== 0) {
      this.fail(strings.start, 'the strings do not begin and end with a zero byte');
    }
    this.count = 1;
    for (let at = types.start; at < types.end; at = this.endOf(at, types.end)) this.count++;
    if (this.count > mostTypes)
      this.fail(types.start, `there are ${this.count} types; ${mostTypes} are supported`);
    this.starts = new Uint32Array(this.count);
    let at = types.start;
    for (let id = 1; id < this.count; id++) {
      this.starts[id] = at;
      at = this.endOf(at, types.end);
    }
  }

  private endOf(at: number, end: number): number {
    if (at + typeSize > end) this.fail(at, `a type has ${typeSize} bytes, but the types end at byte ${end}`);
    const info = this.view.u32(at + 4);
    const kind = (info >>> 24) & 0x1f;
    if (kind === 0 || kind > kinds.enum64) {
      this.fail(at, `a type has the kind ${kind}; 1 to ${kinds.enum64} are supported`, 'elf-unsupported');
    }
    const extra = extraSizes[kind];
    const next = at + typeSize + (extra ? extra.fixed + extra.each * (info & 0xffff) : 0);
    if (next > end) this.fail(at, `a type ends at byte ${next}, but the types end at byte ${end}`);
    return next;
  }

  /** Throws with a place in BTF. */
  fail(offset: number, what: string, code: 'elf-malformed' | 'elf-unsupported' = 'elf-malformed'): never {
    throw new TextpokeError(code, what, { section: '.BTF', offset });
  }

  /** Byte offset of a type's record, which is checked to exist; void has none. */
  at(id: number): number {
    if (id === 0 || id >= this.count) {
      this.fail(0, `the type ${id} is asked for, but types have the numbers 1 to ${this.count - 1}`);
    }
    return this.starts[id] as number;
  }
  kind(id: number): number {
    return id === 0 ? 0 : (this.view.u32(this.at(id) + 4) >>> 24) & 0x1f;
  }
  /** kind_flag: members have sizes in bits, values of enums are signed. */
  flag(id: number): boolean {
    return this.view.u32(this.at(id) + 4) >>> 31 === 1;
  }
  memberCount(id: number): number {
    return this.view.u32(this.at(id) + 4) & 0xffff;
  }
  /** Size in bytes, or the type that this one refers to: what the kind says. */
  sizeOrType(id: number): number {
    return this.view.u32(this.at(id) + 8);
  }
  /** Offset of the name in the strings; 0 where there is none. */
  nameOffset(id: number): number {
    return this.view.u32(this.at(id));
  }

  /** The types with a name, in order of their numbers. */
  named(name: string): number[] {
    const isNamed = (offset: number) => offset > 0 && offset < this.strings.length;
    this.names ??= new NameIndex(this, (id) => isNamed(this.nameOffset(id)));
    return this.names.of(name);
  }
  name(id: number): string {
    return this.text(this.nameOffset(id));
  }
  nameSum(id: number): number {
    return sumOfBytes(this.strings, this.nameOffset(id), longestString) ?? sumOfName(this.name(id));
  }

  /** The string at an offset. */
  text(offset: number): string {
    const end = this.strings.indexOf(0, offset);
    if (offset >= this.strings.length || end < 0) this.fail(0, `there is no string at ${offset}`);
    if (end - offset > longestString)
      this.fail(0, `the string at ${offset} has ${end - offset} bytes; ${longestString} are supported`);
    return this.strings.toString('utf8', offset, end);
  }
  /** True where the string at an offset is this one. */
  isText(offset: number, wanted: Uint8Array): boolean {
    const end = offset + wanted.length;
    return this.strings[end] === 0 && this.strings.compare(wanted, 0, wanted.length, offset, end) === 0;
  }
}

/** Bytes of a name that is shown. KSYM_NAME_LEN is 512, and a few are longer. */
const longestString = 4096;
