// Models of processors: what CPUID says of them, as QEMU describes them (target/i386/cpu.c; machine type pc of 7.2, first version
// of each model). They are what virtual machines have: none has the bits of later microcode, and all tell of a hypervisor.
import { TextpokeError } from '../../../errors.ts';
import type { CpuFacts, Vendor } from './facts.ts';
import { bit, cpuid } from './feature-names.ts';

type Row = readonly [vendor: Vendor, family: number, model: number, stepping: number, words: string];

/** Words of features by the kernel's numbers of them, in hexadecimal digits. */
const models: Readonly<Record<string, Row>> = {
  qemu64: ['AuthenticAMD', 0xf, 0x6b, 1, '0:78bfbfd 1:2193fbfd 4:80002001 6:5'],
  sandybridge: ['GenuineIntel', 0x6, 0x2a, 1, '0:78bfbfd 1:28100800 4:97b82203 6:1 10:1 14:4'],
  haswell: ['GenuineIntel', 0x6, 0x3c, 4, '0:78bfbfd 1:28100800 4:f7fa3203 6:21 9:fb9 10:1 14:4'],
  broadwell: ['GenuineIntel', 0x6, 0x3d, 2, '0:78bfbfd 1:28100800 4:f7fa3203 6:121 9:1c0fb9 10:1 14:4'],
  'skylake-client': [
    'GenuineIntel',
    0x6,
    0x5e,
    3,
    '0:78bfbfd 1:28100800 4:f7fa3203 6:121 9:1c0fb9 10:7 14:4',
  ],
  'skylake-server': [
    'GenuineIntel',
    0x6,
    0x55,
    4,
    '0:78bfbfd 1:2c100800 4:f7fa3203 6:121 9:d19f0fb9 10:7 14:4 16:8',
  ],
  'cascadelake-server': [
    'GenuineIntel',
    0x6,
    0x55,
    6,
    '0:78bfbfd 1:2c100800 4:f7fa3203 6:121 9:d19f0fb9 10:7 14:4 16:808 18:84000000',
  ],
  cooperlake: [
    'GenuineIntel',
    0x6,
    0x55,
    10,
    '0:78bfbfd 1:2c100800 4:f7fa3203 6:121 9:d19f0fb9 10:7 12:20 14:4 16:808 18:ac000000',
  ],
  'icelake-server': [
    'GenuineIntel',
    0x6,
    0x86,
    0,
    '0:78bfbfd 1:2c100800 4:f7fa3203 6:121 9:d19f0fb9 10:7 13:200 14:4 16:15f4e 18:84000000',
  ],
  snowridge: [
    'GenuineIntel',
    0x6,
    0x86,
    1,
    '0:78bfbfd 1:2c100800 4:c7f8220b 6:101 9:21944281 10:7 14:4 16:1a000104 18:e4000000',
  ],
  epyc: ['AuthenticAMD', 0x17, 0x1, 2, '0:78bfbfd 1:2fd3fbfd 4:f6d8320b 6:4003f5 9:209c01a9 10:7 14:4 15:9'],
  'epyc-rome': [
    'AuthenticAMD',
    0x17,
    0x31,
    0,
    '0:78bfbfd 1:2fd3fbfd 4:f6d8320b 6:c003f5 9:219c01a9 10:f 13:9205 14:4 15:9 16:400004',
  ],
  'epyc-milan': [
    'AuthenticAMD',
    0x19,
    0x1,
    1,
    '0:78bfbfd 1:2fd3fbfd 4:f6da320b 6:c003f5 9:219c07a9 10:f 13:100d205 14:4 15:10000009 16:40000c 18:10',
  ],
};

/** What QEMU's emulation (tcg) has of all this. */
const emulated = '0:fcbfbfd 1:edd3fbfd 4:f6d8320b 6:75 9:1d843a9 10:5 14:4 15:10010001 16:8001020c';
const emulatedMax: Row = ['AuthenticAMD', 0xf, 0x6b, 1, emulated];

export const modelNames: readonly string[] = Object.keys(models);

/** What the words say, as numbers of features. */
function bitsOf(words: string): Set<number> {
  const bits = new Set<number>();
  for (const part of words.split(' ')) {
    const [word, digits = '0'] = part.split(':');
    const value = Number.parseInt(digits, 16);
    for (let of = 0; of < 32; of++) if (((value >>> of) & 1) !== 0) bits.add(bit(Number(word), of));
  }
  return bits;
}

/**
 * The processor that a text names: a model, and behind commas `tcg` (as QEMU emulates it), `nosmt` (one thread in a core),
 * `+flag` and `-flag` by the names of /proc/cpuinfo. Error `usage`.
 */
export function cpuNamed(text: string, flags: ReadonlyMap<string, number>): CpuFacts {
  const [name = '', ...changes] = text.toLowerCase().split(',');
  const isEmulated = changes.includes('tcg');
  const row = name === 'max' && isEmulated ? emulatedMax : models[name];
  if (!row || !Object.hasOwn({ ...models, max: true }, name)) {
    throw new TextpokeError(
      'usage',
      `unknown processor ${JSON.stringify(name)}; known: ${modelNames.join(', ')}, and max,tcg`,
    );
  }
  const [vendor, family, model, stepping, words] = row;
  let bits = bitsOf(words);
  bits.add(cpuid.hypervisor);
  if (isEmulated) {
    const kept = bitsOf(emulated);
    bits = new Set([...bits].filter((one) => kept.has(one)));
  }
  let hasThreads = !isEmulated;
  for (const change of changes) {
    if (change === 'tcg') continue;
    if (change === 'nosmt') {
      hasThreads = false;
      continue;
    }
    const number = /^[+-]/.test(change) ? flags.get(change.slice(1)) : undefined;
    if (number === undefined) {
      const message = `${JSON.stringify(change)} is no change of a processor; tcg, nosmt, +FLAG or -FLAG is required, with a flag that the kernel shows in /proc/cpuinfo`;
      throw new TextpokeError('usage', message);
    }
    if (change.startsWith('+')) bits.add(number);
    else bits.delete(number);
  }
  return { name: text, vendor, family, model, stepping, bits, hasTopologyLeaf: true, hasThreads };
}
