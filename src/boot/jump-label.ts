// The sites of static branches at boot and when modules come (kernel/jump_label.c; counts of keys are in static-key.ts).
import { hexBytes, largestOf } from '../bytes/integer.ts';
import { isEnabled, keyReader } from '../demand/keys.ts';
import type { Patch } from '../demand/patch.ts';
import { MismatchError, TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { branchAt, branchPatch, branchSizes, wantsJump } from '../kinds/static-branch/demand.ts';
import { staticBranch } from '../kinds/static-branch/kind.ts';
import { type BranchSite, branchFields } from '../kinds/static-branch/table.ts';
import { linkKeys } from './link-keys.ts';
import type { Module, Runtime } from './runtime.ts';
import { sortTable } from './sort-table.ts';
import { made } from './text-poke.ts';

const { table } = staticBranch;

/** A site with its init bit as it is at run time. */
function flagged({ program }: Runtime, site: BranchSite): BranchSite {
  const bit1 = program.image.isInitText(site.address) || (program.profile.keepsBit1 && site.bit1);
  return bit1 === site.bit1 ? site : { ...site, bit1 };
}

/** Sorts the entries of a part, whose sites come back with them. */
function sort(runtime: Runtime, image: Image, sites: readonly BranchSite[]): BranchSite[] {
  return sortTable(image, runtime.poker, table, sites, (site) => flagged(runtime, site), branchFields);
}

/** Throws unless every site lies in code, its target too, and its key in the image. */
function checkSites(runtime: Runtime, sites: readonly BranchSite[]): void {
  const { image, profile } = runtime.program;
  const keys = keyReader(image);
  for (const site of sites) {
    keys(site.key);
    for (const [what, address] of [
      ['site', site.address],
      ['target', site.target],
    ] as const) {
      if (image.codeAt(address)) continue;
      throw new TextpokeError(
        'table-malformed',
        `the ${what} ${image.describe(address)} of a jump entry is not in executable code`,
        { file: image.file.path, section: table.name, offset: site.entry.address },
      );
    }
    const found = branchAt(image, site);
    if (found) {
      const sizes = branchSizes(image, site);
      if (profile.shortBranches || found.size === largestOf(sizes)) continue;
      runtime.bug(
        `jump_label: Fatal kernel bug, unexpected op at ${image.describe(site.address)}: a static branch of ${found.size} bytes`,
      );
    }
    refuseSite(image, site);
  }
}

function refuseSite(image: Image, site: BranchSite): never {
  const { nop } = image.instructionsAt(site.address);
  const sizes = branchSizes(image, site);
  const found = image.readUpTo(site.address, largestOf(sizes)).slice();
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
 * Kernels write no text here, but for NOPs before 6.0: what is not as its key says is refused.
 */
export function jumpLabelInit(runtime: Runtime): void {
  const { program, poker } = runtime;
  const { image, profile } = program;
  const sites = program.sites.of(staticBranch);
  checkSites(runtime, sites);
  const keys = keyReader(image);
  const patchOf = (site: BranchSite): Patch => {
    const key = keys(site.key);
    const enabled = isEnabled(key);
    if (!profile.initWrites) {
      const patch = branchPatch(program, site, profile.rewritesNops ? [enabled] : [], enabled);
      if (profile.initChecksNops && !wantsJump(site, enabled) && branchAt(image, site)?.kind !== 'nop') {
        runtime.bug(
          `jump_label: Fatal kernel bug, unexpected op at ${image.describe(site.address)}: not a NOP`,
        );
      }
      return patch;
    }
    return branchPatch(program, site, [key.initial, enabled], enabled, site.bit1);
  };
  poker.poke(made(sites, patchOf));
  const sorted = sort(runtime, image, sites);
  runtime.replaceSites(staticBranch, sorted);
  linkKeys(runtime, sorted, 0);
}

/**
 * jump_label_add_module: sorts a module's entries, and brings those sites to their keys' values that were built for
 * another one. Returns the sites with their new entries.
 */
export function addModuleBranches(runtime: Runtime, { image, sites: lists }: Module): BranchSite[] {
  const { program, poker } = runtime;
  const sites = lists.of(staticBranch);
  checkSites(runtime, sites);
  const keys = keyReader(program.image);
  const patches = sites.map((site) => {
    const key = keys(site.key);
    return branchPatch(program, site, [key.initial], isEnabled(key));
  });
  poker.check(patches);
  const sorted = sort(runtime, image, sites);
  poker.poke(patches);
  return sorted;
}
