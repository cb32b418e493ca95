// Kernel modules as files: what they ask of their kernel, and what stands in for it.
import { archOf } from '../arch/registry.ts';
import { alignUp } from '../bytes/integer.ts';
import { keyPrefix, trampolinePrefix } from '../bytes/static-call-names.ts';
import { dumpFile } from '../dump/passes.ts';
import type { ElfFile } from '../elf/file.ts';
import { readElf } from '../elf/read.ts';
import { TextpokeError } from '../errors.ts';
import { exported, moduleName } from '../image/exports.ts';
import { Image } from '../image/image.ts';
import { isDead } from '../kinds/shown.ts';
import { linkObjects } from '../link/link.ts';
import { standInKernel } from '../link/stand-in.ts';
import { count } from '../output/count.ts';

/** A kernel that stands in for the one of some modules, and what a person has to know of that. */
export interface StandIn {
  readonly image: Image;
  readonly notes: readonly string[];
}

/**
 * The image that has what modules ask of a kernel. Each key of the kernel has the value that the code of the modules was
 * built for. Errors: those of reading tables; `link-failed` for modules of several kernels.
 */
export async function standInFor(modules: readonly ElfFile[]): Promise<StandIn> {
  const [first] = modules as readonly [ElfFile, ...ElfFile[]];
  const releases = new Set(modules.map(releaseOf));
  if (releases.size > 1) {
    const what = `modules of several kernels: ${[...releases].join(', ')}`;
    throw new TextpokeError('link-failed', what, { file: first.path });
  }
  const defined = new Set(modules.flatMap((module) => [...symbolsOf(module, false)]));
  const asked = new Set(modules.flatMap((module) => [...symbolsOf(module, true)]));
  for (const name of defined) asked.delete(name);
  const keys = new Map<string, Map<number, boolean>>();
  for (const module of modules) {
    for (const { name, offset, isTrue } of await keysOf(module)) {
      if (!asked.has(name)) continue;
      const known = keys.get(name) ?? new Map<number, boolean>();
      keys.set(name, known);
      if (!known.has(offset)) known.set(offset, isTrue);
    }
  }
  const calls = new Set<string>();
  for (const name of asked)
    for (const prefix of [keyPrefix, trampolinePrefix])
      if (name.startsWith(prefix)) calls.add(name.slice(prefix.length));
  const isOther = (name: string) =>
    !keys.has(name) && !name.startsWith(keyPrefix) && !name.startsWith(trampolinePrefix);
  const others = new Set([...asked].filter(isOther));
  const [release = ''] = releases;
  const bytes = standInKernel(first, archOf(first.header), { release, keys, calls, others });
  const names = modules.map(({ path }) => path).join(', ');
  const number = [...keys.values()].reduce((sum, offsets) => sum + offsets.size, 0);
  const what = [
    ...(number > 0 ? [`${count(number, 'key')} taken as the code was built for`] : []),
    ...(calls.size > 0 ? [`${count(calls.size, 'static call')} to functions called NAME.kernel`] : []),
  ];
  const notes = what.length > 0 ? [`${names}: of the kernel: ${what.join(', ')}`] : [];
  return { image: new Image(readElf(names, bytes)), notes };
}

/** A module behind what stands in for its kernel, which knows the module as its guest. */
export interface ModuleAlone {
  readonly kernel: Image;
  readonly module: Image;
  readonly notes: readonly string[];
}

/** Links a module alone. Errors as `standInFor`, `link-failed`. */
export async function moduleAlone(file: ElfFile): Promise<ModuleAlone> {
  const { image: kernel, notes } = await standInFor([file]);
  const external = (name: string) => exported(kernel, name);
  const base = alignUp(kernel.end, kernel.arch.pageSize);
  const { bytes } = linkObjects([file], { base, external });
  const module = new Image(readElf(file.path, bytes));
  kernel.map({ name: moduleName(file.path), image: module });
  return { kernel, module, notes };
}

/** Names of global symbols that a module leaves to others, or defines. */
function* symbolsOf(file: ElfFile, isOpen: boolean): Generator<string> {
  if (!file.symtab) return;
  const symbols = file.symbols(file.symtab);
  for (let i = symbols.firstGlobal; i < symbols.count; i++)
    if (symbols.isUndefined(i) === isOpen && symbols.name(i) !== '') yield symbols.name(i);
}

/** The release in `vermagic=`; empty where none is. */
function releaseOf(file: ElfFile): string {
  const section = file.sections.find(({ name }) => name === '.modinfo');
  const text = section ? Buffer.from(file.data(section)).toString('latin1') : '';
  return /(?:^|\0)vermagic=([^ \0]{1,64})/.exec(text)?.[1] ?? '';
}

/** Bytes from the start of an object, such as a tracepoint or an array of keys, to a key in it. */
const farthestKey = 0x1000;

interface AskedKey {
  readonly name: string;
  readonly offset: number;
  readonly isTrue: boolean;
}

/**
 * Keys of others that a module's static branches have. A compiler leaves what the first value of the key asks for: a NOP
 * where a likely branch's key is true, or an unlikely one's is false (include/linux/jump_label.h).
 */
async function keysOf(file: ElfFile): Promise<AskedKey[]> {
  const asked: AskedKey[] = [];
  for await (const { tables } of dumpFile(file.path, file, { table: 'jumpTable' })) {
    for (const entry of tables.jumpTable?.entries ?? []) {
      if (isDead(entry)) continue;
      const { symbol, symbolOffset = 0, undefined: isOpen } = entry.key;
      if (!isOpen || symbol === undefined) continue;
      if (symbolOffset < 0 || symbolOffset > farthestKey) {
        const message = `an entry names a key at ${symbol}${symbolOffset < 0 ? '' : '+'}${symbolOffset}, which no object of a kernel has`;
        throw new TextpokeError('table-malformed', message, { file: file.path, section: '__jump_table' });
      }
      const isNop = entry.instruction?.kind === 'nop';
      asked.push({ name: symbol, offset: symbolOffset, isTrue: isNop === (entry.branch === 'likely') });
    }
  }
  return asked;
}
