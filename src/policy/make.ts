// Makes the policy of an x86-64 kernel from its file: every table of its text, in the order of start-up.

import { EM_X86_64 } from '../elf/constants.ts';
import { TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { kernelBanner } from '../image/kernel.ts';
import { relocationListsIn } from '../kernel/relocation-lists.ts';
import { identityOf } from '../memory/identity.ts';
import { keptText } from '../text/texts.ts';
import { countsBehindAlternatives } from '../text/x86-64/call-thunks.ts';
import { readSites } from '../text/x86-64/sites.ts';
import { PolicyBuilder } from './builder.ts';
import type { Policy, PolicyKind } from './policy.ts';
import { addAlternatives } from './x86-64/alternatives.ts';
import { type KernelFile, stateOfFile, subjectOf } from './x86-64/kernel.ts';
import { addKeyed } from './x86-64/keyed.ts';
import { addConstants, addFtrace, addParavirt } from './x86-64/more.ts';
import { addCallThunks, addEndbr, addRetpolines, addReturns } from './x86-64/tables.ts';

/** Functions are aligned to 16 bytes, and at most 64 (CONFIG_FUNCTION_ALIGNMENT). */
const longestCounting = 64;

/**
 * The policy of a kernel. `relocations` are the lists behind the payload of a bzImage, without which the policy is that of a
 * kernel that runs where it is linked. Errors: `not-an-image` for what is no x86-64 kernel with the bounds of its text,
 * `elf-unsupported` for one whose calls are checked (kCFI), `table-malformed`, `too-large`.
 */
export function makePolicy(image: Image, relocations: Uint8Array | undefined): Policy {
  const { file, symbols } = image;
  const refuse = (code: 'not-an-image' | 'elf-unsupported' | 'table-malformed', message: string): never => {
    throw new TextpokeError(code, message, { file: file.path });
  };
  const banner = kernelBanner(image);
  if (banner === undefined || file.header.machine !== EM_X86_64)
    return refuse('not-an-image', 'this is no x86-64 kernel; a policy is made for these alone');
  if (readSites(image, 'cfi'))
    refuse(
      'elf-unsupported',
      'the kernel has .cfi_sites (kCFI), whose hashes no file tells; policies do not cover it',
    );
  const state = stateOfFile(image);
  const subject = subjectOf(image, state);
  const whole = keptText(image, subject.texts);
  if (!whole)
    return refuse('not-an-image', 'the kernel does not say where its text begins and ends (_text, _etext)');
  const [first, last] = ['skl_call_thunk_template', 'skl_call_thunk_tail'].map((name) =>
    symbols.addressOf(name),
  );
  const kernel: KernelFile = {
    image,
    lists: relocationListsIn(file, relocations),
    builder: new PolicyBuilder(),
    subject,
    kept: [whole.text.start, whole.text.start + whole.length],
    counting: first === undefined || last === undefined ? 0 : Math.max(0, last - first),
  };
  if (kernel.counting > longestCounting)
    return refuse(
      'table-malformed',
      `the code that counts calls has ${kernel.counting} bytes; at most ${longestCounting} fit in front of a function`,
    );
  addKeyed(kernel);
  addFtrace(kernel);
  const operations = addParavirt(kernel);
  addRetpolines(kernel);
  addReturns(kernel);
  const alternatives = addAlternatives(kernel);
  addCallThunks(kernel, countsBehindAlternatives(state) ? [...alternatives, ...operations] : []);
  addEndbr(kernel);
  addConstants(kernel);
  const { text } = whole;
  return kernel.builder.finish(image, kernel.lists, {
    banner,
    buildId: identityOf(file).buildId,
    image: boundsOf(image),
    kept: [text.start, text.start + whole.length],
    order: orderOf(state.version[0], countsBehindAlternatives(state)),
  });
}

/** The steps of start-up whose order at one byte is known (x86-64/passes.ts of src/text/). */
function orderOf(major: number, isBehind: boolean): PolicyKind[] {
  if (major < 6) return ['retpoline', 'return', 'alternative', 'endbr', 'paravirt'];
  const middle: PolicyKind[] = isBehind ? ['alternative', 'call-thunk'] : ['call-thunk', 'alternative'];
  return ['paravirt', 'retpoline', 'return', ...middle, 'endbr'];
}

/** Where what is loaded begins and ends. */
function boundsOf({ file }: Image): readonly [number, number] {
  let [start, end] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const { addr, size } of file.sections) {
    // Per-CPU data of kernels up to 6.14 is linked at 0.
    if (addr >= 0) continue;
    start = Math.min(start, addr);
    end = Math.max(end, addr + size);
  }
  return [start, end];
}
