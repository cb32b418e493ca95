// Rules about what is not listed: sites without entry, keys without site, images without either.
import type { Rule } from './rule.ts';

export const coverageRules = {
  TP009: {
    name: 'unlisted-call',
    severity: 'error',
    summary: 'code calls a trampoline, but no entry lists the site',
    help:
      'The call works, but it always goes through the trampoline. static_call_update does not patch this ' +
      'site, and every call pays for the extra jump. The object of this code was not annotated, or it lost ' +
      'its table. Annotate the object before the link, and link with the fragment of textpoke ldscript.',
  },
  TP010: {
    name: 'unlisted-lock',
    severity: 'error',
    summary: 'a lock prefix has no entry',
    help:
      'Without an entry, this lock prefix stays in place on one CPU and costs time. The object of this code ' +
      'was not annotated. If the program links code that is not annotated (a static C library, for ' +
      'example), use --locks listed. If the lock is for memory that is shared with something other than the ' +
      'CPUs of this program, mark it with TEXTPOKE_KEEP_LOCK.',
  },
  TP016: {
    name: 'no-entries',
    severity: 'error',
    summary: 'no table of the image has an entry, so there is nothing to verify',
    help:
      'The image lists no site. Either its objects were not annotated, or the linker dropped the tables. ' +
      'Annotate the objects, and link with the fragment of textpoke ldscript. verify does not report ' +
      'success when it has checked nothing.',
  },
  TP022: {
    name: 'unlisted-branch',
    severity: 'error',
    summary: 'a static branch has markers, but no entry lists the site',
    help:
      'The branch keeps the state that its key had at compile time. A change of the key does not reach the ' +
      'branch. The object of this code was not annotated. Markers are relocations, so verify finds them ' +
      'only in an image that was linked with --emit-relocs (-q).',
  },
  TP024: {
    name: 'unused-key',
    severity: 'warning',
    summary: 'a static call has a key, but no site uses the key',
    help:
      'The image defines this static call and does not export it, but no entry names its key. An update of ' +
      'the call changes only the trampoline. Either no code calls it any more, or the objects that call it ' +
      'were not annotated or lost their tables.',
  },
  TP030: {
    name: 'forgotten-object',
    severity: 'error',
    summary: 'an object with static branches was never annotated',
    help:
      'The static branches of this object keep the state that their keys had at compile time. Annotate the ' +
      'object before the link. With link-time optimisation the linker compiles the code once more, so that ' +
      'what was annotated is not what is linked: annotate the output of gcc -flto -r -flinker-output=nolto-rel ' +
      '(or of ld.lld -r), or compile with -fno-lto.',
  },
  TP031: {
    name: 'code-without-function',
    severity: 'error',
    summary: 'a static branch is in code that no function covers',
    help:
      'The entry names code, but no symbol of a function or a label covers the place, although the image has ' +
      'symbols. Usual cause: a post-link tool such as BOLT moved the functions and left the tables as they ' +
      'were. The old code never runs, so patching it changes nothing. Patch the image before the tool runs, ' +
      'or leave the functions with sites out.',
  },
  TP032: {
    name: 'lost-branch',
    severity: 'error',
    summary: 'a static branch that annotate listed has no entry in the image',
    help:
      'The branch keeps its present state for ever: a change of its key does not reach it. annotate listed the ' +
      'site in the object and left a record of it (.note.textpoke), but the image has the function without the ' +
      'entry. Either the linker dropped or merged the table (gold and mold do so with --gc-sections), or a ' +
      'post-link tool such as BOLT moved the code. docs/linking.md has the links that work.',
  },
} as const satisfies Record<string, Rule>;
