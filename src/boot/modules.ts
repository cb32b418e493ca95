// Kernel modules: linked in memory behind the image, their sites keyed to its keys, and gone after unload
// (kernel/module/main.c; jump_label_add_module, static_call_add_module, alternatives_smp_module_add).
import { alignUp } from '../bytes/integer.ts';
import type { UpFill } from '../demand/patch.ts';
import type { ElfFile } from '../elf/file.ts';
import { readElf } from '../elf/read.ts';
import { inFile, TextpokeError } from '../errors.ts';
import { exported, moduleName } from '../image/exports.ts';
import { type Guest, Image } from '../image/image.ts';
import { readStaticCalls } from '../image/static-calls.ts';
import { moduleSites } from '../kinds/registry.ts';
import { staticBranch } from '../kinds/static-branch/kind.ts';
import { staticCall } from '../kinds/static-call/kind.ts';
import { linkObjects } from '../link/link.ts';
import { fitPart } from './cpus.ts';
import { addModuleBranches } from './jump-label.ts';
import type { Module, Runtime } from './runtime.ts';
import { addModuleCalls } from './static-call.ts';

/**
 * Loads a relocatable object. Errors: `link-failed` (a symbol that nobody defines or exports), `step-refused`,
 * `site-mismatch` and those of reading it; nothing of it stays then.
 */
export function loadModule(runtime: Runtime, file: ElfFile, fill: UpFill): Module {
  const name = moduleName(file.path);
  const before = runtime.state;
  if (before.modules.some((module) => module.name === name)) {
    throw new TextpokeError('step-refused', `the module ${name} is already loaded`);
  }
  return inFile(file.path, () => {
    const imports = new Map<string, string | undefined>();
    const image = linkModule(runtime, name, file, imports);
    const guest: Guest = { name, image };
    const mark = runtime.poker.records.length;
    runtime.image.map(guest);
    const calls = readStaticCalls(image);
    runtime.change({ program: { ...before.program, calls: new Map([...before.program.calls, ...calls]) } });
    try {
      const read: Module = {
        ...guest,
        calls,
        sites: moduleSites(image, runtime.image),
        imports: new Set(imports.keys()),
        uses: new Set([...imports.values()].filter((from) => from !== undefined)),
      };
      if (runtime.state.cpus.isOne) fitPart(runtime, read, 1, fill);
      const branches = addModuleBranches(runtime, read);
      const sites = read.sites.with(staticBranch, branches).with(staticCall, addModuleCalls(runtime, read));
      const module: Module = { ...read, sites };
      runtime.change({ modules: [...runtime.state.modules, module] });
      return module;
    } catch (error) {
      runtime.poker.rollBack(mark);
      runtime.image.unmap(guest);
      runtime.state = before;
      throw error;
    }
  });
}

/** Unloads a module. Error `step-refused` when there is none of that name, or another one uses it. */
export function unloadModule(runtime: Runtime, name: string): void {
  const { modules, deferred, program } = runtime.state;
  const module = modules.find((m) => m.name === moduleName(name));
  if (!module) throw new TextpokeError('step-refused', `the module ${name} is not loaded`);
  const users = modules.filter((m) => m.uses.has(module.name)).map((m) => m.name);
  if (users.length > 0) {
    throw new TextpokeError('step-refused', `the module ${name} is in use by ${users.join(', ')}`);
  }
  const lost = deferred.filter(({ key }) => module.image.contains(key));
  for (const { key } of lost) {
    runtime.log.note(
      `${module.image.describe(key)} is unloaded while a deferred decrement waits; the module must flush the decrement first`,
    );
  }
  const calls = new Map(program.calls);
  for (const key of module.calls.keys()) calls.delete(key);
  runtime.change({
    program: { ...program, calls },
    deferred: deferred.filter((work) => !lost.includes(work)),
    modules: modules.filter((m) => m !== module),
  });
  const guest = runtime.image.guests.find(({ image }) => image === module.image);
  if (guest) runtime.image.unmap(guest);
}

/** Links the module behind everything that is there; `imports` gets each symbol from outside, and whose it is. */
function linkModule(
  { image, state: { modules } }: Runtime,
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
