// Rules of comparisons: with the original, with a baseline, with memory, and with the findings that are accepted.
import type { Rule } from './rule.ts';

export const comparisonRules = {
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
