// Counts of static keys at run time: static_key_slow_inc and _dec, static_key_enable and _disable, and decrements
// that wait (kernel/jump_label.c). A WARN is recorded and the program goes on, as the kernel does.
import { ByteView } from '../bytes/view.ts';
import { readKey, staticKeysNamed } from '../demand/keys.ts';
import type { Patch } from '../demand/patch.ts';
import { TextpokeError } from '../errors.ts';
import { branchPatch } from '../kinds/static-branch/demand.ts';
import { staticBranch } from '../kinds/static-branch/kind.ts';
import type { Runtime } from './runtime.ts';

const intMax = 0x7fff_ffff;
/** The count while the first increment patches. */
const inProgress = -1;

function setCount(runtime: Runtime, key: number, count: number): void {
  const { image, poker } = runtime;
  const bytes = new Uint8Array(4);
  new ByteView(bytes, image.file.header.little).setU32(0, count >>> 0);
  poker.store(key, bytes, `${image.describe(key)}.enabled = ${count}`, key);
}

/** Whatever refuses a change is found before the first write. */
function plan(runtime: Runtime, key: number, enabled: boolean): Patch[] {
  const { image, poker, program } = runtime;
  requireWritable(runtime, key);
  const sites = runtime
    .sitesOf(staticBranch, key)
    .filter((site) => runtime.isPatched(site.address, site.bit1));
  if (sites.length === 0) runtime.log.note(`no site uses the key ${image.describe(key)}`);
  const patches = sites.map((site) => branchPatch(program, site, [!enabled], enabled));
  poker.check(patches);
  return patches;
}

/** Once a kernel has sealed its data, a write to a key there faults (.data..ro_after_init). */
function requireWritable({ program, state }: Runtime, key: number): void {
  const { image, profile } = program;
  if (!state.initFreed || profile.version === undefined) return;
  const start = image.symbols.addressOf('__start_ro_after_init');
  const end = image.symbols.addressOf('__end_ro_after_init');
  if (start === undefined || end === undefined || key < start || key >= end) return;
  throw new TextpokeError(
    'step-refused',
    `${image.describe(key)} is read-only after init (.data..ro_after_init): the write would fault`,
    { file: image.file.path },
  );
}

/** The count goes to -1, every site changes, and then the count is 1. */
function switchOn(runtime: Runtime, key: number): void {
  const patches = plan(runtime, key, true);
  setCount(runtime, key, inProgress);
  runtime.poker.poke(patches);
  setCount(runtime, key, 1);
}

function switchOff(runtime: Runtime, key: number): void {
  const patches = plan(runtime, key, false);
  setCount(runtime, key, 0);
  runtime.poker.poke(patches);
}

/** The key as text and its count; errors `key-unaligned`, `table-malformed`. */
function stateOf({ image }: Runtime, key: number): { count: number; about: string } {
  const count = readKey(image, key).enabled;
  return { count, about: `${image.describe(key)} has count ${count}` };
}

/** static_key_enable: a count of 0 becomes 1. Errors: `site-mismatch`, `store-refused`, `step-refused`. */
export function enableKey(runtime: Runtime, key: number): void {
  const { count, about } = stateOf(runtime, key);
  if (count === 0) switchOn(runtime, key);
  else if (count === 1) runtime.log.note(`${runtime.image.describe(key)} is already enabled`);
  else if (count > 1) {
    runtime.log.warn('static_key_enable_cpuslocked: WARN_ON_ONCE(atomic_read(&key->enabled) != 1)', about);
  } else runtime.log.note(`${about}; static_key_enable changes nothing if the count is below 0`);
}

/** static_key_disable: a count of 1 becomes 0. Errors as `enableKey`. */
export function disableKey(runtime: Runtime, key: number): void {
  const { count, about } = stateOf(runtime, key);
  if (count === 1) switchOff(runtime, key);
  else if (count === 0) runtime.log.note(`${runtime.image.describe(key)} is already disabled`);
  else
    runtime.log.warn('static_key_disable_cpuslocked: WARN_ON_ONCE(atomic_read(&key->enabled) != 0)', about);
}

