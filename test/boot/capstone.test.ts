// What boot and the steps after it leave at every site, read back by capstone, which shares no code with us.
import assert from 'node:assert/strict';
import test from 'node:test';
import { decodeInstruction, lengthOf } from '../../src/arch/x86-64/length.ts';
import { replayBoot as boot } from '../../src/boot/passes.ts';
import type { Runtime } from '../../src/boot/runtime.ts';
import type { BootStep } from '../../src/boot/steps.ts';
import { readKey } from '../../src/demand/keys.ts';
import { type CheckedInstruction, type Intent, loadCrossCheck } from '../../src/engines/cross-check.ts';
import { lockPrefix } from '../../src/kinds/lock-prefix/kind.ts';
import { wantsJump } from '../../src/kinds/static-branch/demand.ts';
import { staticBranch } from '../../src/kinds/static-branch/kind.ts';
import { callKindOf } from '../../src/kinds/static-call/demand.ts';
import { staticCall } from '../../src/kinds/static-call/kind.ts';
import { type CallValue, readCallValue } from '../../src/kinds/static-call/values.ts';
import { imageOf, linkedBytes, programUnits } from '../samples.ts';

const names = programUnits;
const images = new Map(['gcc-O0', 'gcc-O2', 'clang-Os'].map((set) => [set, linkedBytes(set, names)]));
images.set('hand-written', linkedBytes('gcc-O2', ['hand']));

/** What a call site is to do for a value, by the table of DESIGN.md and not by our encoder. */
function callIntent(runtime: Runtime, kind: string, value: CallValue, trampoline: number): Intent {
  const branch = kind === 'call' ? 'call' : kind === 'tail' ? 'jump' : 'conditional jump';
  if (value.kind === 'function') return { kind: branch, target: value.address };
  if (kind === 'conditional tail')
    return { kind: branch, target: value.kind === 'null' ? trampoline : runtime.program.returnZero! };
  if (value.kind === 'null') return { kind: kind === 'call' ? 'nop' : 'return' };
  return kind === 'call' ? { kind: 'clear result' } : { kind: 'jump', target: runtime.program.returnZero! };
}

/** Every site of a booted program with what it is meant to be. */
function intentions(runtime: Runtime, cpus: number): CheckedInstruction[] {
  const { image } = runtime;
  const at = (address: number, size: number, intent: Intent): CheckedInstruction => ({
    instructions: image.instructionsAt(address),
    address,
    bytes: image.read(address, size),
    intent,
    name: image.describe(address),
  });
  return [
    ...runtime.program.sites.of(staticBranch).map((site) => {
      const jump = wantsJump(site, readKey(image, site.key).enabled > 0);
      const { size } = image.instructionAt(site.address);
      return at(site.address, size, jump ? { kind: 'jump', target: site.target } : { kind: 'nop' });
    }),
    ...runtime.program.sites.of(staticCall).map((site) => {
      const kind = callKindOf(image, site);
      const { trampoline } = runtime.program.calls.get(site.key)!;
      const intent = callIntent(runtime, kind, readCallValue(runtime.program, site.key), trampoline!);
      return at(site.address, kind === 'conditional tail' ? 6 : 5, intent);
    }),
    ...runtime.program.sites.of(lockPrefix).map((site) => {
      // With the FS override in front of it, which is what stands for the lock.
      const start = image.read(site.address - 1, 1)[0] === 0x64 ? site.address - 1 : site.address;
      const locked = image.readUpTo(start, 15).slice();
      locked[site.address - start] = 0xf0; // lock
      const size = lengthOf(decodeInstruction(locked, 0, locked.length));
      const intent: Intent =
        cpus > 1 ? { kind: 'lock' } : { kind: 'no lock', locked: locked.subarray(0, size) };
      return cpus > 1 ? at(site.address, size - (site.address - start), intent) : at(start, size, intent);
    }),
  ];
}

const enable = (key: string): BootStep => ({ do: 'enable', key });
const disable = (key: string): BootStep => ({ do: 'disable', key });
const update = (call: string, value: string): BootStep => ({ do: 'update', call, value });
const scenarios: Record<string, { cpus: number; steps: BootStep[]; hand: BootStep[] }> = {
  'as built': { cpus: 2, steps: [], hand: [] },
  'one CPU, every key turned over': {
    cpus: 1,
    steps: [
      enable('off_key'),
      disable('on_key'),
      enable('off_keys[2]'),
      disable('on_keys[1]'),
      enable('call_key'),
    ],
    hand: [enable('hand_false'), disable('hand_true')],
  },
  'every call NULL': {
    cpus: 2,
    steps: ['math', 'notify', 'probe', 'shared_call'].map((c) => update(c, 'NULL')),
    hand: ['hand_call', 'hand_null', 'hand_ret0', 'hand_near'].map((c) => update(c, 'NULL')),
  },
  'every call RET0': {
    cpus: 1,
    steps: ['math', 'notify', 'probe', 'shared_call'].map((c) => update(c, 'RET0')),
    hand: ['hand_call', 'hand_null', 'hand_ret0', 'hand_near'].map((c) => update(c, 'RET0')),
  },
  'every call another function': {
    cpus: 2,
    steps: [update('math', 'add_ten'), update('notify', 'observe_twice'), update('probe', 'real_probe')],
    hand: ['hand_call', 'hand_null', 'hand_ret0', 'hand_far'].map((c) => update(c, 'hand_other')),
  },
};

for (const [name, { cpus, steps, hand }] of Object.entries(scenarios)) {
  for (const [set, bytes] of images) {
    test(`${name}: capstone reads every site of ${set} as what it is meant to be`, async () => {
      const image = imageOf(bytes);
      const runtime = boot(image, { cpus, upFill: 'ds', steps: set === 'hand-written' ? hand : steps });
      const sites = intentions(runtime, cpus);
      assert.ok(sites.length >= 20, `${sites.length} sites`);
      (await loadCrossCheck(image.arch)).instructions(sites);
    });
  }
}
