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
  [
    'a compiler line that ends in an option without its argument was given -o as that argument',
    {
      entry: 'compiler lines',
      seed: 'command line 2',
      edits: [
        { at: 42, remove: 6, what: 'words' },
        { at: 42, insert: '2d58617373656d626c6572' },
      ],
      options: 4282780842,
    },
  ],
];
