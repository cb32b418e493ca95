// Places that objtool lists: returns, branches through thunks, endbr, counted calls. What the kernel makes of each follows
// from src/text/x86-64/; here are all the forms that it can make on any processor.

import { readS32 } from '../../arch/x86-64/length.ts';
import { moveCode } from '../../arch/x86-64/moved-code.ts';
import { sameBytes } from '../../bytes/integer.ts';
import type { ExpectedText } from '../../text/expected.ts';
import { branchAt, branchSize, callOpcode, csPrefix, int3, jumpOpcode } from '../../text/x86-64/branches.ts';
import { endbr, endbrSize, poisons } from '../../text/x86-64/endbr-code.ts';
import { nopStyles } from '../../text/x86-64/nops.ts';
import { indirectBranch, type RetpolineSite, retpolineForms } from '../../text/x86-64/retpoline-code.ts';
import { arrayOf } from '../../text/x86-64/retpolines.ts';
import { returnThunkName } from '../../text/x86-64/return-thunk.ts';
import { readSites } from '../../text/x86-64/sites.ts';
import { branching, distanceSize, fixed, withFields } from '../builder.ts';
import type { PolicyState } from '../policy.ts';
import { functionStarts, isKept, type KernelFile, symbolsOf } from './kernel.ts';

const bareReturn = Uint8Array.of(0xc3, int3, int3, int3, int3);
const jump = Uint8Array.of(jumpOpcode, 0, 0, 0, 0);
const signature = Uint8Array.of(0x0f, 0xb9, 0xcc);
const nop = 0x90;

/** Everything that the kernel can return through. */
function returnThunks({ builder, image }: KernelFile): number {
  return builder.targetsOf('return thunks', () => {
    const named = [...image.symbols.named((name) => returnThunkName.test(name))];
    const addresses = Float64Array.from(new Set(named.map(({ address }) => address))).sort();
    return { addresses, before: 0, outside: false };
  });
}

/** What a return may be. */
export function returnStates(kernel: KernelFile): PolicyState[] {
  return [fixed(bareReturn), branching(jump, returnThunks(kernel))];
}

export function addReturns(kernel: KernelFile): void {
  const { builder, subject, image } = kernel;
  const compiled = image.symbols.addressOf('__x86_return_thunk');
  const states = returnStates(kernel);
  for (const address of readSites(image, 'return') ?? []) {
    const text = subject.texts.holding(address, branchSize);
    const branch = text && branchAt(text, address);
    if (!text || branch?.opcode !== jumpOpcode || branch.target !== compiled) continue;
    const rest = branch.length - branchSize;
    const isTrampoline =
      text.has(address, branchSize + signature.length) &&
      sameBytes(text.at(address + branchSize, signature.length), signature);
    if (rest === 0 || isTrampoline) builder.add(address, 'return', 'start-up', states);
    else
      builder.add(
        address,
        'return',
        'start-up',
        states.map((state) => lengthened(state, rest)),
      );
  }
}

/** With so many int3 behind. */
function lengthened({ bytes, fields }: PolicyState, rest: number): PolicyState {
  return { bytes: Uint8Array.of(...bytes, ...Array<number>(rest).fill(int3)), fields };
}

export function addRetpolines(kernel: KernelFile): void {
  const { builder, subject, image } = kernel;
  const thunks = arrayOf(subject, 'thunk');
  if (!thunks) return;
  const known = new Map<string, PolicyState[]>();
  for (const address of readSites(image, 'retpoline') ?? []) {
    const text = subject.texts.holding(address, 1);
    const branch = text && branchAt(text, address);
    const register = branch ? (branch.target - thunks.start) / thunks.size : Number.NaN;
    if (!branch || !(register >= 0 && register < 16) || !Number.isInteger(register)) continue;
    const { opcode, isConditional, length } = branch;
    const key = `${opcode} ${length} ${register}`;
    const states = known.get(key) ?? retpolineStates(kernel, { opcode, isConditional, length, register });
    known.set(key, states);
    if (states.length > 0) builder.add(address, 'retpoline', 'start-up', states);
  }
}

