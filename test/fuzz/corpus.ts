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
  [
    'a compiler line that ends in -x was given -o as the language',
    {
      entry: 'compiler lines',
      seed: 'command line 2',
      edits: [
        { at: 42, remove: 6, what: 'words' },
        { at: 42, insert: '2d78' },
      ],
      options: 2328340684,
    },
  ],
  [
    'a symbol whose value no number holds was looked for without end',
    {
      entry: 'dump',
      seed: 'annotated gcc-O2-fPIC/call',
      edits: [{ at: 1395, put: '21586026' }],
      options: 2360807516,
    },
  ],
  [
    'boot took a key that lay inside of the table, and sorted it away',
    {
      entry: 'boot',
      seed: 'image thumb-clang-O2',
      edits: [{ at: 131360, put: '00000000', what: '__jump_table[11]' }],
      options: 2441751061,
    },
  ],
  [
    'a response file that names itself was read two thousand times',
    {
      entry: 'response files',
      seed: 'response 1',
      edits: [
        { at: 8, insert: '0a', times: 2048 },
        { at: 15, remove: 5, what: 'words' },
        { at: 15, insert: '27' },
      ],
      options: 4053716596,
    },
  ],
];
