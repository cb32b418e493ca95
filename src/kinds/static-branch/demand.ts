// What must and may stand at a static branch (kernel/jump_label.c): a NOP or a jump, as its key has it.
import type { SiteInstruction } from '../../arch/arch.ts';
import { largestOf, sameBytes } from '../../bytes/integer.ts';
import type { Address } from '../../bytes/named-numbers.ts';
import { isEnabled, readKey } from '../../demand/keys.ts';
import {
  type Allowed,
  type Circumstances,
  type Demand,
  DemandFor,
  type Patch,
  type State,
} from '../../demand/patch.ts';
import type { Program } from '../../demand/program.ts';
import { TextpokeError } from '../../errors.ts';
import type { Image } from '../../image/image.ts';
import type { BranchSite } from './table.ts';

/** `instruction = NOP when enabled XOR branch is 0` (include/linux/jump_label.h). */
export function wantsJump(site: BranchSite, enabled: boolean): boolean {
  return enabled !== site.branch;
}

/** Sizes that a static branch may have at a site. */
export function branchSizes(image: Image, { address }: Pick<BranchSite, 'address'>): readonly number[] {
  return image.instructionsAt(address).branchSizes;
}

/** The branch instruction at a site now; undefined when it is neither a NOP nor a jump of a size that may stand there. */
export function branchAt(image: Image, site: Pick<BranchSite, 'address'>): SiteInstruction | undefined {
  const instruction = image.instructionAt(site.address);
  const known = instruction.kind === 'nop' || instruction.kind === 'jump';
  return known && branchSizes(image, site).includes(instruction.size) ? instruction : undefined;
}

/** The bytes that a site of `size` holds as a jump or as a NOP; undefined where no such jump reaches the target. */
function encodeBranch(
  { image, support }: Program,
  site: BranchSite,
  size: number,
  jump: boolean,
): Uint8Array | undefined {
  const instructions = image.instructionsAt(site.address);
  if (jump) return instructions.jump(size, image.distance(site.address, site.target));
  return support.nop5?.length === size ? support.nop5 : instructions.nop(size);
}

/** The same. Error `branch-range`. */
export function branchBytes(program: Program, site: BranchSite, size: number, jump: boolean): Uint8Array {
  const bytes = encodeBranch(program, site, size, jump);
  const { image } = program;
  if (bytes) return bytes;
  throw new TextpokeError(
    'branch-range',
    `${image.describe(site.address)}: the target ${image.describe(site.target)} is ${site.target - site.address} bytes ` +
      `away; a jump of ${size} bytes does not reach the target`,
    { file: image.file.path },
  );
}

/**
 * A patch of a static branch. There may be one for each entry of a large image, and of nearly all of them nobody asks what
 * else may stand there, and why: so that is made when somebody does.
 */
class BranchPatch implements Patch {
  readonly bytes: Uint8Array;
  private readonly program: Program;
  private readonly site: BranchSite;
  private readonly size: number;
  private readonly enabled: boolean;
  private readonly states: readonly boolean[];
  /** The NOP that stands there, which is as good as another of its size: ARM assemblers write two kinds. */
  private readonly nop: Uint8Array | undefined;
  /** A jump that the compiler left may stand there as well. */
  private readonly mayBeLeft: boolean;

  /** Error `branch-range`. */
  constructor(
    program: Program,
    site: BranchSite,
    states: readonly boolean[],
    enabled: boolean,
    mayBeLeft: boolean,
  ) {
    const { image } = program;
    const found = branchAt(image, site);
    this.program = program;
    this.site = site;
    this.size = found?.size ?? largestOf(branchSizes(image, site));
    this.enabled = enabled;
    this.states = states;
    this.mayBeLeft = mayBeLeft && found?.kind === 'jump';
    const jump = wantsJump(site, enabled);
    let bytes = this.bytesOf(jump);
    let nop: Uint8Array | undefined;
    if (found?.kind === 'nop' && image.instructionsAt(site.address).otherNops) {
      nop = image.read(site.address, found.size).slice();
      if (!jump && otherNopIsRight(program, site)) bytes = nop;
    }
    this.nop = nop;
    this.bytes = bytes;
    // A jump that reaches nowhere is an error now, whether anything will be compared with it or not.
    const needsJump = this.mayBeLeft || states.some((state) => wantsJump(site, state));
    if (needsJump && !jump) this.bytesOf(true);
  }

