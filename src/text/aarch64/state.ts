// What an arm64 kernel has decided for its system, as its memory tells: capabilities, and what callbacks decide by. Nothing of
// it is believed as it is: what cannot be so is said.
import type { Image } from '../../image/image.ts';
import type { Btf } from '../../kernel/btf.ts';
import type { RunningKernel } from '../../memory/kernel/kernel.ts';
import type { KernelReader } from '../../memory/kernel/reader.ts';
import type { PassNote } from '../pass.ts';
import { type Alternative, readAlternatives } from './alternative-table.ts';
import { type CapName, capNames, capNumber } from './caps.ts';
import { CallbackValues } from './values.ts';
import { variableFinder } from './variables.ts';

export interface Arm64State {
  /** Whether the system has a capability; a capability that no alternative is for is not known of. */
  has(cap: number): boolean;
  /** Whether the boot processor has it, so that it is patched first. */
  hasEarly(cap: number): boolean;
  /** The number of a capability by its name (caps.ts). */
  cap(name: CapName): number | undefined;
  readonly values: CallbackValues;
  /** By addresses of the running kernel. */
  readonly reader: KernelReader;
  readonly btf: Btf | undefined;
  /** What of all this cannot be. */
  readonly notes: readonly PassNote[];
  /** Why the capabilities are not known, without which no text can be replayed; undefined where they are. */
  readonly unknown: string | undefined;
}

/** Reads the state of a kernel that runs from an image. Errors: `memory-malformed`, `table-malformed`. */
export function readArm64State(image: Image, running: RunningKernel): Arm64State {
  const { reader, btf } = running;
  const at = variableFinder(image, running.place.slide);
  const entries = readAlternatives(image) ?? [];
  const most = entries.reduce((highest, { cap = 0 }) => Math.max(highest, cap), 0) + 1;
  // Capabilities that no alternative is for are asked for as well.
  const numbers = capNames.map((name) => capNumber(image, btf, name));
  const kept = numbers.reduce((highest: number, number = 0) => Math.max(highest, number + 1), most);
  const notes: PassNote[] = [];
  const bits = (name: string) => {
    const address = at(name);
    return address === undefined ? undefined : reader.bytes(address, Math.ceil(kept / 64) * 8)?.slice();
  };
  const all = bits('system_cpucaps') ?? bits('cpu_hwcaps');
  const early = bits('boot_cpucaps') ?? bits('boot_capabilities');
  const applied = bits('applied_alternatives');
  const has = (set: Uint8Array | undefined, cap: number) =>
    (((set?.[cap >>> 3] ?? 0) >>> (cap & 7)) & 1) !== 0;
  if (all)
    for (const note of impossible(image, entries, most, (cap) => has(all, cap), { early, applied, has }))
      notes.push(note);
  const known = new Map<CapName, number | undefined>(capNames.map((name, i) => [name, numbers[i]]));
  return {
    has: (cap) => has(all, cap),
    hasEarly: (cap) => has(early, cap),
    cap: (name) => known.get(name),
    values: new CallbackValues(at, reader, btf),
    reader,
    btf,
    notes,
    unknown: all
      ? undefined
      : 'the capabilities of the system are not known: nothing names system_cpucaps, or the dump does not have it',
  };
}

interface Sets {
  readonly early: Uint8Array | undefined;
  readonly applied: Uint8Array | undefined;
  readonly has: (set: Uint8Array, cap: number) => boolean;
}

/** What callbacks are for, every system has; what was patched is what the system has; the boot processor has no more. */
function* impossible(
  image: Image,
  entries: readonly Alternative[],
  most: number,
  hasAll: (cap: number) => boolean,
  { early, applied, has }: Sets,
): Generator<PassNote> {
  const always = new Map<number, number>();
  // Of any capability: alternative_has_cap_likely.
  const nops = image.symbols.addressOf('alt_cb_patch_nops');
  for (const { cap, isCallback, replacement } of entries)
    if (isCallback && cap !== undefined && replacement !== nops) always.set(cap, (always.get(cap) ?? 0) + 1);
  const wrong = (cap: number, what: string, input: string): PassNote => ({
    severity: 'wrong',
    message: `the capability ${cap} ${what}`,
    input,
  });
  // Most other callbacks are for ARM64_ALWAYS_SYSTEM.
  const [first] = [...always].sort((a, b) => b[1] - a[1]);
  if (first && !hasAll(first[0]))
    yield wrong(first[0], 'is not set, which every system has', 'system_cpucaps');
  for (let cap = 0; cap < most; cap++) {
    if (applied && has(applied, cap) !== hasAll(cap))
      yield wrong(
        cap,
        hasAll(cap)
          ? 'is set, and its alternatives were not applied'
          : 'is not set, and its alternatives were applied',
        'system_cpucaps',
      );
    if (early && has(early, cap) && !hasAll(cap))
      yield wrong(cap, 'is set for the boot processor, and not for the system', 'boot_cpucaps');
  }
}
