// A program as patching sees it: an image, the sites that its tables list, its static calls, and the rules of the
// runtime that patches it. Nothing here changes: boot makes another program when a table is sorted or a module comes.

import type { CallSupport } from '../arch/arch.ts';
import type { Address, CodePointer, EntryAddress } from '../bytes/named-numbers.ts';
import { TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { readStaticCalls, type StaticCall } from '../image/static-calls.ts';
import { callSupport } from './call-support.ts';
import { type Profile, profileOf } from './profiles.ts';
import { readSites, type Site, type SiteKind, type SiteLists } from './sites.ts';

export interface Program {
  /** Bytes by virtual address: of a file, or of the memory of a system that runs it. */
  readonly image: Image;
  readonly profile: Profile;
  /** The sites of the image itself; those of modules are with the modules. */
  readonly sites: SiteLists;
  /** Static calls of image and modules, by the address of their key. */
  readonly calls: ReadonlyMap<Address, StaticCall>;
  readonly support: CallSupport;
  /** Address of `__static_call_return0`, where a call of it becomes a clear of the result. */
  readonly returnZero: CodePointer | undefined;
}

export interface ProgramSource {
  /** Where tables are read from, when the image is the memory of a system that has freed some of its own. */
  readonly tables?: Image;
  /** Whose rules; undefined: those that the image asks for. */
  readonly profile?: Profile | undefined;
}

/**
 * Reads the program of an image. Errors: `table-malformed`; `elf-unsupported` where there are sites, but nothing tells
 * how their instructions are to be read.
 */
export function readProgram(
  image: Image,
  kinds: readonly SiteKind[],
  { tables = image, profile = profileOf(tables) }: ProgramSource = {},
): Program {
  const sites = readSites(tables, kinds);
  if (image.unreadable !== undefined && kinds.some((kind) => sites.of(kind).length > 0)) {
    throw new TextpokeError('elf-unsupported', image.unreadable, { file: image.file.path });
  }
  return {
    image,
    profile,
    sites,
    calls: readStaticCalls(tables),
    support: callSupport(image, profile, tables),
    returnZero: profile.returnZero === 'clear' ? image.symbols.addressOf('__static_call_return0') : undefined,
  };
}

/** The same program with other sites of one kind. */
export function withSites<S extends Site>(program: Program, kind: SiteKind<S>, sites: readonly S[]): Program {
  return { ...program, sites: program.sites.with(kind, sites) };
}

/** The same program without the sites of some entries, by the entries' addresses. */
export function withoutEntries(program: Program, entries: ReadonlySet<EntryAddress>): Program {
  return entries.size === 0 ? program : { ...program, sites: program.sites.without(entries) };
}
