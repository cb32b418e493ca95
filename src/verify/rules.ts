// What verify can find, as stable rules: id, name, severity, one sentence, and the paragraph of `textpoke explain`.

/** How bad a finding is. */
export type Severity = 'error' | 'warning';

/** What a user may give to have more looked at. */
export type Need = 'original' | 'config' | 'baseline';

/** A rule of verify. */
export interface Rule {
  /** In lower case with dashes: `wrong-instruction`. */
  readonly name: string;
  readonly severity: Severity;
  /** One sentence without its full stop. */
  readonly summary: string;
  /** What it means, how it comes about and what to do. */
  readonly help: string;
  /** The option without which it is not looked at. */
  readonly needs?: Need;
}

/** Every rule. An id never changes its meaning. */
export const rules = {
  TP001: {
    name: 'entry-outside-code',
    severity: 'error',
    summary: 'a site or a branch target is not in executable code',
    help:
      'An entry of a table names a place outside the image, or in a section that is not executable. Patching would ' +
      'write into data, or into memory that belongs to something else. Usually the table was damaged after the link, ' +
      'or a section that holds code was linked without its executable flag. Link again from annotated objects.',
  },
  TP002: {
    name: 'entry-inside-instruction',
    severity: 'error',
    summary: 'a site is not where an instruction (or its lock prefix) starts',
    help:
      'An entry names a byte in the middle of an instruction, as a sweep of the code between its symbols finds them. ' +
      'Patching there would make another instruction of it. Something moved code after annotate had listed it: a ' +
      'tool that relaxes or instruments code behind the compiler, or an object that was changed after annotate.',
  },
  TP003: {
    name: 'overlapping-sites',
    severity: 'error',
    summary: 'two sites share bytes, or one site has contradicting entries',
    help:
      'Two entries claim the same bytes, but want different things there: other keys, other targets, or a branch and ' +
      'a call. Whichever is patched last wins, and the other one is lost. Identical code folding of functions that ' +
      'differ only in their keys does this when the markers were stripped from the objects before the link.',
  },
  TP004: {
    name: 'unsorted-table',
    severity: 'error',
    summary: 'a table is not in the order that boot code leaves it in',
    help:
      'Boot sorts __jump_table and .static_call_sites by key and then by code, and the runtime searches them in that ' +
      'order: an entry out of place is never found. Either the image was not booted yet (say --linked), or the table ' +
      'was changed afterwards.',
  },
  TP005: {
    name: 'unaligned-key',
    severity: 'error',
    summary: 'a key is not aligned to 4 bytes, so its flag bits are address bits',
    help:
      'The low two bits of a key field are flags (likely, tail call, init). A key at an address that is no multiple ' +
      'of 4 loses them to its address. A packed structure or a linker script with SUBALIGN puts keys there.',
  },
  TP006: {
    name: 'not-a-key',
    severity: 'error',
    summary: 'a key does not lie in writable data, or its symbol is too small to be one',
    help:
      'What an entry names as its key is no struct static_key and no struct static_call_key: it lies in code, in ' +
      'read-only data or outside the image, or the object of that name is smaller than a key. Updates of the key ' +
      'would fault or change something else. Check how the key is declared and defined.',
  },
  TP007: {
    name: 'wrong-instruction',
    severity: 'error',
    summary: 'a site does not hold what the value of its key demands',
    help:
      'The key says one thing and the instruction at the site does another: a branch that is taken though its key ' +
      'is off, or a call that goes to a function other than the one the key points to. The image was patched ' +
      'partly, or changed afterwards; an image that was never booted is verified with --linked.',
  },
  TP008: {
    name: 'half-patched',
    severity: 'error',
    summary: 'a breakpoint of an unfinished patch was left behind',
    help:
      'While a site is patched, its first byte is a breakpoint (int3) until the rest is in place. One that is still ' +
      'there means that patching stopped half-way, or that the image was taken from a running system at that moment ' +
      'or with a debugger attached.',
  },
  TP009: {
    name: 'unlisted-call',
    severity: 'error',
    summary: 'code calls a trampoline, but no entry lists the place',
    help:
      'The call works, but goes through the trampoline for ever: static_call_update does not reach it, and every ' +
      'call pays for the jump. The object it comes from was not annotated, or lost its table on the way: annotate ' +
      'it before the link, and link with the fragment of textpoke ldscript.',
  },
  TP010: {
    name: 'unlisted-lock',
    severity: 'error',
    summary: 'a lock prefix has no entry',
    help:
      'On one CPU this lock stays and costs what it always did. The object it comes from was not annotated. Where ' +
      'code is linked that nobody annotates (a static C library), use --locks listed; where a lock is for memory ' +
      'shared with something else, mark it with TEXTPOKE_KEEP_LOCK.',
  },
  TP011: {
    name: 'wrong-lock',
    severity: 'error',
    summary: 'a listed lock prefix is not in the state that the number of CPUs demands',
    help:
      'A lock that is missing while several CPUs run is a data race; one that is there on a single CPU is only slow. ' +
      'Without --cpus all locks have to be in one state. The image was patched for another number of CPUs, or partly.',
  },
  TP012: {
    name: 'wrong-trampoline',
    severity: 'error',
    summary: 'a trampoline does not go where its key says',
    help:
      'The sites of the call are right, but its trampoline, which pointers to the call and unlisted calls go ' +
      'through, leads elsewhere or is no trampoline any more. It was changed behind the back of static_call_update.',
  },
  TP013: {
    name: 'changed-elsewhere',
    severity: 'error',
    summary: 'bytes outside sites, tables, keys and trampolines differ from the original',
    help:
      'Patching may change sites, tables, keys and trampolines and nothing else. These bytes are none of them, and ' +
      'yet differ from the image given as --original: it is not the image this one was made of, or something else ' +
      'wrote to it (strip, a signature, a post-link tool). Compare with the image as it was right before boot.',
    needs: 'original',
  },
  TP014: {
    name: 'entries-differ',
    severity: 'error',
    summary: 'the tables list other sites than those of the original',
    help:
      'Booting sorts tables; it neither adds entries nor drops any. The image given as --original lists a site that ' +
      'this one does not, or the other way round, so this image was not made of it, or a table was changed.',
    needs: 'original',
  },
  TP015: {
    name: 'wrong-init-flag',
    severity: 'error',
    summary: 'the init flag of an entry contradicts where its site lies',
    help:
      'Boot flags the entries of init text, so that nobody patches memory that was freed. A site that lies there ' +
      'without the flag will be written to after it is gone; one with the flag elsewhere is never patched again.',
  },
  TP016: {
    name: 'no-entries',
    severity: 'error',
    summary: 'the image has no entry in any table, so nothing can be verified',
    help:
      'Nothing in this image is known to be a site. Either its objects were not annotated, or the linker dropped ' +
      'the tables: annotate the objects, and link with the fragment that textpoke ldscript prints. An empty proof ' +
      'is not reported as a success.',
  },
  TP017: {
    name: 'wrong-barrier',
    severity: 'error',
    summary: 'a listed barrier is not in the state that the number of CPUs demands',
    help:
      'A barrier that is missing while several CPUs run lets them see memory out of order; one that is there on a ' +
      'single CPU is only slow. Without --cpus all barriers have to be in one state.',
  },
  TP018: {
    name: 'discarded-code',
    severity: 'error',
    summary: 'an entry was left for code that the linker discarded',
    help:
      'The entry holds zeros where a place should be: the linker dropped the function and kept its entry. Boot ' +
      'would patch the table itself, or address 0. ld -r does this to tables that are not in the group of their ' +
      'code: annotate with this version, and use textpoke ldscript --gc-sections with --gc-sections.',
  },
  TP019: {
    name: 'duplicate-entry',
    severity: 'warning',
    summary: 'an entry is listed twice',
    help:
      'Two entries say the same of one site, and the function it lies in has only one name, so that folding of ' +
      'identical code is no explanation. The site is patched twice, which is harmless and slow. Usually an object ' +
      'was linked with its table a second time, or a table was merged by hand.',
  },
  TP020: {
    name: 'target-outside-function',
    severity: 'error',
    summary: 'a static branch leads into another function',
    help:
      'A static branch goes to a label of its own function, or of the cold part the compiler split off. This one ' +
      'would jump into the middle of another function, with the wrong stack frame. Its target field was damaged, or ' +
      'resolved against the wrong section.',
  },
  TP021: {
    name: 'unpatchable-site',
    severity: 'error',
    summary: 'a site is too short for what patching writes, or its target is out of reach',
    help:
      'A short jump to a trampoline has no room for a call of 32 bits, and a branch of two bytes reaches 127 bytes. ' +
      'As soon as the key changes, patching fails. Assembly that lets the assembler choose the size of a tail call, ' +
      'or code that was moved apart by the link (beyond 128 MiB on AArch64), leaves such sites.',
  },
  TP022: {
    name: 'unlisted-branch',
    severity: 'error',
    summary: 'a static branch is marked, but no entry lists the place',
    help:
      'The branch does what its key said when it was compiled, and no change of the key reaches it. The object it ' +
      'comes from was not annotated. Markers are relocations: they are seen only in an image that was linked with ' +
      '--emit-relocs (-q).',
  },
  TP023: {
    name: 'init-reference',
    severity: 'error',
    summary: 'a site that outlives start-up depends on code or a key that is freed after it',
    help:
      'The site stays, but what it needs lies in init memory, which is given back after start-up: its key, the ' +
      'target of its branch, or the function it calls. The next time, something else is there. Take the init ' +
      'attribute off what is used, or put one on what uses it.',
  },
  TP024: {
    name: 'unused-key',
    severity: 'warning',
    summary: 'a static call has a key, but no site uses it',
    help:
      'The image defines this static call and exports it to nobody, but no entry names its key: updates of it ' +
      'change nothing but the trampoline. Either nothing calls it any more, or the objects that do were not ' +
      'annotated or lost their tables.',
  },
  TP025: {
    name: 'kept-lock-listed',
    severity: 'error',
    summary: 'a lock that must never be dropped is listed as one to drop',
    help:
      'TEXTPOKE_KEEP_LOCK left this lock out of .smp_locks on purpose, because something else than the CPUs of this ' +
      'program sees the memory: a hypervisor, a device, a process of another image. It is in .smp_locks all the same, so on ' +
      'one CPU it would go. The object was annotated by something that does not know the marker.',
  },
  TP026: {
    name: 'unused-suppression',
    severity: 'warning',
    summary: 'a suppression of the configuration matches no finding',
    help:
      'What it was written for is gone, or the pattern is wrong. A suppression that lies around hides the next ' +
      'defect of its kind, so take it out.',
    needs: 'config',
  },
  TP027: {
    name: 'site-lost',
    severity: 'error',
    summary: 'a site of the baseline is gone from its function',
    help:
      'The build given as --baseline has a site in this function that this build has not: code was removed, inlined ' +
      'elsewhere or optimised away, or an object was not annotated this time. Where that is as it should be, make ' +
      'this build the baseline. textpoke diff shows all of it.',
    needs: 'baseline',
  },
  TP028: {
    name: 'site-gained',
    severity: 'warning',
    summary: 'a site is new against the baseline',
    help:
      'This build has a site that the one given as --baseline has not. That is how programs grow; it only says that ' +
      'the baseline is older than the code.',
    needs: 'baseline',
  },
} as const satisfies Record<string, Rule>;

/** Id of a rule: `TP007`. */
export type RuleId = keyof typeof rules;

/** Every id, in order. */
export const ruleIds = Object.keys(rules) as RuleId[];
