// What is wrong with the text of a running kernel's modules.
import { hex } from '../bytes/integer.ts';
import type { RunningKernel } from '../memory/kernel/kernel.ts';
import type { ExpectedText } from '../text/expected.ts';
import type { ReplayedModule } from '../text/result.ts';
import { type Finding, renamed } from './finding.ts';
import { around, checkGenerated, checkInputs, checkRuns, saidOf } from './text.ts';

/** A place in front of which its section has no symbol (`.altinstr_aux`, `.fixup`) has the name of the section. */
function inSection(finding: Finding, { name, start }: ExpectedText): Finding {
  const { address } = finding;
  const bare = address === undefined ? undefined : hex(address);
  return renamed(finding, (place) =>
    place === bare && address !== undefined ? `${name}+0x${(address - start).toString(16)}` : place,
  );
}

/** Bytes of stray code that are shown. */
const mostShown = 16;

/** TP037, TP040 to TP042; nothing of places that findings in front of these are about. */
export function* checkModuleTexts(
  replayed: readonly ReplayedModule[],
  running: RunningKernel,
  before: readonly Finding[],
): Generator<Finding> {
  const said = saidOf(before);
  const context = around(running);
  for (const { module, image: linked, sections, stray, notes, pages } of replayed) {
    if (!linked) continue;
    const named = (finding: Finding) => renamed(finding, (place) => `${module.name}:${place}`);
    for (const { text, compared } of sections)
      for (const finding of checkRuns({ linked, compared, text, ...context }, 'TP041', said))
        yield named(inSection(finding, text));
    for (const finding of checkInputs(linked, notes)) yield named(finding);
    for (const finding of checkGenerated(pages, running)) yield named(finding);
    for (const { address, bytes, filling } of stray) {
      const all = `${bytes.length} ${bytes.length === 1 ? 'byte' : 'bytes'}`;
      yield {
        rule: 'TP042',
        address,
        place: `${module.name}:${hex(address + context.slide)}`,
        message: `${all} of the memory of the module’s code belong to no section of it, and are not filled by ${hex(filling)}`,
        found: bytes.slice(0, mostShown),
        expected: new Uint8Array(Math.min(bytes.length, mostShown)).fill(filling),
      };
    }
  }
}