  private bytesOf(jump: boolean): Uint8Array {
    return branchBytes(this.program, this.site, this.size, jump);
  }

  private meaningOf(state: boolean): string {
    return `${this.program.image.describe(this.site.key)} ${state ? 'enabled' : 'disabled'}`;
  }

  get address(): Address {
    return this.site.address;
  }
  get key(): Address {
    return this.site.key;
  }
  get reason(): string {
    const { program, site, enabled } = this;
    const what = wantsJump(site, enabled) ? `jump to ${program.image.describe(site.target)}` : 'NOP';
    return `${this.meaningOf(enabled)}: ${what}`;
  }
  get allowed(): Allowed[] {
    const { site, states, nop } = this;
    const allowed: Allowed[] = states.map((state) => ({
      bytes: this.bytesOf(wantsJump(site, state)),
      meaning: this.meaningOf(state),
    }));
    if (nop && states.some((state) => !wantsJump(site, state))) allowed.push({ bytes: nop, meaning: 'NOP' });
    if (this.mayBeLeft) allowed.push({ bytes: this.bytesOf(true), meaning: 'jump left by the compiler' });
    return allowed;
  }
}

/**
 * What brings a site to a state of its key, from one of `states`, or from the jump that a compiler leaves. Error
 * `branch-range`.
 */
export function branchPatch(
  program: Program,
  site: BranchSite,
  states: readonly boolean[],
  enabled: boolean,
  mayBeLeft = false,
): Patch {
  return new BranchPatch(program, site, states, enabled, mayBeLeft);
}

/** True where the NOP that a compiler left stays until it is patched, although patching writes another one. */
function otherNopIsRight({ image, profile }: Program, { address }: BranchSite): boolean {
  return image.instructionsAt(address).otherNops && !profile.rewritesNops;
}

/** What must stand at a site now. Errors as `readKey`. */
export function branchDemand(program: Program, site: BranchSite, { state }: Circumstances): Demand {
  const { image } = program;
  const key = readKey(image, site.key);
  const enabled = isEnabled(key);
  const jump = wantsJump(site, enabled);
  const found = branchAt(image, site);
  const size = found?.size ?? largestOf(branchSizes(image, site));
  // A site is only sound when it can hold both of its states.
  if (!encodeBranch(program, site, size, true)) {
    const distance = image.distance(site.address, site.target);
    const target = image.describe(site.target);
    return { unpatchable: `a jump of ${size} bytes does not reach ${target}, ${distance} bytes away`, size };
  }
  const must = branchBytes(program, site, size, jump);
  const why = () => {
    const wanted = jump ? `a jump to ${image.describe(site.target)}` : 'a NOP';
    return `${image.describe(site.key)} is ${enabled ? 'enabled' : 'disabled'}, so ${wanted} is required`;
  };
  // Below 0 a count is enabled for whoever asks, but its sites are as they were: while they are patched, and after the
  // decrement of a count of 0 in kernels that allow it.
  if (key.enabled < 0) return new DemandFor([must, branchBytes(program, site, size, !jump)], why);
  const current = image.readUpTo(site.address, size);
  const isOther = !jump && found?.kind === 'nop' && !sameBytes(current, must);
  // What a linker leaves has the compiler's NOP, whoever is to patch it.
  const mayBeOther =
    otherNopIsRight(program, site) || (state === 'linked' && image.instructionsAt(site.address).otherNops);
  return new DemandFor(isOther && mayBeOther ? [must, current] : [must], why);
}

/** Every byte string that may stand at a site while the program runs. Error `branch-range`. */
export function branchStates(program: Program, site: BranchSite): State[] {
  const { image } = program;
  const found = branchAt(image, site);
  if (!found) return [];
  const states = [false, true].map((jump) => ({
    bytes: branchBytes(program, site, found.size, jump),
    meaning: `${image.describe(site.key)} ${jump !== site.branch ? 'enabled' : 'disabled'}`,
  }));
  if (found.kind === 'nop' && otherNopIsRight(program, site))
    states.push({ bytes: image.read(site.address, found.size).slice(), meaning: 'NOP' });
  return states;
}
