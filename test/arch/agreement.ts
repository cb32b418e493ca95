// Compares our sweep with objdump's listing, line by line. Every difference has a name here or is unexplained.
import { isLockableAt, lengthOf, lockPrefixOf } from '../../src/arch/x86-64/length.ts';
import { findLockPrefixes, sweep } from '../../src/arch/x86-64/sweep.ts';
import { LineClass, type Listing } from './objdump.ts';

/** Where we differ from objdump, and why that is right. */
export const rules = {
  // `9b d9 3c 24` is fwait and fnstcw to the CPU; objdump shows the assembler's fstcw.
  fwait: 'objdump merges fwait with the x87 instruction after it, and takes it for a prefix of others',
  // `48 f0 01 00` is one instruction to the CPU, which ignores the REX prefix.
  rex: 'objdump makes a REX prefix before another prefix a line of its own',
  // Fifteen bytes may be fourteen prefixes and a nop; objdump shows fourteen prefixes, and then begins again.
  prefixes: 'objdump reads at most thirteen prefixes',
  // The operands, the mandatory prefix or an opcode that we take to be there: see `decodeInstruction`.
  badHere: 'objdump says (bad), we have a length',
  // After one of the above, objdump goes on somewhere else than we do, until both come by the same offset.
  outOfStep: 'objdump is out of step with us after one of these',
} as const;
export type Rule = keyof typeof rules;

export interface Agreement {
  /** Lines where objdump and we have the same instruction, by offset and length. */
  instructions: number;
  /** Lines that are no instruction to either: (bad), or cut by a symbol. */
  undecodable: number;
  locks: number;
  readonly differences: Map<Rule, number>;
  readonly unexplained: string[];
}

export const noAgreement = (): Agreement => ({
  instructions: 0,
  undecodable: 0,
  locks: 0,
  differences: new Map(),
  unexplained: [],
});

/** The counts, for the report of a test. */
export function summary({ instructions, undecodable, locks, differences }: Agreement): string {
  const named = [...differences].map(([rule, count]) => `${count} x ${rules[rule]}`);
  return [`${instructions} instructions, ${locks} locks, ${undecodable} undecodable`, ...named].join('; ');
}

const UNDECODABLE = 0xff;

/** What our sweep makes of each offset: the length of an instruction that starts there, UNDECODABLE, or 0. */
function ownSteps(listing: Listing): Uint8Array {
  const { code, map } = listing;
  const steps = new Uint8Array(code.length);
  const inside = new Uint8Array(code.length);
  for (let i = 0; i < map.data.length; i += 2) inside.fill(1, map.data[i]!, map.data[i + 1]!);
  sweep(code, map, (offset, packed) => {
    const length = lengthOf(packed);
    steps[offset] = length;
    for (let i = 0; i < length; i++) inside[offset + i] = 1;
  });
  for (let i = 0; i < inside.length; i++) if (inside[i] === 0) steps[i] = UNDECODABLE;
  return steps;
}

/** Adds to `agreement` how our sweep of the section compares with objdump's listing of it. */
export function compare(listing: Listing, agreement: Agreement): void {
  const { code, offsets, lengths, classes } = listing;
  const steps = ownSteps(listing);
  const outOfStep = new Uint8Array(code.length);
  const note = (rule: Rule): void => {
    agreement.differences.set(rule, (agreement.differences.get(rule) ?? 0) + 1);
  };

  let inStep = true;
  for (let line = 0; line < offsets.length; line++) {
    const offset = offsets[line]!;
    const length = lengths[line]!;
    const step = steps[offset]!;
    inStep ||= step !== 0;
    if (!inStep) {
      note('outOfStep');
      outOfStep.fill(1, offset, offset + length);
      continue;
    }
    const lineClass = classes[line] as LineClass;
    if (lineClass === LineClass.instruction && step === length) {
      agreement.instructions++;
    } else if (lineClass === LineClass.instruction && isFwaitMerged(code, steps, offset, length)) {
      note('fwait');
    } else if (lineClass === LineClass.bad) {
      if (step === UNDECODABLE) agreement.undecodable++;
      else note('badHere');
      inStep = false;
    } else if (lineClass !== LineClass.instruction && length === 1 && step === UNDECODABLE) {
      agreement.undecodable++;
    } else if (code[offset] === 0x9b && step === 1 && isMisreadFwait(listing, line)) {
      note('fwait');
      inStep = false;
    } else if (lineClass === LineClass.prefixes && (length === 14 || hasIgnoredRex(code, offset))) {
      note(length === 14 ? 'prefixes' : 'rex');
      inStep = false;
    } else {
      agreement.unexplained.push(describe(listing, offset, length, step));
      inStep = false;
    }
    if (!inStep) outOfStep.fill(1, offset, offset + Math.max(length, step === UNDECODABLE ? 1 : step));
  }
  compareLocks(listing, outOfStep, agreement);
}

