// The tables of directories and files in front of a line number program (DWARF 5, section 6.2.4.1; versions 2 to 4
// have lists that end in an empty name). They are decoded only for units with a place that was asked for.
import { TextpokeError } from '../errors.ts';
import {
  DW_FORM_block,
  DW_FORM_block1,
  DW_FORM_block2,
  DW_FORM_block4,
  DW_FORM_data1,
  DW_FORM_data2,
  DW_FORM_data4,
  DW_FORM_data8,
  DW_FORM_data16,
  DW_FORM_flag,
  DW_FORM_GNU_strp_alt,
  DW_FORM_line_strp,
  DW_FORM_sdata,
  DW_FORM_sec_offset,
  DW_FORM_string,
  DW_FORM_strp,
  DW_FORM_strp_sup,
  DW_FORM_strx,
  DW_FORM_strx1,
  DW_FORM_strx2,
  DW_FORM_strx3,
  DW_FORM_strx4,
  DW_FORM_udata,
  DW_LNCT_directory_index,
  DW_LNCT_path,
} from './constants.ts';
import { type LineUnit, readOffset } from './line-header.ts';

/** The string that an offset of form DW_FORM_line_strp, DW_FORM_strp or DW_FORM_strp_sup means; `at` is where the offset stands. */
export type StringReader = (form: number, at: number, value: number) => string;

/** A directory or a file, its name as the place and the form that it has. */
interface Entry {
  readonly form: number;
  readonly name: number;
  readonly directory: number;
}

/** Longer names than systems allow are none (PATH_MAX); thousands of places may show each. */
const longestName = 4096;

/** Forms of names that are read; those of DWARF's other tables are passed over. */
const pathForms: readonly number[] = [
  DW_FORM_string,
  DW_FORM_line_strp,
  DW_FORM_strp,
  DW_FORM_strp_sup,
  DW_FORM_GNU_strp_alt,
];

/** The names of one unit's files, by number. */
export class LineNames {
  private readonly unit: LineUnit;
  private readonly readString: StringReader;
  private directories: readonly Entry[] = [];
  private files: readonly Entry[] = [];
  private readonly names = new Map<number, string | undefined>();

  /** Errors: `elf-malformed`, `elf-truncated`, `elf-unsupported` for a form that is not known. */
  constructor(unit: LineUnit, definedFiles: readonly number[], readString: StringReader) {
    this.unit = unit;
    this.readString = readString;
    const reader = new Reader(unit, unit.tables);
    if (unit.version >= 5) {
      this.directories = reader.table();
      this.files = reader.table();
    } else {
      // Number 0 is the directory that the compiler ran in, and no file.
      const nothing: Entry = { form: DW_FORM_string, name: -1, directory: 0 };
      const oldFile = (from: Reader): Entry => {
        const entry = { form: DW_FORM_string, name: from.string(), directory: from.uleb() };
        from.uleb(); // time
        from.uleb(); // size
        return entry;
      };
      this.directories = [
        nothing,
        ...reader.list((from) => ({ form: DW_FORM_string, name: from.string(), directory: 0 })),
      ];
      this.files = [
        nothing,
        ...reader.list(oldFile),
        ...definedFiles.map((at) => oldFile(new Reader(unit, at))),
      ];
    }
  }

  /**
   * The name of a file; undefined when there is none. It is relative where the compiler was given a relative one, to
   * the directory that the compiler ran in: only version 5 has that (as directory 0), so it is left out there too.
   */
  file(number: number): string | undefined {
    if (this.names.has(number)) return this.names.get(number);
    const entry = this.files[number];
    let name = entry && this.text(entry);
    const directory = entry?.directory ? this.directories[entry.directory] : undefined;
    if (name && directory && !name.startsWith('/')) name = `${this.text(directory)}/${name}`;
    name = name && normalize(name);
    this.names.set(number, name);
    return name;
  }

  private text({ form, name }: Entry): string {
    if (name < 0) return '';
    if (form !== DW_FORM_string) return short(this.readString(form, name, readOffset(this.unit, name)));
    const { bytes } = this.unit.view;
    return new TextDecoder().decode(short(bytes.subarray(name, bytes.indexOf(0, name))));
  }
}

/** Without `.` and without empty parts; `..` stays, since a link may stand in front of it. */
function normalize(name: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  return `${name.startsWith('/') ? '/' : ''}${parts.join('/')}`;
}

