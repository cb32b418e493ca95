// Rules about the text of a running kernel, byte for byte.
import type { Rule } from './rule.ts';

export const textRules = {
  TP036: {
    name: 'changed-text',
    severity: 'error',
    summary: 'bytes of the text of a running kernel are not what its own patching makes of them',
    help:
      'textpoke replays each step in which a kernel changes its text, for the processor and the keys that the ' +
      'memory tells of, and compares every byte from _text to _etext. Here stands something that none of these ' +
      'steps writes. Usual causes: a hook (a jump or a breakpoint that no table of the kernel knows), a change ' +
      'by hand, damaged memory, or a step that this version of textpoke does not know (see docs/kernel-text.md ' +
      'for what is replayed). The finding shows what stands there and what must stand there.',
  },
  TP037: {
    name: 'wrong-text-input',
    severity: 'error',
    summary: 'what the text of a running kernel follows from cannot be as the memory has it',
    help:
      'What a kernel writes into its text depends on other memory: the features of the processor, the return ' +
      'thunk, the operations of a hypervisor, keys, the records of function tracing and probes. textpoke does ' +
      'not believe these as they are: an operation must lead to a function, a feature that every processor has ' +
      'must be there, a record must be of a listed function. The finding names the input. Whoever changes such ' +
      'an input has the kernel, or textpoke, take a changed text for the right one.',
  },
  TP041: {
    name: 'changed-module-text',
    severity: 'error',
    summary:
      "bytes of the text of a module are not what its loading and the kernel's own patching make of them",
    help:
      'textpoke links the file of each module to where the module lies, as the loader does it, replays what the ' +
      'kernel patches in it then and later, and compares every byte of its code. Here stands something that none of ' +
      'these steps writes. Usual causes: a hook in a module, or a file that is not the one that was loaded and has ' +
      'no build id that would tell. The finding shows what stands there and what must stand there.',
  },
  TP042: {
    name: 'stray-module-code',
    severity: 'error',
    summary: "memory of a module's code that no section of it has is not filled as the loader fills it",
    help:
      'The sections of a module do not fill the pages of its code. The loader leaves zeros between them and behind ' +
      'the last one, or instructions that trap. Here stands something else, which can be executed and belongs to ' +
      'nobody. Usual cause: code that hides in the rest of a page.',
  },
} as const satisfies Record<string, Rule>;
