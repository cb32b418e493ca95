// Rules about the executable memory of a running kernel, its image and modules included.
import type { Rule } from './rule.ts';

export const executableRules = {
  TP038: {
    name: 'unknown-code',
    severity: 'error',
    summary: "an executable page of a running kernel is nobody's code",
    help:
      'The page tables of the kernel let this page be executed. It is no text of the image or of a module on the ' +
      'list, and no code that the kernel says it made: trampolines of ftrace, slots of kprobes, programs of BPF, ' +
      'thunks against ITS, the code in which processors start, the pages through which programs enter an arm64 ' +
      'kernel. Usual cause: code that was put there and hides, or a module that took itself out of the list. Other ' +
      'causes: drivers that are not part of the kernel and make code ' +
      'of their own.',
  },
  TP039: {
    name: 'writable-code',
    severity: 'error',
    summary: 'a page of a running kernel can be written to and executed',
    help:
      'Kernels write their own code through other mappings, so no page of theirs has to be both. Whoever can write to ' +
      'this page can have the kernel run what he likes. Older kernels, such as 5.10, keep the trampolines of BPF (fentry, ' +
      'fexit, struct_ops) writable: this is how they are, and it stays a finding. Other causes: rodata=off, and ' +
      'modules in kernels without CONFIG_STRICT_MODULE_RWX.',
  },
  TP040: {
    name: 'changed-generated-code',
    severity: 'error',
    summary: 'code that a running kernel made is not what it makes',
    help:
      'A kernel makes code for functions that are traced, for probes and for programs of BPF, each from a template and ' +
      'from what its lists say. This code differs from that, or the lists name something that cannot be: a function ' +
      'that is none, another owner, code in a part of memory that is free. On arm64, code among read-only data is ' +
      'compared with what alternatives make of it, too. Usual cause: a hook that hides in a ' +
      'trampoline.',
  },
} as const satisfies Record<string, Rule>;
