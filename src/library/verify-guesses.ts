// What may be the matter with an image of which most is wrong, each with the facts that prove it.
import { hexBytes } from '../bytes/integer.ts';
import { buildIdOf } from '../elf/build-id.ts';
import { PF_X, PT_LOAD } from '../elf/constants.ts';
import type { ElfFile } from '../elf/file.ts';
import { readElfFrom } from '../elf/read.ts';
import { type Input, nameOf, withSource } from '../files/input.ts';
import type { Image } from '../image/image.ts';
import { withoutContainers } from '../kernel/plain.ts';
import { programOf } from '../kinds/registry.ts';
import { wasNeverBooted } from '../verify/as-linked.ts';
import { areUnannotated } from '../verify/unannotated.ts';
import type { Guess } from './explanation.ts';
import type { VerifyOptions } from './verify-options.ts';

/** In the order in which they are tried: what says most first. */
export function guessesOf(image: Image, input: Input): readonly Guess<VerifyOptions>[] {
  return [
    {
      rules: ['TP013', 'TP014'],
      prove: (options) => otherOriginal(image, input, options),
    },
    {
      rules: ['TP027', 'TP028'],
      prove: (options) => strippedBaseline(image, input, options),
    },
    {
      rules: ['TP004', 'TP007', 'TP012', 'TP015', 'TP021'],
      prove: (options) =>
        options.linked || !wasNeverBooted(programOf(image))
          ? undefined
          : { what: 'the image was never booted', options: { ...options, linked: true } },
    },
    cpusGuess,
    {
      rules: ['TP010'],
      prove: (options, findings) => {
        const places = findings.flatMap(({ address }) => address ?? []);
        if (options.locks !== undefined || !areUnannotated(programOf(image), places)) return undefined;
        const what =
          'the locks are in functions of which no site is listed: code that was not annotated, such as a static libc';
        return { what, options: { ...options, locks: 'listed' } };
      },
    },
  ];
}

/** Another number of CPUs. How many of the sites are so is what another run tells. */
export const cpusGuess: Guess<VerifyOptions> = {
  rules: ['TP011', 'TP017'],
  prove: ({ cpus, ...options }) =>
    cpus === undefined
      ? undefined
      : cpus === 1
        ? { what: 'its locks are those of several CPUs', options: { ...options, cpus: 2 } }
        : { what: 'its locks are those of one CPU', options: { ...options, cpus: 1 } },
};

type Proof = ReturnType<Guess<VerifyOptions>['prove']>;

/** An original of another build, or one that still has what `strip` took from the image. */
function otherOriginal(image: Image, input: Input, { original, ...options }: VerifyOptions): Proof {
  if (original === undefined) return undefined;
  return withFile(original, options, (before) => {
    const { file } = image;
    const what =
      otherBuild(nameOf(original), before, file) ?? stripped(nameOf(input), file, nameOf(original), before);
    return what === undefined ? undefined : { what, options };
  });
}

/** A baseline without the names by which sites are found again, or an image without them. */
function strippedBaseline(image: Image, input: Input, { baseline, ...options }: VerifyOptions): Proof {
  if (baseline === undefined) return undefined;
  return withFile(baseline, options, (before) => {
    const [one, other] = [nameOf(input), nameOf(baseline)];
    const what = stripped(one, image.file, other, before) ?? stripped(other, before, one, image.file);
    return what === undefined
      ? undefined
      : { what: `${what}, and sites are found again by the names of their functions`, options };
  });
}

function withFile<T>(input: Input, { expandLimit }: VerifyOptions, body: (file: ElfFile) => T): Promise<T> {
  const name = nameOf(input);
  return withSource(input, async (given) => {
    const { source } = await withoutContainers(name, given, expandLimit);
    return body(readElfFrom(name, source));
  });
}

/** How one file is known to be of another build than the image: by build ids, or else by where the code lies. */
function otherBuild(name: string, before: ElfFile, now: ElfFile): string | undefined {
  const [then, here] = [before, now].map((file) => {
    const id = buildIdOf(file);
    return id && hexBytes(id);
  });
  if (then !== undefined && here !== undefined)
    return then === here ? undefined : `${name} is of another build (build id ${then}, not ${here})`;
  const [old, own] = [before, now].map(codeOf);
  return old === own ? undefined : `${name} is of another build, whose code lies elsewhere`;
}

/** Where the code of a file lies: boot moves none. */
function codeOf({ segments }: ElfFile): string {
  return segments
    .filter(({ type, flags }) => type === PT_LOAD && (flags & PF_X) !== 0)
    .map(({ vaddr, filesz }) => `${vaddr} ${filesz}`)
    .join('\n');
}

function stripped(name: string, file: ElfFile, other: string, whole: ElfFile): string | undefined {
  return file.symtab || !whole.symtab ? undefined : `${name} was stripped, ${other} was not`;
}
