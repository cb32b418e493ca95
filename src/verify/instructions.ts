// What sites and trampolines hold, against what their keys demand.
import { placeOf } from '../arch/code-pointer.ts';
import { branchAt, branchBytes, branchSizes, readKey, wantsJump } from '../boot/jump-label.ts';
import type { Runtime } from '../boot/runtime.ts';
import {
  type CallValue,
  describeValue,
  isTrampolineAt,
  kindOfSite,
  onOwnTrampoline,
  reachableBytes,
  readCallValue,
  trampolineDoes,
} from '../boot/static-call.ts';
import { sameBytes } from '../bytes/integer.ts';
import { TextpokeError } from '../errors.ts';
import type { BranchSite, CallSite } from '../image/sites.ts';
import type { Finding } from './finding.ts';
import type { RuleId } from './rules.ts';
import type { VerifyOptions } from './verify.ts';

/** TP007, TP008, TP012, TP021. */
export function* checkInstructions(runtime: Runtime, options: VerifyOptions): Generator<Finding> {
  const { image } = runtime;
  const seen = new Set<number>();
  for (const site of runtime.branches) {
    if (seen.has(site.address) || !image.codeAt(site.address)) continue;
    seen.add(site.address);
    const finding = attempt(() => checkBranch(runtime, site));
    if (finding) yield finding;
  }
  const wrongKeys = new Set<number>();
  for (const site of runtime.callSites) {
    if (seen.has(site.address) || !image.codeAt(site.address)) continue;
    seen.add(site.address);
    const finding = attempt(() => checkCall(runtime, site, options));
    if (!finding) continue;
    wrongKeys.add(site.key);
    yield finding;
  }
  // Where sites contradict the key, its trampoline may be as right as they are.
  for (const key of new Set(runtime.callSites.map((site) => site.key))) {
    const finding = wrongKeys.has(key) ? undefined : attempt(() => checkTrampoline(runtime, key));
    if (finding) yield finding;
  }
}

/** A key that cannot be read at all is another rule's finding. */
function attempt(check: () => Finding | undefined): Finding | undefined {
  try {
    return check();
  } catch (error) {
    if (error instanceof TextpokeError && error.code !== 'defect') return undefined;
    throw error;
  }
}

/** `rule`, or TP008 where the place starts with a breakpoint. */
function wrong(
  runtime: Runtime,
  rule: RuleId,
  address: number,
  message: string,
  expected: Uint8Array | undefined,
  length = expected?.length ?? 1,
): Finding {
  const { image } = runtime;
  const found = image.readUpTo(address, Math.max(length, 1)).slice();
  const { breakpoint } = image.arch;
  const half = breakpoint !== undefined && sameBytes(found.subarray(0, breakpoint.length), breakpoint);
  return {
    rule: half ? 'TP008' : rule,
    address,
    place: image.describe(address),
    message: half ? `${message}; it starts with a breakpoint` : message,
    found,
    expected,
  };
}

function checkBranch(runtime: Runtime, site: BranchSite): Finding | undefined {
  const { image } = runtime;
  const { enabled } = readKey(image, site.key);
  const jump = wantsJump(site, enabled > 0);
  const found = branchAt(image, site);
  const size = found?.size ?? Math.max(...branchSizes(image, site));
  const distance = image.distance(site.address, site.target);
  if (!image.instructionsAt(site.address).jump(size, distance)) {
    const message = `a jump of ${size} bytes does not reach ${image.describe(site.target)}, ${distance} bytes away`;
    return wrong(runtime, 'TP021', site.address, message, undefined, size);
  }
  if (!jump && found?.kind === 'nop') return undefined;
  const expected = branchBytes(image, site, size, jump);
  if (sameBytes(image.readUpTo(site.address, size), expected)) return undefined;
  const state = enabled > 0 ? 'enabled' : 'disabled';
  const wanted = jump ? `a jump to ${image.describe(site.target)}` : 'a NOP';
  return wrong(
    runtime,
    'TP007',
    site.address,
    `${image.describe(site.key)} is ${state}, so ${wanted} is required`,
    expected,
  );
}

function checkCall(runtime: Runtime, site: CallSite, options: VerifyOptions): Finding | undefined {
  const { image } = runtime;
  const call = runtime.calls.get(site.key);
  const value = readCallValue(runtime, site.key);
  const name = call?.name ?? image.describe(site.key);
  const current = image.readUpTo(site.address, image.arch.maxSite);
  const instructions = image.instructionsAt(site.address);
  const { short, size } = instructions.readInstruction(current, 0, site.address);
  if (short) {
    const message = `the branch of ${name} ${instructions.explainShort(current, 0)}`;
    return wrong(runtime, 'TP021', site.address, message, undefined, size);
  }
  const encoded = reachableBytes(runtime, site, value, call?.trampoline);
  if (!encoded) {
    const message = `neither ${describeValue(image, value)} nor the trampoline of ${name} is in reach, and the site goes elsewhere`;
    return wrong(runtime, 'TP021', site.address, message, undefined, size);
  }
  const { bytes, onTrampoline } = encoded;
  if (sameBytes(current.subarray(0, bytes.length), bytes)) return undefined;
  const mayStay = options.state === 'linked' || onTrampoline;
  const valid = instructions.isCallSite(current, kindOfSite(image, site));
  if (mayStay && valid && onOwnTrampoline(runtime, site, call)) return undefined;
  return wrong(
    runtime,
    'TP007',
    site.address,
    `${name} = ${describeValue(image, value)}; the site holds something else`,
    bytes,
  );
}

function checkTrampoline(runtime: Runtime, key: number): Finding | undefined {
  const { image } = runtime;
  const call = runtime.calls.get(key);
  if (call?.trampoline === undefined) return undefined;
  const value: CallValue = readCallValue(runtime, key);
  if (isTrampolineAt(image, call.trampoline) && trampolineDoes(runtime, key, call.trampoline, value))
    return undefined;
  const place = placeOf(image.arch, call.trampoline);
  const message = `the trampoline of ${call.name} does not go to ${describeValue(image, value)}`;
  return wrong(runtime, 'TP012', place, message, undefined, image.arch.trampolineSize);
}
