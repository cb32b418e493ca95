// Constants that a kernel writes into its own code at start-up (arch/x86/include/asm/runtime-const.h, since 6.11): sections
// runtime_ptr_NAME, runtime_shift_NAME and runtime_mask_NAME list the fields that hold what the variable NAME holds.
import { ByteView } from '../../bytes/view.ts';
import type { Image } from '../../image/image.ts';
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

const sectionName = /^runtime_(ptr|shift|mask)_(.+)$/;
/** Bits of an address that a shift may leave out. */
const mostShift = 63;

/** The places that hold what one variable holds. */
export interface ConstantTable {
  readonly section: string;
  readonly type: keyof typeof constantForms;
  readonly variable: string;
  readonly places: Float64Array;
}

/** The tables of an image, one a section. */
export function constantTables(image: Image): ConstantTable[] {
  return image.file.sections.flatMap(({ name, addr, size }) => {
    const [, type, variable = ''] = sectionName.exec(name) ?? [];
    if (type === undefined || size < 4) return [];
    const view = new ByteView(image.read(addr, size), true);
    const places = Float64Array.from({ length: size >> 2 }, (_, i) => addr + 4 * i + view.s32(4 * i));
    return [{ section: name, type: type as keyof typeof constantForms, variable, places }];
  });
}

/** What the variable of a table holds; undefined where nothing says. */
export function constantValue(
  subject: TextSubject<X86State>,
  { type, variable, places }: ConstantTable,
): Uint8Array | undefined {
  const { state } = subject;
  const known = state.bytes(variable, constantForms[type].variable);
  if (known || kernelOf(subject).symbols.addressOf(variable) !== undefined || type !== 'ptr') return known;
  return namelessValue(
    subject,
    variable,
    places.find((place) => !isGone(subject, place)),
  );
}

export const constants: TextPass<X86State> = {
  kind: 'constant',
  name: 'run-time constants',
  run(subject): PassResult | undefined {
    const { image, texts } = subject;
    const notes: PassNote[] = [];
    const tables = constantTables(image);
    let sites = 0;
    for (const table of tables) {
      const { section, type, variable, places } = table;
      const value = constantValue(subject, table)?.subarray(0, constantForms[type].field);
      if (!value) {
        const message = `what ${variable} holds is not known, so ${places.length} places are not replayed`;
        notes.push({ severity: 'left', message, input: variable });
        continue;
      }
      if (type === 'shift' && (value[0] as number) > mostShift)
        notes.push({ severity: 'wrong', message: `${variable} shifts by ${value[0]} bits`, input: variable });
      for (const place of places) {
        const text = texts.holding(place, value.length);
        sites++;
        if (text) text.write(place, value, 'constant');
        else if (!isGone(subject, place))
          notes.push({ severity: 'wrong', address: place, message: `a place of ${section} is in no text` });
      }
    }
    return tables.length > 0 ? { sites, notes } : undefined;
  },
};

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
