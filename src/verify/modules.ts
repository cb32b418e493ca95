// The sites of modules that are loaded, each by the tables of its file, linked to where the module lies: they hold
// what their keys demand, whosever these are.
import type { Program } from '../demand/program.ts';
import { SiteLists } from '../demand/sites.ts';
import { TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { readStaticCalls } from '../image/static-calls.ts';
import { keyOf } from '../kinds/kind.ts';
import { lockPrefix } from '../kinds/lock-prefix/kind.ts';
import { kinds, moduleSites } from '../kinds/registry.ts';
import { MemoryImage } from '../memory/image.ts';
import type { FoundModule, ModuleFile } from '../memory/kernel/module-files.ts';
import type { LoadedModule } from '../memory/kernel/modules.ts';
import { type ComparedTable, Sieve } from './compared.ts';
import { type Finding, renamed } from './finding.ts';
import { checkInstructions } from './instructions.ts';
import { checkLocks } from './locks.ts';

/** A loaded module, with what its file lists, or why it was not compared. */
export interface ModuleSites {
  readonly module: LoadedModule;
  readonly file?: ModuleFile | undefined;
  /** Its memory, by addresses that are the running ones less the kernel's slide. */
  readonly image?: MemoryImage | undefined;
  readonly sites: SiteLists;
  readonly why?: string | undefined;
}

/** What became of a module. */
export interface ComparedModule {
  readonly module: LoadedModule;
  readonly file: ModuleFile | undefined;
  readonly tables: readonly ComparedTable[];
  /** Why it was not compared. */
  readonly why: string | undefined;
}

const none = new SiteLists(new Map());

/**
 * Maps the modules of `found` beside the image, and reads what their files list; `linked` is the image with its tables.
 */
export function mapModules(image: MemoryImage, linked: Image, found: readonly FoundModule[]): ModuleSites[] {
  const memory = image.place.kernelMemory;
  const mapped = found.map(({ module, file, why }): ModuleSites => {
    if (!file || !memory) return { module, sites: none, why };
    const place = { ...placeOf(image), memory };
    const guest = new MemoryImage(file.image, place);
    image.map({ name: module.name, image: guest });
    return { module, file, image: guest, sites: none };
  });
  // From here on every module has its addresses: keys of one are named in others.
  return mapped.map((of) => {
    if (!of.file) return of;
    try {
      return { ...of, sites: moduleSites(of.file.image, image, linked) };
    } catch (error) {
      if (!(error instanceof TextpokeError) || error.code === 'defect') throw error;
      return { module: of.module, sites: none, why: `${of.file.path}: ${error.message}` };
    }
  });
}

/** Where modules lie: where the running kernel has them. */
function placeOf({ place }: MemoryImage) {
  const { slide, slideFrom, kernelMemory, kernelMemoryFrom } = place;
  return { offset: slide, slide, slideFrom, kernelMemory, kernelMemoryFrom };
}

/** The program with the static calls that modules define. */
export function withModuleCalls(program: Program, modules: readonly ModuleSites[]): Program {
  const calls = new Map(program.calls);
  for (const { image } of modules) {
    if (image) for (const [key, call] of readStaticCalls(image)) calls.set(key, call);
  }
  return { ...program, calls };
}

/** TP001, TP007, TP008, TP011, TP012, TP021; `program` knows the calls of all modules, `cpus` is how many run. */
export function compareModule(
  program: Program,
  { module, file, image: guest, sites, why }: ModuleSites,
  cpus: number | undefined,
): { readonly findings: readonly Finding[]; readonly compared: ComparedModule } {
  const image = program.image as MemoryImage;
  if (!file || !guest) return { findings: [], compared: { module, file, tables: [], why } };
  const isInit = (address: number) => file.init.some(([start, end]) => address >= start && address < end);
  const sieve = new Sieve(image, isInit);
  let present = sites;
  const findings: Finding[] = [];
  for (const kind of kinds) {
    if (!kind.isInModules) continue;
    // A key among what was freed with init is the key of sites that were.
    const listed = sites.of(kind).filter((site) => !isInit(keyOf(site) ?? Number.NaN));
    const here = sieve.compare(kind.table.name, listed, kind.longest(image.arch), keyOf);
    for (const site of here) {
      if (guest.codeAt(site.address)) continue;
      const message = `an entry of ${kind.table.name} of the module names a place outside of its code`;
      findings.push({ rule: 'TP001', address: site.address, place: guest.describe(site.address), message });
    }
    present = present.with(kind, here);
  }
  const part: Program = { ...program, sites: present };
  for (const finding of checkInstructions(part, { state: 'booted' })) findings.push(finding);
  for (const finding of checkModuleLocks(part, guest, cpus)) findings.push(finding);
  const told = findings
    .filter(({ address }) => address === undefined || !sieve.leftOut.has(address))
    .map((finding) => inModule(module.name, guest, finding));
  return { findings: told, compared: { module, file, tables: sieve.tables(told), why: undefined } };
}

/** Names the module of a place that lies in it. */
export function inModule(name: string, guest: Image, finding: Finding): Finding {
  const isInside = finding.address !== undefined && guest.segmentAt(finding.address) !== undefined;
  return isInside ? renamed(finding, (place) => `${name}:${place}`) : finding;
}

/** A kernel drops the locks of a module's .text alone; the others stay as they are. */
function* checkModuleLocks(part: Program, guest: MemoryImage, cpus: number | undefined): Generator<Finding> {
  const locks = part.sites.of(lockPrefix);
  const isText = ({ address }: { address: number }) => guest.sectionAt(address)?.name === '.text';
  for (const [of, running] of [
    [locks.filter(isText), cpus],
    [locks.filter((lock) => !isText(lock)), 2],
  ] as const) {
    const program = { ...part, image: guest, sites: none.with(lockPrefix, of) };
    yield* checkLocks(program, program, { state: 'booted', locks: 'listed', cpus: running });
  }
}
