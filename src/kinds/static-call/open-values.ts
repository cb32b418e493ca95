// The states of a call that may go to any function: what is common to branches of every distance, and which bits are
// free.

import type { CallTarget } from '../../arch/arch.ts';
import type { Address, CodePointer } from '../../bytes/named-numbers.ts';
import type { State } from '../../demand/patch.ts';
import type { Program } from '../../demand/program.ts';
import type { Image } from '../../image/image.ts';
import { type CallValue, describeValue, readCallValue } from './values.ts';

/** Every value of a call when nobody has listed some. */
function openValues({ returnZero }: Program): CallTarget[] {
  return [
    { kind: 'null' },
    ...(returnZero === undefined ? [] : [{ kind: 'return 0', address: returnZero } as const]),
  ];
}

/** States by the values that a call has or may get; `bytesFor` encodes one for the place at `from`. */
export function valueStates(
  program: Program,
  key: Address,
  listed: readonly CallTarget[] | undefined,
  bytesFor: (value: CallValue) => Uint8Array | undefined,
  from: Address,
): State[] {
  const values = [readCallValue(program, key), ...(listed ?? openValues(program))];
  const states = values.flatMap((value): State[] => {
    const bytes = bytesFor(value);
    return bytes ? [{ bytes, meaning: describeValue(program.image, value) }] : [];
  });
  if (listed) return states;
  const any = anyFunction(program.image, (address) => bytesFor({ kind: 'function', address }), from);
  return any ? [...states, any] : states;
}

/** Code pointers at every distance from a place, one bit of it at a time. */
function* pointersAround({ arch }: Image, from: Address): Generator<CodePointer> {
  // Functions may begin wherever the shortest instruction does: on x86, whose sizes differ, at every byte.
  const isAligned = arch.instructionsOf(0).branchSizes.every((size) => size % 4 === 0);
  for (let bit = 0; bit < 31; bit++) {
    for (const distance of [2 ** bit, -(2 ** bit)]) {
      if (!isAligned) yield from + distance;
      else if (bit >= 2) yield from - (from % 4) + distance;
      if (arch.thumbBit && bit >= 1) yield from + distance + 1;
    }
  }
}

function anyFunction(
  image: Image,
  bytesFor: (address: CodePointer) => Uint8Array | undefined,
  from: Address,
): State | undefined {
  let all: Uint8Array | undefined;
  let some: Uint8Array | undefined;
  for (const pointer of pointersAround(image, from)) {
    const bytes = bytesFor(pointer);
    if (!bytes) continue;
    all = all ? all.map((byte, i) => byte & (bytes[i] as number)) : bytes.slice();
    some = some ? some.map((byte, i) => byte | (bytes[i] as number)) : bytes.slice();
  }
  if (!all || !some) return undefined;
  const mask = all.map((byte, i) => 0xff & ~(byte ^ (some[i] as number)));
  return { bytes: all, mask, meaning: 'any function' };
}
