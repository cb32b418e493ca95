// The ranges of functions that .eh_frame describes; strip leaves them (LSB Core, "Exception Frames"; pointer encodings
// of the same).
import { ByteView } from '../bytes/view.ts';

/** Where a pointer of .eh_frame leads: an offset in a code section of an object, or an address (section 0). */
export interface FramePlace {
  readonly section: number;
  readonly offset: number;
}

/** How the pointers of .eh_frame are read: in an object by their relocations. */
export interface FramePointers {
  /** Where the pointer stored at byte `offset` leads; `value` is what stands there. */
  resolve(offset: number, value: number, isRelative: boolean): FramePlace | undefined;
  /** True for a field that a relocation fills. */
  isRelocated(offset: number): boolean;
}

/** A function's code as its FDE has it. */
export interface Frame {
  readonly section: number;
  readonly start: number;
  readonly end: number;
  /** True where exceptions may enter the function at landing pads. */
  readonly hasLandingPads: boolean;
}

interface Cie {
  readonly pointer: number;
  readonly lsda: number;
  readonly hasAugmentation: boolean;
}

const OMIT = 0xff;
const PC_RELATIVE = 0x10;
const ABSOLUTE = 0x00;
/** Bytes of a pointer by the low four bits of its encoding; 0 for LEB128, which no compiler uses in a frame. */
const SIZES: Readonly<Record<number, number>> = { 0: 8, 2: 2, 3: 4, 4: 8, 10: 2, 11: 4, 12: 8 };

const unknown: Cie = { pointer: OMIT, lsda: OMIT, hasAugmentation: false };

/** Every function that `bytes` of .eh_frame describe and `pointers` can place. What is malformed ends the list. */
export function readFrames(bytes: Uint8Array, little: boolean, pointers: FramePointers): Frame[] {
  const view = new ByteView(bytes, little);
  const cies = new Map<number, Cie>();
  const frames: Frame[] = [];
  for (let at = 0; at + 8 <= bytes.length; ) {
    const short = view.u32(at);
    if (short === 0) break;
    const isLong = short === 0xffff_ffff;
    if (isLong && at + 20 > bytes.length) break;
    const start = at + (isLong ? 12 : 4);
    const end = start + (isLong ? view.s64(at + 4) : short);
    if (!(end <= bytes.length) || end < start + 4) break;
    const back = view.u32(start);
    if (back !== 0) {
      const place = start - back;
      let cie = cies.get(place);
      if (!cie) {
        cie = place >= 0 ? readCie(bytes, view, place) : unknown;
        cies.set(place, cie);
      }
      const frame = readFrame(view, start + 4, end, cie, pointers);
      if (frame) frames.push(frame);
    }
    at = end;
  }
  return frames;
}

/** Bytes in which the fields of a CIE end that are read. */
const longestStart = 128;

/** The encodings that the CIE at byte `at` gives to the pointers of its FDEs. */
function readCie(bytes: Uint8Array, view: ByteView, at: number): Cie {
  if (at + 8 > bytes.length) return unknown;
  const isLong = view.u32(at) === 0xffff_ffff;
  const id = at + (isLong ? 12 : 4);
  // What is read here has a few bytes; every FDE may name another place as its CIE.
  const end = Math.min(bytes.length, id + longestStart, id + (isLong ? bytes.length : view.u32(at)));
  let next = id + 5;
  const first = next;
  while (next < end && bytes[next] !== 0) next++;
  const augmentation = Buffer.from(bytes.subarray(first, Math.min(next, first + 16))).toString('latin1');
  next++;
  const skipLeb = () => {
    while (next < end && ((bytes[next++] as number) & 0x80) !== 0);
  };
  skipLeb(); // code alignment
  skipLeb(); // data alignment
  if (bytes[id + 4] === 1) next++;
  else skipLeb(); // return address register
  if (!augmentation.startsWith('z'))
    return augmentation === '' ? { pointer: ABSOLUTE, lsda: OMIT, hasAugmentation: false } : unknown;
  skipLeb();
  let [pointer, lsda] = [ABSOLUTE, OMIT];
  for (const letter of augmentation.slice(1)) {
    if (next >= end) return unknown;
    if (letter === 'R') pointer = bytes[next++] as number;
    else if (letter === 'L') lsda = bytes[next++] as number;
    else if (letter === 'P') next += 1 + (SIZES[(bytes[next] as number) & 15] ?? 0);
    else if (letter !== 'S' && letter !== 'B') return unknown;
  }
  return { pointer, lsda, hasAugmentation: true };
}

function readFrame(
  view: ByteView,
  at: number,
  end: number,
  { pointer, lsda, hasAugmentation }: Cie,
  pointers: FramePointers,
): Frame | undefined {
  const size = SIZES[pointer & 15] ?? 0;
  const application = pointer & 0x70;
  if (pointer === OMIT || size === 0 || (application !== PC_RELATIVE && application !== ABSOLUTE))
    return undefined;
  if (at + 2 * size > end) return undefined;
  const place = pointers.resolve(at, read(view, at, size, pointer), application === PC_RELATIVE);
  const length = read(view, at + size, size, 0);
  if (!place || !(length > 0)) return undefined;
  let hasLandingPads = false;
  const lsdaSize = SIZES[lsda & 15] ?? 0;
  // One byte says how long the augmentation is, as long as it holds an LSDA pointer alone.
  const field = at + 2 * size + 1;
  if (hasAugmentation && lsda !== OMIT && lsdaSize > 0 && field + lsdaSize <= end)
    hasLandingPads = pointers.isRelocated(field) || read(view, field, lsdaSize, 0) !== 0;
  const { section, offset: start } = place;
  return { section, start, end: start + length, hasLandingPads };
}

function read(view: ByteView, at: number, size: number, encoding: number): number {
  const isSigned = (encoding & 8) !== 0;
  if (size === 8) return view.s64(at);
  if (size === 4) return isSigned ? view.s32(at) : view.u32(at);
  const value = view.u16(at);
  return isSigned ? (value << 16) >> 16 : value;
}
