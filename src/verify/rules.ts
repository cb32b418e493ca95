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
      'An entry of a table names a place outside the image, or a place in a section that is not executable. ' +
      'Boot would write into data, or into memory outside the image. Usual causes: the table was damaged ' +
      'after the link, or a section of code was linked without the flag SHF_EXECINSTR. Link again from ' +
      'annotated objects.',
  },
  TP002: {
    name: 'entry-inside-instruction',
    severity: 'error',
    summary: 'a site is not at the start of an instruction or at a lock prefix',
    help:
      'An entry names a byte inside an instruction. verify decodes the code from symbol to symbol to find ' +
      'where instructions start. A patch at this place would make a different instruction. Usual cause: a ' +
      'tool moved the code after textpoke annotate. Examples are a tool that relaxes or instruments code, ' +
      'and an object that was changed after annotate.',
  },
  TP003: {
    name: 'overlapping-sites',
    severity: 'error',
    summary: 'two sites share bytes, or one site has contradictory entries',
    help:
      'Two entries name the same bytes, but require different contents: different keys, different targets, ' +
      'or a branch and a call. The entry that is patched last wins, and the other entry is lost. Usual ' +
      'cause: identical code folding merged functions that differ only in their keys, because the markers ' +
      'were stripped from the objects before the link.',
  },
  TP004: {
    name: 'unsorted-table',
    severity: 'error',
    summary: 'a table is not sorted by key and then by site',
    help:
      'Boot sorts __jump_table and .static_call_sites by key and then by site. The runtime searches the ' +
      'tables in that order, so it does not find an entry that is out of order. Either the image was not ' +
      'booted yet (use --linked), or the table was changed after boot.',
  },
  TP005: {
    name: 'unaligned-key',
    severity: 'error',
    summary: 'a key is not aligned to 4 bytes, so flag bits overlap its address',
    help:
      'The low two bits of a key field are flags: likely, tail call and init. If the address of a key is ' +
      'not a multiple of 4, the flags overlap the address. Usual causes: a packed structure, or a linker ' +
      'script with SUBALIGN.',
  },
  TP006: {
    name: 'not-a-key',
    severity: 'error',
    summary: 'a key is not in writable data, or its symbol is too small for a key',
    help:
      'The key field of an entry does not name a struct static_key or a struct static_call_key. It names a ' +
      'place in code, in read-only data or outside the image, or an object that is smaller than a key. An ' +
      'update of the key would fault or change other data. Check the declaration and the definition of the ' +
      'key.',
  },
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
  TP013: {
    name: 'changed-elsewhere',
    severity: 'error',
    summary: 'bytes outside sites, tables, keys and trampolines differ from the original',
    help:
      'Patching changes only sites, tables, keys and trampolines. These bytes belong to none of them, but ' +
      'they differ from the image that --original names. Either this image was not made from that original, ' +
      'or another tool wrote to it: strip, a signing tool or a post-link tool. Compare with the image as it ' +
      'was directly before boot.',
    needs: 'original',
  },
  TP014: {
    name: 'entries-differ',
    severity: 'error',
    summary: 'the tables do not list the same sites as the tables of the original',
    help:
      'Boot sorts the tables. Boot does not add or remove entries. Either the image that --original names ' +
      'lists a site that this image does not list, or this image lists a site that the original does not ' +
      'list. So this image was not made from that original, or a table was changed.',
    needs: 'original',
  },
  TP015: {
    name: 'wrong-init-flag',
    severity: 'error',
    summary: 'the init flag of an entry does not match the place of its site',
    help:
      'Boot sets the init flag for sites in init text, so that freed memory is never patched. A site in ' +
      'init text without the flag would be patched after its memory is freed. A site outside init text with ' +
      'the flag is never patched again.',
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
  TP017: {
    name: 'wrong-barrier',
    severity: 'error',
    summary: 'a listed barrier is not in the state that the number of CPUs requires',
    help:
      'If several CPUs run and a barrier is missing, the CPUs can see memory accesses out of order. On one ' +
      'CPU, a barrier that is still in place only costs time. Without --cpus, all listed barriers must be ' +
      'in one state.',
  },
  TP018: {
    name: 'discarded-code',
    severity: 'error',
    summary: 'an entry is left from code that the linker discarded',
    help:
      'The entry holds zeros instead of a place: the linker discarded the function and kept the entry. Boot ' +
      'would patch the table itself, or address 0. ld -r does this to a table that is not in the section ' +
      'group of its code. Annotate the objects with this version of textpoke. If you link with --gc- ' +
      'sections, use textpoke ldscript --gc-sections.',
  },
  TP019: {
    name: 'duplicate-entry',
    severity: 'warning',
    summary: 'a site is listed twice',
    help:
      'Two entries with the same meaning list one site. The function of the site has only one name, so ' +
      'identical code folding is not the cause. Boot patches the site twice, which does no harm but costs ' +
      'time. Usual causes: an object was linked with a second copy of its table, or a table was merged by ' +
      'hand.',
  },
  TP020: {
    name: 'target-outside-function',
    severity: 'error',
    summary: 'a static branch goes to another function',
    help:
      'A static branch goes to a label in its own function, or in the cold part of that function. This ' +
      'branch would jump into the middle of another function, with the wrong stack frame. Usual causes: the ' +
      'target field of the entry was damaged, or it was resolved against the wrong section.',
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
  TP022: {
    name: 'unlisted-branch',
    severity: 'error',
    summary: 'a static branch has markers, but no entry lists the site',
    help:
      'The branch keeps the state that its key had at compile time. A change of the key does not reach the ' +
      'branch. The object of this code was not annotated. Markers are relocations, so verify finds them ' +
      'only in an image that was linked with --emit-relocs (-q).',
  },
  TP023: {
    name: 'init-reference',
    severity: 'error',
    summary: 'a site outside init memory uses a key or code in init memory',
    help:
      'The site stays after start-up. Its key, the target of its branch or the function of its call is in ' +
      'init memory, which is freed after start-up and then holds other data. Remove the init attribute from ' +
      'the key or the function, or add it to the code that holds the site.',
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
  TP026: {
    name: 'unused-suppression',
    severity: 'warning',
    summary: 'a suppression in the configuration matches no finding',
    help:
      'The finding of this suppression no longer exists, or the pattern is wrong. An unused suppression ' +
      'hides the next defect of the same kind. Remove the suppression or correct its pattern.',
    needs: 'config',
  },
  TP027: {
    name: 'site-lost',
    severity: 'error',
    summary: 'a site of the baseline is missing from its function',
    help:
      'The build that --baseline names has a site in this function, and this build does not have it. Either ' +
      'the code was removed, inlined into another function or optimised away, or an object was not ' +
      'annotated this time. If the change is intended, make this build the baseline. textpoke diff shows ' +
      'all differences.',
    needs: 'baseline',
  },
  TP028: {
    name: 'site-gained',
    severity: 'warning',
    summary: 'a site is new compared with the baseline',
    help:
      'This build has a site that the build that --baseline names does not have. New code often adds sites. ' +
      'The finding only means that the baseline is older than the code.',
    needs: 'baseline',
  },
  TP029: {
    name: 'nothing-compared',
    severity: 'error',
    summary: 'nothing of a table could be compared with the memory',
    help:
      'The dump has the code or the key of no entry of this table, so it proves nothing about the table. A ' +
      'core of a process has code only if somebody wrote to it. To have all code, run echo 0x3f > ' +
      '/proc/PID/coredump_filter before the core is made (gcore of gdb obeys it, too). A dump of a kernel ' +
      'must contain the pages of its text and data. If the table belongs to init memory alone, suppress the ' +
      'finding.',
  },
} as const satisfies Record<string, Rule>;

/** Id of a rule: `TP007`. */
export type RuleId = keyof typeof rules;

/** Every id, in order. */
export const ruleIds = Object.keys(rules) as RuleId[];
