// The library's policy: what may be written to the text of a kernel, for whoever watches it.
import { type Input, nameOf } from '../files/input.ts';
import { policyJson } from '../output/policy.ts';
import { makePolicy } from '../policy/make.ts';
import type { Policy } from '../policy/policy.ts';
import { type ExpandOptions, withImage } from './image.ts';

/** The policy of a kernel, and what was unpacked for it. */
export interface PolicyResult {
  readonly policy: Policy;
  /** What a person has to know though nothing was refused. */
  readonly notes: readonly string[];
}

/**
 * Makes the policy of an x86-64 kernel from its file alone: vmlinuz, or vmlinux for a kernel that runs where it is linked.
 * Errors: `read-failed`, those of reading ELF, `compressed-malformed`, `not-an-image`, `table-malformed`; `elf-unsupported`
 * for a kernel whose calls are checked (kCFI); `too-large` for tables that no kernel has.
 */
export function policy(input: Input, options: ExpandOptions = {}): Promise<PolicyResult> {
  return withImage(input, options, (image, unpacked, relocations) => {
    const notes = [...unpacked, `${nameOf(input)}: the policy does not cover the text of modules`];
    if (relocations === undefined)
      notes.push(
        `${nameOf(input)}: the file does not have the list of the places that the loader changes (the vmlinuz has it), so the policy is that of a kernel that is not moved`,
      );
    return { policy: makePolicy(image, relocations), notes };
  });
}

/** What `textpoke states` prints of a policy, in pieces; `file` names the kernel. */
export function policyDocument(file: string, of: Policy): Iterable<string> {
  return policyJson(file, of);
}
