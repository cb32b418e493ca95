// Rules about what leads a running kernel from a key to its sites.
import type { Rule } from './rule.ts';

export const linkageRules = {
  TP033: {
    name: 'redirected-key',
    severity: 'error',
    summary: 'a key in memory does not lead to the entries that list its sites',
    help:
      'A running kernel does not search its tables when a key changes: static_key.entries and ' +
      'static_call_key.sites lead to the first entry, or to a list of the modules that have sites ' +
      '(static_key_mod, static_call_mod). This key leads to something else. The next change of the key will ' +
      'write where that leads, or leave sites behind. Start-up and the loader of modules set these pointers; ' +
      'nothing else writes to them.',
  },
  TP034: {
    name: 'changed-table',
    severity: 'error',
    summary: 'a table in memory does not list what the table of the file lists',
    help:
      'Start-up sorts the tables of a kernel and flags the sites in init memory. It changes nothing else, and ' +
      'neither does the loader of modules. An entry in memory names another site, target or key than the file, ' +
      'is missing, is out of order, or has the wrong init flag. The next change of the key will use it. The ' +
      'same holds for the pairs of trampolines and keys (.static_call_tramp_key), by which modules find keys, ' +
      'and for what a module says of where its tables lie.',
  },
  TP035: {
    name: 'torn-module-list',
    severity: 'error',
    summary: 'the list of loaded modules is damaged',
    help:
      'Each module in the list leads to the next one, and the next one leads back. Here it does not, or the ' +
      'list leads in circles. So modules may be loaded that are not in the list, and textpoke does not look at ' +
      'their sites. Usual cause: a module took itself out of the list to hide.',
  },
} as const satisfies Record<string, Rule>;
