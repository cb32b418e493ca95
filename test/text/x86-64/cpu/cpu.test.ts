// Processors as facts, and what kernels make of them.
import assert from 'node:assert/strict';
import test from 'node:test';
import { mitigationOptions } from '../../../../src/text/x86-64/cpu/command-line.ts';
import { isCpuinfo, readCpuinfo } from '../../../../src/text/x86-64/cpu/cpuinfo.ts';
import type { CpuFacts } from '../../../../src/text/x86-64/cpu/facts.ts';
import { bit, cpuid, type FeatureNames } from '../../../../src/text/x86-64/cpu/feature-names.ts';
import { FeatureSet } from '../../../../src/text/x86-64/cpu/feature-set.ts';
import { chooseMitigations } from '../../../../src/text/x86-64/cpu/mitigations.ts';
import { cpuNamed, modelNames } from '../../../../src/text/x86-64/cpu/models.ts';

/** Each feature that a kernel makes up has a number of its own, far behind those of CPUID. */
const numbers = new Map<string, number>();
const names: FeatureNames = {
  number: (name) => {
    const known = numbers.get(name) ?? bit(40, 0) + numbers.size;
    numbers.set(name, known);
    return known;
  },
  flags: new Map([
    ['fsgsbase', cpuid.fsgsbase],
    ['hypervisor', cpuid.hypervisor],
    ['smap', cpuid.smap],
    ['pti', bit(7, 11)],
    ['xtopology', bit(3, 22)],
    ['ibpb', bit(7, 26)],
  ]),
  bugs: new Map([
    ['spectre_v1', bit(22, 0)],
    ['spectre_v2', bit(22, 1)],
    ['srso', bit(23, 0)],
  ]),
  words: 48,
};
const none = mitigationOptions('');
const symbols = ['retbleed_return_thunk', 'its_return_thunk', 'srso_return_thunk', 'call_depth_return_thunk'];
const hasSymbol = (name: string) => symbols.includes(name);

interface Machine {
  readonly cpu: string;
  readonly bugs: readonly string[];
  readonly version?: number;
  readonly options?: string;
}

function chosen({ cpu, bugs, version = 6012, options = '' }: Machine) {
  const facts = cpuNamed(cpu, names.flags);
  const set = new FeatureSet(names, facts.bits, new Set(bugs));
  set.set('LFENCE_RDTSC');
  const thunk = chooseMitigations(set, facts, version, mitigationOptions(options), hasSymbol);
  return { set, thunk };
}

const spectre = ['spectre_v1', 'spectre_v2'];

test('every model has a vendor, CPUID of a 64-bit processor and a hypervisor', () => {
  assert.ok(modelNames.includes('skylake-server'), 'a table of models');
  for (const name of modelNames) {
    const { bits } = cpuNamed(name, names.flags);
    for (const required of [cpuid.longMode, cpuid.sse2, cpuid.hypervisor])
      assert.ok(bits.has(required), name);
  }
});

test('emulation leaves out what it cannot do, and changes are made one by one', () => {
  const real = cpuNamed('skylake-server', names.flags);
  const emulated = cpuNamed('Skylake-Server,tcg', names.flags);
  const avx512 = bit(9, 16);
  assert.deepEqual([real.bits.has(avx512), emulated.bits.has(avx512)], [true, false]);
  assert.deepEqual([real.hasThreads, emulated.hasThreads], [true, false]);
  const changed = cpuNamed('epyc,-smap,nosmt,-hypervisor', names.flags);
  assert.deepEqual(
    [changed.bits.has(cpuid.smap), changed.bits.has(cpuid.hypervisor), changed.hasThreads],
    [false, false, false],
  );
});

for (const [what, text] of [
  ['a model that is not known', 'pentium'],
  ['a name of every object', 'constructor'],
  ['a change without a sign', 'epyc,smap'],
  ['a flag that the kernel does not have', 'epyc,+nothing'],
  ['the largest model without emulation', 'max'],
] as const)
  test(`${what} is refused`, () => {
    assert.throws(() => cpuNamed(text, names.flags), { code: 'usage' });
  });

test('an Intel guest has retpolines, and returns through the thunk of ITS', () => {
  const { set, thunk } = chosen({
    cpu: 'skylake-server,tcg',
    bugs: [...spectre, 'its', 'mds', 'cpu_meltdown'],
  });
  assert.equal(thunk, 'its_return_thunk');
  for (const name of ['RETPOLINE', 'RETHUNK', 'PTI', 'CLEAR_CPU_BUF', 'FENCE_SWAPGS_KERNEL'] as const)
    assert.ok(set.has(name), name);
  assert.deepEqual([set.has('INDIRECT_THUNK_ITS'), set.has('CALL_DEPTH')], [false, false]);
});

