// Keys of a program that runs, as JSON has them.

/** What `textpoke ctl … list --json` prints (docs/control.schema.json). */
export interface ControlDocument {
  readonly schema: 'textpoke.control/1';
  /** The process. */
  readonly pid: number;
  /** Static keys that have sites, by file and address. */
  readonly keys: readonly ControlKey[];
  /** Static calls that have sites, by file and address. */
  readonly calls: readonly ControlCall[];
  /** Files whose sites stay as they were compiled, with the reason. */
  readonly refused: readonly { readonly file: string; readonly message: string }[];
}

/** A static key of a process. */
export interface ControlKey {
  /** `symbol+0x10`. */
  readonly key: string;
  /** The program or library that has it. */
  readonly file: string;
  /** Virtual address in the process, `0x…`. */
  readonly address: string;
  /** Its count, as static_key_count gives it. */
  readonly enabled: number;
  /** Branches that follow it. */
  readonly sites: number;
}

/** A static call of a process. */
export interface ControlCall {
  /** The name given to DEFINE_STATIC_CALL. */
  readonly call: string;
  /** The program or library that has its key. */
  readonly file: string;
  /** Virtual address of its key in the process, `0x…`. */
  readonly address: string;
  /** What it calls: `symbol+0x10`, `NULL`, `RET0`, or an address outside of the files with tables. */
  readonly function: string;
  /** Calls that follow it. */
  readonly sites: number;
}
