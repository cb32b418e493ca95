// What verify found. There may be one finding for each entry of an image, so those that come by the thousand keep no
// words and no bytes: they are made when they are told.
import type { Address, EntryAddress } from '../bytes/named-numbers.ts';
import type { SourceLine } from '../dwarf/source-line.ts';
import { TextpokeError } from '../errors.ts';
import type { RuleId } from './rules.ts';

export interface Finding {
  readonly rule: RuleId;
  /** The place; undefined for what is about a file as a whole. */
  readonly address: Address | undefined;
  /** `symbol+0x1c`. */
  readonly place: string;
  readonly message: string;
  /** The table's entry that is at fault. */
  readonly entry?: EntryAddress | undefined;
  readonly found?: Uint8Array | undefined;
  readonly expected?: Uint8Array | undefined;
}

/** A finding, and where its place comes from. */
export interface Located extends Finding {
  readonly source?: SourceLine | undefined;
}

/** What a check says of one of the things it looks at, by number; the same each time it is asked. */
export type Judge = (which: number) => Finding | undefined;

/** A finding that asks its judge again for what it has to say. `told` asks once for all of it. */
class LaterFinding implements Located {
  readonly rule: RuleId;
  readonly address: Address | undefined;
  readonly entry: EntryAddress | undefined;
  readonly source: SourceLine | undefined;
  readonly judge: Judge;
  readonly which: number;

  constructor(
    { rule, address, entry, source }: Omit<Located, 'place' | 'message'>,
    judge: Judge,
    which: number,
  ) {
    this.rule = rule;
    this.address = address;
    this.entry = entry;
    this.source = source;
    this.judge = judge;
    this.which = which;
  }

  get place(): string {
    return this.said().place;
  }

  get message(): string {
    return this.said().message;
  }

  get found(): Uint8Array | undefined {
    return this.said().found;
  }

  get expected(): Uint8Array | undefined {
    return this.said().expected;
  }

  said(): Finding {
    const finding = this.judge(this.which);
    if (finding) return finding;
    throw new TextpokeError('read-failed', 'a file changed while it was verified; try again');
  }
}

/** The finding that a judge has about one of its things, to be told later. */
export function later(judge: Judge, which: number): Finding | undefined {
  const finding = judge(which);
  return finding && new LaterFinding(finding, judge, which);
}

/** The findings that a judge has about the first `count` of its things, to be told later. */
export function* judged(count: number, judge: Judge): Generator<Finding> {
  for (let which = 0; which < count; which++) {
    const finding = later(judge, which);
    if (finding) yield finding;
  }
}

/** The finding with the source line of its place. */
export function locatedAt(finding: Finding, source: SourceLine | undefined): Located {
  if (source === undefined) return finding;
  if (!(finding instanceof LaterFinding)) return { ...finding, source };
  const { rule, address, entry, judge, which } = finding;
  return new LaterFinding({ rule, address, entry, source }, judge, which);
}

/** The finding with another name for its place. */
export function renamed(finding: Finding, rename: (place: string) => string): Finding {
  const change = (said: Finding): Finding => ({ ...said, place: rename(said.place) });
  if (!(finding instanceof LaterFinding)) return change(finding);
  const judge: Judge = (which) => {
    const said = finding.judge(which);
    return said && change(said);
  };
  return new LaterFinding(finding, judge, finding.which);
}

/** All that a finding has to say, made once; the finding itself where it is made already. */
export function told(finding: Located): Located {
  if (!(finding instanceof LaterFinding)) return finding;
  // Each field by its name: a spread makes V8 keep half a kilobyte for each object until all memory is gone through.
  const { rule, address, place, message, entry, found, expected } = finding.said();
  return { rule, address, place, message, entry, found, expected, source: finding.source };
}
