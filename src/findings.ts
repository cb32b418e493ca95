// What verify can find, as stable rules.

export type Severity = 'error' | 'warning';

interface Rule {
  readonly name: string;
  readonly severity: Severity;
  readonly summary: string;
}

/** Every rule. An id never changes its meaning. */
export const rules = {
  TP001: {
    name: 'entry-outside-code',
    severity: 'error',
    summary: 'a site or a branch target is not in executable code',
  },
  TP002: {
    name: 'entry-inside-instruction',
    severity: 'error',
    summary: 'a site is not where an instruction (or its lock prefix) starts',
  },
  TP003: {
    name: 'overlapping-sites',
    severity: 'error',
    summary: 'two sites share bytes, or one site has contradicting entries',
  },
  TP004: {
    name: 'unsorted-table',
    severity: 'error',
    summary: 'a table is not in the order that boot code leaves it in',
  },
  TP005: {
    name: 'unaligned-key',
    severity: 'error',
    summary: 'a key is not aligned to 4 bytes, so its flag bits are address bits',
  },
  TP006: { name: 'not-a-key', severity: 'error', summary: 'a key does not lie in writable data' },
  TP007: {
    name: 'wrong-instruction',
    severity: 'error',
    summary: 'a site does not hold what the value of its key demands',
  },
  TP008: {
    name: 'half-patched',
    severity: 'error',
    summary: 'a breakpoint of an unfinished patch was left behind',
  },
  TP009: {
    name: 'unlisted-call',
    severity: 'error',
    summary: 'code calls a trampoline, but no entry lists the place',
  },
  TP010: { name: 'unlisted-lock', severity: 'error', summary: 'a lock prefix has no entry' },
  TP011: {
    name: 'wrong-lock',
    severity: 'error',
    summary: 'a listed lock prefix is not in the state that the number of CPUs demands',
  },
  TP012: {
    name: 'wrong-trampoline',
    severity: 'error',
    summary: 'a trampoline does not go where its key says',
  },
  TP013: {
    name: 'changed-elsewhere',
    severity: 'error',
    summary: 'bytes outside sites, tables, keys and trampolines differ from the original',
  },
  TP014: {
    name: 'entries-differ',
    severity: 'error',
    summary: 'the tables list other sites than those of the original',
  },
  TP015: {
    name: 'wrong-init-flag',
    severity: 'error',
    summary: 'the init flag of an entry contradicts where its site lies',
  },
  TP016: {
    name: 'no-entries',
    severity: 'error',
    summary: 'the image has no entry in any table, so nothing can be verified',
  },
  TP017: {
    name: 'wrong-barrier',
    severity: 'error',
    summary: 'a listed barrier is not in the state that the number of CPUs demands',
  },
} as const satisfies Record<string, Rule>;

export type RuleId = keyof typeof rules;

export interface Finding {
  readonly rule: RuleId;
  /** Virtual address of the place. */
  readonly address: number;
  /** `symbol+0x1c`. */
  readonly place: string;
  readonly message: string;
  readonly found?: Uint8Array | undefined;
  readonly expected?: Uint8Array | undefined;
}
