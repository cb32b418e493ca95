// Constants that a kernel writes into its own code at start-up (arch/x86/include/asm/runtime-const.h, since 6.11): sections
// runtime_ptr_NAME, runtime_shift_NAME and runtime_mask_NAME list the fields that hold what the variable NAME holds.
import { ByteView } from '../../bytes/view.ts';
import type { PassNote, PassResult, TextPass } from '../pass.ts';
import type { X86State } from './state.ts';

/** Bytes of the variable, and of the field in the code. */
const forms = {
  ptr: { variable: 8, field: 8 },
  shift: { variable: 4, field: 1 },
  mask: { variable: 4, field: 4 },
} as const;

const sectionName = /^runtime_(ptr|shift|mask)_(.+)$/;
/** Bits of an address that a shift may leave out. */
const mostShift = 63;

export const constants: TextPass<X86State> = {
  kind: 'constant',
  name: 'run-time constants',
  run({ image, texts, state }): PassResult | undefined {
    const notes: PassNote[] = [];
    let sites = 0;
    let isThere = false;
    for (const { name, addr, size } of image.file.sections) {
      const [, type, variable = ''] = sectionName.exec(name) ?? [];
      if (type === undefined || size < 4) continue;
      isThere = true;
      const form = forms[type as keyof typeof forms];
      const value = state.bytes(variable, form.variable)?.subarray(0, form.field);
      if (!value) {
        notes.push({ severity: 'left', message: `the variable ${variable} is not known`, input: variable });
        continue;
      }
      if (type === 'shift' && (value[0] as number) > mostShift)
        notes.push({ severity: 'wrong', message: `${variable} shifts by ${value[0]} bits`, input: variable });
      const view = new ByteView(image.read(addr, size), true);
      for (let at = 0; at + 4 <= size; at += 4) {
        const place = addr + at + view.s32(at);
        const text = texts.holding(place, form.field);
        sites++;
        if (text) text.write(place, value, 'constant');
        else notes.push({ severity: 'wrong', address: place, message: `a place of ${name} is in no text` });
      }
    }
    return isThere ? { sites, notes } : undefined;
  },
};
