// What is wrong with the text of a running kernel: stretches that nothing explains, inputs that cannot be, and code beside the
// image that is nobody's.
import { hex, sameBytes } from '../bytes/integer.ts';
import { countUpTo } from '../bytes/search.ts';
import type { Image } from '../image/image.ts';
import { knowsModules, type RunningKernel } from '../memory/kernel/kernel.ts';
import type { GeneratedPage, PassNote } from '../text/pass.ts';
import type { ReplayedText } from '../text/result.ts';
import { checkExecutable } from './executable.ts';
import { type Finding, type Judge, judged } from './finding.ts';
import { describeChange, stretchOf, type TextContext } from './text-change.ts';

/** Findings of one sort that are told one by one; the rest is counted by function, or in one sentence. */
const mostTold = 1000;
const mostNotes = 200;
/** Bytes from a finding's address on within which another rule has said what is wrong. */
const nearby = 8;

/** TP036 to TP040; nothing of places that findings in front of these are about. */
export function* checkText(
  linked: Image,
  replayed: ReplayedText,
  running: RunningKernel,
  before: readonly Finding[],
): Generator<Finding> {
  const { compared, text } = replayed;
  yield* checkRuns({ linked, compared, text, ...around(running) }, 'TP036', saidOf(before));
  yield* checkInputs(linked, replayed.notes);
  yield* checkGenerated(replayed.pages, running);
  // Without all modules, their pages would be nobody's.
  if (replayed.live && knowsModules(running)) yield* checkExecutable(replayed.live, running.place.slide);
}

/** What is known of a running kernel where its text is told of. */
export function around({ place, list }: RunningKernel): Pick<TextContext, 'slide' | 'modules'> {
  return { slide: place.slide, modules: list?.modules ?? [] };
}

/** Places that findings are about, in order. */
export function saidOf(before: readonly Finding[]): readonly number[] {
  return before
    .flatMap(({ address }) => (address === undefined ? [] : [address as number]))
    .sort((a, b) => a - b);
}

/** A finding for each stretch that nothing explains and nobody has `said` something about. */
export function checkRuns(
  context: TextContext,
  rule: 'TP036' | 'TP041',
  said: readonly number[],
): Iterable<Finding> {
  const { linked, compared, text } = context;
  let next = countUpTo(said, text.start - nearby);
  const runs = compared.runs.filter(({ address, length }) => {
    while (next < said.length && (said[next] as number) + nearby <= address) next++;
    return !(next < said.length && (said[next] as number) < address + length);
  });
  const judge =
    (of: readonly (readonly [first: number, count: number, bytes: number])[]): Judge =>
    (which) => {
      const [first, count, bytes] = of[which] as (typeof of)[number];
      const { address, length } = runs[first] as (typeof runs)[number];
      const stretch = stretchOf(context, address, length);
      const others = count > 1 ? `; ${count} places of this function differ, ${bytes} bytes` : '';
      return {
        rule,
        address: stretch.address,
        place: linked.describe(stretch.address),
        message: `${describeChange(context, stretch, length)}${others}`,
        found: stretch.found,
        expected: stretch.expected,
      };
    };
  if (runs.length <= mostTold) return judged(runs.length, judge(runs.map((_, i) => [i, 1, 0])));
  // A function for each finding: they are no more than the symbols of the file.
  const groups: [number, number, number][] = [];
  let last: number | undefined;
  for (const [i, { address, length }] of runs.entries()) {
    const near = linked.symbolAt(address);
    const start = near ? address - near.offset : text.start;
    const group = groups.at(-1);
    if (group && start === last) {
      group[1]++;
      group[2] += length;
    } else groups.push([i, 1, length]);
    last = start;
  }
  return judged(groups.length, judge(groups));
}

export function* checkInputs(linked: Image, notes: readonly PassNote[]): Generator<Finding> {
  const wrong = notes.filter(({ severity }) => severity === 'wrong');
  for (const { address, message, input } of wrong.slice(0, mostNotes)) {
    const place = address === undefined ? (input ?? 'text') : linked.describe(address);
    const of = input === undefined || input === place ? '' : ` (${input})`;
    yield { rule: 'TP037', address, place, message: `${message}${of}` };
  }
  if (wrong.length > mostNotes) {
    const message = `${wrong.length - mostNotes} more inputs and entries of tables cannot be as they are`;
    yield { rule: 'TP037', address: undefined, place: 'text', message };
  }
}

/** Pages that passes made. */
export function* checkGenerated(
  pages: readonly GeneratedPage[],
  { reader, place }: RunningKernel,
): Generator<Finding> {
  for (const { address, bytes, what } of pages) {
    const found = reader.bytes(address, bytes.length);
    if (!found || sameBytes(found, bytes)) continue;
    const at = bytes.findIndex((byte, i) => byte !== found[i]);
    const size = Math.min(16, bytes.length - at);
    yield {
      rule: 'TP040',
      address: address + at - place.slide,
      place: `${what}+0x${at.toString(16)}`,
      message: `the page of ${what} at ${hex(address)} is not what the kernel makes`,
      found: found.slice(at, at + size),
      expected: bytes.slice(at, at + size),
    };
  }
}
