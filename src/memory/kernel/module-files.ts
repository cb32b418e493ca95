// The files of loaded modules: found by name, told from other builds by their build ids, and linked to where their
// sections lie, so that their tables name what is in memory.
import { hexBytes, sameBytes } from '../../bytes/integer.ts';
import { ByteView } from '../../bytes/view.ts';
import { buildIdNote } from '../../elf/build-id.ts';
import { EM_X86_64, ET_REL, SHF_EXECINSTR, SHT_NOBITS, SHT_NOTE } from '../../elf/constants.ts';
import type { ElfFile, Section } from '../../elf/file.ts';
import { readElf, readElfFrom } from '../../elf/read.ts';
import { inFile, TextpokeError } from '../../errors.ts';
import { openInput } from '../../files/input.ts';
import { plainSource } from '../../files/source.ts';
import { exportTable } from '../../image/export-table.ts';
import { exported } from '../../image/exports.ts';
import { Image } from '../../image/image.ts';
import { listsCode } from '../../kernel/text-tables.ts';
import type { CodeLoaderOf } from '../../link/code-loader.ts';
import { isTable, type SectionPlace } from '../../link/input.ts';
import { linkLoaded } from '../../link/link.ts';
import type { RunningKernel } from './kernel.ts';
import { ModuleIndex } from './module-index.ts';
import type { LoadedModule } from './modules.ts';

/** A module whose file was found: linked, by addresses that are the running ones less the kernel's slide. */
export interface ModuleFile {
  readonly path: string;
  /** As hexadecimal digits; undefined where neither file nor memory has one, so that its name alone speaks for it. */
  readonly buildId: string | undefined;
  readonly image: Image;
  /** Its code by the address of the section; none of a machine whose code is not relocated here. */
  readonly code: ReadonlyMap<number, ModuleCode>;
  /** Where its init sections were: by the same addresses, start and end. */
  readonly init: readonly (readonly [start: number, end: number])[];
}

/** A section of code that is kept. */
export interface ModuleCode {
  readonly name: string;
  /** As the file has them. */
  readonly bytes: Uint8Array;
  /** How many fields of it the loader fills. */
  readonly relocations: number;
}

/** A loaded module, and its file or why there is none to compare it with. */
export type FoundModule =
  | { readonly module: LoadedModule; readonly file: ModuleFile; readonly why?: undefined }
  | { readonly module: LoadedModule; readonly file?: undefined; readonly why: string };

/** Files of one name that are looked at: an update beside what it replaces. */
const mostFiles = 8;
/** More than a build id and the notes beside it have. */
const longestNotes = 1 << 16;

/** How files are read and linked. */
export interface ModuleOptions {
  /** What a compressed file may expand to. */
  readonly limit?: number | undefined;
  /** What the kernel's loader does with code; undefined: code is relocated on machines where that is all it does. */
  readonly loader?: CodeLoaderOf | undefined;
}

/**
 * Looks for the files of all modules that are loaded, in the order in which they came; `image` is the kernel. Error
 * `read-failed` where the directory cannot be read; a file that cannot be read or linked is said to be none.
 */
export async function findModuleFiles(
  image: Image,
  kernel: RunningKernel,
  directory: string,
  options: ModuleOptions = {},
): Promise<readonly FoundModule[]> {
  const index = new ModuleIndex(directory);
  const found: FoundModule[] = [];
  const owners = [image];
  for (const module of [...(kernel.list?.modules ?? [])].reverse()) {
    const one = await findFile(owners, kernel, module, index, options);
    found.push(one);
    if (one.file) owners.push(one.file.image);
  }
  return found;
}

async function findFile(
  owners: readonly Image[],
  kernel: RunningKernel,
  module: LoadedModule,
  index: ModuleIndex,
  options: ModuleOptions,
): Promise<FoundModule> {
  if (module.state !== 'live') return { module, why: `it is ${module.state}: its text is being changed` };
  if (!module.sections)
    return { module, why: 'the memory does not tell where its sections lie (sect_attrs of struct module)' };
  const paths = index.filesOf(module.name).slice(0, mostFiles);
  let why = 'no file of this name';
  for (const path of paths) {
    try {
      return { module, file: await openModule(owners, kernel, module, path, options) };
    } catch (error) {
      if (!(error instanceof TextpokeError) || error.code === 'defect') throw error;
      why = `${path}: ${error.message}`;
    }
  }
  return { module, why };
}

async function openModule(
  owners: readonly Image[],
  kernel: RunningKernel,
  module: LoadedModule,
  path: string,
  { limit, loader }: ModuleOptions,
): Promise<ModuleFile> {
  const source = openInput(path);
  try {
    const file = readElfFrom(path, await plainSource(source, limit));
    return inFile(path, () => placeModule(owners, kernel, module, file, loader));
  } finally {
    source.close();
  }
}