function isFwaitMerged(code: Uint8Array, steps: Uint8Array, offset: number, length: number): boolean {
  let fwaits = 0;
  let at = offset;
  while (at < offset + length && steps[at] !== UNDECODABLE && steps[at] !== 0) {
    at += steps[at]!;
    if (code[at - 1] === 0x9b && at < offset + length) fwaits++;
  }
  return fwaits > 0 && at === offset + length;
}

/** `9b 26 9b` is listed as `9b 26` with the name of `26 9b`, and then `9b`; `9b 43 44` as a lone prefix. */
function isMisreadFwait({ code, offsets, lengths, classes }: Listing, line: number): boolean {
  return classes[line] === LineClass.prefixes || code[offsets[line]! + lengths[line]!] === 0x9b;
}

/** True when the prefixes at `offset` have a REX prefix that is not the last of them. */
function hasIgnoredRex(code: Uint8Array, offset: number): boolean {
  const isRex = (at: number): boolean => (code[at]! & 0xf0) === 0x40;
  const isPrefix = (at: number): boolean => isRex(at) || LEGACY_PREFIXES.has(code[at]!);
  for (let at = offset; isPrefix(at); at++) if (isRex(at) && isPrefix(at + 1)) return true;
  return false;
}
// objdump counts fwait among them.
const LEGACY_PREFIXES = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0x9b, 0xf0, 0xf2, 0xf3]);

function compareLocks(listing: Listing, outOfStep: Uint8Array, agreement: Agreement): void {
  const { code, map, offsets, classes } = listing;
  const isInstruction = new Set<number>();
  const lockLines = new Set(listing.lockLines);
  offsets.forEach((offset, line) => {
    if (lockLines.has(offset) && classes[line] === LineClass.instruction) isInstruction.add(offset);
  });
  // On what cannot be locked a lock is no site.
  const theirs = [...isInstruction]
    .map((offset) => code.indexOf(0xf0, offset))
    .filter((at) => isLockableAt(code, at));
  const ours = findLockPrefixes(code, map);
  const swept: number[] = [];
  sweep(code, map, (offset, packed) => {
    const at = offset + lockPrefixOf(packed);
    if (at >= offset && isLockableAt(code, at)) swept.push(at);
  });
  if (swept.join() !== [...ours].join()) {
    agreement.unexplained.push(`${listing.name}: findLockPrefixes and sweep find different locks`);
  }
  const known = new Set(theirs);
  for (const offset of ours) {
    if (known.delete(offset)) agreement.locks++;
    else if (outOfStep[offset] === 0)
      agreement.unexplained.push(`${listing.name}: only we have a lock at ${offset}`);
  }
  for (const offset of known) {
    if (outOfStep[offset] === 0)
      agreement.unexplained.push(`${listing.name}: only objdump has a lock at ${offset}`);
  }
}

function describe(listing: Listing, offset: number, length: number, step: number): string {
  const bytes = Buffer.from(listing.code.subarray(offset, offset + 16)).toString('hex');
  const address = (listing.address + offset).toString(16);
  return `${listing.name}: ${address}: ${bytes}: objdump has ${length} bytes, we ${step === UNDECODABLE ? 'none' : step}`;
}
