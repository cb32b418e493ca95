// Two files against each other: objects and images as they are, archives member by member.
import { type DumpOptions, dumpFile } from '../dump/passes.ts';
import { TextpokeError } from '../errors.ts';
import { type Input, nameOf, withSource } from '../files/input.ts';
import type { Finding } from '../verify/finding.ts';
import { checkBaseline } from './baseline.ts';
import { type ComparedSites, compareSites } from './compare.ts';
import { stableMember } from './function-names.ts';
import { matchInOrder } from './match.ts';
import { type SitesByFunction, sitesByFunction } from './sites.ts';

type ReadOptions = Pick<DumpOptions, 'expandLimit' | 'debugDirectories' | 'table'>;

/** What was compared: a file, or a member of an archive. */
export interface ComparedFile extends ComparedSites {
  /** The member's name, in an archive. */
  readonly member: string | undefined;
}

/** The sites of a file, or of an archive by member; several members of one name are numbered. */
function sitesOf(input: Input, options: ReadOptions): Promise<Map<string | undefined, SitesByFunction>> {
  const name = nameOf(input);
  return withSource(input, async (source) => {
    const members = new Map<string | undefined, SitesByFunction>();
    const seen = new Map<string, number>();
    for await (const dumped of dumpFile(name, source, options)) {
      const { member } = dumped;
      const times = member === undefined ? 0 : (seen.get(member) ?? 0);
      if (member !== undefined) seen.set(member, times + 1);
      members.set(times > 0 ? `${member} (${times + 1})` : member, sitesByFunction(dumped));
    }
    return members;
  });
}

/** Compares two builds, of an archive each member with the one of its name. Errors: those of dump. */
export async function compareFiles(
  old: Input,
  now: Input,
  options: ReadOptions = {},
): Promise<ComparedFile[]> {
  const [before, after] = [await sitesOf(old, options), await sitesOf(now, options)];
  const nothing: SitesByFunction = new Map();
  const members = matchInOrder(
    [...before],
    [...after],
    [([name]) => name ?? '', ([name]) => stableMember(name ?? '')],
  );
  return members.map(
    ([old, now]): ComparedFile => ({
      member: (old ?? now)[0],
      ...compareSites(old?.[1] ?? nothing, now?.[1] ?? nothing),
    }),
  );
}

/**
 * What an image lost and gained since an earlier build: findings of TP027 and TP028. Errors: those of dump;
 * `not-an-image` where either is an archive.
 */
export async function againstBaseline(
  baseline: Input,
  input: Input,
  options: ReadOptions = {},
): Promise<Finding[]> {
  const [before, after] = [await sitesOf(baseline, options), await sitesOf(input, options)].map((files) =>
    files.get(undefined),
  );
  if (!before || !after) {
    throw new TextpokeError('not-an-image', 'an image or an object is required, found an archive', {
      file: nameOf(baseline),
    });
  }
  return [...checkBaseline(compareSites(before, after))];
}
