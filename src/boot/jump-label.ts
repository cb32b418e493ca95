// The sites of static branches at boot and run time (kernel/jump_label.c; counts of keys are in static-key.ts).
import type { SiteInstruction } from '../arch/arch.ts';
import { hexBytes } from '../bytes/integer.ts';
import { jumpBit1, jumpBranch, jumpTable } from '../bytes/schema.ts';
import { MismatchError, TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { type BranchSite, unionOffset } from '../image/sites.ts';
import { type Module, type Runtime, requireKey } from './runtime.ts';
import { sortTable } from './sort-table.ts';
import { type Allowed, made, type Patch } from './text-poke.ts';

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

/** True where static_key_enabled is: a count that is not 0, below it too. */
export function isEnabled({ enabled }: KeyState): boolean {
  return enabled !== 0;
}

/** What brings a site to a state of its key, from one of `states`. Error `branch-range`. */
export function branchPatch(
  runtime: Runtime,
  site: BranchSite,
  states: readonly boolean[],
  enabled: boolean,
): Patch {
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

/** The entry of a site with its init bit as it is at run time. */
function flagged(runtime: Runtime, site: BranchSite): { site: BranchSite; fields: readonly number[] } {
  const bit1 = runtime.image.isInitText(site.address) || (runtime.profile.keepsBit1 && site.bit1);
  const flags = (site.branch ? jumpBranch : 0) | (bit1 ? jumpBit1 : 0);
  return { site: { ...site, bit1 }, fields: [site.address, site.target, site.key + flags] };
}

/** Throws unless every site lies in code, its target too, and its key in the image. */
function checkSites(runtime: Runtime, sites: readonly BranchSite[]): void {
  const { image, profile } = runtime;
  for (const site of sites) {
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
    const found = branchAt(image, site);
    if (found) {
      const sizes = branchSizes(image, site);
      if (profile.shortBranches || found.size === Math.max(...sizes)) continue;
      runtime.bug(
        `jump_label: Fatal kernel bug, unexpected op at ${image.describe(site.address)}: a static branch of ${found.size} bytes`,
      );
    }
    refuseSite(runtime, site);
  }
}

function refuseSite({ image }: Runtime, site: BranchSite): never {
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

/**
 * jump_label_init: check, bring each site to its key's value, sort, set init bits. A site may hold what its key's
 * initial or present value asks for, or (bit 1) the jump that the compiler left for the build step to rewrite.
 * Kernels write no text here: what is not as its key says is refused.
 */
export function jumpLabelInit(runtime: Runtime): void {
  const { image, poker, profile } = runtime;
  poker.phase = 'jump_label_init';
  checkSites(runtime, runtime.branches);
  const patchOf = (site: BranchSite): Patch => {
    const key = readKey(image, site.key);
    const enabled = isEnabled(key);
    if (!profile.initWrites) {
      const patch = branchPatch(runtime, site, [], enabled);
      if (profile.initChecksNops && !wantsJump(site, enabled) && branchAt(image, site)?.kind !== 'nop') {
        runtime.bug(`jump_label: Fatal kernel bug, unexpected op at ${image.describe(site.address)}: no NOP`);
      }
      return patch;
    }
    const patch = branchPatch(runtime, site, [key.initial, enabled], enabled);
    if (!site.bit1) return patch;
    const found = branchAt(image, site);
    if (found?.kind !== 'jump') return patch;
    const left = branchBytes(image, site, found.size, true);
    return { ...patch, allowed: [...patch.allowed, { bytes: left, meaning: 'jump left by the compiler' }] };
  };
  poker.poke(made(runtime.branches, patchOf));
  runtime.branches = sortTable(image, poker, jumpTable, runtime.branches, (site) => flagged(runtime, site));
}

/**
 * jump_label_add_module: sorts a module's entries, and brings those sites to their keys' values that were built for
 * another one. Returns the sites with their new entries.
 */
export function addModuleBranches(runtime: Runtime, module: Module): BranchSite[] {
  const { image, poker } = runtime;
  checkSites(runtime, module.branches);
  const patches = module.branches.map((site) => {
    const key = readKey(image, site.key);
    return branchPatch(runtime, site, [key.initial], isEnabled(key));
  });
  poker.check(patches);
  const sorted = sortTable(module.image, poker, jumpTable, module.branches, (site) => flagged(runtime, site));
  poker.poke(patches);
  return sorted;
}
