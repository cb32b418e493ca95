// Where the fields of a seed lie, by the structures that it is made of: the ground for mutations. Seeds are sound, so
// that the project's own record formats find them; what cannot be read has no fields and is changed anywhere.
import { type FieldList, type RecordFormat, record } from '../../src/bytes/record.ts';
import { ByteView } from '../../src/bytes/view.ts';
import { isArchive, readArchive } from '../../src/elf/archive.ts';
import {
  SHF_COMPRESSED,
  SHT_DYNAMIC,
  SHT_GROUP,
  SHT_NOBITS,
  SHT_NOTE,
  SHT_NULL,
  SHT_REL,
  SHT_RELA,
  SHT_SYMTAB,
} from '../../src/elf/constants.ts';
import type { ElfFile, Section } from '../../src/elf/file.ts';
import { isElf } from '../../src/elf/magic.ts';
import { readElf } from '../../src/elf/read.ts';
import { Chdr, Ehdr, identSize, Phdr, Rel, Rela, Shdr, Sym } from '../../src/elf/records.ts';
import { type KernelForm, kernelFormOf } from '../../src/kernel/files/detect.ts';

/** A number in a file. */
export interface Field {
  readonly at: number;
  /** Bytes: 1, 2, 4 or 8; for `text`, digits padded with blanks. */
  readonly size: number;
  readonly little: boolean;
  readonly name: string;
  readonly text?: boolean;
}

/** Records of one kind that follow each other, or stand apart: what can be copied over another one. */
export interface Structure {
  readonly name: string;
  readonly fields: readonly Field[];
  /** Where each record begins, and how long all of them are. */
  readonly records: readonly number[];
  readonly recordSize: number;
}

/** Fields of records that begin at some places. */
function structure(
  name: string,
  format: Pick<RecordFormat<FieldList>, 'offsets' | 'size'>,
  little: boolean,
  records: readonly number[],
): Structure {
  const names = Object.keys(format.offsets);
  const fields = records.flatMap((start, i) =>
    names.map((field, k): Field => {
      const offset = format.offsets[field] as number;
      const next = k + 1 < names.length ? (format.offsets[names[k + 1] as string] as number) : format.size;
      return { at: start + offset, size: next - offset, little, name: `${name}[${i}].${field}` };
    }),
  );
  return { name, fields, records, recordSize: format.size };
}

const every = (start: number, count: number, size: number): number[] =>
  Array.from({ length: Math.max(count, 0) }, (_, i) => start + i * size);

/** Numbers of one size that fill a range. */
function numbers(name: string, start: number, length: number, size: number, little: boolean): Structure {
  const records = every(start, Math.floor(length / size), size);
  const fields = records.map((at, i) => ({ at, size, little, name: `${name}[${i}]` }));
  return { name, fields, records, recordSize: size };
}

function notes(name: string, file: ElfFile, offset: number, size: number): Structure {
  const { little } = file.header;
  const view = new ByteView(file.source.read(offset, size), little);
  const records: number[] = [];
  for (let at = 0; at + 12 <= size; ) {
    records.push(offset + at);
    at += 12 + Math.ceil(view.u32(at) / 4) * 4 + Math.ceil(view.u32(at + 4) / 4) * 4;
  }
  const format = record({ namesz: 'u32', descsz: 'u32', type: 'u32' });
  return structure(name, format, little, records);
}

/** The head of a line number program; its length says where the next one is. */
export function lineTables(file: ElfFile, { offset, size }: Section): Structure {
  const { little } = file.header;
  const view = new ByteView(file.source.read(offset, size), little);
  const records: number[] = [];
  for (let at = 0; at + 24 <= size; at += view.u32(at) + 4) records.push(offset + at);
  const version = records.length > 0 ? view.u16(4) : 0;
  const format = record({
    unit_length: 'u32',
    version: 'u16',
    ...(version >= 5 ? { address_size: 'u8', segment_selector_size: 'u8' } : {}),
    header_length: 'u32',
    minimum_instruction_length: 'u8',
    ...(version >= 4 ? { maximum_operations: 'u8' } : {}),
    default_is_stmt: 'u8',
    line_base: 'u8',
    line_range: 'u8',
    opcode_base: 'u8',
    operands_1: 'u8',
    operands_2: 'u8',
    operands_3: 'u8',
  } as const);
  return structure('.debug_line', format, little, records);
}

