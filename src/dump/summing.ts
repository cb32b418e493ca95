// Puts the summary of a file together from what was counted in it: of an archive, in all its members.
import type { DumpedEntry } from '../kinds/shown.ts';
import { addTo, type Groups, groupOf, inOrder } from './groups.ts';
import type { DumpedFile, DumpedTable } from './model.ts';
import type { FileSummary, KeyGroup, SiteGroup, TableSummary } from './summary.ts';

type Writable<T> = { -readonly [Field in keyof T]: T[Field] };

/** Puts the summary of a file together: of an archive, of all its members. */
export class Summing {
  private readonly file: string;
  private head: Pick<DumpedFile, 'class' | 'machine' | 'type' | 'unpacked'> | undefined;
  private members: { total: number; withTables: number } | undefined;
  private readonly tables = new Map<string, Writable<TableSummary>>();
  private readonly text = { bytes: 0, initBytes: 0, patchableBytes: 0, sites: 0, initSites: 0 };
  private readonly groups = {
    keys: new Gathering<KeyGroup>(),
    functions: new Gathering(),
    files: new Gathering(),
    sections: new Gathering(),
  };
  private readonly problems: Record<string, string[]> = {};

  /** `file` is the name that it was given. */
  constructor(file: string) {
    this.file = file;
  }

  /** Adds what was counted in the file or in a member of it. */
  add({ class: bits, machine, type, unpacked, member, tables, tally, linesProblem }: DumpedFile): void {
    this.head ??= { class: bits, machine, type, ...(unpacked !== undefined && { unpacked }) };
    const told = Object.entries<Pick<DumpedTable<DumpedEntry>, 'problems'>>(tables);
    for (const [id, { problems }] of told) this.tell(id, member, problems);
    if (linesProblem !== undefined) this.tell('sourceLines', member, [linesProblem]);
    if (member !== undefined) {
      this.members ??= { total: 0, withTables: 0 };
      this.members.total++;
      if (tally && tally.tables.length > 0) this.members.withTables++;
    }
    if (!tally) return;
    this.text.bytes += tally.textBytes;
    for (const field of ['initBytes', 'patchableBytes', 'sites', 'initSites'] as const)
      this.text[field] += tally[field];
    for (const table of tally.tables) this.addTable(table);
    this.groups.keys.add(tally.keys, member);
    this.groups.functions.add(tally.functions, member);
    this.groups.files.add(tally.files, member);
    this.groups.sections.add(tally.sections, member);
  }

  private tell(id: string, member: string | undefined, problems: readonly string[]): void {
    for (const problem of problems) {
      this.problems[id] ??= [];
      this.problems[id].push(member === undefined ? problem : `${member}: ${problem}`);
    }
  }

  private addTable(table: TableSummary): void {
    const sum = this.tables.get(table.table);
    if (!sum) {
      this.tables.set(table.table, { ...table });
      return;
    }
    for (const field of ['entries', 'discarded', 'malformed', 'bytes', 'initSites'] as const)
      sum[field] += table[field];
  }

  /** The summary of all that was added; undefined where that was nothing. */
  done(): FileSummary | undefined {
    if (!this.head) return undefined;
    const [keys, functions, files, sections] = [
      this.groups.keys.all,
      this.groups.functions.all,
      this.groups.files.all,
      this.groups.sections.all,
    ];
    const states: Record<string, number> = {};
    for (const { state } of keys) states[state.state] = (states[state.state] ?? 0) + 1;
    // A key that several members share is one.
    const keysOf = ({ table, keys: own }: TableSummary) =>
      own === undefined ? {} : { keys: keys.filter(({ tables }) => table in tables).length || own };
    return {
      file: this.file,
      ...this.head,
      ...(this.members && { members: this.members }),
      text: this.text,
      tables: Array.from(this.tables.values(), (table) => ({ ...table, ...keysOf(table) })),
      counts: {
        keys: keys.length,
        functions: functions.length,
        files: files.length,
        sections: sections.length,
      },
      states,
      ...{ keys, functions, files, sections },
      ...(Object.keys(this.problems).length > 0 && { problems: this.problems }),
    };
  }
}

/** Groups of a file, or of all members of an archive. */
class Gathering<Group extends SiteGroup = SiteGroup> {
  private groups: Groups<Group> = new Map();
  private added = 0;

  add(groups: Groups<Group>, member: string | undefined): void {
    if (member === undefined) {
      this.groups = groups;
      return;
    }
    this.added++;
    for (const [identity, group] of groups) {
      const isOwn = typeof identity === 'number';
      const sum = groupOf(this.groups, isOwn ? `${this.added} ${identity}` : identity, () => ({
        ...group,
        ...(isOwn && { member }),
      }));
      addTo(sum, Object.entries(group.tables), group);
    }
  }

  get all(): readonly Group[] {
    return inOrder(this.groups.values(), 'sites');
  }
}
