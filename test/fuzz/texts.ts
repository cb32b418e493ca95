// Texts that are inputs: scenarios, lists of suppressions, command lines of compilers, response files; and words that
// may stand in them, among them those that nothing expects.

const scenario = (...steps: object[]) => JSON.stringify({ schema: 'textpoke.scenario/1', steps }, null, 1);

/** Names that the sample program has, in every spelling, and names that it has not. */
export const keyNames = [
  ...[
    'on_key',
    'off_key',
    'off_keys[2]',
    'on_keys[1]',
    'off_*',
    '?n_key',
    'device+0x8',
    '*',
    'on_keys',
    'branch.c:on_key',
  ],
  ...['nothing', 'plain', 'main', '__data_start', '0x0', '0xffffffffffffffff', '-1', 'off_keys[9999999]'],
  ...['off_keys[-1]', '', ':', 'a:b:c', '0x', 'off_key+0x7fffffffffffffff', '__SCK__math', '*'.repeat(60)],
];
export const callNames = [
  'math',
  'probe',
  'notify',
  'shared_call',
  '*',
  'm?th',
  'on_key',
  'nothing',
  '__SCK__math',
];
export const functionNames = [
  ...['add_one', 'add_ten', 'observe', 'NULL', 'RET0', 'real_probe', 'on_key', '0x0', '0x400000', 'nothing'],
  ...['__static_call_return0', '0xffffffffffffffff', 'main+0x3', '__SCT__math', '*'],
];

export const scenarios: readonly string[] = [
  scenario(
    { inc: 'off_key', expect: { keys: { off_key: 1 } } },
    { dec: 'off_key' },
    { dec: 'off_key', expect: { warnings: ['static_key_dec_not_one'] } },
    { decDeferred: { key: 'off_key', timeout: 100 } },
    { advance: 100 },
    { flush: 'off_key' },
  ),
  scenario(
    { update: { call: 'math', to: 'add_ten' }, expect: { calls: { math: 'add_ten' } } },
    { update: { call: 'math', to: null } },
    { enable: 'off_*', comment: 'all' },
    { disable: 'on_keys[1]' },
    { update: { call: 'probe', to: 'RET0', by: 'module' }, expect: { refused: 'step-refused' } },
  ),
  scenario(
    { cpuUp: 1 },
    { cpuDown: { cpu: 1, dropLocks: true } },
    { cpuUp: 1 },
    { freeInit: true },
    { forceReinit: true },
    { queryReserved: { start: 'likely_true', size: 16 }, expect: { reserved: { branches: true } } },
    { expect: { calls: { math: 'add_one' }, warnings: [] } },
    { unload: 'absent', expect: { refused: 'step-refused' } },
    { expect: { bytes: { 'main+0x1c': '0f1f440000' } } },
    { load: 'absent.ko' },
  ),
];

export const configs: readonly string[] = [
  JSON.stringify(
    {
      schema: 'textpoke.config/1',
      suppress: [
        { rule: 'TP007', symbol: 'array_*', reason: 'known' },
        { rule: 'TP011', symbol: '*', file: 'lib/*.c', reason: 'known' },
        { rule: 'TP024', reason: 'known' },
      ],
    },
    null,
    1,
  ),
];

export const jsonWords = [
  ...['null', 'true', 'false', '0', '-1', '1', '1e999', '-0', '9007199254740993', '0.5', '1e-7', '""', '"*"'],
  ...['[', ']', '{', '}', ':', ',', '[]', '{}', '[[', '{"a":', '"\\u0000"', '"\\ud800"', '"\\u001b[2J"'],
  ...['"__proto__"', '"constructor"', '"toString"', '"hasOwnProperty"', '"schema"', '"steps"', '"suppress"'],
  ...['"enable"', '"inc"', '"dec"', '"update"', '"cpuUp"', '"cpuDown"', '"advance"', '"expect"', '"load"'],
  ...[
    '"keys"',
    '"calls"',
    '"bytes"',
    '"warnings"',
    '"reserved"',
    '"refused"',
    '"rule"',
    '"symbol"',
    '"file"',
  ],
  ...[
    '4294967296',
    '2147483648',
    '"TP001"',
    '"TP029"',
    '"TP999"',
    '"******************************a"',
    '\ufeff',
  ],
  ...[...keyNames, ...callNames, ...functionNames].map((name) => JSON.stringify(name)),
];

export const commandLines: readonly string[] = [
  'gcc -c -O2 -MD -MF dir/a.d -I include -DX=1 a.c -o out/a.o',
  'ccache g++ -std=c++20 -MMD -MT x -c src/b.cpp',
  'clang -target aarch64-linux-gnu -x c -c - -o b.o',
  'gcc -Wa,--MD,x.d -Xassembler --MD -save-temps -gsplit-dwarf --coverage -c c.c d.c e.S',
  'gcc @words -o program main.c -lm -Wl,-T,textpoke.ld',
].map((line) => line.replaceAll(' ', '\n'));

export const compilerWords = [
  ...[
    'gcc',
    '-c',
    '-o',
    '-o-',
    '-oa.o',
    '--output=a.o',
    '--output',
    '-x',
    '-xc++',
    '-x',
    'none',
    '-',
    '--',
    '-E',
  ],
  ...[
    '-S',
    '-M',
    '-MM',
    '-MD',
    '-MMD',
    '-MF',
    '-MFx.d',
    '-MT',
    '-MQ',
    '-MJ',
    '-I',
    '-D',
    '@words',
    '@',
    '@@',
  ],
  ...[
    '-Xclang',
    '-Xassembler',
    '-Wa,--MD',
    '-Wa,-o,x.o',
    '-wrapper',
    '-specs',
    '-dumpbase',
    '--param',
    'a.c',
  ],
  ...[
    'b.cpp',
    'c.S',
    'd.o',
    'e.h',
    '.c',
    'a.',
    'a.b.c',
    'dir.d/',
    '/',
    '.',
    '..',
    '',
    ' ',
    '\t',
    "it's",
    '"',
  ],
  ...['-flto', '-ffat-lto-objects', '-shared', '-r', '-###', '--help=x', '-print-', '\u00e4.c', '\u0000'],
];

export const responses: readonly string[] = [
  '-c "a b.c" \'x\\y\' @words\n-o\\ x.o @other @',
  '@words @words @words',
];
export const responseWords = [
  ...[
    '@words',
    '@other',
    '@',
    '"',
    "'",
    '\\',
    '\n',
    '\r\n',
    '\0',
    '\ufeff',
    ' ',
    '"unclosed',
    "'x\\",
    'a.c',
    '@@x',
  ],
];
