// Static branches at boot and run time (kernel/jump_label.c).
import type { SiteInstruction } from '../arch/arch.ts';
import { hexBytes } from '../bytes/integer.ts';
import { ByteView } from '../bytes/view.ts';
import { MismatchError, TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { type BranchSite, unionOffset } from '../image/sites.ts';
import { encodeImageEntry } from '../image/tables.ts';
import { jumpBit1, jumpBranch, jumpTable } from '../tables/schema.ts';
import { type Runtime, requireKey } from './runtime.ts';
import type { Allowed, Patch } from './text-poke.ts';

/** JUMP_TYPE_TRUE: the key's initial value, in bit 0 of its `type`. */
const initiallyTrue = 1;

/** State of a `struct static_key`. */
export interface KeyState {
  /** The count, as static_key_count gives it. */
  readonly enabled: number;
  readonly initial: boolean;
}

/** Reads a key at an address; error `table-malformed` when no key can be there. */
export function readKey(image: Image, key: number): KeyState {
  requireKey(image, key, jumpTable);
  const type = image.readS32(key + unionOffset(image));
  return { enabled: image.readS32(key), initial: (type & initiallyTrue) !== 0 };
}

/** `instruction = NOP when enabled XOR branch is 0` (include/linux/jump_label.h). */
export function wantsJump(site: BranchSite, enabled: boolean): boolean {
  return enabled !== site.branch;
}

/** The bytes a site of `size` holds as a jump or as a NOP. Error `branch-range`. */
export function branchBytes(image: Image, site: BranchSite, size: number, jump: boolean): Uint8Array {
  const instructions = image.instructionsAt(site.address);
  if (!jump) return instructions.nop(size);
  const bytes = instructions.jump(size, image.distance(site.address, site.target));
  if (bytes) return bytes;
  throw new TextpokeError(
    'branch-range',
    `${image.describe(site.address)}: the target ${image.describe(site.target)} is ${site.target - site.address} bytes ` +
      `away, out of reach of a jump of ${size} bytes`,
    { file: image.file.path },
  );
}

/** The branch instruction at a site now; undefined when it is neither a NOP nor a jump of a size that may stand there. */
export function branchAt(image: Image, site: BranchSite): SiteInstruction | undefined {
  const instruction = image.instructionAt(site.address);
  const known = instruction.kind === 'nop' || instruction.kind === 'jump';
  return known && branchSizes(image, site).includes(instruction.size) ? instruction : undefined;
}

/** Sizes that a static branch may have at a site. */
export function branchSizes(image: Image, site: BranchSite): readonly number[] {
  return image.instructionsAt(site.address).branchSizes;
}

function patchTo(runtime: Runtime, site: BranchSite, states: readonly boolean[], enabled: boolean): Patch {
  const { image } = runtime;
  const key = image.describe(site.key);
  const found = branchAt(image, site);
  const size = found?.size ?? Math.max(...branchSizes(image, site));
  const meaning = (state: boolean) => `${key} ${state ? 'enabled' : 'disabled'}`;
  const allowed: Allowed[] = states.map((state) => ({
    bytes: branchBytes(image, site, size, wantsJump(site, state)),
    meaning: meaning(state),
  }));
  const jump = wantsJump(site, enabled);
  let bytes = branchBytes(image, site, size, jump);
  if (found?.kind === 'nop') {
    // A NOP is as good as another of its size: ARM assemblers write two kinds.
    const current = image.read(site.address, size).slice();
    if (!jump) bytes = current;
    if (states.some((state) => !wantsJump(site, state))) allowed.push({ bytes: current, meaning: 'NOP' });
  }
  return {
    address: site.address,
    allowed,
    bytes,
    reason: `${meaning(enabled)}: ${jump ? `jump to ${image.describe(site.target)}` : 'NOP'}`,
  };
}

/** Sites in the kernel's order: by key, then by code address. */
function byKeyThenCode(a: BranchSite, b: BranchSite): number {
  return a.key - b.key || a.address - b.address || a.entry.address - b.entry.address;
}

/** Writes the table in order, init bits set, and re-reads nothing: the sites keep their new entries. */
function storeTable(runtime: Runtime): void {
  const { image, poker } = runtime;
  const places = runtime.branches.map((site) => site.entry.address).sort((a, b) => a - b);
  runtime.branches = [...runtime.branches].sort(byKeyThenCode).map((site, i) => {
    const address = places[i] as number;
    const bit1 = image.isInitText(site.address);
    const flags = (site.branch ? jumpBranch : 0) | (bit1 ? jumpBit1 : 0);
    const fields = [site.address, site.target, site.key + flags];
    poker.store(address, encodeImageEntry(image, jumpTable, address, fields), 'sort __jump_table');
    return { ...site, bit1, entry: { address, fields } };
  });
}

/** Throws unless every site lies in code, its target too, and its key in the image. */
function checkSites(runtime: Runtime): void {
  const { image } = runtime;
  for (const site of runtime.branches) {
    readKey(image, site.key);
    for (const [what, address] of [
      ['site', site.address],
      ['target', site.target],
    ] as const) {
      if (image.codeAt(address)) continue;
      throw new TextpokeError(
        'table-malformed',
        `the ${what} ${image.describe(address)} of a jump entry does not lie in executable code`,
        { file: image.file.path, section: jumpTable.name, offset: site.entry.address },
      );
    }
    if (branchAt(image, site)) continue;
    const { nop } = image.instructionsAt(site.address);
    const sizes = branchSizes(image, site);
    const found = image.readUpTo(site.address, Math.max(...sizes)).slice();
    throw new MismatchError(
      [
        {
          address: site.address,
          name: image.describe(site.address),
          found,
          allowed: sizes.map((size) => ({ bytes: nop(size), meaning: 'NOP' })),
          reason: `a static branch of ${image.describe(site.key)} (found ${hexBytes(found)})`,
        },
      ],
      { file: image.file.path },
    );
  }
}

/**
 * jump_label_init: check, bring each site to its key's value, sort, set init bits. A site may hold what its key's
 * initial or present value asks for, or (bit 1) the jump that the compiler left for the build step to rewrite.
 */
export function jumpLabelInit(runtime: Runtime): void {
  const { image, poker } = runtime;
  poker.phase = 'jump_label_init';
  checkSites(runtime);
  const patches = runtime.branches.map((site) => {
    const { enabled, initial } = readKey(image, site.key);
    const patch = patchTo(runtime, site, [initial, enabled > 0], enabled > 0);
    if (!site.bit1) return patch;
    const found = branchAt(image, site);
    if (found?.kind !== 'jump') return patch;
    const left = branchBytes(image, site, found.size, true);
    return { ...patch, allowed: [...patch.allowed, { bytes: left, meaning: 'jump left by the compiler' }] };
  });
  poker.poke(patches);
  storeTable(runtime);
}

/** static_key_enable and static_key_disable: sets the count to 1 or 0 and updates every site of the key. */
export function setStaticKey(runtime: Runtime, key: number, enabled: boolean): void {
  const { image, poker } = runtime;
  const state = readKey(image, key);
  const name = image.describe(key);
  const sites = runtime.branches.filter((site) => site.key === key);
  if (sites.length === 0) runtime.notes.push(`no site uses the key ${name}`);
  if (state.enabled === (enabled ? 1 : 0)) {
    runtime.notes.push(`${name} is ${enabled ? 'enabled' : 'disabled'} already`);
    return;
  }
  if (state.enabled !== 0 && state.enabled !== 1) {
    // The kernel warns (WARN_ON_ONCE) and returns.
    runtime.notes.push(`${name} has count ${state.enabled}; it is neither 0 nor 1, so nothing changes`);
    return;
  }
  poker.poke(sites.map((site) => patchTo(runtime, site, [!enabled], enabled)));
  const bytes = new Uint8Array(4);
  new ByteView(bytes, image.file.header.little).setU32(0, enabled ? 1 : 0);
  poker.store(key, bytes, `${name}.enabled = ${enabled ? 1 : 0}`);
}
