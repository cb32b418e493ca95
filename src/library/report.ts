// The library's report: one HTML file about an image, or about two builds of it.

import { type SitesByFunction, sitesByFunction } from '../diff/sites.ts';
import { ImageView } from '../dump/image-view.ts';
import { dumpOpenImage } from '../dump/passes.ts';
import type { FileSummary } from '../dump/summary.ts';
import { Summing } from '../dump/summing.ts';
import { type DebugDirectories, debugPlacesOf } from '../dwarf/debug-files.ts';
import { linesOfAddresses, type SourceLines } from '../dwarf/source-lines.ts';
import { disassemblersIfInstalled } from '../engines/disassembler.ts';
import { TextpokeError } from '../errors.ts';
import { type Input, nameOf, pathOf } from '../files/input.ts';
import type { Image } from '../image/image.ts';
import { buildsData } from '../report/builds.ts';
import type { AskedUpdate } from '../report/calls.ts';
import type { FindingsData, ImageData, ReportData } from '../report/data.ts';
import { findingsData } from '../report/findings.ts';
import { reportHtml } from '../report/html.ts';
import { addressesOf, findIn, imageData } from '../report/image.ts';
import { LinesOnce } from '../report/lines.ts';
import { version } from '../version.ts';
import { type LoadedProgram, withProgram } from './program.ts';
import { verifyImage } from './verify.ts';
import { verifyImageMemory } from './verify-memory.ts';
import type { VerifyMemoryOptions } from './verify-options.ts';

/** What a report holds besides the images. */
export interface PageOptions extends DebugDirectories, Pick<VerifyMemoryOptions, 'base' | 'physical'> {
  /** Findings of verify; asked for too by what follows. False unless given. */
  readonly verify?: boolean | undefined;
  /** The image as the linker left it: what verify takes for `--linked`. */
  readonly linked?: boolean | undefined;
  /** Number of CPUs, for verify. */
  readonly cpus?: number | undefined;
  /** The image before patching, which verify compares with. */
  readonly original?: Input | undefined;
  /** The memory of a system that runs the image, which verify looks at instead. */
  readonly memory?: Input | undefined;
  /** What static calls may be redirected to, besides what their names suggest. */
  readonly updates?: readonly AskedUpdate[] | undefined;
  /** Bytes that a compressed kernel may expand to. */
  readonly expandLimit?: number | undefined;
}

/** A report. */
export interface PageResult {
  /** The HTML file: everything that it needs is in it. */
  readonly html: string;
  /** What a person has to know, as the command line prints it on standard error. */
  readonly notes: readonly string[];
}

/** Names of a summary that a page lists. */
const mostGroups = 100;

/**
 * Makes one HTML file about images: what they are, a map of their text, their keys and calls, a boot to play with. Of two
 * images it also says what the second one lost, gained and moved. Errors: `read-failed`, those of reading ELF and kernels,
 * `not-an-image` for an object; those of verify, if it is asked for; `usage`, `unknown-key` and `ambiguous-name` for
 * updates. An image that cannot be booted is no error: the report says why.
 */
export async function report(inputs: readonly Input[], options: PageOptions = {}): Promise<PageResult> {
  const { data, notes } = await reportData(inputs, options);
  return { html: reportHtml(data), notes };
}

