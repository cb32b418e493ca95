// The executable memory of a running kernel: every page is known code, no page can be written to as well, and code that the
// kernel made is what it makes.
import { hex } from '../bytes/integer.ts';
import type { ExecutablePages, LiveText } from '../text/live.ts';
import type { Finding } from './finding.ts';

/** TP038, TP039, TP040; `slide` is how far the kernel was moved, as addresses of findings are told as linked. */
export function* checkExecutable({ wrong, executable }: LiveText, slide: number): Generator<Finding> {
  for (const { address, message } of wrong)
    yield { rule: 'TP040', address: address - slide, place: placeOf(address), message };
  if (!executable) return;
  const { efi } = executable;
  yield* checkPages(executable, slide, 'page tables', '');
  if (efi) yield* checkPages(efi, slide, "EFI's page tables", ' where the firmware is called');
}

function* checkPages(
  { pages, walked }: Pick<ExecutablePages, 'pages' | 'walked'>,
  slide: number,
  tables: string,
  where: string,
): Generator<Finding> {
  if (walked.cut !== undefined) {
    const message = `not all of the executable memory${where} is known: ${walked.cut}`;
    yield { rule: 'TP038', address: undefined, place: tables, message };
  }
  for (const { kind, name, start, end, isWritable } of pages) {
    const place = name === '' ? placeOf(start) : name;
    const size = `${end - start} bytes`;
    if (kind === undefined) {
      const message = `${size} are executable${isWritable ? ' and writable' : ''}${where}, and nobody's code`;
      yield { rule: 'TP038', address: start - slide, place, message };
    } else if (isWritable) {
      const whose = name === '' || name === kind ? kind : `${kind}: ${name}`;
      const message = `${size} at ${placeOf(start)} are executable and writable${where} (${whose})`;
      yield { rule: 'TP039', address: start - slide, place, message };
    }
  }
}

/** By the address at which it runs, which is how the kernel names it. */
function placeOf(address: number): string {
  return hex(address);
}
