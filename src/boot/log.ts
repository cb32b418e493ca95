// What a run has to tell besides its writes: notes, warnings of the kernel's, answers of queries.

/** Of a range of code, by the names of groups: true for those that own some of it. */
export type Reserved = Readonly<Record<string, boolean>>;

/** A WARN of the kernel's: the program goes on. */
export interface Warning {
  /** The step that it came of: `step 3`; absent for boot, and for steps without a name. */
  readonly step?: string;
  /** `static_key_dec_not_one: WARN_ON_ONCE(v == 0)`: function and condition as the kernel's source has them. */
  readonly warning: string;
  /** The key, call or place that it is about. */
  readonly about: string;
  /** WARN_ON_ONCE prints once; a repetition is silent there. */
  readonly repeated: boolean;
}

/** The answer to a step `queryReserved`. */
export interface QueryAnswer {
  /** The step as a person knows it: `step 3`, else the operation in a few words. */
  readonly step: string;
  readonly reserved: Reserved;
}

export class Log {
  /** The phases of start-up in their order, with the number of the sites of those that follow from the processor. */
  readonly phases = new Map<string, number | undefined>();
  /** What a person has to know though nothing was refused. */
  readonly notes: string[] = [];
  readonly warnings: Warning[] = [];
  /** What queries found. */
  readonly results: QueryAnswer[] = [];
  /** The step that runs, as a person knows it. */
  step: string | undefined;
  private readonly warned = new Set<string>();

  /** Takes a note, where there is one. */
  note(text: string | undefined): void {
    if (text !== undefined) this.notes.push(text);
  }

  /** Records a WARN. */
  warn(warning: string, about: string): void {
    const repeated = this.warned.has(warning);
    this.warned.add(warning);
    const step = this.step === undefined ? {} : { step: this.step };
    this.warnings.push({ ...step, warning, about, repeated });
  }
}
