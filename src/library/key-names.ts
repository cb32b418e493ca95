// The names of a file's keys, calls and functions: for shells that complete them, and for hints.
import { didYouMean } from '../bytes/nearest.ts';
import { callNameOf, trampolinePrefix } from '../bytes/static-call-names.ts';
import type { Program } from '../demand/program.ts';
import { type DumpOptions, dumpFile } from '../dump/passes.ts';
import { isArchive } from '../elf/archive.ts';
import { ET_REL } from '../elf/constants.ts';
import { readElfFrom } from '../elf/read.ts';
import { type Input, nameOf, withSource } from '../files/input.ts';
import { Image } from '../image/image.ts';
import { withoutContainers } from '../kernel/plain.ts';
import { keyOf } from '../kinds/kind.ts';
import { kinds, programOf } from '../kinds/registry.ts';
import { isDead, placeName } from '../kinds/shown.ts';

/** Names that people give to keys and calls; `functionsFrom` gives those of functions that begin so. */
export interface KeyNames {
  readonly keys: ReadonlySet<string>;
  /** As in DEFINE_STATIC_CALL. */
  readonly calls: ReadonlySet<string>;
  readonly functions: readonly string[];
}

/**
 * The names in an object, an archive or an image; of functions those that begin with `functionsFrom`, none where that is
 * undefined. Errors: those of reading.
 */
export function keyNames(
  input: Input,
  options: Pick<DumpOptions, 'expandLimit'> = {},
  functionsFrom?: string,
): Promise<KeyNames> {
  const path = nameOf(input);
  return withSource(input, async (given): Promise<KeyNames> => {
    const { source } = await withoutContainers(path, given, options.expandLimit);
    const file = isArchive(source.read(0, Math.min(source.size, 8))) ? undefined : readElfFrom(path, source);
    const names = { keys: new Set<string>(), calls: new Set<string>() };
    if (file && file.header.type !== ET_REL) {
      const image = new Image(file);
      addNames(names, programOf(image));
      return { ...names, functions: functionsFrom === undefined ? [] : functionsOf(image, functionsFrom) };
    }
    for await (const { tables } of dumpFile(path, source)) {
      for (const { entries } of Object.values(tables)) {
        for (const entry of entries) if (!isDead(entry) && 'key' in entry) add(names, placeName(entry.key));
      }
    }
    return { ...names, functions: [] };
  });
}

/** `; did you mean a, b or c?` of the keys and calls in some files; nothing where none is near a name or a pattern. */
export async function keyHint(
  inputs: readonly Input[],
  pattern: string,
  options: Pick<DumpOptions, 'expandLimit'> = {},
): Promise<string> {
  const names = new Set<string>();
  for (const input of inputs) {
    const { keys, calls } = await keyNames(input, options);
    for (const set of [keys, calls]) for (const name of set) names.add(name);
  }
  return didYouMean(pattern.replace(/[*?]/g, ''), names);
}

type Names = { readonly keys: Set<string>; readonly calls: Set<string> };

function addNames(names: Names, { image, sites, calls }: Program): void {
  const known = new Set<number>();
  for (const kind of kinds) for (const site of sites.of(kind)) known.add(keyOf(site) ?? Number.NaN);
  for (const key of known) if (!Number.isNaN(key)) add(names, image.describe(key));
  for (const { name } of calls.values()) names.calls.add(name);
}

function add(names: Names, name: string): void {
  const call = callNameOf(name);
  if (call === undefined) names.keys.add(name);
  else names.calls.add(call);
}

function functionsOf(image: Image, starts: string): string[] {
  const names: string[] = [];
  for (const { name, address } of image.symbols.named(() => true, { starts }))
    if (image.codeAt(address) && !name.startsWith(trampolinePrefix)) names.push(name);
  return names;
}