/** Every byte of what says which functions are inlined where, and every field of what that refers to. */
export function debugStructures(bytes: Uint8Array): Structure[] {
  const file = readElf('seed', bytes);
  const { little } = file.header;
  return file.sections.flatMap((section) => {
    const { name, offset, size } = section;
    if (/^\.debug_(info|abbrev|rnglists)$/.test(name)) return [numbers(name, offset, size, 1, little)];
    if (/^\.debug_(addr|ranges|str_offsets)$/.test(name)) return [numbers(name, offset, size, 4, little)];
    return /^\.rela?\.debug_/.test(name) ? ofSection(file, section) : [];
  });
}

function ofSection(file: ElfFile, section: Section): Structure[] {
  const { class: bits, little } = file.header;
  const { name, type, offset, size, entsize, flags } = section;
  const table = (format: Pick<RecordFormat<FieldList>, 'offsets' | 'size'>, what: string) => [
    structure(what, format, little, every(offset, Math.floor(size / format.size), format.size)),
  ];
  if (type === SHT_NULL || type === SHT_NOBITS || size === 0) return [];
  if (type === SHT_SYMTAB) return table(Sym[bits], 'symbol');
  if (type === SHT_RELA) return table(Rela[bits], name);
  if (type === SHT_REL) return table(Rel[bits], name);
  if (type === SHT_GROUP) return [numbers('group', offset, size, 4, little)];
  if (type === SHT_DYNAMIC) return [numbers('dynamic', offset, size, bits / 8, little)];
  if (type === SHT_NOTE) return [notes(name, file, offset, size)];
  if ((flags & SHF_COMPRESSED) !== 0) return [structure(name, Chdr[bits], little, [offset])];
  if (name === '.debug_line') return [lineTables(file, section)];
  // Tables of sites, keys, and what stands beside markers.
  if (/jump_table|static_call_sites|smp_|textpoke|^\.data|tramp_key/.test(name) && size < 0x10000)
    return [numbers(name, offset, size, entsize === 8 ? 8 : 4, little)];
  return [];
}

function elfStructures(bytes: Uint8Array): Structure[] {
  const file = readElf('seed', bytes);
  const { class: bits, little, shoff, phoff } = file.header;
  const wide = bits as 64;
  const ident = record({ magic: 'u32', class: 'u8', data: 'u8', version: 'u8', osabi: 'u8' });
  return [
    structure('ident', ident, little, [0]),
    structure('header', Ehdr[wide], little, [identSize]),
    structure('section', Shdr[wide], little, every(shoff, file.sections.length, Shdr[wide].size)),
    structure('segment', Phdr[wide], little, every(phoff, file.segments.length, Phdr[wide].size)),
    ...file.segments.flatMap(({ type, offset, filesz }) =>
      type === 4 ? [notes('note', file, offset, filesz)] : [],
    ),
    ...file.sections.flatMap((section) => ofSection(file, section)),
  ];
}

const shifted = (by: number, { name, fields, records, recordSize }: Structure): Structure => ({
  name,
  fields: fields.map((field) => ({ ...field, at: field.at + by })),
  records: records.map((at) => at + by),
  recordSize,
});

function archiveStructures(bytes: Uint8Array): Structure[] {
  const members = readArchive(bytes);
  const widthsOfAr = { name: 16, date: 12, uid: 6, gid: 6, mode: 8, size: 10 };
  const fields = members.flatMap(({ headerOffset }, i) => {
    let at = headerOffset;
    return Object.entries(widthsOfAr).map(([name, size]): Field => {
      at += size;
      return { at: at - size, size, little: true, name: `member[${i}].${name}`, text: true };
    });
  });
  const heads: Structure = {
    name: 'member',
    fields,
    records: members.map(({ headerOffset }) => headerOffset),
    recordSize: 60,
  };
  const inside = members.flatMap(({ special, offset, size }) => {
    if (special !== undefined) return [numbers('symbol index', offset, size, 4, false)];
    const content = bytes.subarray(offset, offset + size);
    return isElf(content) ? elfStructures(content.slice()).map((one) => shifted(offset, one)) : [];
  });
  return [heads, ...inside];
}

function kdumpStructures(bytes: Uint8Array): Structure[] {
  const view = new ByteView(bytes, true);
  const wide = view.u32(428) === 4096;
  const at = wide ? 428 : 416;
  const format = record({ block_size: 'u32', sub_hdr_size: 'u32', bitmap_blocks: 'u32', max_mapnr: 'u32' });
  const pageSize = view.u32(at);
  const descriptors = (1 + view.u32(at + 4) + view.u32(at + 8)) * pageSize;
  const descriptor = record({ offset: 'u64', size: 'u32', flags: 'u32', page_flags: 'u64' });
  const first = view.u32(descriptors);
  const count = Math.floor((first - descriptors) / descriptor.size);
  return [
    structure('disk_dump_header', format, true, [at]),
    numbers('kdump_sub_header', pageSize, 64, 8, true),
    numbers('bitmap', 2 * pageSize, view.u32(at + 8) * pageSize, 1, true),
    structure('page_desc', descriptor, true, every(descriptors, count, descriptor.size)),
  ];
}

