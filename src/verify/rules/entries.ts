// Rules about entries by themselves: the places, keys and targets that they name, and their order.
import type { Rule } from './rule.ts';

export const entryRules = {
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
  TP015: {
    name: 'wrong-init-flag',
    severity: 'error',
    summary: 'the init flag of an entry does not match the place of its site',
    help:
      'Boot sets the init flag for sites in init text, so that freed memory is never patched. A site in ' +
      'init text without the flag would be patched after its memory is freed. A site outside init text with ' +
      'the flag is never patched again.',
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
  TP023: {
    name: 'init-reference',
    severity: 'error',
    summary: 'a site outside init memory uses a key or code in init memory',
    help:
      'The site stays after start-up. Its key, the target of its branch or the function of its call is in ' +
      'init memory, which is freed after start-up and then holds other data. Remove the init attribute from ' +
      'the key or the function, or add it to the code that holds the site.',
  },
} as const satisfies Record<string, Rule>;
