// Objects with any number of sites, which no compiler would be asked for.
import { SHT_RELA, STT_SECTION } from '../../src/elf/constants.ts';
import { makeObject, symtabAfter } from '../elf/objects.ts';

const PC32 = 2;
const PLT32 = 4;
const PC64 = 24;

/** Records of SHT_RELA. */
function relocationsOf(
  rows: readonly (readonly [offset: number, type: number, symbol: number, addend: number])[],
) {
  const data = new Uint8Array(rows.length * 24);
  const view = new DataView(data.buffer);
  rows.forEach(([offset, type, symbol, addend], i) => {
    view.setBigUint64(i * 24, BigInt(offset), true);
    view.setUint32(i * 24 + 8, type, true);
    view.setUint32(i * 24 + 12, symbol, true);
    view.setBigInt64(i * 24 + 16, BigInt(addend), true);
  });
  return data;
}

/**
 * An x86-64 object with static calls, the first `keys` of them of calls whose keys it does not name, and behind them with
 * jumps of static branches that are to become NOPs.
 */
export function objectWithSites(calls: number, keys: number, jumps: number): Uint8Array {
  const text = new Uint8Array((calls + jumps) * 5);
  for (let i = 0; i < calls + jumps; i++) text[i * 5] = i < calls ? 0xe8 : 0xe9;
  const [section, key, firstCall] = [1, 2, 3];
  const branches = Array.from(
    { length: calls },
    (_, i) => [i * 5 + 1, PLT32, firstCall + (i % keys), -4] as const,
  );
  const fields = Array.from({ length: jumps }, (_, i) => {
    const site = (calls + i) * 5;
    return [
      [i * 16, PC32, section, site],
      [i * 16 + 4, PC32, section, site + 5],
      [i * 16 + 8, PC64, key, 2],
    ] as const;
  }).flat();
  const relocations = (name: string, info: number, data: Uint8Array) => ({
    name,
    type: SHT_RELA,
    link: symtabAfter(4),
    info,
    entsize: 24,
    data,
  });
  return makeObject({
    sections: [
      { name: '.text', flags: 6, data: text, addralign: 16 },
      relocations('.rela.text', 1, relocationsOf(branches)),
      { name: '__jump_table', flags: 3, data: new Uint8Array(jumps * 16), addralign: 8 },
      relocations('.rela__jump_table', 3, relocationsOf(fields)),
    ],
    symbols: [
      { section: 1, info: STT_SECTION },
      { name: 'key', info: 0x10 },
      ...Array.from({ length: keys }, (_, i) => ({ name: `__SCT__${i}`, info: 0x10 })),
    ],
  });
}
