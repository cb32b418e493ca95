// Constants that an arm64 kernel writes into its own code at start-up (arch/arm64/include/asm/runtime-const.h, since 6.11):
// tables runtime_ptr_NAME, runtime_shift_NAME and runtime_mask_NAME list the instructions that hold what a variable holds.
import type { Image } from '../../image/image.ts';
import type { ExpectedText } from '../expected.ts';
import type { PassNote, PassResult, TextPass, TextSubject } from '../pass.ts';
import { leadsRight } from '../x86-64/nameless.ts';
import type { Arm64State } from './state.ts';
import { numberField, size, wordAt, writeWord } from './words.ts';

type Form = 'ptr' | 'shift' | 'mask';

interface Table {
  readonly form: Form;
  readonly variable: string;
  readonly start: number;
  readonly bytes: number;
}

const symbolName = /^__start_runtime_(ptr|shift|mask)_(.+)$/;

function tablesOf({ symbols }: Image): Table[] {
  return [...symbols.named((name) => symbolName.test(name), { starts: '__start_runtime_' })].flatMap(
    ({ name, address }) => {
      const [, form, variable = ''] = symbolName.exec(name) as unknown as [string, Form, string];
      const end = symbols.addressOf(`__stop_runtime_${form}_${variable}`);
      return end === undefined || end <= address
        ? []
        : [{ form, variable, start: address, bytes: end - address }];
    },
  );
}

/** Instructions that have a constant: movz and three movk, or one with a field. */
const wordsOf = { ptr: 4, shift: 1, mask: 1 } as const;
/** Bits of an instruction: of lsr the number of bits, of ubfx the last bit that it takes. */
const shiftField = { low: 16, bits: 6 };
const maskField = { low: 10, bits: 5 };

export const constants: TextPass<Arm64State> = {
  kind: 'constant',
  name: 'run-time constants',
  run(subject): PassResult | undefined {
    const { image, texts } = subject;
    const tables = tablesOf(image);
    if (tables.length === 0) return undefined;
    const notes: PassNote[] = [];
    let sites = 0;
    for (const { form, variable, start, bytes } of tables) {
      if (bytes % 4 !== 0 || image.fileOffset(start, bytes) === undefined) {
        notes.push({ severity: 'wrong', message: `the table of ${variable} is no table of places` });
        continue;
      }
      const places = Array.from(
        { length: bytes / 4 },
        (_, i) => start + 4 * i + image.readS32(start + 4 * i),
      );
      sites += places.length;
      const value = heldBy(subject, form, variable, places);
      if (value === undefined) {
        const message = `what ${variable} holds is not known, so ${places.length} places are not replayed`;
        notes.push({ severity: 'left', message, input: variable });
        continue;
      }
      if (!isPossible(form, value))
        notes.push({
          severity: 'wrong',
          message: `${variable} is ${value}, which it cannot be`,
          input: variable,
        });
      for (const place of places) {
        const text = texts.holding(place, wordsOf[form] * size);
        if (text) write(text, place, form, value);
        else if (!image.codeAt(place))
          notes.push({ severity: 'wrong', address: place, message: `a place of ${variable} is in no code` });
      }
    }
    return { sites, notes };
  },
};

/** What the variable holds; where the compiler left it out, what the code has, if it leads to the right thing. */
function heldBy(
  { image, state, slide }: TextSubject<Arm64State>,
  form: Form,
  variable: string,
  places: readonly number[],
): bigint | undefined {
  const at = image.symbols.addressOf(variable);
  const runs = (name: string) => {
    const address = image.symbols.addressOf(name);
    return address === undefined ? undefined : address + slide;
  };
  const bytes = at === undefined ? undefined : state.reader.bytes(at + slide, form === 'ptr' ? 8 : 4);
  if (bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    return form === 'ptr' ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true));
  }
  const kept = places.find((place) => !image.isInitText(place));
  const code = form !== 'ptr' || kept === undefined ? undefined : state.reader.bytes(kept + slide, 16);
  if (!code) return undefined;
  const words = new DataView(code.buffer, code.byteOffset, code.length);
  const value = [0, 1, 2, 3].reduce(
    (sum, i) => sum | (BigInt((words.getUint32(4 * i, true) >>> 5) & 0xffff) << BigInt(16 * i)),
    0n,
  );
  return leadsRight(state, runs, variable, Number(BigInt.asIntN(64, value))) ? value : undefined;
}

function isPossible(form: Form, value: bigint): boolean {
  if (form === 'shift') return value < 64n;
  return form === 'ptr' || (value > 0n && (value & (value + 1n)) === 0n);
}

function write(text: ExpectedText, place: number, form: Form, value: bigint): void {
  const put = (at: number, mask: number, bits: number) =>
    writeWord(text, at, ((wordAt(text, at) & ~mask) | bits) >>> 0, 'constant');
  const field = ({ low, bits }: typeof shiftField, number: number) => {
    const most = 2 ** bits - 1;
    put(place, most << low, (number & most) << low);
  };
  if (form === 'shift') field(shiftField, Number(value & 63n));
  else if (form === 'mask') field(maskField, value.toString(2).length - 1);
  else
    for (let i = 0; i < 4; i++)
      put(place + i * size, numberField, Number((value >> BigInt(16 * i)) & 0xffffn) << 5);
}