/** static_key_slow_inc: the first user switches the key on. Errors as `enableKey`. */
export function incrementKey(runtime: Runtime, key: number): void {
  const { count, about } = stateOf(runtime, key);
  if (count === 0) switchOn(runtime, key);
  else if (count > 0 && count < intMax) addTo(runtime, key, count, 1);
  else if (runtime.program.profile.underflow === 'warns') {
    runtime.log.warn(
      'static_key_slow_inc_cpuslocked: WARN_ON_ONCE(!static_key_fast_inc_not_disabled(key))',
      about,
    );
  } else addTo(runtime, key, count, 1); // atomic_inc, whatever stands there
}

/** static_key_slow_dec: the last user switches the key off. Errors as `enableKey`. */
export function decrementKey(runtime: Runtime, key: number): void {
  if (!decrementUnlessLast(runtime, key)) decrementLast(runtime, key);
}

/**
 * static_key_slow_dec_deferred: the last user's decrement waits for `timeout` milliseconds. One that waits already
 * stays where it is. Errors as `enableKey`.
 */
export function decrementKeyLater(runtime: Runtime, key: number, timeout: number): void {
  if (decrementUnlessLast(runtime, key)) return;
  const { deferred, now } = runtime.state;
  if (deferred.some((work) => work.key === key)) return;
  runtime.change({ deferred: [...deferred, { key, at: now + timeout }] });
}

/** static_key_deferred_flush: a decrement that waits for this key is carried out now. */
export function flushKey(runtime: Runtime, key: number): void {
  const isFor = (work: { key: number }) => work.key === key;
  if (!runtime.state.deferred.some(isFor)) return;
  decrementKey(runtime, key);
  runtime.change({ deferred: runtime.state.deferred.filter((work) => !isFor(work)) });
}

/** Lets time pass: decrements whose time has come are carried out, the earliest first. */
export function advance(runtime: Runtime, milliseconds: number): void {
  const { now, deferred } = runtime.state;
  const until = now + milliseconds;
  const due = deferred.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
  for (const { key } of due) flushKey(runtime, key);
  runtime.change({ now: until });
}

/** static_key_dec_not_one (before 6.1 static_key_slow_try_dec): false when the count has to go to 0. */
function decrementUnlessLast(runtime: Runtime, key: number): boolean {
  const { count, about } = stateOf(runtime, key);
  if (runtime.program.profile.underflow === 'goes below') {
    if (count === 1) return false;
    if (count < 0)
      runtime.log.warn('static_key_slow_try_dec: WARN(val < 0, "jump label: negative count!")', about);
    addTo(runtime, key, count, -1);
    return true;
  }
  if (count < 0) runtime.log.warn('static_key_dec_not_one: WARN_ON_ONCE(v < 0)', about);
  if (count === 0) {
    runtime.log.warn('static_key_dec_not_one: WARN_ON_ONCE(v == 0)', about);
    return true;
  }
  if (count <= 1) return false;
  addTo(runtime, key, count, -1);
  return true;
}

function decrementLast(runtime: Runtime, key: number): void {
  const { count, about } = stateOf(runtime, key);
  if (count === 1) switchOff(runtime, key);
  else if (count === inProgress) {
    runtime.log.warn('__static_key_slow_dec_cpuslocked: WARN_ON_ONCE(val == -1)', about);
  } else addTo(runtime, key, count, -1); // below -1: atomic_dec_and_test, which does not reach 0
}

function addTo(runtime: Runtime, key: number, count: number, step: 1 | -1): void {
  requireWritable(runtime, key);
  setCount(runtime, key, (count + step) | 0);
}

/** The static keys that a person's name or pattern means. Errors: those of names; `unknown-key` for what is no key. */
export function keysNamed(runtime: Runtime, text: string): number[] {
  const isListed = (key: number) => runtime.sitesOf(staticBranch, key).length > 0;
  return staticKeysNamed(runtime.image, text, keysInUse(runtime), isListed);
}

/** The keys that sites of image and modules have, in the order of the kernel's lists. */
export function* keysInUse({ parts }: Runtime): Generator<number> {
  for (const { sites } of parts) for (const { key } of sites.of(staticBranch)) yield key;
}
