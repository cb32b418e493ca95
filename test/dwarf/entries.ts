// Units of .debug_info made by hand, in an image that has code from 0x1000 on and one line table.
import * as dw from '../../src/dwarf/constants.ts';
import type { ElfFile } from '../../src/elf/file.ts';
import { readElf } from '../../src/elf/read.ts';
import { makeObject } from '../elf/objects.ts';
import { fixed, program, type Shape, table, uleb } from './tables.ts';

/** Tag, whether entries have children, and attributes with their forms. Codes are 1 and so on. */
export type MadeAbbreviation = readonly [
  tag: number,
  hasChildren: boolean,
  ...attributes: (readonly [attribute: number, form: number])[],
];

export function abbreviations(...made: readonly MadeAbbreviation[]): number[] {
  const all = made.flatMap(([tag, hasChildren, ...attributes], i) => [
    ...[i + 1, tag].flatMap(uleb),
    Number(hasChildren),
    ...attributes.flatMap(([attribute, form]) => [...uleb(attribute), ...uleb(form)]),
    ...[0, 0],
  ]);
  return [...all, 0];
}

/** A unit of these entries; the abbreviations begin at byte `from`. */
export function unitOf(entries: ArrayLike<number>, version = 4, from = 0): Uint8Array {
  const head =
    version >= 5
      ? [...fixed(version, 2, true), dw.DW_UT_compile, 8, ...fixed(from, 4, true)]
      : [...fixed(version, 2, true), ...fixed(from, 4, true), 8];
  const bytes = new Uint8Array(4 + head.length + entries.length);
  bytes.set([...fixed(head.length + entries.length, 4, true), ...head]);
  bytes.set(entries, 4 + head.length);
  return bytes;
}

/** Bytes in front of a unit's first entry. */
export const headSize = (version = 4): number => (version >= 5 ? 12 : 11);

/** What an entry of a compile unit is: it names the line table at byte 0. */
export const compileUnit: MadeAbbreviation = [
  dw.DW_TAG_compile_unit,
  true,
  [dw.DW_AT_stmt_list, dw.DW_FORM_sec_offset],
];
export const compileUnitEntry: readonly number[] = [1, 0, 0, 0, 0];

const shape: Shape = { version: 4, little: true, wide: false, addressSize: 8 };
export const address = (value: number) => fixed(value, 8, true);

/** Sections by their names without `.debug_`. The line of all code is `dir/a.c:2`. */
export function fileWith(sections: Readonly<Record<string, ArrayLike<number>>>): ElfFile {
  const size = 0x10_0000;
  const line = table(shape, program(shape, 0x1000, [13 + 6, 2, ...uleb(size)]));
  const text = {
    name: '.text',
    type: 8,
    flags: 6,
    addr: 0x1000,
    size,
    data: new Uint8Array(0),
    addralign: 4,
  };
  const debug = Object.entries({ line, ...sections }).map(([name, data]) => ({
    name: `.debug_${name}`,
    type: 1,
    data: Uint8Array.from(data),
  }));
  return readElf('image', makeObject({ type: 2, sections: [text, ...debug] }));
}
