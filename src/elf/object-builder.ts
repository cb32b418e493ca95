// The sections of a rewritten object while it is built. Old sections keep their order; new groups stand in front
// of them, for a group has to precede its members (gABI, "Section Groups"), and new sections behind them.
import { ByteView } from '../bytes/view.ts';
import { namesSection } from './check-object.ts';
import { SHF_GROUP, SHT_GROUP, SHT_NOBITS } from './constants.ts';
import type { ElfFile } from './file.ts';
import type { OutputSection } from './layout.ts';
import { Shdr } from './records.ts';
import type { StringAppender } from './string-appender.ts';

/** A section of the result; `name` only when it is new, for an old one keeps its place in the name table. */
export type BuiltSection = { -readonly [K in keyof OutputSection]: OutputSection[K] } & { name?: string };

/** A new section with nothing but what every section needs. */
export function newSection(
  name: string,
  type: number,
  addralign: number,
  entsize: number,
  data: Uint8Array,
): BuiltSection {
  return {
    name,
    nameOffset: 0,
    type,
    flags: 0,
    addr: 0,
    link: 0,
    info: 0,
    addralign,
    entsize,
    data,
    size: data.length,
  };
}

/** All section numbers that its methods take are those of the result; `number` makes them of the file's. */
export class ObjectBuilder {
  readonly sections: BuiltSection[];
  private readonly file: ElfFile;
  private readonly shift: number;
  private readonly owned = new Set<Uint8Array>();
  private readonly joining = new Map<number, number[]>();

  /** The file's sections with `groups` empty new groups, numbered from 1, in front. */
  constructor(file: ElfFile, groups: number) {
    this.file = file;
    this.shift = groups;
    const { class: bits, little, shoff } = file.header;
    const headerSize = Shdr[bits].size;
    const headers = new ByteView(file.source.read(shoff, file.sections.length * headerSize), little);
    const old = file.sections.map(
      (s): BuiltSection => ({
        nameOffset: headers.u32(s.index * headerSize + Shdr[bits].offsets.name),
        type: s.type,
        flags: s.flags,
        addr: s.addr,
        link: this.number(s.link),
        info: namesSection(s) ? this.number(s.info) : s.info,
        addralign: s.addralign,
        entsize: s.entsize,
        data: file.data(s),
        size: s.size,
        oldOffset: s.offset,
      }),
    );
    const added = Array.from({ length: groups }, () =>
      newSection('.group', SHT_GROUP, 4, 4, new Uint8Array(4)),
    );
    this.sections = [...old.slice(0, 1), ...added, ...old.slice(1)];
    if (groups === 0) return;
    for (const group of file.ofType(SHT_GROUP)) {
      const words = this.editable(this.number(group.index));
      for (let at = 4; at < group.size; at += 4) words.setU32(at, this.number(words.u32(at)));
    }
  }

  /** The number that section `old` of the file gets. */
  number(old: number): number {
    return old > 0 ? old + this.shift : 0;
  }

  at(index: number): BuiltSection {
    return this.sections[index] as BuiltSection;
  }

  setData(index: number, data: Uint8Array): void {
    this.at(index).data = data;
    this.at(index).size = data.length;
    this.owned.add(data);
  }

  /** The section's bytes to change; they are copied once. */
  editable(index: number): ByteView {
    if (!this.owned.has(this.at(index).data)) this.setData(index, this.at(index).data.slice());
    return new ByteView(this.at(index).data, this.file.header.little);
  }

  /** Appends a section and returns its number. */
  add(section: BuiltSection): number {
    return this.sections.push(section) - 1;
  }

  joinGroup(group: number, members: readonly number[]): void {
    const joining = this.joining.get(group) ?? [];
    this.joining.set(group, joining);
    for (const member of members) joining.push(member);
  }

  /** Writes the groups that were joined, and the names of new sections into `names`. */
  finish(names: StringAppender): void {
    for (const [group, members] of this.joining) {
      const old = this.at(group).data;
      const data = new Uint8Array(old.length + members.length * 4);
      data.set(old);
      const words = new ByteView(data, this.file.header.little);
      members.forEach((member, i) => {
        words.setU32(old.length + i * 4, member);
        if ((this.at(member).flags & SHF_GROUP) === 0) this.at(member).flags += SHF_GROUP;
      });
      this.setData(group, data);
    }
    for (const section of this.sections) {
      if (section.name !== undefined) section.nameOffset = names.offsetOf(section.name);
    }
  }

  /** The sections as the writer takes them: SHT_NOBITS has a size, but no bytes. */
  output(): OutputSection[] {
    return this.sections.map((s) => (s.type === SHT_NOBITS ? { ...s, data: new Uint8Array(0) } : s));
  }
}
