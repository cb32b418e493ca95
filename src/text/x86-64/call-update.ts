// An update of a static call that was under way when the memory was read: the key has the new function already, and its sites
// are changed one after the other (kernel/static_call_inline.c: __static_call_update, which holds static_call_mutex).
import { sameBytes } from '../../bytes/integer.ts';
import { isHeld, type KernelVariables } from '../../memory/kernel/variables.ts';
import type { ExpectedText } from '../expected.ts';
import type { PassResult, TextPass } from '../pass.ts';
import { branchSize, callOpcode, jumpOpcode } from './branches.ts';
import { keptCallSites } from './keyed.ts';
import { isPatchable } from './pokes.ts';

const why = 'an update of a static call was under way when the memory was read';

interface Old {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly text: ExpectedText;
}

/** Behind all other passes. `isCode` says whether code lies at an address of the running kernel. */
export function callUpdate(kernel: KernelVariables, isCode: (address: number) => boolean): TextPass<unknown> {
  return {
    kind: 'poke',
    name: 'updates under way',
    run({ image, slide, texts }): PassResult | undefined {
      if (!isHeld(kernel, 'static_call_mutex')) return undefined;
      const old = new Map<number, Old[]>();
      for (const { address, key } of keptCallSites(image)) {
        const text = texts.holding(address, branchSize);
        const bytes = text && kernel.reader.bytes(address + slide, branchSize)?.slice();
        if (!text || !bytes || sameBytes(bytes, text.at(address, branchSize))) continue;
        if (text.others.some((other) => other.address === address && sameBytes(other.bytes, bytes))) continue;
        old.set(key, [...(old.get(key) ?? []), { address, bytes, text }]);
      }
      // One call is updated at a time: whatever else differs is something else.
      const [sites = []] = old.size === 1 ? old.values() : [];
      const targets = new Set(sites.flatMap(({ address, bytes }) => targetOf(bytes, address) ?? []));
      const isOld =
        targets.size <= 1 && sites.every(({ address, bytes }) => isPatchable(bytes, address + slide, isCode));
      if (sites.length === 0 || !isOld) return { sites: 0, notes: [] };
      for (const { address, bytes, text } of sites) text.accept({ address, bytes, kind: 'poke', why });
      return {
        sites: sites.length,
        notes: [{ severity: 'left', message: `${why}: its other sites call the old function` }],
      };
    },
  };
}

/** Where a call or a jump leads. */
function targetOf(bytes: Uint8Array, address: number): number | undefined {
  if (bytes[0] !== callOpcode && bytes[0] !== jumpOpcode) return undefined;
  return address + branchSize + new DataView(bytes.buffer, bytes.byteOffset).getInt32(1, true);
}
