// The notes of a PT_NOTE segment or a SHT_NOTE section (gABI, "Note Section").
import { alignUp } from '../bytes/integer.ts';
import type { ByteView } from '../bytes/view.ts';

/** A note: who made it, what it is, and what it says. */
export interface Note {
  /** Where the note begins, in the bytes that the notes were read from, and where its body does. */
  readonly start: number;
  readonly at: number;
  /** Without its NUL. */
  readonly name: string;
  /** Bytes of the name as the note has it, the NUL included. */
  readonly nameSize: number;
  readonly type: number;
  readonly body: Uint8Array;
}

/** Each note up to the first that is cut off. `align` is p_align: 8 aligns to 8, everything else to 4. */
export function* notesIn(view: ByteView, align = 4): Generator<Note> {
  const unit = align === 8 ? 8 : 4;
  const end = view.bytes.length;
  for (let at = 0; at + 12 <= end; ) {
    const nameSize = view.u32(at);
    const bodySize = view.u32(at + 4);
    const body = alignUp(at + 12 + nameSize, unit);
    if (body + bodySize > end) return;
    yield {
      start: at,
      at: body,
      nameSize,
      // Names are words; what is longer than any of them need not be read to its end.
      name: Buffer.from(view.bytes.subarray(at + 12, at + 12 + Math.min(nameSize, 64)))
        .toString('latin1')
        .replace(/\0.*$/s, ''),
      type: view.u32(at + 8),
      body: view.bytes.subarray(body, body + bodySize),
    };
    at = alignUp(body + bodySize, unit);
  }
}