function short<T extends { readonly length: number }>(name: T): T {
  if (name.length <= longestName) return name;
  throw new TextpokeError(
    'elf-malformed',
    `a file name has ${name.length} characters; at most ${longestName} are supported`,
  );
}

/** Reads on from a place in the unit. */
class Reader {
  private readonly unit: LineUnit;
  private at: number;

  constructor(unit: LineUnit, at: number) {
    this.unit = unit;
    this.at = at;
  }

  uleb(): number {
    const { bytes } = this.unit.view;
    let value = 0;
    let scale = 1;
    let byte: number;
    do {
      if (this.at >= bytes.length) this.unit.view.need(this.at, 1);
      byte = bytes[this.at++] as number;
      value += (byte & 0x7f) * scale;
      scale *= 0x80;
    } while (byte >= 0x80);
    return value;
  }

  /** Passes a zero-terminated string; returns where it begins. */
  string(): number {
    const start = this.at;
    const end = this.unit.view.bytes.indexOf(0, start);
    if (end < 0) throw new TextpokeError('elf-malformed', 'a name in the header is not zero-terminated');
    this.at = end + 1;
    return start;
  }

  /** Entries up to an empty name. */
  list(read: (from: this) => Entry): Entry[] {
    const entries: Entry[] = [];
    while (this.unit.view.u8(this.at) !== 0) entries.push(read(this));
    this.at++;
    return entries;
  }

  /** A table of version 5: which fields an entry has, then the entries. */
  table(): Entry[] {
    const fields: { content: number; form: number }[] = [];
    for (let i = this.unit.view.u8(this.at++); i > 0; i--)
      fields.push({ content: this.uleb(), form: this.uleb() });
    const count = this.uleb();
    if (fields.length === 0 && count > 0) {
      throw new TextpokeError('elf-malformed', 'a table in the header has entries without fields');
    }
    const entries: Entry[] = [];
    while (entries.length < count) {
      const entry = { form: 0, name: -1, directory: 0 };
      for (const { content, form } of fields) {
        const start = this.at;
        const value = this.field(form);
        if (content === DW_LNCT_directory_index) entry.directory = value;
        // An index into .debug_str_offsets needs the unit of .debug_info to be read: no compiler writes one here.
        if (content === DW_LNCT_path && pathForms.includes(form)) {
          entry.form = form === DW_FORM_GNU_strp_alt ? DW_FORM_strp_sup : form;
          entry.name = start;
        }
      }
      entries.push(entry);
    }
    return entries;
  }

  /** Passes a field; its value where it is a number. */
  private field(form: number): number {
    const { view, wide } = this.unit;
    switch (form) {
      case DW_FORM_string:
        return this.string();
      case DW_FORM_line_strp:
      case DW_FORM_strp:
      case DW_FORM_strp_sup:
      case DW_FORM_GNU_strp_alt:
      case DW_FORM_sec_offset:
        return this.pass(wide ? 8 : 4);
      case DW_FORM_udata:
      case DW_FORM_strx:
      case DW_FORM_sdata:
        return this.uleb();
      case DW_FORM_data1:
      case DW_FORM_flag:
      case DW_FORM_strx1:
        return view.u8(this.pass(1));
      case DW_FORM_data2:
      case DW_FORM_strx2:
        return view.u16(this.pass(2));
      case DW_FORM_strx3:
        return this.pass(3);
      case DW_FORM_data4:
      case DW_FORM_strx4:
        return view.u32(this.pass(4));
      case DW_FORM_data8:
        return Number(view.u64(this.pass(8)));
      case DW_FORM_data16: // the MD5 of the file
        return this.pass(16);
      case DW_FORM_block:
        return this.pass(this.uleb());
      case DW_FORM_block1:
        return this.pass(view.u8(this.pass(1)));
      case DW_FORM_block2:
        return this.pass(view.u16(this.pass(2)));
      case DW_FORM_block4:
        return this.pass(view.u32(this.pass(4)));
      default:
        throw new TextpokeError(
          'elf-unsupported',
          `form 0x${form.toString(16)} in the header is not supported`,
        );
    }
  }

  /** Passes `size` bytes; returns where they begin. */
  private pass(size: number): number {
    const start = this.at;
    this.unit.view.need(start, size);
    this.at += size;
    return start;
  }
}
