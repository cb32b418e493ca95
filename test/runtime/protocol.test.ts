// The protocols of libtextpoke, in a model of threads that fetch whatever they may: over every pair of instructions that
// may stand at a site, every interleaving of one writer with two readers. And the library's own steps, held against them.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { run, scratch, testOfTurn } from '../tools.ts';
import { a32, aarch64, type Decoder, findCounterexample, type Step, t32, x86 } from './protocol.ts';

const bytesOf = (hex: string): number[] => [...Buffer.from(hex, 'hex')];
const word = (value: number): string => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes.toString('hex');
};

/** What may stand at one sort of site, two targets of each branch that has any. */
interface Sort {
  readonly name: string;
  readonly decoder: Decoder;
  readonly forms: readonly string[];
}

const x86Sorts: readonly Sort[] = [
  { name: 'a static branch', decoder: x86, forms: ['0f1f440000', 'e911223344'] },
  { name: 'a short static branch', decoder: x86, forms: ['6690', 'eb11'] },
  { name: 'a call', decoder: x86, forms: ['e811223344', 'e811526384', '0f1f440000', '2e2e2e31c0'] },
  { name: 'a tail call or trampoline', decoder: x86, forms: ['e911223344', 'e955667788', 'c3cccccccc'] },
  { name: 'a conditional tail call', decoder: x86, forms: ['0f8511223344', '0f8555663388'] },
];
const locks: Sort = { name: 'a lock', decoder: x86, forms: ['f0', '3e', '64', '65'] };
const [b, bl] = [0x14000000, 0x94000000];
const aarch64Sorts: readonly Sort[] = [
  { name: 'a static branch', decoder: aarch64, forms: [0xd503201f, b + 5].map(word) },
  { name: 'a call', decoder: aarch64, forms: [bl + 5, bl + 0xfff, 0xd503201f, 0xd2800000].map(word) },
  {
    name: 'a tail call or trampoline',
    decoder: aarch64,
    forms: [b + 5, b + 0xfff, 0xd65f03c0].map(word),
  },
  { name: 'a barrier', decoder: aarch64, forms: [0xd5033bbf, 0xaa0b03eb].map(word) },
];
const a32Sorts: readonly Sort[] = [
  { name: 'a static branch', decoder: a32, forms: [0xe1a00000, 0xea000005].map(word) },
  { name: "a static branch with gas's NOP", decoder: a32, forms: [0xe320f000, 0xea000005].map(word) },
  {
    name: 'a call',
    decoder: a32,
    forms: [0xeb000005, 0xeb000fff, 0xfa000005, 0xe1a00000, 0xe3a00000].map(word),
  },
  { name: 'a tail call', decoder: a32, forms: [0xea000005, 0xea000fff, 0xe12fff1e].map(word) },
  { name: 'a trampoline', decoder: a32, forms: [0xe59fc004, 0xe12fff1e].map(word) },
  { name: 'a barrier', decoder: a32, forms: [0xf57ff05b, 0xe1a0b00b].map(word) },
];
const t32Sorts: readonly Sort[] = [
  { name: 'a static branch', decoder: t32, forms: ['aff30080', '00f005b8'] },
  { name: 'a call', decoder: t32, forms: ['00f005f8', '00f0fff8', '00f004e8', 'aff30080', '4ff00000'] },
  { name: 'a tail call', decoder: t32, forms: ['00f005b8', '00f0ffb8', '704700bf'] },
  { name: 'a trampoline', decoder: t32, forms: ['dff808c0', '704700bf'] },
];

const pairsOf = ({ forms }: Sort): [string, string][] =>
  forms.flatMap((old) =>
    forms.filter((other) => other !== old).map((other): [string, string] => [old, other]),
  );

const sync: Step = { do: 'sync' };

/** int3, tail, head, each followed by a synchronisation. */
const trapped = (bytes: readonly number[]): Step[] => [
  { do: 'open' },
  { do: 'store', at: 0, bytes: [0xcc] },
  sync,
  { do: 'store', at: 1, bytes: bytes.slice(1) },
  sync,
  { do: 'store', at: 0, bytes: bytes.slice(0, 1) },
  sync,
  { do: 'close' },
];
const stored = (bytes: readonly number[]): Step[] => [{ do: 'store', at: 0, bytes }, sync];
const stopped = (bytes: readonly number[]): Step[] => [
  { do: 'stop' },
  { do: 'store', at: 0, bytes },
  { do: 'resume' },
];

