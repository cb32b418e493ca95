// What can go wrong, as stable codes with the exit status each one ends in (docs/README.md, "Exit codes").

/** Exit statuses of the command line and what each says; docs/README.md and the manual page have the same words. */
export const exitStatuses = {
  done: { status: 0, meaning: 'done, nothing found' },
  findings: { status: 1, meaning: 'findings, or a patch that was refused' },
  usage: { status: 2, meaning: 'the command line is wrong, or names something that does not exist' },
  malformed: { status: 3, meaning: 'the input is malformed or not supported' },
  io: { status: 4, meaning: 'a file cannot be read or written' },
  defect: { status: 70, meaning: 'a defect of textpoke' },
} as const;

/** Exit statuses by name. */
export const ExitCode = {
  done: exitStatuses.done.status,
  findings: exitStatuses.findings.status,
  usage: exitStatuses.usage.status,
  malformed: exitStatuses.malformed.status,
  io: exitStatuses.io.status,
  defect: exitStatuses.defect.status,
} as const;

/** Every error code, with the exit status it ends in. A code never changes its meaning. */
export const errorCodes = {
  usage: ExitCode.usage,
  'unknown-key': ExitCode.usage,
  'engine-missing': ExitCode.usage,
  'ambiguous-name': ExitCode.usage,
  'no-match': ExitCode.findings,
  'not-elf': ExitCode.malformed,
  'elf-truncated': ExitCode.malformed,
  'elf-malformed': ExitCode.malformed,
  'elf-unsupported': ExitCode.malformed,
  'machine-unsupported': ExitCode.malformed,
  'compressed-malformed': ExitCode.malformed,
  'compressed-too-large': ExitCode.malformed,
  'lto-object': ExitCode.malformed,
  'not-relocatable': ExitCode.malformed,
  'not-an-image': ExitCode.malformed,
  'archive-malformed': ExitCode.malformed,
  'archive-thin': ExitCode.malformed,
  'table-malformed': ExitCode.malformed,
  'key-unaligned': ExitCode.malformed,
  'site-mismatch': ExitCode.findings,
  'site-unpatchable': ExitCode.findings,
  'branch-range': ExitCode.findings,
  'link-failed': ExitCode.malformed,
  'store-refused': ExitCode.findings,
  'kernel-bug': ExitCode.findings,
  'step-refused': ExitCode.findings,
  'expectation-failed': ExitCode.findings,
  'scenario-malformed': ExitCode.malformed,
  'config-malformed': ExitCode.malformed,
  'policy-malformed': ExitCode.malformed,
  'field-range': ExitCode.malformed,
  'memory-unsupported': ExitCode.malformed,
  'memory-malformed': ExitCode.malformed,
  'memory-mismatch': ExitCode.malformed,
  'too-large': ExitCode.malformed,
  'read-failed': ExitCode.io,
  'write-failed': ExitCode.io,
  defect: ExitCode.defect,
} as const;

/** A stable code. */
export type ErrorCode = keyof typeof errorCodes;

/** Where an error was found. `offset` counts bytes in the section when there is one, else in the file. */
export interface ErrorPlace {
  /** Path or name of the input; `lib.a(member.o)` for a member of an archive. */
  readonly file?: string | undefined;
  /** Name of the section. */
  readonly section?: string | undefined;
  /** Bytes in the section, or in the file where there is none. */
  readonly offset?: number | undefined;
}

/** An error that a user is shown as one line: `file: section+0xoffset: what was found; what was required`. */
export class TextpokeError extends Error {
  /** What went wrong; never changes its meaning. */
  readonly code: ErrorCode;
  /** Where, as far as it is known. */
  readonly place: ErrorPlace;

  /** `message` says what was found and what was required, without place and code. */
  constructor(code: ErrorCode, message: string, place: ErrorPlace = {}) {
    super(message);
    this.name = 'TextpokeError';
    this.code = code;
    this.place = place;
  }

  /** The exit status that the command line ends in. */
  get exitCode(): number {
    return errorCodes[this.code];
  }

  /** The line a user sees, without the program's name. */
  describe(): string {
    const { file, section, offset } = this.place;
    const at = offset === undefined ? '' : `0x${offset.toString(16)}`;
    const where = section !== undefined ? `${section}${at ? `+${at}` : ''}: ` : at ? `offset ${at}: ` : '';
    return printable(`${file !== undefined ? `${file}: ` : ''}${where}${this.message} [${this.code}]`);
  }
}

/** Controls, format characters (which turn text round or hide in it), line separators, what is no character. */
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\ufffe\uffff]/gu;

/** Names come from files: what could move a terminal's cursor, break a line or mislead a reader is shown as `\\x1b`. */
export function printable(text: string): string {
  if (!/[^\x20-\x7e]/.test(text)) return text; // nearly all names
  return text.replace(unprintable, (c) => {
    const digits = (c.codePointAt(0) as number).toString(16);
    if (digits.length > 4) return `\\u{${digits}}`;
    return digits.length > 2 ? `\\u${digits.padStart(4, '0')}` : `\\x${digits.padStart(2, '0')}`;
  });
}

/** Bytes at one place that are not what they must be. */
export interface Mismatch {
  /** Virtual address: the signed reading of its 64 bits, so that of a kernel is negative. */
  readonly address: number;
  /** `symbol+0x1c`. */
  readonly name: string;
  /** Bytes that stand there. */
  readonly found: Uint8Array;
  /** Every byte string that would have been right, with what it would have meant. */
  readonly allowed: readonly { readonly bytes: Uint8Array; readonly meaning: string }[];
  /** Why something was to be written there. */
  readonly reason: string;
}

/** `site-mismatch` with every place; whoever prints it adds the disassemblies. Nothing was written. */
export class MismatchError extends TextpokeError {
  /** Every place that holds something else than it may. */
  readonly mismatches: readonly Mismatch[];

  /** The message says how many places there are. */
  constructor(mismatches: readonly Mismatch[], place: ErrorPlace = {}) {
    super(
      'site-mismatch',
      `${mismatches.length} sites do not hold the required bytes; nothing was written`,
      place,
    );
    this.mismatches = mismatches;
  }
}

/**
 * What V8 says when something has outgrown it, as an error about the input; undefined for any other error. Whoever knows
 * that an input asks for too much says so in better words.
 */
export function asTooLarge(error: unknown): TextpokeError | undefined {
  if (!(error instanceof RangeError) || !outgrown.test(error.message)) return undefined;
  return new TextpokeError(
    'too-large',
    `the input, or what there is to say of it, is too large or too deeply nested (${error.message})`,
  );
}

const outgrown =
  /^(Invalid (string|array|typed array|array buffer) length|Array buffer allocation failed|Maximum call stack size exceeded|(Map|Set) maximum size exceeded)/;

/** Runs `body`, adding the file's name to an error that does not know it yet. */
export function inFile<T>(file: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof TextpokeError && error.place.file === undefined) {
      throw new TextpokeError(error.code, error.message, { ...error.place, file });
    }
    throw error;
  }
}
