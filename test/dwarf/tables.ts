// Line tables made by hand, in a file that has nothing else but code from 0x1000 to 0x80000000.
import {
  EM_X86_64,
  ET_EXEC,
  SHF_ALLOC,
  SHF_EXECINSTR,
  SHT_NULL,
  SHT_PROGBITS,
} from '../../src/elf/constants.ts';
import { ElfFile, type Section } from '../../src/elf/file.ts';
import { memorySource } from '../../src/files/source.ts';

export interface Shape {
  readonly version: number;
  readonly little: boolean;
  /** 64-bit DWARF. */
  readonly wide: boolean;
  readonly addressSize: number;
  readonly minInstruction?: number;
  readonly maxOperations?: number;
  readonly lineRange?: number;
  /** Operands of each standard opcode; twelve opcodes as DWARF has them, if not given. */
  readonly operands?: readonly number[];
  /** Behind the compiler's own. */
  readonly directories?: readonly string[];
  readonly file?: string;
  readonly directory?: number;
  /** Both tables of version 5 as they stand. */
  readonly tables?: readonly number[];
}

export function uleb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest % 0x80) + (rest >= 0x80 ? 0x80 : 0));
    rest = Math.floor(rest / 0x80);
  } while (rest > 0);
  // Room for a sign, so that it reads the same both ways.
  const last = bytes.pop() as number;
  bytes.push(...(last >= 0x40 ? [last + 0x80, 0] : [last]));
  return bytes;
}

export function fixed(value: number, size: number, little: boolean): number[] {
  const bits = BigInt.asUintN(64, BigInt(value));
  const bytes = Array.from({ length: size }, (_, i) => Number((bits >> BigInt(8 * i)) & 0xffn));
  return little ? bytes : bytes.reverse();
}

const zero = (text: string) => [...new TextEncoder().encode(`${text}\0`)];

/** A sequence: its address, opcodes, an end. */
export function program({ little, addressSize }: Shape, address: number, code: readonly number[]): number[] {
  return [0, addressSize + 1, 2, ...fixed(address, addressSize, little), ...code, 0, 1, 1];
}

function tablesOf({ version, directories = ['dir'], file = 'a.c', directory = 1 }: Shape): number[] {
  if (version < 5) {
    const others = ['b.c', 'c.c'].flatMap((name) => [...zero(name), 0, 0, 0]);
    return [...directories.flatMap(zero), 0, ...zero(file), directory, 0, 0, ...others, 0];
  }
  const names = ['/compiled/here', ...directories].flatMap(zero);
  const entries = ['main.c', file].flatMap((name) => [...zero(name), directory]);
  return [1, 1, 0x08, directories.length + 1, ...names, 2, 1, 0x08, 2, 0x0b, 2, ...entries];
}

/** A unit of .debug_line. */
export function table(shape: Shape, code: ArrayLike<number>): Uint8Array {
  const { version, little, wide, addressSize } = shape;
  const { minInstruction = 1, maxOperations = 1, lineRange = 14 } = shape;
  const { operands = [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1] } = shape;
  const offsetSize = wide ? 8 : 4;
  const rest = [
    minInstruction,
    ...(version >= 4 ? [maxOperations] : []),
    ...[1, 0xfb, lineRange, operands.length + 1],
    ...operands,
    ...(shape.tables ?? tablesOf(shape)),
  ];
  const head = [
    ...fixed(version, 2, little),
    ...(version >= 5 ? [addressSize, 0] : []),
    ...fixed(rest.length, offsetSize, little),
    ...rest,
  ];
  const length = fixed(head.length + code.length, offsetSize, little);
  const front = [...(wide ? fixed(0xffff_ffff, 4, little) : []), ...length, ...head];
  const bytes = new Uint8Array(front.length + code.length);
  bytes.set(front);
  bytes.set(code, front.length);
  return bytes;
}

/** An image with code and line tables. */
export function fileOf(tables: Uint8Array | readonly Uint8Array[], little = true): ElfFile {
  const list = tables instanceof Uint8Array ? [tables] : tables;
  const none = { flags: 0, addr: 0, offset: 0, size: 0, link: 0, info: 0, addralign: 1, entsize: 0 };
  const sections: Section[] = [
    { index: 0, name: '', type: SHT_NULL, ...none },
    {
      ...{ ...none, index: 1, name: '.text', type: SHT_PROGBITS, flags: SHF_ALLOC | SHF_EXECINSTR },
      ...{ addr: 0x1000, size: 0x8000_0000 },
    },
  ];
  let offset = 0;
  for (const { length: size } of list) {
    sections.push({ ...none, index: sections.length, name: '.debug_line', type: SHT_PROGBITS, offset, size });
    offset += size;
  }
  const header = {
    ...({ class: 64, little, osabi: 0, type: ET_EXEC, machine: EM_X86_64 } as const),
    ...{ flags: 0, entry: 0, phoff: 0, shoff: 0, shstrndx: 0 },
  };
  return new ElfFile('image', memorySource(new Uint8Array(Buffer.concat(list))), header, sections, []);
}