/** An indirect branch, with a fence or not; the thunk of a page against ITS; the thunk that counts calls. */
export function retpolineStates(kernel: KernelFile, site: RetpolineSite): PolicyState[] {
  const { subject, image, builder } = kernel;
  const states: PolicyState[] = [];
  for (const { nops } of nopStyles(image, subject.state))
    for (const fenced of [false, true])
      for (const form of retpolineForms) {
        const bytes = indirectBranch(site, fenced, form, nops);
        if (bytes) states.push(fixed(bytes));
      }
  const size = site.isConditional || site.length === 6 ? 6 : 5;
  if (size !== site.length) return states;
  const bytes = new Uint8Array(size);
  if (size === 6) bytes[0] = site.isConditional ? 0x0f : csPrefix;
  bytes[size - branchSize] = site.opcode;
  const start = (word: 'call_thunk' | 'jump_thunk', name: string) => {
    const array = arrayOf(subject, word);
    if (!array) return;
    const address = array.start + array.size * site.register;
    const targets = builder.targetsOf(`${name} ${site.register}`, () => ({
      addresses: Float64Array.of(address),
      before: 0,
      outside: false,
    }));
    states.push(branching(bytes, targets));
  };
  if (site.opcode === callOpcode) start('call_thunk', 'thunk that counts a call of register');
  else start('jump_thunk', 'thunk that counts a jump to register');
  if (image.symbols.addressOf('its_init_mod') !== undefined)
    states.push(
      branching(bytes, symbolsOf(kernel, 'thunks against ITS', ['__x86_indirect_its_thunk_array'], true)),
    );
  return states;
}

export function addEndbr(kernel: KernelFile): void {
  const { builder, subject, image } = kernel;
  const states = poisons.map(fixed);
  for (const address of readSites(image, 'endbr') ?? []) {
    const text = subject.texts.holding(address, endbrSize);
    if (text && sameBytes(text.at(address, endbrSize), endbr))
      builder.add(address, 'endbr', 'start-up', states);
  }
}

/** Counted calls, and the code in front of functions that counts them. `others` are places that may have become calls. */
export function addCallThunks(kernel: KernelFile, others: readonly number[]): void {
  const { builder, subject, image, counting } = kernel;
  const sites = readSites(image, 'call');
  if (!sites || counting === 0) return;
  const call = Uint8Array.of(callOpcode, 0, 0, 0, 0);
  const states = [withFields(call, [{ at: 1, is: 'nearer', by: counting }])];
  const listed = new Set<number>();
  for (const address of [...sites, ...others]) {
    if (!isKept(kernel, address) || listed.has(address)) continue;
    listed.add(address);
    if (subject.texts.holding(address, branchSize)) builder.add(address, 'call-thunk', 'start-up', states);
  }
  addPads(kernel);
}

/** A static call, or a module, may count the calls of any function, at any time: the code is one write where nothing was. */
function addPads(kernel: KernelFile): void {
  const { builder, subject, image, counting } = kernel;
  const states = [countingCode(kernel)];
  let text: ExpectedText | undefined;
  for (const start of functionStarts(image)) {
    const pad = start - counting;
    if (!text?.has(pad, counting)) text = subject.texts.holding(pad, counting);
    if (text?.at(pad, counting).every((byte) => byte === nop))
      builder.add(pad, 'call-thunk', 'always', states);
  }
}

/** The code that counts a call: the kernel's template, whose only distance is one to per-CPU data. */
function countingCode({ image, lists, counting }: KernelFile): PolicyState {
  const from = image.symbols.addressOf('skl_call_thunk_template') ?? 0;
  const template = image.read(from, counting).slice();
  const moved = moveCode(template, from, from + 1);
  const at = moved?.findIndex((byte, i) => byte !== template[i]) ?? -1;
  if (at < 0 || at + distanceSize > counting) return fixed(template);
  // Up to 6.14 these data never move, and the loader changes the distance.
  const moves = !lists?.inverse32?.includes(from + at);
  const behind = counting - at - distanceSize;
  const to = from + counting + readS32(template, at);
  return withFields(template, [{ at, is: 'distance', to, behind, moves }]);
}