const find = ({ decoder }: Sort, [old, bytes]: [string, string], steps: readonly Step[]) =>
  findCounterexample(decoder, bytesOf(old), bytesOf(bytes), steps);

for (const sort of x86Sorts)
  test(`x86-64, ${sort.name}: behind an int3 every pair is safe, and no synchronisation can be left out`, () => {
    for (const pair of pairsOf(sort)) {
      const steps = trapped(bytesOf(pair[1]));
      assert.equal(find(sort, pair, steps), undefined, pair.join(' to '));
      // Where only the first bytes differ, there is no tail that could be torn: what is left out then is not missed.
      const tailsDiffer = pair[0].slice(2) !== pair[1].slice(2);
      const wholeHead = pair.some((form) => form.startsWith('c3'));
      steps.forEach((step, i) => {
        if (step.do !== 'sync') return;
        const found = find(sort, pair, steps.toSpliced(i, 1));
        const last = i === steps.length - 2;
        if (last || (tailsDiffer && !wholeHead))
          assert.ok(found, `${pair.join(' to ')} without the synchronisation at ${i}`);
      });
    }
  });

test('x86-64: of every synchronisation there is a pair that needs it, with a trace that shows why', () => {
  const pair: [string, string] = ['0f1f440000', 'e911223344'];
  const steps = trapped(bytesOf(pair[1]));
  const why = [2, 4, 6].map((i) => find(x86Sorts[0] as Sort, pair, steps.toSpliced(i, 1)));
  assert.deepEqual(
    why.map((found) => found?.why),
    ['neither old nor new', 'neither old nor new', 'a trap of a change that is over'],
  );
  assert.match(why[0]?.trace.at(-1) as string, /^reader \d fetches 0f.*(11|22|33|44)/);
  assert.match(why[1]?.trace.at(-1) as string, /^reader \d fetches e9.*(1f|44|0)/);
});

test('x86-64: a return needs both synchronisations too: one way its own, the other way the first', () => {
  const [jump, back] = ['e911223344', 'c3cccccccc'];
  const tail = x86Sorts[3] as Sort;
  const without = (pair: [string, string], i: number) =>
    find(tail, pair, trapped(bytesOf(pair[1])).toSpliced(i, 1))?.why;
  assert.equal(without([jump, back], 2), 'neither old nor new');
  assert.equal(without([back, jump], 4), 'neither old nor new');
});

test('x86-64: one store of several bytes is torn, and a trap that nobody answers is found', () => {
  const pair: [string, string] = ['0f1f440000', 'e911223344'];
  const sort = x86Sorts[0] as Sort;
  assert.equal(find(sort, pair, stored(bytesOf(pair[1])))?.why, 'neither old nor new');
  const steps = trapped(bytesOf(pair[1])).filter((step) => step.do !== 'open' && step.do !== 'close');
  assert.equal(find(sort, pair, steps)?.why, 'nobody answers for a trap');
  // To close before the first byte is written leaves threads in a trap without an answer.
  const early = trapped(bytesOf(pair[1]));
  early.splice(5, 0, ...early.splice(7, 1));
  assert.equal(find(sort, pair, early)?.why, 'nobody answers for a trap');
});

test('x86-64: a lock is one store and one synchronisation, which cannot be left out', () => {
  for (const pair of pairsOf(locks)) {
    assert.equal(find(locks, pair, stored(bytesOf(pair[1]))), undefined, pair.join(' to '));
    assert.equal(
      find(locks, pair, stored(bytesOf(pair[1])).slice(0, 1))?.why,
      'old, and the change has returned',
    );
  }
});

