// textpoke diff: the sites of two builds, by function and order.
import { compareSites } from '../diff/compare.ts';
import { type SitesByFunction, sitesByFunction } from '../diff/sites.ts';
import { dumpFile } from '../dump/passes.ts';
import { ExitCode } from '../errors.ts';
import { fileSource } from '../files/source.ts';
import { print } from '../output/console.ts';
import { type ComparedFile, diffJson, diffMarkdown, diffText } from '../output/diff.ts';

export interface DiffArguments {
  format?: 'text' | 'json' | 'markdown';
}

/** The sites of a file, or of an archive by member; several members of one name are numbered. */
export async function sitesOf(path: string): Promise<Map<string | undefined, SitesByFunction>> {
  const source = fileSource(path);
  try {
    const members = new Map<string | undefined, SitesByFunction>();
    const seen = new Map<string, number>();
    for await (const dumped of dumpFile(path, source)) {
      const { member } = dumped;
      const times = member === undefined ? 0 : (seen.get(member) ?? 0);
      if (member !== undefined) seen.set(member, times + 1);
      members.set(times > 0 ? `${member} (${times + 1})` : member, sitesByFunction(dumped));
    }
    return members;
  } finally {
    source.close();
  }
}

/** Runs the command; 1 when a site of the old build is gone. */
export async function runDiff(old: string, now: string, { format }: DiffArguments): Promise<number> {
  const [before, after] = [await sitesOf(old), await sitesOf(now)];
  const nothing: SitesByFunction = new Map();
  const files = Array.from(
    new Set([...before.keys(), ...after.keys()]),
    (member): ComparedFile => ({
      member,
      ...compareSites(before.get(member) ?? nothing, after.get(member) ?? nothing),
    }),
  );
  if (format === 'json') print(JSON.stringify(diffJson(old, now, files), null, 2));
  else if (format === 'markdown') print(diffMarkdown(old, now, files));
  else {
    const text = diffText(files);
    if (text !== '') print(text);
  }
  const lost = files.some(({ differences }) => differences.some(({ what }) => what === 'removed'));
  return lost ? ExitCode.findings : ExitCode.done;
}
