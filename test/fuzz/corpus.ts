// Cases that once failed, made smaller: a row each, with what was wrong. They run with the unit tests.
import type { Case } from './case.ts';

export const corpus: readonly (readonly [was: string, one: Case])[] = [
  [
    'verify took a key with a count below 0 for disabled, and boot for enabled',
    {
      entry: 'boot',
      seed: 'image thumb-clang-O2',
      edits: [{ at: 131212, put: '88feffff', what: '.data[35]' }],
      options: 3790245803,
    },
  ],
];
