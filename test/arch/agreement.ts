// Compares our sweep with objdump's listing, line by line. Every difference has a name here or is unexplained.
import { lengthOf, lockPrefixOf } from '../../src/arch/x86-64-length.ts';
import { findLockPrefixes, sweep } from '../../src/arch/x86-64-sweep.ts';
import { LineClass, type Listing } from './objdump.ts';

/** Where we differ from objdump, and why that is right. */
export const rules = {
  // `9b d9 3c 24` is fwait and fnstcw to the CPU; objdump shows the assembler's fstcw.
  fwait: 'objdump merges fwait with the x87 instruction after it',
  // `48 f0 01 00` is one instruction to the CPU, which ignores the REX prefix.
  rex: 'objdump makes a REX prefix before another prefix a line of its own',
  // Fifteen bytes may be fourteen prefixes and a nop; objdump shows fourteen prefixes, and then begins again.
  prefixes: 'objdump reads at most thirteen prefixes',
  // The operands, the mandatory prefix or an opcode that we take to be there: see `decodeInstruction`.
  badHere: 'objdump says (bad), we have a length',
  // objdump skips prefixes and opcode, we skip a byte; until both come by the same offset, lines do not match.
  afterBad: 'a line of objdump after (bad) that is out of step with us',
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
      note('afterBad');
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
      const ownLength = step === UNDECODABLE ? 1 : step;
      outOfStep.fill(1, offset, offset + Math.max(length, ownLength));
      inStep = false;
    } else if (lineClass !== LineClass.instruction && length === 1 && step === UNDECODABLE) {
      agreement.undecodable++;
    } else if (lineClass === LineClass.prefixes && length === 1 && (code[offset]! & 0xf0) === 0x40) {
      note('rex');
      // The rest of our instruction is objdump's next line, or lines if there are more such prefixes.
      while (offsets[line + 1]! < offset + step) line++;
      if (step === UNDECODABLE || offsets[line]! + lengths[line]! !== offset + step) {
        inStep = false;
        if (classes[line] === LineClass.instruction) agreement.unexplained.push(describe(listing, offset, length, step));
      }
    } else if (lineClass === LineClass.prefixes && length === 14) {
      note('prefixes');
      inStep = false;
    } else {
      agreement.unexplained.push(describe(listing, offset, length, step));
      inStep = false;
    }
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

function compareLocks(listing: Listing, outOfStep: Uint8Array, agreement: Agreement): void {
  const { code, map, offsets, classes } = listing;
  const isInstruction = new Set<number>();
  const lockLines = new Set(listing.lockLines);
  offsets.forEach((offset, line) => {
    if (lockLines.has(offset) && classes[line] === LineClass.instruction) isInstruction.add(offset);
  });
  const theirs = [...isInstruction].map((offset) => code.indexOf(0xf0, offset));
  const ours = findLockPrefixes(code, map);
  const swept: number[] = [];
  sweep(code, map, (offset, packed) => {
    if (lockPrefixOf(packed) >= 0) swept.push(offset + lockPrefixOf(packed));
  });
  if (swept.join() !== [...ours].join()) {
    agreement.unexplained.push(`${listing.name}: findLockPrefixes and sweep find different locks`);
  }
  const known = new Set(theirs);
  for (const offset of ours) {
    if (known.delete(offset)) agreement.locks++;
    else if (outOfStep[offset] === 0) agreement.unexplained.push(`${listing.name}: only we have a lock at ${offset}`);
  }
  for (const offset of known) {
    if (outOfStep[offset] === 0) agreement.unexplained.push(`${listing.name}: only objdump has a lock at ${offset}`);
  }
}

function describe(listing: Listing, offset: number, length: number, step: number): string {
  const bytes = Buffer.from(listing.code.subarray(offset, offset + 16)).toString('hex');
  const address = (listing.address + offset).toString(16);
  return `${listing.name}: ${address}: ${bytes}: objdump has ${length} bytes, we ${step === UNDECODABLE ? 'none' : step}`;
}