function flatStructures(bytes: Uint8Array): Structure[] {
  const view = new ByteView(bytes, false);
  const format = record({ offset: 'u64', size: 'u64' });
  const records: number[] = [];
  for (let at = 4096; at + 16 <= bytes.length; at += 16 + view.s64(at + 8)) {
    records.push(at);
    if (view.s64(at + 8) < 0) break;
  }
  return [structure('block', format, false, records)];
}

/** Headers of LiME and AVML, and of frames behind the latter. */
function limeStructures(bytes: Uint8Array): Structure[] {
  const view = new ByteView(bytes, true);
  const header = record({ magic: 'u32', version: 'u32', first: 'u64', last: 'u64', reserved: 'u64' });
  const frame = record({ type: 'u8', size: 'u16', more: 'u8', checksum: 'u32', length: 'u16' });
  const headers: number[] = [];
  const frames: number[] = [];
  for (let at = 0; at + header.size <= bytes.length; ) {
    headers.push(at);
    const isPlain = bytes[at] === 0x45;
    const size = view.s64(at + 16) - view.s64(at + 8) + 1;
    at += header.size;
    if (isPlain) at += size;
    else {
      // Frames, until what comes next is no frame: the number of their bytes.
      for (let last = 0; last < 2 && at + 4 < bytes.length; ) {
        frames.push(at);
        if ((bytes[at] as number) <= 1) last++;
        at += 4 + view.u16(at + 1) + 65536 * view.u8(at + 3);
      }
      at += 8;
    }
  }
  return [structure('header', header, true, headers), structure('frame', frame, true, frames)];
}

/** Lines, and words and values in them. */
function textStructures(bytes: Uint8Array): Structure[] {
  const text = Buffer.from(bytes).toString('latin1');
  const words = [...text.matchAll(/"(?:[^"\\]|\\.)*"|[-+.\w]+|[^\s\w]|\n/g)];
  return [{ name: 'words', fields: [], records: words.map(({ index }) => index), recordSize: 8 }];
}

const starts = (bytes: Uint8Array, text: string) =>
  Buffer.from(bytes.subarray(0, text.length)).toString('latin1') === text;

/** What a seed is made of; nothing for what is only bytes. Structures without fields or records are left out. */
/** Fields of kernel files' headers that say where the kernel lies. */
const KernelFileFields: readonly (readonly [form: KernelForm, name: string, at: number, size: number])[] = [
  ['bzImage', 'setup_sects', 0x1f1, 1],
  ['bzImage', 'version', 0x206, 2],
  ['bzImage', 'payload_offset', 0x248, 4],
  ['bzImage', 'payload_length', 0x24c, 4],
  ['EFI zboot image', 'payload offset', 8, 4],
  ['EFI zboot image', 'payload size', 12, 4],
  ['zImage', 'table', 0x38, 4],
  ['EFI image', 'e_lfanew', 0x3c, 4],
  ['EFI image', 'NumberOfSections', 0x46, 2],
  ['EFI image', 'SizeOfOptionalHeader', 0x54, 2],
  ['EFI image', 'VirtualSize', 0x80 + 8, 4],
  ['EFI image', 'PointerToRawData', 0x80 + 20, 4],
];

function kernelFileStructures(bytes: Uint8Array): Structure[] {
  const form = kernelFormOf(bytes);
  const fields = KernelFileFields.filter(([of, , at, size]) => of === form && at + size <= bytes.length).map(
    ([, name, at, size]): Field => ({ at, size, little: true, name }),
  );
  return [{ name: form ?? 'nothing', fields, records: [], recordSize: 0 }];
}

export function structuresOf(bytes: Uint8Array, isText: boolean): Structure[] {
  const found = isText
    ? textStructures(bytes)
    : isElf(bytes)
      ? elfStructures(bytes)
      : isArchive(bytes)
        ? archiveStructures(bytes)
        : starts(bytes, 'KDUMP')
          ? kdumpStructures(bytes)
          : starts(bytes, 'EMiL') || starts(bytes, 'AVML')
            ? limeStructures(bytes)
            : starts(bytes, 'makedumpfile')
              ? flatStructures(bytes)
              : kernelFileStructures(bytes);
  return found.filter(({ fields, records }) => fields.length > 0 || records.length > 0);
}
