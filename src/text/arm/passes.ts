// What a 32-bit ARM kernel makes of its own text at start-up, besides its physical addresses.
import { sameBytes } from '../../bytes/integer.ts';
import type { Image } from '../../image/image.ts';
import { oneCpu } from '../../kinds/one-cpu/kind.ts';
import { programOf } from '../../kinds/registry.ts';
import type { Memory } from '../../memory/memory.ts';
import type { Texts } from '../expected.ts';
import { longestTable } from '../longest-table.ts';
import { mcountSites, sitesAt } from '../mcount.ts';
import type { PassNote, PassResult, TextPass } from '../pass.ts';
import { bytesOf, size, wordAt, writeWord } from './words.ts';

/** str lr, [sp, #-4]!: in front of each call of __gnu_mcount_nc. */
const pushReturn = 0xe52de004;
const isCall = (word: number) => word >>> 24 === 0xeb;
/** What undoes the push: pop {lr} up to 5.16, add sp, sp, #4 since then. */
const nops = [0xe8bd4000, 0xe28dd004] as const;

/** Where a running kernel's text lies, read through its memory: what most places hold decides between forms. */
export interface Look {
  readonly memory: Memory;
  readonly offset: number;
}

/** The word that the memory has; undefined where it is not there. */
function held({ memory, offset }: Look, address: number): number | undefined {
  const bytes = new Uint8Array(size);
  return memory.read(address + offset, bytes) ? new DataView(bytes.buffer).getUint32(0, true) : undefined;
}

/** A place of an image that is traced: a push, and the call behind it. */
function isTraced(image: Image, place: number): boolean {
  if (place % size !== 0 || !image.codeAt(place) || !image.contains(place - size, 2 * size)) return false;
  return image.readS32(place - size) >>> 0 === pushReturn && isCall(image.readS32(place) >>> 0);
}

function tracedPlaces(image: Image): Float64Array | undefined {
  const named = mcountSites(image);
  if (named) return named;
  const range = longestTable(image, 4, 4, (view, at) => isTraced(image, view.getUint32(at, true)));
  return range && sitesAt(image, range.start, range.size);
}

const traced = 'a function that is traced, or not: nothing says which are';

/** `bl` from one place to another. */
function callWord(from: number, to: number): number {
  return (0xeb00_0000 | (((to - from - 8) >> 2) & 0xff_ffff)) >>> 0;
}

/** The call in a common trampoline leads to who traces: any function of the image, as nothing says which. */
function followTracer(image: Image, texts: Texts, look: Look, name: string, notes: PassNote[]): void {
  const address = image.symbols.addressOf(name);
  const text = address === undefined ? undefined : texts.holding(address, size);
  const word = address === undefined ? undefined : held(look, address);
  if (address === undefined || !text || word === undefined || word === wordAt(text, address)) return;
  const target = address + 8 + ((word << 8) >> 6);
  if (!isCall(word) || !image.codeAt(target) || image.symbolAt(target)?.offset !== 0) return;
  writeWord(text, address, word, 'ftrace');
  const message = `${name} calls ${image.describe(target)}, as the memory has it: nothing says who traces`;
  notes.push({ address, severity: 'left', message, input: name });
}

/** Most places that are asked which form the kernel writes. */
const asked = 500;

/** Calls of the tracer become what undoes the push in front of them (arch/arm/kernel/ftrace.c). */
export function ftraceNops(look: Look): TextPass<unknown> {
  return {
    kind: 'ftrace',
    name: 'ftrace',
    run({ image, texts }): PassResult | undefined {
      const places = tracedPlaces(image);
      if (!places) return undefined;
      const kept = places.filter((place) => !image.isInitText(place));
      const step = Math.max(1, Math.floor(kept.length / asked));
      const votes = nops.map((nop) => {
        let count = 0;
        for (let i = 0; i < kept.length; i += step) if (held(look, kept[i] as number) === nop) count++;
        return count;
      }) as [number, number];
      const nop = nops[votes[0] > votes[1] ? 0 : 1];
      const notes: PassNote[] = [];
      const callers = ['ftrace_caller', 'ftrace_regs_caller'].flatMap((name) =>
        image.symbols.addressesOf(name),
      );
      for (const place of places) {
        const text = texts.holding(place, size);
        if (!text) continue;
        if (isCall(wordAt(text, place))) {
          writeWord(text, place, nop, 'ftrace');
          for (const caller of callers)
            text.accept({
              address: place,
              bytes: bytesOf(callWord(place, caller)),
              kind: 'ftrace',
              why: traced,
            });
        } else
          notes.push({
            address: place,
            severity: 'wrong',
            message: `__mcount_loc lists what is no call: ${image.describe(place)}`,
          });
      }
      const message =
        'the kernel has no types (BTF) that say which functions are traced: calls of ftrace_caller are taken for right at every place';
      notes.push({ severity: 'left', message, input: 'ftrace_pages_start' });
      for (const name of ['ftrace_call', 'ftrace_regs_call']) followTracer(image, texts, look, name, notes);
      return { sites: places.length, notes };
    },
  };
}

/** Sites for one processor: all of them hold what one needs, or none does. */
export function oneCpuSites(image: Image, look: Look): TextPass<unknown> {
  return {
    kind: 'alternative',
    name: 'sites for one processor',
    run({ texts }): PassResult | undefined {
      const sites = programOf(image)
        .sites.of(oneCpu)
        .filter(({ address }) => !image.isInitText(address));
      if (sites.length === 0) return undefined;
      const replaced = sites.filter(({ address, replacement }) => {
        const found = new Uint8Array(replacement.length);
        return look.memory.read(address + look.offset, found) && sameBytes(found, replacement);
      }).length;
      if (replaced > sites.length / 2)
        for (const { address, replacement } of sites)
          texts.holding(address, replacement.length)?.write(address, replacement, 'alternative');
      return { sites: sites.length, notes: [] };
    },
  };
}

/** udiv r0, r0, r1 and sdiv r0, r0, r1, each with bx lr. */
const divisions = {
  __aeabi_uidiv: bytesOf(0xe730f110, 0xe12fff1e),
  __aeabi_idiv: bytesOf(0xe710f110, 0xe12fff1e),
} as const;

/** Functions that divide, where the processor can (arch/arm/kernel/setup.c, patch_aeabi_idiv): both of them, or none. */
export function divisionCode(look: Look): TextPass<unknown> {
  return {
    kind: 'alternative',
    name: 'division by the processor',
    run({ image, texts }): PassResult | undefined {
      const places = Object.entries(divisions).flatMap(([name, bytes]) => {
        const address = image.symbols.addressOf(name);
        return address === undefined || !texts.holding(address, bytes.length) ? [] : [{ address, bytes }];
      });
      if (places.length !== 2) return undefined;
      const isPatched = places.every(({ address, bytes }) => {
        const found = new Uint8Array(bytes.length);
        return look.memory.read(address + look.offset, found) && sameBytes(found, bytes);
      });
      if (isPatched)
        for (const { address, bytes } of places)
          texts.holding(address, bytes.length)?.write(address, bytes, 'alternative');
      return { sites: places.length, notes: [] };
    },
  };
}
