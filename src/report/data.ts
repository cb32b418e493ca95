// What a report holds, as plain data: made from images by the files beside this one, and shown by page/. Types alone, so that
// the page can share them. Strings and byte strings stand once, in lists, and are named by their numbers.
import type { FileSummary } from '../dump/summary.ts';

/** The number of a text in `ImageData.strings`. */
export type StringNumber = number;
/** The number of a byte string in `ImageData.bytes`. */
export type BytesNumber = number;
/** The number of a place in the columns of `PlacesData`. */
export type PlaceNumber = number;

export interface ReportData {
  /** Version of textpoke. */
  readonly version: string;
  readonly images: readonly ImageData[];
  /** The two images against each other, if they are two. */
  readonly builds?: BuildsData;
}

export interface ImageData {
  readonly summary: FileSummary;
  /** Texts that the columns name: names from the file, which are no markup. */
  readonly strings: readonly string[];
  /** Byte strings in hexadecimal digits. */
  readonly bytes: readonly string[];
  /** Executable ranges in order of address. */
  readonly sections: readonly SectionData[];
  /** Stretches of init text: address and size, in order of address. */
  readonly init: readonly (readonly [address: number, size: number])[];
  readonly kinds: readonly KindData[];
  /** Absent where there are more places than a page can show; then the summary is all there is. */
  readonly places?: PlacesData;
  /** Places that the image has. */
  readonly placeCount: number;
  /** What boot makes of the image; absent without places. */
  readonly boot?: BootData;
  /** What verify says, if it was asked. */
  readonly findings?: FindingsData;
  /** What a person has to know besides. */
  readonly notes: readonly string[];
}

export interface SectionData {
  readonly name: string;
  /** Virtual address: the signed reading of 64 bits, here and below. */
  readonly address: number;
  readonly size: number;
}

/** A kind of place. */
export interface KindData {
  /** `static branch`, `static call`, `trampoline`, `lock`, `kept lock`, `barrier`. */
  readonly name: string;
  readonly plural: string;
  /** Places of this kind. */
  readonly count: number;
}

/** Places in order of address, a column for each of their properties. */
export interface PlacesData {
  /** The first address, and then differences. */
  readonly address: readonly number[];
  /** Number of the kind. */
  readonly kind: readonly number[];
  /** Number of the control that decides; -1: none. */
  readonly control: readonly number[];
  /** The symbol that holds the place; -1: none. */
  readonly symbol: readonly StringNumber[];
  /** Bytes from the symbol, or from the section where there is none. */
  readonly offset: readonly number[];
  /** Source file; -1: unknown. */
  readonly file: readonly StringNumber[];
  readonly line: readonly number[];
  /** 1: in init text. 2: a branch that is built as likely, or a tail call. 4: listed more than once. */
  readonly flags: readonly number[];
  /** What stands there in the file. */
  readonly built: readonly BytesNumber[];
  /** Its disassembly. */
  readonly builtText: readonly StringNumber[];
  /** Bytes of the same instruction in front of the place and behind it, for places that are one byte; -1: none. */
  readonly lead: readonly BytesNumber[];
  readonly rest: readonly BytesNumber[];
}

/** What boot does, and what every key and call does after it. */
export interface BootData {
  /** Why nothing can be booted; then there are no controls. */
  readonly refused?: string;
  /** Name of the profile whose rules were followed. */
  readonly profile: string;
  /** The command without its options, to which a page adds those of what a person chose: `textpoke boot vmlinux`. */
  readonly command: string;
  /** Phases of start-up, as boot makes them without `--cpus`. */
  readonly phases: readonly PhaseData[];
  /** What `--cpus` adds to the last phase, for one and for several. */
  readonly cpus: readonly CpusData[];
  /** Keys first, then calls, each in order of address. */
  readonly controls: readonly ControlData[];
  /** The writes that make a byte string while the program runs, by its number: step, offset in the place, bytes. */
  readonly live: Readonly<Record<BytesNumber, readonly number[]>>;
}

/** Places that are written to, with what is written, what that reads as and why: four columns of one length. */
export interface WritesData {
  readonly places: readonly PlaceNumber[];
  readonly bytes: readonly BytesNumber[];
  readonly texts: readonly StringNumber[];
  readonly reasons: readonly StringNumber[];
}

