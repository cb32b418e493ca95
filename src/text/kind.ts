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

/** What in a running kernel decides what each kind makes of a place: words for findings. docs/kernel-text.md has the symbols. */
export const textInputs: Readonly<Record<TextKind, string>> = {
  relocation: 'how far the kernel was moved',
  'static-branch': 'the static key of the branch',
  'static-call': 'the key of the static call',
  trampoline: 'the key of the static call',
  ftrace: 'the records of function tracing',
  paravirt: 'the operations of the hypervisor',
  cfi: 'the mode of kCFI and its seed',
  retpoline: 'the features of the processor',
  return: 'the features of the processor and the return thunk',
  alternative: 'the features of the processor',
  'call-thunk': 'the features of the processor',
  endbr: 'the table alone',
  lock: 'how many processors there are',
  constant: 'the variable whose value the code holds',
  kprobe: 'the table of probes',
  poke: 'the list of changes under way',
};