/** What a report holds. Errors as `report`. */
export async function reportData(
  inputs: readonly Input[],
  options: PageOptions = {},
): Promise<{ readonly data: ReportData; readonly notes: readonly string[] }> {
  const asksVerify = options.verify || options.original !== undefined || options.memory !== undefined;
  if (inputs.length === 0) throw new TextpokeError('usage', 'a report is about at least one image');
  if (options.memory === undefined && (options.base !== undefined || options.physical !== undefined))
    throw new TextpokeError('usage', 'where a raw dump lies is asked with memory alone (--memory)');
  if (!asksVerify && (options.linked || options.cpus !== undefined))
    throw new TextpokeError('usage', 'linked and cpus are for verify, which is asked for by --verify');
  if (asksVerify && inputs.length > 1)
    throw new TextpokeError('usage', 'verify is about one image; a report with findings takes one');
  const images: ImageData[] = [];
  const builds: { name: string; sites: SitesByFunction }[] = [];
  const notes: string[] = [];
  for (const input of inputs) {
    const name = nameOf(input);
    await withProgram([input], { steps: [], expandLimit: options.expandLimit }, async (program) => {
      if (!program.isFile) throw isNoImage(name);
      const { image } = program;
      const found = findIn(image);
      const debug = debugPlacesOf(pathOf(input), options);
      const once = new LinesOnce((asked) => linesOfAddresses(image.file, asked, debug), addressesOf(found));
      const linesOf = (addresses: readonly number[]) => once.of(addresses);
      const { summary, sites } = summarize(name, program, linesOf, inputs.length === 2);
      const findings = asksVerify ? await verified(program, input, options) : undefined;
      const disassemblers = await disassemblersIfInstalled(image.arch);
      const { updates = [] } = options;
      images.push(imageData({ found, summary, disassemblers, linesOf, updates, findings }));
      builds.push({ name, sites });
      for (const note of program.notes) notes.push(note);
    });
  }
  const [old, now] = builds;
  const compared = old && now && builds.length === 2 ? { builds: buildsData(old, now) } : {};
  return { data: { version, images, ...compared }, notes };
}

function isNoImage(file: string): TextpokeError {
  const message =
    'a report is about linked images; link the objects first, or boot them: textpoke boot A.o B.o -o IMAGE';
  return new TextpokeError('not-an-image', message, { file });
}

/** What the file says of itself, and its sites by function where two builds are compared. */
function summarize(
  name: string,
  { image, form }: LoadedProgram,
  linesOf: (addresses: readonly number[]) => SourceLines,
  isCompared: boolean,
): { summary: FileSummary; sites: SitesByFunction } {
  const summing = new Summing(name);
  const dumped = dumpOpenImage(image, new SharedLines(image, linesOf));
  summing.add(form === undefined ? dumped : { ...dumped, unpacked: form });
  const summary = summing.done() as FileSummary;
  const some = <Group>(groups: readonly Group[]) => groups.slice(0, mostGroups);
  const { keys, functions, files, sections } = summary;
  return {
    summary: {
      ...summary,
      ...{ keys: some(keys), functions: some(functions), files: some(files), sections: some(sections) },
    },
    sites: isCompared ? sitesByFunction(dumped) : new Map(),
  };
}

/** An image for dump, whose source lines come from a search that others have their lines of too. */
class SharedLines extends ImageView {
  private readonly linesOf: (addresses: readonly number[]) => SourceLines;

  constructor(image: Image, linesOf: (addresses: readonly number[]) => SourceLines) {
    super(image);
    this.linesOf = linesOf;
  }

  override sourceLines(addresses: readonly number[]): SourceLines {
    return this.linesOf(addresses);
  }
}

/** What verify says. The image is as it was read: boot has not written to it. */
async function verified(
  { image, relocations }: LoadedProgram,
  input: Input,
  options: PageOptions,
): Promise<FindingsData> {
  const { memory, original, linked, cpus, debugDirectories, base, physical, expandLimit } = options;
  const shared = { cpus, debugDirectories, expandLimit };
  if (memory !== undefined) {
    if (original !== undefined || linked)
      throw new TextpokeError('usage', 'memory is compared with its image alone, without an original');
    const about = `The memory ${nameOf(memory)} was compared with its image.`;
    return verifyImageMemory(
      { image, input, relocations },
      memory,
      { ...shared, base, physical },
      async ({ report: found }) => findingsData(found, about),
    );
  }
  const { report: found } = await verifyImage(image, input, { ...shared, linked, original });
  const as = `Verified as ${linked ? 'the linker left it' : 'it stands after boot'}`;
  return findingsData(
    found,
    original === undefined ? `${as}.` : `${as}, and compared with ${nameOf(original)}.`,
  );
}
