// .return_sites (since 5.19, and stable kernels): returns, which the compiler makes jumps to __x86_return_thunk
// (arch/x86/kernel/alternative.c, apply_returns).
//
// Order: right behind the retpolines, in front of alternatives, in all versions. Static calls were patched before (early
// ones), and kernels since 6.6 patch them once more later, because their tail calls of NULL return as well. Replacements of
// alternatives have sites too, and must be among the texts.
import { sameBytes } from '../../bytes/integer.ts';
import { kernelOf, type TextPass, type TextSubject } from '../pass.ts';
import { branchAt, branchSize, int3, jumpOpcode } from './branches.ts';
import { returnsOf } from './return-thunk.ts';
import { Notes, readSites, TextFinder } from './sites.ts';
import type { X86State } from './state.ts';

const returnOpcode = 0xc3;
/** Behind the jump of a static call trampoline: ud1 %esp, %ecx. */
const signature = Uint8Array.of(0x0f, 0xb9, 0xcc);

export const returns: TextPass<X86State> = {
  kind: 'return',
  name: 'returns',
  run(subject) {
    const sites = readSites(subject.image, 'return');
    return sites && patchReturns(subject, sites);
  },
};

function patchReturns(subject: TextSubject<X86State>, sites: Float64Array) {
  const notes = new Notes();
  const { compiled, at, notes: ofThunk } = returnsOf(subject);
  for (const note of ofThunk) notes.add(note);
  const finder = new TextFinder(subject);
  for (const address of sites) {
    const text = finder.site(address, branchSize, notes);
    if (!text) continue;
    const branch = branchAt(text, address);
    const leadsBack = branch?.opcode === jumpOpcode && branch.target === compiled;
    // A trampoline of a call of NULL returns, too (__static_call_fixup). Its call may have had a function already.
    const behind = text.has(address + branchSize, signature.length);
    const isTrampoline = behind && sameBytes(text.at(address + branchSize, signature.length), signature);
    if (!leadsBack && !(isTrampoline && text.at(address, 1)[0] === returnOpcode)) {
      if (!isTrampoline) {
        const name = kernelOf(subject).describe(address);
        notes.wrong(address, `.return_sites names ${name}, which is no jump to __x86_return_thunk`);
      }
      continue;
    }
    const bytes = at(address);
    if (bytes) text.write(address, bytes, 'return');
    else notes.wrong(address, 'the return thunk is out of reach');
    // Prefixes make the instruction longer than what is written.
    const rest = isTrampoline ? 0 : (branch?.length ?? branchSize) - branchSize;
    if (rest > 0) text.write(address + branchSize, new Uint8Array(rest).fill(int3), 'return');
  }
  return { sites: sites.length, notes: notes.all };
}