for (const [machine, sorts, listed] of [
  ['AArch64', aarch64Sorts, 2 + 6 + 2],
  ['A32', a32Sorts, 2 + 2 + 2],
  ['T32', t32Sorts, 0],
] as const)
  test(`${machine}: pairs of the architecture's list are one store, others are refused unless all threads stand still`, () => {
    let stores = 0;
    for (const sort of sorts)
      for (const pair of pairsOf(sort)) {
        const bytes = bytesOf(pair[1]);
        assert.equal(find(sort, pair, stopped(bytes)), undefined, pair.join(' to '));
        if (sort.decoder.mayBecome(bytesOf(pair[0]), bytes)) {
          stores++;
          assert.equal(find(sort, pair, stored(bytes)), undefined, pair.join(' to '));
          const why = find(sort, pair, stored(bytes).slice(0, 1))?.why;
          assert.equal(why, 'old, and the change has returned');
        } else {
          assert.equal(
            find(sort, pair, stored(bytes))?.why,
            'the architecture does not let these become each other',
          );
        }
      }
    assert.equal(stores, listed);
  });

test('AArch64: no way through BRK makes a return or a constant allowed', () => {
  const brk = bytesOf(word(0xd4200000));
  const tail = aarch64Sorts[2] as Sort;
  const pair: [string, string] = [word(b + 5), word(0xd65f03c0)];
  const steps: Step[] = [{ do: 'open' }, ...stored(brk), ...stored(bytesOf(pair[1])), { do: 'close' }];
  assert.equal(find(tail, pair, steps)?.why, 'the architecture does not let these become each other');
});

/** The library's steps, as steps.c prints them. */
function parseSteps(line: string): Step[] {
  return line
    .split('; ')
    .filter((text) => text !== '')
    .map((text): Step => {
      const [what, at, bytes] = text.split(' ');
      if (what === 'store') return { do: what, at: Number(at), bytes: bytesOf(bytes as string) };
      return { do: what as 'sync' | 'open' | 'close' | 'stop' | 'resume' };
    });
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const rows = [
  { name: 'x86-64', compiler: ['gcc'], emulator: [], sorts: [...x86Sorts, locks], thumb: '' },
  {
    name: 'AArch64',
    compiler: ['aarch64-linux-gnu-gcc', '-static'],
    emulator: ['qemu-aarch64'],
    sorts: aarch64Sorts,
    thumb: '',
  },
  {
    name: 'A32',
    compiler: ['arm-linux-gnueabihf-gcc', '-static'],
    emulator: ['qemu-arm'],
    sorts: a32Sorts,
    thumb: '',
  },
  {
    name: 'T32',
    compiler: ['arm-linux-gnueabihf-gcc', '-static'],
    emulator: ['qemu-arm'],
    sorts: t32Sorts,
    thumb: 'T',
  },
];

for (const [turn, { name, compiler, emulator, sorts, thumb }] of rows.entries())
  testOfTurn(turn, 4)(
    `${name}: the library's own steps are safe in the model, for every pair`,
    [compiler[0] as string, ...emulator],
    (t) => {
      const program = join(scratch(t), 'steps');
      const [driver, ...flags] = compiler as [string, ...string[]];
      const source = join(root, 'test/runtime/steps.c');
      run(driver, [
        ...flags,
        '-O1',
        '-Wall',
        '-Wextra',
        '-Werror',
        `-I${root}include`,
        source,
        '-o',
        program,
      ]);
      const pairs = sorts.flatMap((sort) => pairsOf(sort).map((pair) => ({ sort, pair })));
      const [command = program, ...args] = [...emulator, program];
      const { status, stdout, stderr } = spawnSync(command, args, {
        input: pairs.map(({ pair }) => `${thumb}${pair.join(' ')}\n`).join(''),
        encoding: 'latin1',
      });
      assert.equal(`${stderr}${status}`, '0');
      const lines = stdout.split('\n').slice(0, -1);
      assert.equal(lines.length, pairs.length);
      pairs.forEach(({ sort, pair }, i) => {
        const steps = parseSteps(lines[i] as string);
        assert.equal(find(sort, pair, steps), undefined, `${pair.join(' to ')}: ${lines[i]}`);
        const [, bytes] = pair;
        const own = [trapped, stored, stopped].map((make) => JSON.stringify(make(bytesOf(bytes))));
        assert.ok(own.includes(JSON.stringify(steps)), `${pair.join(' to ')}: ${lines[i]}`);
        // What the architecture allows is not done by stopping all threads.
        const mayStore = sort.decoder !== x86 && sort.decoder.mayBecome(bytesOf(pair[0]), bytesOf(bytes));
        if (mayStore) assert.equal(steps[0]?.do, 'store', `${pair.join(' to ')}: ${lines[i]}`);
      });
    },
  );