export interface PhaseData extends WritesData {
  readonly name: string;
  /** Words of data that were stored: sorted tables, keys. They are counted, and not shown. */
  readonly stored: number;
}

export interface CpusData extends WritesData {
  /** What `--cpus` is given. */
  readonly cpus: number;
  /** Why that is refused. */
  readonly refused?: string;
}

/** A key or a call. */
export interface ControlData {
  readonly what: 'key' | 'call';
  /** As boot's options take it: a name, or an address where the name is not the only one. */
  readonly spelling: StringNumber;
  /** As people read it. */
  readonly name: StringNumber;
  readonly address: number;
  /** Why it cannot be switched at all. */
  readonly refused?: string;
  /** Number of the value that boot leaves. */
  readonly initial: number;
  readonly values: readonly ValueData[];
  /** The places that follow it, in the order in which they are patched. */
  readonly places: readonly PlaceNumber[];
  /** Words of data that a change stores: address and what they hold after boot. */
  readonly words: readonly (readonly [address: number, bytes: BytesNumber])[];
  /** What stands at the places after boot, and what that reads as, where a change to the same value writes other bytes. */
  readonly standing?: Pick<ValueData, 'bytes' | 'texts'>;
  /**
   * Of a key: what a user more or less stores while there are others, between counts of 1 and 2 first. No place changes
   * then. Absent where no such thing is recorded.
   */
  readonly counts?: readonly CountData[];
  /** How many words are stored besides that follow from other controls as well, and are not shown; absent: none. */
  readonly leftOut?: number;
}

/** A state of a key, or what a call goes to. A static key has two: off, on. */
export interface ValueData {
  /** `off`, `on`, `NULL`, `RET0` or a function. */
  readonly name: StringNumber;
  /** As `--update` takes it. */
  readonly spelling: StringNumber;
  /** Why the change to it is refused; then the columns are empty. */
  readonly refused?: string;
  /** For each of the control's places. */
  readonly bytes: readonly BytesNumber[];
  readonly texts: readonly StringNumber[];
  readonly reasons: readonly StringNumber[];
  /** In this order: -1 stands for all the places, else word, bytes and reason of what is stored. */
  readonly order: readonly (-1 | StoredData)[];
}

/** A word of data that is stored. */
export type StoredData = readonly [word: number, bytes: BytesNumber, reason: StringNumber];

/** What is stored on the way from a count to the next one, and back. */
export interface CountData {
  readonly up: readonly StoredData[];
  readonly down: readonly StoredData[];
}

/** What verify found. */
export interface FindingsData {
  /** What was verified, and with what: a sentence. */
  readonly about: string;
  readonly errors: number;
  readonly warnings: number;
  readonly suppressed: number;
  /** What most findings have in common, as verify says it: a sentence, and the command that takes it into account. */
  readonly explanation?: { readonly text: string; readonly command: string };
  /** What nothing explains first; of each, errors before warnings and then by rule, what most findings have first. */
  readonly causes: readonly CauseData[];
}

/** Findings of one rule that say the same. */
export interface CauseData {
  /** Id of the rule. */
  readonly rule: string;
  readonly name: string;
  readonly severity: 'error' | 'warning';
  readonly summary: string;
  /** True for what the explanation explains. */
  readonly isExplained: boolean;
  /** How many there are; a page holds some of them. */
  readonly count: number;
  readonly findings: readonly FindingData[];
}

export interface FindingData {
  /** Virtual address, `0x…`. */
  readonly address?: string;
  readonly place: string;
  readonly source?: string;
  readonly message: string;
  readonly found?: string;
  readonly expected?: string;
}

/** Two builds. */
export interface BuildsData {
  /** The names that they were given. */
  readonly old: string;
  readonly new: string;
  /** What is lost, gained and changed, as diff has it, and what is moved. */
  readonly differences: readonly DifferenceData[];
  /** Sites that both builds have at the same place of a function that begins elsewhere. */
  readonly shifted: number;
  /** Sites that lie at the same address. */
  readonly same: number;
}

export interface DifferenceData {
  /** `moved`: both builds have the site, at another place of its function or in another function or section. */
  readonly what: 'lost' | 'gained' | 'changed' | 'moved';
  readonly function: string;
  readonly kind: string;
  readonly key?: string;
  /** `symbol+0x1c`, and what else the entry says. */
  readonly old?: string;
  readonly new?: string;
  readonly source?: string;
}
