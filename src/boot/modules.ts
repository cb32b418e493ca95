// Kernel modules: linked in memory behind the image, their sites keyed to its keys, and gone after unload
// (kernel/module/main.c; jump_label_add_module, static_call_add_module, alternatives_smp_module_add).
import { parse } from 'node:path';
import { alignUp } from '../bytes/integer.ts';
import { smpLocks, trampolineKeys } from '../bytes/schema.ts';
import type { ElfFile } from '../elf/file.ts';
import { readElf } from '../elf/read.ts';
import { inFile, TextpokeError } from '../errors.ts';
import { type Guest, Image } from '../image/image.ts';
import {
  type CallSite,
  readBranchSites,
  readCallSites,
  readLockSites,
  readStaticCalls,
} from '../image/sites.ts';
import { readImageTable } from '../image/tables.ts';
import { linkObjects } from '../link/link.ts';
import { addModuleBranches } from './jump-label.ts';
import type { Module, Runtime } from './runtime.ts';
import { setLocksOf, type UpFill } from './smp-locks.ts';
import { addModuleCalls } from './static-call.ts';

/** A module's name: its file's, as the kernel has it. */
export function moduleName(path: string): string {
  return parse(path.replace(/\.(gz|xz|zst)$/, '')).name.replaceAll('-', '_');
}

/**
 * Loads a relocatable object. Errors: `link-failed` (a symbol that nobody defines or exports), `step-refused`,
 * `site-mismatch` and those of reading it; nothing of it stays then.
 */
export function loadModule(runtime: Runtime, file: ElfFile, fill: UpFill): Module {
  const name = moduleName(file.path);
  if (runtime.modules.some((module) => module.name === name)) {
    throw new TextpokeError('step-refused', `the module ${name} is loaded already`);
  }
  return inFile(file.path, () => {
    const imports = new Map<string, string | undefined>();
    const image = linkModule(runtime, name, file, imports);
    const guest: Guest = { name, image };
    const mark = runtime.poker.records.length;
    runtime.image.map(guest);
    const calls = readStaticCalls(image);
    for (const [key, call] of calls) runtime.calls.set(key, call);
    try {
      const module: Module = {
        ...guest,
        calls,
        branches: readBranchSites(image),
        callSites: readCallSites(image).map((site) => withKey(runtime, site)),
        locks: readLockSites(image, smpLocks),
        imports: new Set(imports.keys()),
        uses: new Set([...imports.values()].filter((from) => from !== undefined)),
      };
      if (runtime.onOneCpu) setLocksOf(runtime, module, 1, fill);
      module.branches = addModuleBranches(runtime, module);
      module.callSites = addModuleCalls(runtime, module);
      runtime.modules = [...runtime.modules, module];
      return module;
    } catch (error) {
      runtime.poker.rollBack(mark);
      forget(runtime, guest, calls.keys());
      throw error;
    }
  });
}

/** Unloads a module. Error `step-refused` when there is none of that name, or another one uses it. */
export function unloadModule(runtime: Runtime, name: string): void {
  const module = runtime.modules.find((m) => m.name === moduleName(name));
  if (!module) throw new TextpokeError('step-refused', `no module ${name} is loaded`);
  const users = runtime.modules.filter((m) => m.uses.has(module.name)).map((m) => m.name);
  if (users.length > 0) {
    throw new TextpokeError('step-refused', `the module ${name} is in use by ${users.join(', ')}`);
  }
  const lost = runtime.deferred.filter(({ key }) => module.image.contains(key));
  for (const { key } of lost) {
    runtime.notes.push(
      `${module.image.describe(key)} goes while a decrement waits: the module has to flush it`,
    );
  }
  runtime.deferred = runtime.deferred.filter((work) => !lost.includes(work));
  runtime.modules = runtime.modules.filter((m) => m !== module);
  forget(runtime, runtime.image.guests.find((g) => g.name === name) ?? module, module.calls.keys());
}

function forget(runtime: Runtime, guest: Guest, keys: Iterable<number>): void {
  for (const key of keys) runtime.calls.delete(key);
  runtime.image.unmap(guest);
}

/** Links the module behind everything that is there; `imports` gets each symbol from outside, and whose it is. */
function linkModule(
  { image, modules }: Runtime,
  name: string,
  file: ElfFile,
  imports: Map<string, string | undefined>,
): Image {
  const owners = [{ name: undefined, image }, ...modules];
  const external = (symbol: string): number | undefined => {
    for (const owner of owners) {
      const address = exported(owner.image, symbol);
      if (address === undefined) continue;
      imports.set(symbol, owner.name);
      return address;
    }
    return undefined;
  };
  const { bytes } = linkObjects([file], { base: alignUp(image.end, image.arch.pageSize), external });
  return new Image(readElf(name, bytes));
}

/** The address of a symbol that a module may use: in a kernel one that has a __ksymtab entry, else any global one. */
export function exported({ symbols }: Image, name: string): number | undefined {
  const address = symbols.globalAddressOf(name);
  if (address === undefined) return undefined;
  return symbols.hasExports && symbols.addressOf(`__ksymtab_${name}`) === undefined ? undefined : address;
}

/** The site of a call whose key is not exported names the trampoline: the image knows the key. Error `step-refused`. */
function withKey({ image }: Runtime, site: CallSite): CallSite {
  if (!image.codeAt(site.key)) return site;
  const entry = readImageTable(image, trampolineKeys).find(({ fields }) => fields[0] === site.key);
  if (entry) return { ...site, key: entry.fields[1] as number };
  throw new TextpokeError(
    'step-refused',
    `Failed to fixup __raw_static_call() usage at: ${image.describe(site.address)} (${image.describe(site.key)} has no entry in ${trampolineKeys.name})`,
  );
}