test('retbleed=stuff counts calls, on Intel alone since mitigations are chosen in two steps', () => {
  const intel = chosen({
    cpu: 'skylake-server,tcg',
    bugs: [...spectre, 'retbleed', 'its'],
    options: 'retbleed=stuff',
  });
  assert.deepEqual([intel.thunk, intel.set.has('CALL_DEPTH')], ['call_depth_return_thunk', true]);
  const amd = { cpu: 'epyc,tcg', bugs: [...spectre, 'retbleed'], options: 'retbleed=stuff' };
  assert.equal(chosen({ ...amd, version: 6012 }).thunk, 'call_depth_return_thunk');
  assert.equal(chosen({ ...amd, version: 7003 }).thunk, 'retbleed_return_thunk');
});

test('the first two generations of Zen are safe without threads, for newer kernels even without microcode', () => {
  const rome = { cpu: 'epyc-rome,tcg', bugs: [...spectre, 'retbleed', 'srso'] };
  assert.equal(chosen({ ...rome, version: 6012 }).thunk, 'srso_return_thunk');
  assert.equal(chosen({ ...rome, version: 6018 }).thunk, 'retbleed_return_thunk');
  assert.equal(chosen({ ...rome, cpu: 'epyc-rome', version: 6018 }).thunk, 'srso_return_thunk');
  const milan = chosen({ cpu: 'epyc-milan,tcg', bugs: [...spectre, 'srso'], version: 6018 });
  assert.deepEqual([milan.thunk, milan.set.has('SRSO_ALIAS')], ['srso_alias_return_thunk', true]);
});

test('fenced retpolines are no defence against BHI, and go with no thunk of ITS', () => {
  const { set, thunk } = chosen({
    cpu: 'skylake-server,tcg',
    bugs: [...spectre, 'its', 'bhi'],
    options: 'quiet spectre_v2=retpoline,lfence',
  });
  assert.equal(thunk, undefined);
  assert.deepEqual([set.has('RETPOLINE_LFENCE'), set.has('CLEAR_BHB_LOOP')], [true, true]);
});

test('mitigations=off sets nothing', () => {
  const { set, thunk } = chosen({ cpu: 'epyc', bugs: [...spectre, 'srso'], options: 'mitigations=off' });
  assert.deepEqual([thunk, set.has('RETPOLINE'), set.has('RSB_CTXSW')], [undefined, false, false]);
});

test('options that change text and are not followed are refused; others are passed over', () => {
  assert.deepEqual(mitigationOptions('root=/dev/sda quiet retbleed=auto'), none);
  for (const text of ['nopti', 'mds=off', 'retbleed=ibpb', 'spectre_v2=eibrs', 'mitigations=maybe'])
    assert.throws(() => mitigationOptions(text), { code: 'usage' }, text);
});

const cpuinfo = [
  'processor\t: 0',
  'vendor_id\t: AuthenticAMD',
  'cpu family\t: 23',
  'model\t\t: 49',
  'stepping\t: 0',
  'siblings\t: 2',
  'cpu cores\t: 1',
  'flags\t\t: fsgsbase smap pti xtopology ibpb future_flag',
  'bugs\t\t: spectre_v1 srso unheard_of',
];

test('/proc/cpuinfo gives flags and bugs by their names; what the kernel does not know is told', () => {
  const text = `${cpuinfo.join('\n')}\n\nprocessor\t: 1\nflags\t\t:\n`;
  assert.equal(isCpuinfo(text), true);
  const { cpu, unknown } = readCpuinfo('cpuinfo', text, names);
  const expected: Partial<CpuFacts> = { vendor: 'AuthenticAMD', family: 23, model: 49, hasThreads: true };
  for (const [name, value] of Object.entries(expected)) assert.equal(cpu[name as keyof CpuFacts], value);
  assert.deepEqual([...(cpu.bugs ?? [])], ['spectre_v1', 'srso']);
  assert.deepEqual(unknown, ['future_flag']);
  assert.ok(cpu.bits.has(cpuid.amdIbpb), 'the barrier that AMD has');
  assert.ok(!cpu.bits.has(bit(7, 11)), 'a mitigation is chosen anew');
});

test('/proc/cpuinfo without what is needed is refused', () => {
  for (const [i, line] of cpuinfo.entries()) {
    if (!/^(vendor_id|cpu family|model|stepping|flags)/.test(line)) continue;
    const text = cpuinfo.filter((_, j) => j !== i).join('\n');
    assert.throws(() => readCpuinfo('cpuinfo', text, names), { code: 'config-malformed' }, line);
  }
  const other = cpuinfo.join('\n').replace('AuthenticAMD', 'CentaurHauls');
  assert.throws(() => readCpuinfo('cpuinfo', other, names), { code: 'memory-unsupported' });
});
