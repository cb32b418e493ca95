// The kinds of patching that make a kernel's text what it is.

/** Words for tables and JSON, in the order in which x86 kernels of 6.12 patch. */
export const textKinds = [
  'relocation',
  'static-branch',
  'static-call',
  'trampoline',
  'ftrace',
  'paravirt',
  'cfi',
  'retpoline',
  'return',
  'alternative',
  'call-thunk',
  'endbr',
  'lock',
  'constant',
  'kprobe',
  'poke',
] as const;
export type TextKind = (typeof textKinds)[number];

/** What `ExpectedText.kinds` has for each. */
export const kindNumbers = Object.fromEntries(textKinds.map((kind, i) => [kind, i + 1])) as Readonly<
  Record<TextKind, number>
>;
