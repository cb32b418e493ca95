// Constants that a kernel writes into its own code at start-up (arch/x86/include/asm/runtime-const.h, since 6.11): sections
// runtime_ptr_NAME, runtime_shift_NAME and runtime_mask_NAME list the fields that hold what the variable NAME holds.
import { ByteView } from '../../bytes/view.ts';
import {
  isGone,
  kernelOf,
  type PassNote,
  type PassResult,
  type TextPass,
  type TextSubject,
} from '../pass.ts';
import { leadsRight } from './nameless.ts';
import type { X86State } from './state.ts';

/** Bytes of the variable, and of the field in the code. */
export const constantForms = {
  ptr: { variable: 8, field: 8 },
  shift: { variable: 4, field: 1 },
  mask: { variable: 4, field: 4 },
} as const;

/** Name of a section: what it lists, and of which variable. */
export const constantSection = /^runtime_(ptr|shift|mask)_(.+)$/;
/** Bits of an address that a shift may leave out. */
const mostShift = 63;

export const constants: TextPass<X86State> = {
  kind: 'constant',
  name: 'run-time constants',
  run(subject): PassResult | undefined {
    const { image, texts, state } = subject;
    const { symbols } = kernelOf(subject);
    const notes: PassNote[] = [];
    let sites = 0;
    let isThere = false;
    for (const { name, addr, size } of image.file.sections) {
      const [, type, variable = ''] = constantSection.exec(name) ?? [];
      if (type === undefined || size < 4) continue;
      isThere = true;
      const form = constantForms[type as keyof typeof constantForms];
      const view = new ByteView(image.read(addr, size), true);
      const value =
        symbols.addressOf(variable) === undefined && type === 'ptr'
          ? namelessValue(subject, variable, keptPlace(subject, addr, view))
          : state.bytes(variable, form.variable)?.subarray(0, form.field);
      if (!value) {
        const message = `what ${variable} holds is not known, so ${size >> 2} places are not replayed`;
        notes.push({ severity: 'left', message, input: variable });
        continue;
      }
      if (type === 'shift' && (value[0] as number) > mostShift)
        notes.push({ severity: 'wrong', message: `${variable} shifts by ${value[0]} bits`, input: variable });
      for (let at = 0; at + 4 <= size; at += 4) {
        const place = addr + at + view.s32(at);
        const text = texts.holding(place, form.field);
        sites++;
        if (text) text.write(place, value, 'constant');
        else if (!isGone(subject, place))
          notes.push({ severity: 'wrong', address: place, message: `a place of ${name} is in no text` });
      }
    }
    return isThere ? { sites, notes } : undefined;
  },
};

/** The first place that the kernel keeps. */
function keptPlace(subject: TextSubject<X86State>, table: number, view: ByteView): number | undefined {
  for (let at = 0; at + 4 <= view.bytes.length; at += 4) {
    const place = table + at + view.s32(at);
    if (!isGone(subject, place)) return place;
  }
  return undefined;
}

/** What stands at a place in memory, if it leads to what the variable must lead to. */
function namelessValue(
  subject: TextSubject<X86State>,
  variable: string,
  place: number | undefined,
): Uint8Array | undefined {
  const { state, slide } = subject;
  const { symbols } = kernelOf(subject);
  const pointer = place === undefined ? undefined : state.reader.word(place + slide);
  if (place === undefined || pointer === undefined) return undefined;
  const at = (symbol: string) => {
    const address = symbols.addressOf(symbol);
    return address === undefined ? undefined : address + slide;
  };
  return leadsRight(state, at, variable, pointer) ? state.reader.bytes(place + slide, 8)?.slice() : undefined;
}
