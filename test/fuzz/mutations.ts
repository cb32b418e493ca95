// Random changes of a seed that know its structures: fields at their limits, records over records, parts of other seeds,
// bytes that come, go or change, an early end.
import type { Random } from '../seeded.ts';
import { type Edit, tohex } from './edits.ts';
import type { Field, Structure } from './fields.ts';

/** What a mutation is made from. */
export interface Ground {
  readonly bytes: Uint8Array;
  readonly structures: readonly Structure[];
  /** Names of seeds of which parts may be taken, with their sizes. */
  readonly others: readonly (readonly [name: string, size: number])[];
  /** Texts that may take the place of a word; only where the seed is text. */
  readonly words: readonly string[];
}

function readNumber(bytes: Uint8Array, { at, size, little }: Field): bigint {
  let value = 0n;
  for (let i = 0; i < size; i++) {
    const byte = bytes[at + (little ? size - 1 - i : i)] ?? 0;
    value = value * 256n + BigInt(byte);
  }
  return value;
}

function encode(value: bigint, size: number, little: boolean): string {
  const bits = BigInt.asUintN(size * 8, value);
  const digits = bits.toString(16).padStart(size * 2, '0');
  if (!little) return digits;
  return (digits.match(/../g) as string[]).reverse().join('');
}

/** A number that is likely to be on the edge of something. */
function edgeOf(random: Random, bits: number, present: bigint, fileSize: number): bigint {
  const most = (1n << BigInt(bits)) - 1n;
  const pick = random.below(16);
  if (pick === 0) return 0n;
  if (pick === 1) return most - BigInt(random.below(4));
  if (pick === 2) return most >> 1n;
  if (pick === 3) return (most >> 1n) + 1n;
  if (pick === 4) return present + 1n;
  if (pick === 5) return present - 1n;
  if (pick === 6) return present * 2n;
  if (pick === 7) return BigInt(fileSize) + BigInt(random.below(3)) - 1n;
  if (pick === 8) return BigInt(fileSize) - present;
  if (pick === 9) return 1n << BigInt(random.below(bits));
  if (pick === 10) return (1n << BigInt(random.below(bits))) - 1n;
  if (pick === 11) return 0xff00n + BigInt(random.below(256));
  if (pick === 12) return BigInt(random.below(20));
  if (pick === 13) return BigInt(random.below(fileSize + 1));
  if (pick === 14) return present ^ (1n << BigInt(random.below(bits)));
  return BigInt(random.below(2 ** 32)) * BigInt(random.below(2 ** 32));
}

function setField(random: Random, { bytes, structures }: Ground, { fields }: Structure): Edit {
  const field = random.pick(fields);
  const { at, size, little, name } = field;
  if (field.text) {
    const digits = random.pick([
      '0',
      '-1',
      '1e9',
      '9'.repeat(size),
      '/0',
      '/99999',
      '#1/20',
      '#1/9999',
      '//',
      '/',
      'x',
      String(random.below(bytes.length)),
    ]);
    return { at, put: tohex(Buffer.from(digits.padEnd(size).slice(0, size))), what: name };
  }
  // The value of another field, or an edge.
  const other = random.chance(0.2) ? random.pick(structures).fields : [];
  const value =
    other.length > 0
      ? readNumber(bytes, random.pick(other))
      : edgeOf(random, size * 8, readNumber(bytes, field), bytes.length);
  return { at, put: encode(value, size, little), what: name };
}

function overRecord(random: Random, { records, recordSize, name }: Structure): Edit {
  const at = random.pick(records);
  const copy = random.pick(records);
  return { at, copy, size: recordSize, what: `${name} over ${name}` };
}

function swapWord(random: Random, { bytes, words }: Ground, { records }: Structure): Edit[] {
  const i = random.below(records.length);
  const at = records[i] as number;
  const isAlike = random.chance(0.6);
  const end = records[i + 1 + (isAlike ? 0 : random.below(4))] ?? bytes.length;
  // A string for a string, most of the time.
  const isString = (text: string) => text.startsWith('"');
  const like = words.filter((word) => isString(word) === (bytes[at] === 0x22));
  const text = tohex(Buffer.from(random.pick(isAlike && like.length > 0 ? like : words), 'latin1'));
  if (isAlike) {
    const change = { at, remove: end - at, what: 'words' };
    return [change, { at, insert: text }];
  }
  const pick = random.below(8);
  if (pick === 0) return [{ at, remove: end - at, what: 'words' }];
  if (pick === 1) return [{ at, insert: text, what: 'words' }];
  if (pick === 2) return [{ at, insert: tohex(bytes.subarray(at, end)), times: 1 + random.below(40) }];
  if (pick === 3) return [{ at, insert: text, times: 1 << random.below(15) }];
  return [
    { at, remove: end - at, what: 'words' },
    { at, insert: text },
  ];
}

function anywhere(random: Random, { bytes, others }: Ground): Edit {
  const at = random.below(bytes.length);
  const length = 1 + random.below(1 << random.below(10));
  const some = () => tohex(Uint8Array.from({ length: 1 + random.below(4) }, () => random.below(256)));
  switch (random.below(8)) {
    case 0:
      return { at, cut: true };
    case 1:
      return { at, remove: length };
    case 2:
      return { at, insert: some(), times: 1 + random.below(1 << random.below(12)) };
    case 3:
      return { at, copy: random.below(bytes.length), size: length };
    case 4:
      if (others.length > 0) {
        const [from, size] = random.pick(others);
        return { at, from, offset: random.chance(0.5) ? at : random.below(size), size: length };
      }
      return { at, put: some() };
    case 5:
      return { at, put: random.pick(['00', 'ff', '7f', '80']).repeat(Math.min(length, 64)) };
    default:
      return { at, put: some() };
  }
}

/** One to four edits; most of them of fields. */
export function mutate(random: Random, ground: Ground): Edit[] {
  const edits: Edit[] = [];
  const { structures } = ground;
  for (let left = 1 + random.below(random.below(4) + 1); left > 0; left--) {
    const chosen = structures.length > 0 ? random.pick(structures) : undefined;
    if (ground.words.length > 0 && chosen) {
      for (const edit of random.chance(0.9) ? swapWord(random, ground, chosen) : [anywhere(random, ground)])
        edits.push(edit);
    } else if (!chosen || random.chance(0.25)) edits.push(anywhere(random, ground));
    else if (random.chance(0.15) || chosen.fields.length === 0) edits.push(overRecord(random, chosen));
    else edits.push(setField(random, ground, chosen));
  }
  return edits;
}
