// Where the files of modules lie in a directory such as /lib/modules/VERSION: by modules.dep (depmod(8)), and by a walk
// for what is not in it.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { TextpokeError } from '../../errors.ts';
import { readText } from '../../files/input.ts';
import { reasonOf } from '../../files/source.ts';
import { moduleName } from '../../image/exports.ts';

/** Entries of directories that a walk looks at: a distribution's kernel has 5,000. */
const mostEntries = 200_000;
const mostDepth = 16;
/** modules.dep of 4,000 modules has 400 KiB. */
const longestList = 64 << 20;

export class ModuleIndex {
  private readonly directory: string;
  private readonly listed = new Map<string, string[]>();
  private walked: Map<string, string[]> | undefined;

  /** Error `read-failed` for what is no directory. */
  constructor(directory: string) {
    this.directory = directory;
    const entries = list(directory);
    if (!entries.some(({ name }) => name === 'modules.dep')) return;
    for (const line of readText(join(directory, 'modules.dep'), longestList).split('\n')) {
      const path = /^([^:\s]+\.ko(?:\.(?:gz|xz|zst))?):/.exec(line)?.[1];
      if (path !== undefined) add(this.listed, path.startsWith('/') ? path : join(directory, path));
    }
  }

  /** The files that may be a module's, by the name that the kernel has for it; dashes and underscores are one. */
  filesOf(name: string): readonly string[] {
    const wanted = name.replaceAll('-', '_');
    const listed = this.listed.get(wanted);
    if (listed) return listed;
    this.walked ??= walk(this.directory);
    return this.walked.get(wanted) ?? [];
  }
}

function add(index: Map<string, string[]>, path: string): void {
  const name = moduleName(path);
  const paths = index.get(name);
  if (paths) paths.push(path);
  else index.set(name, [path]);
}

/** Every module below a directory; links are not followed, since `build` and `source` lead elsewhere. */
function walk(directory: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  let left = mostEntries;
  const open: { path: string; depth: number }[] = [{ path: directory, depth: 0 }];
  for (let at = open.pop(); at; at = open.pop()) {
    for (const entry of list(at.path)) {
      if (left-- <= 0) {
        throw new TextpokeError(
          'read-failed',
          `the directory has more than ${mostEntries} files and directories; name the one of the kernel, such as /lib/modules/VERSION`,
          { file: directory },
        );
      }
      const path = join(at.path, entry.name);
      if (entry.isDirectory() && at.depth < mostDepth) open.push({ path, depth: at.depth + 1 });
      else if (entry.isFile() && /\.ko(\.(gz|xz|zst))?$/.test(entry.name)) add(found, path);
    }
  }
  for (const paths of found.values()) paths.sort();
  return found;
}

function list(directory: string) {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    throw new TextpokeError('read-failed', `cannot read: ${reasonOf(error)}`, { file: directory });
  }
}
