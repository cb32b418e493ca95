// An image of a few bytes for any machine, and a memory that holds what is put into it, for tests of passes.
import {
  SHF_ALLOC,
  SHF_EXECINSTR,
  SHF_WRITE,
  SHT_PROGBITS,
  STT_FUNC,
  STT_OBJECT,
} from '../../src/elf/constants.ts';
import { readElf } from '../../src/elf/read.ts';
import { Image } from '../../src/image/image.ts';
import { linkLoaded } from '../../src/link/link.ts';
import type { Memory } from '../../src/memory/memory.ts';
import type { textsOf } from '../../src/text/texts.ts';
import { makeObject } from '../elf/objects.ts';

export interface MadeSection {
  readonly name: string;
  readonly address: number;
  readonly bytes: Uint8Array;
  /** `code`, `data`, or data that is written to. */
  readonly what: 'code' | 'data' | 'variables';
}

export interface MadeImage {
  readonly machine: number;
  readonly class: 32 | 64;
  readonly sections: readonly MadeSection[];
  /** Addresses by name. */
  readonly symbols?: Readonly<Record<string, number>>;
}

const flags = {
  code: SHF_ALLOC | SHF_EXECINSTR,
  data: SHF_ALLOC,
  variables: SHF_ALLOC | SHF_WRITE,
} as const;

export function madeImage({ machine, class: bits, sections, symbols = {} }: MadeImage): Image {
  const made = Object.entries(symbols).map(([name, address]) => {
    const index = sections.findIndex(
      (section) => address >= section.address && address <= section.address + section.bytes.length,
    );
    const section = sections[index] as MadeSection;
    const type = section.what === 'code' && !name.startsWith('_') ? STT_FUNC : STT_OBJECT;
    return { name, section: index + 1, value: address - section.address, info: 0x10 + type };
  });
  const object = makeObject({
    class: bits,
    machine,
    sections: sections.map(({ name, bytes, what }) => ({
      name,
      type: SHT_PROGBITS,
      flags: flags[what],
      data: bytes,
      addralign: 8,
    })),
    symbols: made,
  });
  const { bytes } = linkLoaded(readElf('made', object), {
    filled: 'tables',
    places: ({ index }) => {
      const section = sections[index - 1];
      return section && { address: section.address, state: 'here' };
    },
    external: () => undefined,
  });
  return new Image(readElf('made', bytes));
}

/** Words of 32 bits as bytes, little-endian. */
export function wordsOf(...words: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(words.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [i, word] of words.entries()) view.setUint32(4 * i, word >>> 0, true);
  return bytes;
}

/** Pointers of 64 bits as bytes, little-endian. */
export function pointersOf(...pointers: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(pointers.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [i, pointer] of pointers.entries()) view.setBigInt64(8 * i, BigInt(pointer), true);
  return bytes;
}

/** The words of the made text from an address on. */
export function wordsAt(texts: ReturnType<typeof textsOf>, address: number, count: number): number[] {
  const text = texts.holding(address, 4 * count);
  if (!text) return [];
  const bytes = text.at(address, 4 * count);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: count }, (_, i) => view.getUint32(4 * i, true));
}

/** A memory of stretches; what lies in none is not there. */
export function madeMemory(stretches: readonly (readonly [address: number, bytes: Uint8Array])[]): Memory {
  return {
    ...{ format: 'made', addresses: 'physical', fileSize: 1 << 20 },
    runs: { starts: new Float64Array(0), ends: new Float64Array(0) },
    read(address, into) {
      for (let i = 0; i < into.length; i++) {
        const at = address + i;
        const found = stretches.find(([start, bytes]) => at >= start && at < start + bytes.length);
        if (!found) return false;
        into[i] = found[1][at - found[0]] as number;
      }
      return true;
    },
  };
}
