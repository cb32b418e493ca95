// Finds the debug file of a file that has no line tables of its own: by build id, by the name and CRC of
// .gnu_debuglink, or by its own path (GDB, "Separate Debug Files"; elfutils, dwfl_standard_find_debuginfo). What is
// found counts only if it is of the same build. Nothing is asked of a network.
import { realpathSync, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { crc32 } from '../bytes/crc32.ts';
import { buildIdOf } from '../elf/build-id.ts';
import { SHF_ALLOC, SHF_EXECINSTR } from '../elf/constants.ts';
import type { ElfFile, Section } from '../elf/file.ts';
import { readElfFrom } from '../elf/read.ts';
import { TextpokeError } from '../errors.ts';
import { fileSource, reasonOf } from '../files/source.ts';
import { debugLinkOf, hexDigits, readSup, supplementLinkOf } from './debug-links.ts';
import { debugSections } from './sections.ts';

/** Where systems keep debug files. */
const defaultDebugDirectories: readonly string[] = ['/usr/lib/debug'];

/** Where debug files may lie. */
export interface DebugPlaces {
  /** Directories as gdb's debug-file-directory has them, the first that has the file first. */
  readonly directories: readonly string[];
  /** Path of the file that is looked at; undefined for bytes in memory and members of archives. */
  readonly path?: string | undefined;
}

/** Where a caller says that debug files lie. */
export interface DebugDirectories {
  /** Directories of debug files, searched for files without line tables; undefined: `/usr/lib/debug`. */
  readonly debugDirectories?: readonly string[] | undefined;
}

/**
 * Where the debug file of an input may lie; `path` is undefined for bytes in memory. Error `usage` for a directory that
 * is not there.
 */
export function debugPlacesOf(path: string | undefined, { debugDirectories }: DebugDirectories): DebugPlaces {
  for (const directory of debugDirectories ?? []) requireDirectory(directory);
  return { directories: debugDirectories ?? defaultDebugDirectories, path };
}

function requireDirectory(path: string): void {
  let reason = 'is not a directory';
  try {
    if (statSync(path).isDirectory()) return;
  } catch (error) {
    reason = reasonOf(error);
  }
  throw new TextpokeError('usage', `the directory of debug files ${path} cannot be used: ${reason}`);
}

/** Bytes that are read at once to make a checksum. */
const chunk = 1 << 20;

/** Opens debug files for one question, and closes them with it. */
export class DebugFiles {
  private readonly places: DebugPlaces | undefined;
  private readonly open: ElfFile[] = [];
  /** Why the first of the files that were there was not taken. */
  problem: string | undefined;

  /** Without places, no debug file is looked for. */
  constructor(places: DebugPlaces | undefined) {
    this.places = places;
  }

  close(): void {
    for (const { source } of this.open.splice(0)) source.close();
  }

  /** The file that has the line tables of `file`: itself, or its debug file; undefined where none is to be had. */
  withLines(file: ElfFile): ElfFile | undefined {
    if (!this.places || debugSections(file, 'line').length > 0) return file;
    const build = this.try(() => buildIdOf(file));
    const link = this.try(() => debugLinkOf(file));
    if (!build && !link) return undefined;
    const id = build && hexDigits(build);
    for (const path of this.candidates(id, link?.name)) {
      const found = this.openMatching(path, (debug) => {
        const theirs = buildIdOf(debug);
        if (id !== undefined && theirs) requireSame(id, hexDigits(theirs));
        else if (link) requireCrc(debug, link.crc);
        else throw new TextpokeError('elf-malformed', `it has no build id; ${id} is required`);
        requireSameCode(file, debug);
        return debugSections(debug, 'line').length > 0;
      });
      if (!found) continue;
      this.problem = undefined;
      return found;
    }
    return undefined;
  }

  /**
   * The supplementary file that `debug` names (dwz). Errors: `elf-malformed` where it names none, where none is found,
   * and where what is found is another one.
   */
  supplementOf(debug: ElfFile): ElfFile {
    const link = supplementLinkOf(debug);
    if (!link)
      throw new TextpokeError('elf-malformed', 'a name is in a supplementary file, and none is named');
    this.problem = undefined;
    for (const path of this.supplements(debug, link)) {
      const found = this.openMatching(path, (file) => {
        const build = buildIdOf(file);
        requireSame(link.id, build ? hexDigits(build) : (readSup(file)?.id ?? 'missing'));
        return true;
      });
      if (found) return found;
    }
    const reason = this.problem ?? `the supplementary file ${link.path} is missing`;
    throw new TextpokeError('elf-malformed', reason);
  }

  private try<T>(body: () => T): T | undefined {
    try {
      return body();
    } catch (error) {
      if (!(error instanceof TextpokeError)) throw error;
      this.problem ??= error.message;
      return undefined;
    }
  }

  /** The file at `path`, if there is one that `matches`; why one is not taken is kept. */
  private openMatching(path: string, matches: (file: ElfFile) => boolean): ElfFile | undefined {
    try {
      if (!statSync(path, { throwIfNoEntry: false })) return undefined;
    } catch (error) {
      this.problem ??= `${path}: ${reasonOf(error)}`;
      return undefined;
    }
    return this.try(() => {
      try {
        const source = fileSource(path);
        try {
          const file = readElfFrom(path, source);
          if (matches(file)) {
            this.open.push(file);
            return file;
          }
        } catch (error) {
          source.close();
          throw error;
        }
        source.close();
        return undefined;
      } catch (error) {
        if (error instanceof TextpokeError) throw new TextpokeError(error.code, `${path}: ${error.message}`);
        throw error;
      }
    });
  }

  /** Paths that the debug file may have, in gdb's order: by build id, beside the file, in .debug, in the directories. */
  private *candidates(id: string | undefined, link: string | undefined): Generator<string> {
    const { directories = [], path } = this.places ?? {};
    if (id !== undefined) yield* directories.map((directory) => byBuildId(directory, id));
    if (path === undefined) return;
    const own = new Set([dirname(resolve(path)), realDirectory(path)]);
    const names = link === undefined ? namesFor(path) : [link];
    for (const directory of own)
      for (const name of names) {
        if (name !== basename(path)) yield join(directory, name); // not the file itself, which may be a bzImage
        yield join(directory, '.debug', name);
      }
    // Where /lib leads to /usr/lib, packages may know a file by either path.
    const below = new Set([...own].flatMap((path) => [path, path.replace(/^\/usr\/(?=lib)/, '/')]));
    const version = kernelVersion(path);
    for (const directory of directories) {
      for (const path of below)
        for (const name of new Set([...names, ...namesFor(path)])) yield join(directory, path, name);
      if (version === undefined) continue;
      for (const lib of ['lib', 'usr/lib']) yield join(directory, lib, 'modules', version, 'vmlinux');
    }
  }

  private *supplements(debug: ElfFile, { path, id }: { path: string; id: string }): Generator<string> {
    // A debug file is mostly reached through a link.
    const from = debug.source.path ?? this.places?.path;
    if (isAbsolute(path)) yield path;
    else if (from !== undefined) {
      yield join(dirname(resolve(from)), path);
      yield join(realDirectory(from), path);
      try {
        yield join(dirname(realpathSync(from)), path);
      } catch {
        // It has gone meanwhile.
      }
    }
    for (const directory of this.places?.directories ?? []) {
      if (/^[0-9a-f]{4,128}$/.test(id)) yield byBuildId(directory, id);
      const [usual] = defaultDebugDirectories as [string];
      if (path.startsWith(`${usual}/`)) yield join(directory, path.slice(usual.length));
    }
  }
}

function byBuildId(directory: string, id: string): string {
  return join(directory, '.build-id', id.slice(0, 2), `${id.slice(2)}.debug`);
}

function realDirectory(path: string): string {
  const directory = dirname(resolve(path));
  try {
    return realpathSync(directory);
  } catch {
    return directory;
  }
}

/** Names that debug packages give without a link: module.ko.debug or module.ko, vmlinux-VERSION for vmlinuz-VERSION. */
function namesFor(path: string): string[] {
  const name = basename(path).replace(/\.(gz|xz|zst)$/, '');
  const version = kernelVersion(path);
  return [`${name}.debug`, version === undefined ? name : `vmlinux-${version}`];
}

function kernelVersion(path: string): string | undefined {
  return /^vmlinu[xz]-(.+)$/.exec(basename(path))?.[1];
}

function requireSame(required: string, found: string): void {
  if (found === required) return;
  throw new TextpokeError('elf-malformed', `its build id is ${found}; ${required} is required`);
}

/** Throws unless all bytes of a file have a checksum. */
function requireCrc({ source }: ElfFile, required: number): void {
  let crc = 0;
  for (let at = 0; at < source.size; at += chunk)
    crc = crc32(source.read(at, Math.min(chunk, source.size - at)), crc);
  if (crc === required) return;
  const [found, wanted] = [crc, required].map((value) => `0x${value.toString(16).padStart(8, '0')}`);
  throw new TextpokeError('elf-malformed', `its CRC is ${found}; ${wanted} is required`);
}

const codeFlags = SHF_ALLOC | SHF_EXECINSTR;

/** Sections of code by their names, several of one name in order. */
function codeSections(file: ElfFile): Map<string, Section[]> {
  const found = new Map<string, Section[]>();
  for (const section of file.sections) {
    if ((section.flags & codeFlags) !== codeFlags) continue;
    const list = found.get(section.name);
    if (list) list.push(section);
    else found.set(section.name, [section]);
  }
  return found;
}

/** Each section of code in `file` with the one of `debug`; undefined for one that it has not, or that lies elsewhere. */
export function* pairCode(file: ElfFile, debug: ElfFile): Generator<[Section, Section | undefined]> {
  const theirs = codeSections(debug);
  for (const [name, sections] of codeSections(file)) {
    for (const [i, section] of sections.entries()) {
      const other = theirs.get(name)?.[i];
      const isSame = other && other.addr === section.addr && other.size === section.size;
      yield [section, isSame ? other : undefined];
    }
  }
}

/** Throws unless all code of `file` lies in `debug` where it lies in `file`: else lines would be those of other code. */
function requireSameCode(file: ElfFile, debug: ElfFile): void {
  const [a, b] = [file.header, debug.header];
  if (a.class !== b.class || a.little !== b.little || a.machine !== b.machine || a.type !== b.type)
    throw new TextpokeError('elf-malformed', 'it is of another machine or type of file');
  for (const [{ name }, other] of pairCode(file, debug)) {
    if (other) continue;
    throw new TextpokeError('elf-malformed', `its section ${name} has another address or size`);
  }
}
