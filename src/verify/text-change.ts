// A changed stretch of text, for people: whole instructions of both, and the nearest thing that could have made it.
import { blankCodeMap } from '../arch/code-map.ts';
import { hex, sameBytes } from '../bytes/integer.ts';
import type { Image } from '../image/image.ts';
import type { LoadedModule } from '../memory/kernel/modules.ts';
import type { ComparedText } from '../text/compare.ts';
import type { ExpectedText } from '../text/expected.ts';
import { type TextKind, textInputs } from '../text/kind.ts';

export interface TextContext {
  /** The file, as linked. */
  readonly linked: Image;
  readonly compared: ComparedText;
  readonly text: ExpectedText;
  readonly slide: number;
  readonly modules: readonly LoadedModule[];
}

/** Whole instructions, as linked. */
export interface Stretch {
  readonly address: number;
  readonly found: Uint8Array;
  readonly expected: Uint8Array;
}

/** Most bytes that are shown. */
const mostShown = 32;
/** Most bytes of a function that are gone through for where an instruction begins. */
const longestFunction = 1 << 16;
const longestInstruction = 15;

/** The instructions that a changed stretch lies in, as they must be. */
export function stretchOf({ linked, compared, text }: TextContext, address: number, length: number): Stretch {
  const near = linked.symbolAt(address);
  const isNear = near !== undefined && near.offset < longestFunction;
  const begin = isNear ? Math.max(address - near.offset, text.start) : address;
  const last = Math.min(address + length, compared.start + compared.memory.length);
  const limit = Math.min(last + longestInstruction, text.end);
  const code = text.at(begin, limit - begin);
  const isStart = (at: number) => linked.arch.startsInstruction(code, blankCodeMap, at - begin);
  let start = address;
  while (start > begin && !isStart(start)) start--;
  let end = last;
  while (end < limit && !isStart(end)) end++;
  const from = start - text.start;
  const to = Math.max(
    Math.min(end, start + mostShown, compared.start + compared.memory.length) - text.start,
    from + 1,
  );
  return {
    address: start,
    found: compared.memory.slice(from, to),
    expected: text.bytes.slice(from, to),
  };
}

/** What is wrong with it, and what decides what must stand there; `length` bytes differ. */
export function describeChange(context: TextContext, stretch: Stretch, length: number): string {
  const kind = kindAt(context.text, stretch);
  const from = kind === undefined ? '' : `; what must stand there (${kind}) follows from ${textInputs[kind]}`;
  return `${changeOf(context, stretch, length, kind)}${from}`;
}

function changeOf(
  context: TextContext,
  stretch: Stretch,
  length: number,
  kind: TextKind | undefined,
): string {
  const { linked, text } = context;
  const { address, found } = stretch;
  const file = text.file.subarray(address - text.start, address - text.start + found.length);
  const bytes = `${length} ${length === 1 ? 'byte is' : 'bytes are'} changed`;
  if (sameBytes(found, file) && kind !== undefined)
    return "the text is as the file has it; the kernel's own patching makes something else of it";
  const { breakpoint } = linked.arch;
  const instructions = linked.instructionsAt(address);
  // What was written may begin behind the start of the instruction.
  for (let at = 0; at < found.length; at++) {
    if (found[at] === stretch.expected[at]) continue;
    if (breakpoint && sameBytes(found.subarray(at, at + breakpoint.length), breakpoint))
      return `${bytes}: a breakpoint that no probe of the kernel has set`;
    break;
  }
  const { kind: what, displacement } = instructions.readInstruction(found, 0, address);
  if (what === 'jump' || what === 'call' || what === 'conditional jump')
    return `${bytes}: a ${what} ${where(context, address + displacement)}`;
  return `${bytes}: nothing that patches this kernel makes that`;
}

/** The kind of patching that made one of the bytes. */
function kindAt(text: ExpectedText, { address, expected }: Stretch): TextKind | undefined {
  for (let i = 0; i < expected.length; i++) {
    const kind = text.kindAt(address + i);
    if (kind !== undefined) return kind;
  }
  return undefined;
}

/** Where a branch leads: to a function, a module, or outside of all that is known. */
function where({ linked, slide, modules }: TextContext, to: number): string {
  if (linked.codeAt(to)) return `to ${linked.describe(to)}`;
  const runs = to + slide;
  const module = modules.find(({ memory }) =>
    memory.some(({ start, size }) => runs >= start && runs < start + size),
  );
  if (module) return `to ${hex(runs)} in the module ${module.name}`;
  return `to ${hex(runs)}, outside of the image and of all modules: a hook`;
}
