// Rules about what stands at sites that are listed, and in trampolines.
import type { Rule } from './rule.ts';

export const siteRules = {
  TP007: {
    name: 'wrong-instruction',
    severity: 'error',
    summary: 'a site does not hold the instruction that its key requires',
    help:
      'The value of the key and the instruction at the site do not agree. Examples: a branch is taken ' +
      'although its key is disabled, or a call goes to a function other than the func pointer of its key. ' +
      'The image was patched only in part, or it was changed after boot. For an image that was not booted ' +
      'yet, use --linked.',
  },
  TP008: {
    name: 'half-patched',
    severity: 'error',
    summary: 'a site or a trampoline holds the breakpoint of an unfinished patch',
    help:
      'During a live patch, the first byte of a site is a breakpoint (int3) until the other bytes are ' +
      'written. A breakpoint that is still there has one of these causes: the patch stopped half-way, the ' +
      'image was taken from a running system during a patch, or a debugger set the breakpoint.',
  },
  TP011: {
    name: 'wrong-lock',
    severity: 'error',
    summary: 'a listed lock prefix is not in the state that the number of CPUs requires',
    help:
      'If several CPUs run, a missing lock prefix is a data race. On one CPU, a lock prefix that is still ' +
      'in place only costs time. Without --cpus, all listed locks must be in one state. The image was ' +
      'patched for another number of CPUs, or only in part.',
  },
  TP012: {
    name: 'wrong-trampoline',
    severity: 'error',
    summary: 'a trampoline does not go where its key requires',
    help:
      'The sites of the call are correct. Its trampoline goes to another place, or is not a trampoline any ' +
      'more. Pointers to the call and unlisted calls go through the trampoline. Something other than ' +
      'static_call_update changed the trampoline.',
  },
  TP017: {
    name: 'wrong-barrier',
    severity: 'error',
    summary: 'a listed barrier is not in the state that the number of CPUs requires',
    help:
      'If several CPUs run and a barrier is missing, the CPUs can see memory accesses out of order. On one ' +
      'CPU, a barrier that is still in place only costs time. Without --cpus, all listed barriers must be ' +
      'in one state.',
  },
  TP021: {
    name: 'unpatchable-site',
    severity: 'error',
    summary: 'a site is too short for its patch, or its target is out of reach',
    help:
      'A short jump to a trampoline has no room for a 32-bit displacement. A branch of two bytes reaches ' +
      'only 127 bytes. The next change of the key will fail. Usual causes: the assembler chose the short ' +
      'form of a tail call, or the link moved the code too far from its target (more than 128 MiB on ' +
      'AArch64).',
  },
  TP025: {
    name: 'kept-lock-listed',
    severity: 'error',
    summary: 'a lock that must be kept is listed in .smp_locks',
    help:
      'TEXTPOKE_KEEP_LOCK marks a lock for memory that is shared with something other than the CPUs of this ' +
      'program: a hypervisor, a device, or a process of another image. .smp_locks must not list such a ' +
      'lock, because boot would drop it on one CPU. Usual cause: a tool that does not know the marker ' +
      'annotated the object.',
  },
} as const satisfies Record<string, Rule>;
