// Counts work instead of measuring time, so that a test of what something costs has the same verdict on any machine.
import { type Profiler, Session } from 'node:inspector';

const sources = new URL('../src/', import.meta.url).href;

const session = new Session();
session.connect();

function ask<Answer>(method: string, params: object = {}): Answer {
  let answer: unknown;
  session.post(method, params, (error, result) => {
    if (error) throw error;
    answer = result;
  });
  return answer as Answer;
}

ask('Profiler.enable');
// At once: of a function that ran before, later counts would leave out what runs inside it.
ask('Profiler.startPreciseCoverage', { callCount: true, detailed: true });

/** How often any block of code ran since this was last asked, those of tests and of Node left out. */
function blocksRun(): number {
  const { result } = ask<Profiler.TakePreciseCoverageReturnType>('Profiler.takePreciseCoverage');
  return result
    .filter(({ url }) => url.startsWith(sources) || url.includes('/node_modules/'))
    .flatMap(({ functions }) => functions.flatMap(({ ranges }) => ranges))
    .reduce((sum, { count }) => sum + count, 0);
}

type Method = (this: Sized, ...args: never[]) => unknown;
type Sized = { readonly length: number };
type Cost = (self: Sized, args: readonly unknown[], result: unknown) => number;

const ofSearch: Cost = ({ length }, [, from = 0], found) =>
  (typeof found === 'number' && found >= 0 ? found + 1 : length) - Number(from);
const ofResult: Cost = (_, __, result) => (result as Sized).length;
const ofSelf: Cost = ({ length }) => length;

/** Methods that are no JavaScript, and how many bytes, characters or elements they look at. */
const natives: readonly [object, Cost, readonly string[]][] = [
  [Object.getPrototypeOf(Uint8Array.prototype), ofSearch, ['indexOf']],
  [Object.getPrototypeOf(Uint8Array.prototype), ofResult, ['slice']],
  [Object.getPrototypeOf(Uint8Array.prototype), ofSelf, ['fill', 'includes']],
  [Object.getPrototypeOf(Uint8Array.prototype), (_, [source]) => (source as Sized).length, ['set']],
  [Buffer.prototype, ofSearch, ['indexOf']],
  [Buffer.prototype, ofResult, ['toString']],
  [Buffer.prototype, ofSelf, ['fill', 'includes', 'equals']],
  [Buffer, ofResult, ['concat', 'from']],
  [TextDecoder.prototype, ofResult, ['decode']],
  [TextEncoder.prototype, ofResult, ['encode']],
  [String.prototype, ofSearch, ['indexOf']],
  [String.prototype, ofSelf, ['includes', 'split', 'replace', 'replaceAll']],
  [Array.prototype, ofSearch, ['indexOf']],
  [Array.prototype, ofSelf, ['includes', 'splice', 'shift', 'unshift']],
  [Array.prototype, ofResult, ['slice', 'concat']],
];

/** Blocks of code that `body` ran, and bytes, characters and elements that methods without JavaScript looked at. */
export function workOf(body: () => void): number {
  let looked = 0;
  const undo: (() => void)[] = [];
  for (const [owner, cost, names] of natives) {
    for (const name of names) {
      const property = Object.getOwnPropertyDescriptor(owner, name) as PropertyDescriptor;
      const method: Method = property.value;
      const value = function (this: Sized, ...args: never[]) {
        const result = method.apply(this, args);
        looked += cost(this, args, result);
        return result;
      };
      Object.defineProperty(owner, name, { ...property, value });
      undo.push(() => Object.defineProperty(owner, name, property));
    }
  }
  blocksRun();
  try {
    body();
  } finally {
    for (const one of undo) one();
  }
  return blocksRun() + looked;
}