/** Errors: `memory-mismatch` for another build, `memory-malformed` for sections outside of the module, those of the link. */
function placeModule(
  owners: readonly Image[],
  kernel: RunningKernel,
  module: LoadedModule,
  file: ElfFile,
  loaderOf: CodeLoaderOf | undefined,
): ModuleFile {
  const [image] = owners as [Image];
  const refuse = (why: string): never => {
    throw new TextpokeError('memory-mismatch', why);
  };
  if (file.header.type !== ET_REL || file.header.machine !== image.file.header.machine)
    refuse('the file is no module of this machine');
  const places = placesOf(file, module);
  const buildId = requireBuild(kernel, file, places, refuse);
  const { slide } = kernel.place;
  const init: [number, number][] = [];
  const code = new Map<number, ModuleCode>();
  const loader = loaderOf?.(file);
  const relocatesCode = loader !== undefined || file.header.machine === EM_X86_64;
  const { bytes } = linkLoaded(file, {
    filled: relocatesCode ? isPatchedOrTable : 'tables',
    slide,
    loader,
    places(section) {
      const address = places.get(section.index);
      if (address === undefined) return perCpuPlace(section, module, slide);
      const at = image.addressAt(address, -slide);
      const isGone = section.name.startsWith('.init');
      if (isGone) init.push([at, at + section.size]);
      else {
        const size = loader?.sizeOf(section) ?? section.size;
        requireInside(module, section.name, address, size);
        if (relocatesCode && isCode(section)) code.set(at, codeOf(file, section, loader?.sizeOf(section)));
      }
      return { address: at, state: isGone ? 'gone' : 'here' } satisfies SectionPlace;
    },
    external(name) {
      for (const owner of owners) {
        const address = exported(owner, name);
        if (address !== undefined)
          return owner === image && isPerCpu(image, address) ? address - slide : address;
      }
      // A kernel that names no data has them in the table of what it exports.
      return image.symbols.hasExports ? undefined : exportTable(image).get(name);
    },
  });
  return { path: file.path, buildId, image: new Image(readElf(module.name, bytes)), code, init };
}

/** `made`: how many bytes the loader makes of it. */
function codeOf(file: ElfFile, section: Section, made: number | undefined): ModuleCode {
  const relocations = file
    .relocationSections(section.index)
    .reduce((sum, table) => sum + file.relocations(table).count, 0);
  const bytes = made === undefined ? file.data(section).slice() : new Uint8Array(made);
  return { name: section.name, bytes, relocations };
}

const isCode = ({ flags, type }: Section) => (flags & SHF_EXECINSTR) !== 0 && type !== SHT_NOBITS;

/** What has to be relocated of a module whose code is compared: code, and what lists places in it. */
const isPatchedOrTable = (section: Section) => isCode(section) || isTable(section) || listsCode(section.name);

/** Up to 6.14, per-CPU variables of x86-64 count from 0, far from the kernel, and do not move with it. */
function isPerCpu({ symbols, file }: Image, address: number): boolean {
  return file.header.machine === EM_X86_64 && address >= 0 && (symbols.addressOf('_text') ?? 0) < 0;
}

/** The loader gives per-CPU variables an area that no attribute tells of (kernel/module/main.c, percpu_modalloc). */
function perCpuPlace({ name }: Section, { perCpu }: LoadedModule, slide: number): SectionPlace | undefined {
  return name === '.data..percpu' && perCpu !== undefined && Number.isSafeInteger(perCpu)
    ? { address: perCpu - slide, state: 'apart' }
    : undefined;
}

/** The addresses of sections by their numbers: those of one name came in the order of the file. */
function placesOf(file: ElfFile, { sections = [] }: LoadedModule): Map<number, number> {
  const named = new Map<string, number[]>();
  for (const { name, address } of sections) {
    const addresses = named.get(name);
    if (addresses) addresses.push(address);
    else named.set(name, [address]);
  }
  const taken = new Map<string, number>();
  const places = new Map<number, number>();
  for (const { index, name, size } of file.sections) {
    if (size === 0 || !named.has(name)) continue;
    const at = taken.get(name) ?? 0;
    taken.set(name, at + 1);
    const address = named.get(name)?.[at];
    if (address !== undefined && Number.isSafeInteger(address)) places.set(index, address);
  }
  return places;
}

/** The build id of the file, which memory has too where it has one at all. */
function requireBuild(
  { reader }: RunningKernel,
  file: ElfFile,
  places: ReadonlyMap<number, number>,
  refuse: (why: string) => never,
): string | undefined {
  const section = file.sections.find(
    ({ type, name, size }) => type === SHT_NOTE && name === '.note.gnu.build-id' && size <= longestNotes,
  );
  if (!section) return undefined;
  const note = buildIdNote(new ByteView(file.data(section), file.header.little), section.addralign);
  if (!note) return undefined;
  const address = places.get(section.index);
  if (address === undefined) return refuse('the file has a build id, and the loaded module has none');
  const loaded = reader.bytes(address + note.at, note.body.length);
  if (!loaded) return refuse('the build id of the loaded module is not in the dump');
  if (!sameBytes(loaded, note.body))
    refuse(
      `the file is another build: its build id is ${hexBytes(note.body)}, the loaded module has ${hexBytes(loaded)}`,
    );
  return hexBytes(note.body);
}

/** What is said of sections may lead anywhere; a module has its memory. */
function requireInside(
  { memory, name }: LoadedModule,
  section: string,
  address: number,
  length: number,
): void {
  const isInside = memory.some(({ start, size }) => address >= start && address + length <= start + size);
  if (isInside || memory.length === 0) return;
  throw new TextpokeError(
    'memory-malformed',
    `the section ${section} is said to lie outside of the memory of ${name}`,
  );
}
