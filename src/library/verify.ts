// The library's verify: proves a patched image.
import { againstBaseline } from '../diff/files.ts';
import { debugPlacesOf } from '../dwarf/debug-files.ts';
import type { ElfFile } from '../elf/file.ts';
import { TextpokeError } from '../errors.ts';
import { type Input, nameOf, pathOf } from '../files/input.ts';
import type { Image } from '../image/image.ts';
import type { SiteCounts } from '../kinds/registry.ts';
import { provenText } from '../output/proven.ts';
import { type VerifyDocument, verifyJson, verifyLater } from '../output/verify.ts';
import { checkModuleFile } from '../verify/module-file.ts';
import { type Verified as Checked, checkImage } from '../verify/passes.ts';
import type { Proven } from '../verify/proven.ts';
import { makeReport, type Report } from '../verify/report.ts';
import { explanationOf } from './explanation.ts';
import { withImage } from './image.ts';
import { requireCpus } from './numbers.ts';
import { verifyCommand } from './verify-command.ts';
import { cpusGuess, guessesOf } from './verify-guesses.ts';
import type { VerifyOptions } from './verify-options.ts';
import {
  configurationOf,
  gapsOf,
  tell,
  type Verification,
  type Verified,
  verifiedAs,
} from './verify-report.ts';

/** What verify says of an image. */
export interface VerifyResult extends Verification<VerifyDocument> {}

/**
 * Proves that every site of a linked image is what it must be. Errors: `read-failed`, `not-elf`, `lto-object`,
 * `elf-truncated`, `elf-malformed`, `elf-unsupported`, `machine-unsupported`, `not-an-image`; `table-malformed` when a
 * table cannot be read at all; `config-malformed`; `usage` for an option that makes no sense.
 */
export function verify(input: Input, options: VerifyOptions = {}): Promise<VerifyResult> {
  return withImage(
    input,
    options,
    async (image, notes) => tell(await verifyImage(image, input, options), options, notes),
    async (file) => tell(await verifyModuleFile(file, input, options), options, []),
  );
}

/**
 * The same for the file of a kernel module, which is not loaded: it is linked behind what stands in for its kernel. Errors as
 * `verify`; `link-failed`, `step-refused`.
 */
export async function verifyModuleFile(
  file: ElfFile,
  input: Input,
  options: VerifyOptions,
): Promise<Verified<VerifyDocument>> {
  for (const option of ['original', 'linked', 'locks'] as const)
    if (options[option] !== undefined)
      throw new TextpokeError(
        'usage',
        `--${option} is about a linked image; a module is verified by its tables`,
      );
  const { moduleAlone } = await import('./module-alone.ts');
  const { kernel, module, notes } = await moduleAlone(file);
  const reportFor = async (given: VerifyOptions) => {
    const { baseline, cpus } = given;
    const checked = checkModuleFile(kernel, module, requireCpus(cpus));
    const besides = baseline === undefined ? [] : await againstBaseline(baseline, input, given);
    const report = makeReport(nameOf(input), kernel, [...checked.findings, ...besides], {
      configuration: configurationOf(given),
      given: baseline === undefined ? [] : ['baseline'],
    });
    return { ...checked, report };
  };
  const { report: found, counts, proven } = await reportFor(options);
  const explanation = await explanationOf(found, options, [cpusGuess], {
    check: async (other) => (await reportFor(other)).report,
    command: (other) => verifyCommand(input, other),
  });
  const report = explanation ? { ...found, explanation } : found;
  return verifiedAs(
    report,
    {
      document: () => verifyJson(report, counts),
      later: () => verifyLater(report, counts),
      proof: () => provenText(report, proven),
      notes,
    },
    options,
  );
}

/** The same for an image that is open; `input` is what it was opened from. Errors as `verify`. */
export async function verifyImage(
  image: Image,
  input: Input,
  options: VerifyOptions,
): Promise<Verified<VerifyDocument>> {
  const { reported, counts, proven } = await checkedBy(image, input, options);
  const found = reported();
  const explanation = await explanationOf(found, options, guessesOf(image, input), {
    check: async (other, most) => {
      const checked = await checkedBy(image, input, other);
      return checked.count < most ? checked.reported() : undefined;
    },
    command: (other) => verifyCommand(input, other),
  });
  const report = explanation ? { ...found, explanation } : found;
  const document = () => verifyJson(report, counts);
  const later = () => verifyLater(report, counts);
  const proof = () => provenText(report, proven);
  return verifiedAs(report, { document, later, proof, notes: gapsOf(image, nameOf(input)) }, options);
}

/** What options ask for, and the report of it, which takes more than to know how many findings there are. */
interface CheckedBy {
  readonly count: number;
  readonly counts: SiteCounts;
  readonly proven: Proven;
  readonly reported: () => Report;
}

/** Runs all that options ask for. */
async function checkedBy(image: Image, input: Input, options: VerifyOptions): Promise<CheckedBy> {
  const configuration = configurationOf(options);
  const { findings, counts, proven } = await check(image, options);
  const { original, baseline } = options;
  const besides = baseline === undefined ? [] : await againstBaseline(baseline, input, options);
  const given = (['original', 'baseline'] as const).filter((need) => options[need] !== undefined);
  const all = besides.length > 0 ? [...findings, ...besides] : findings;
  const named = { original: original && nameOf(original), baseline: baseline && nameOf(baseline) };
  const debug = debugPlacesOf(pathOf(input), options);
  const reported = () => makeReport(nameOf(input), image, all, { configuration, given, debug });
  return { count: all.length, counts, proven: { ...proven, ...named }, reported };
}

/** Runs the checks, beside the original if one is given. */
async function check(
  image: Image,
  { linked, cpus, locks, original, expandLimit }: VerifyOptions,
): Promise<Checked> {
  const state = linked ? 'linked' : 'booted';
  const options = { state, cpus: requireCpus(cpus), locks } as const;
  if (original === undefined) return checkImage(image, options);
  return withImage(original, { expandLimit }, (before) =>
    checkImage(image, { ...options, original: before }),
  );
}
