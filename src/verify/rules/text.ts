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
  TP038: {
    name: 'foreign-code',
    severity: 'error',
    summary: 'memory that a kernel may execute belongs to nothing that is known',
    help:
      'The page tables of the kernel let it execute this memory. It is neither text of the image nor of a module ' +
      'that is on the list, nor code that the kernel makes itself (programs of BPF, trampolines of function ' +
      'tracing, slots of probes, thunks). Usual cause: a module that hides, or code that was loaded past the ' +
      'kernel.',
  },
  TP039: {
    name: 'writable-code',
    severity: 'error',
    summary: 'memory that a kernel may execute may be written to as well',
    help:
      'The page tables of the kernel let it write to and execute this memory at once. A kernel maps its code ' +
      'read-only once it has started (CONFIG_STRICT_KERNEL_RWX); whoever can write to memory can change this code.',
  },
  TP040: {
    name: 'wrong-generated-code',
    severity: 'error',
    summary: 'code that a kernel generates is not what it generates',
    help:
      'A kernel makes code beside its image: trampolines of function tracing, slots of probes, thunks against ' +
      'ITS, packs of BPF. What it makes follows from what it makes it for. Here stands something else. Usual ' +
      'cause: a trampoline that was changed to lead somewhere else.',
  },
} as const satisfies Record<string, Rule>;
