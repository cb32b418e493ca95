// Boots an x86-64 kernel for a processor and holds its text against a dump's, byte for byte:
//   npx tsx test/kernel/distro/made-text.ts VMLINUZ DUMP [MODEL [COMMAND LINE]]
// Without a model, all comes from the dump. With one, features and the return thunk follow from it; keys, calls, constants and
// pages of thunks, which no model tells, are the dump's. A raw dump begins at physical address 0.
import { phasesForCpu } from '../../../src/boot/for-cpu.ts';
import { replayBoot } from '../../../src/boot/passes.ts';
import type { BootStep } from '../../../src/boot/steps.ts';
import { hex, hexBytes, parseAddress } from '../../../src/bytes/integer.ts';
import type { Image } from '../../../src/image/image.ts';
import { relocationListsIn } from '../../../src/kernel/relocation-lists.ts';
import { programOf } from '../../../src/kinds/registry.ts';
import { staticCall } from '../../../src/kinds/static-call/kind.ts';
import { withImage } from '../../../src/library/image.ts';
import { btfOf, runningKernel } from '../../../src/memory/kernel/kernel.ts';
import { locateImage } from '../../../src/memory/locate.ts';
import { openSnapshot } from '../../../src/memory/open.ts';
import { mitigationOptions } from '../../../src/text/x86-64/cpu/command-line.ts';
import { type CpuDocument, cpuDocument, parseCpuDocument } from '../../../src/text/x86-64/cpu/document.ts';
import { givenFromCpu, namesOfImage } from '../../../src/text/x86-64/cpu/given-cpu.ts';
import { cpuNamed } from '../../../src/text/x86-64/cpu/models.ts';
import type { GivenX86 } from '../../../src/text/x86-64/given.ts';

/** What follows from a processor, and never comes from the dump then. */
const ofProcessor = /^(x86_return_thunk|ideal_nops|pv_ops(_[a-z]+)?|USER_PTR_MAX)$/;
const mostShown = 20;

/** The state of the dump with what a model decides. */
function forModel(image: Image, dumped: GivenX86, model: string, commandLine: string): GivenX86 {
  const names = namesOfImage(image);
  const cpu = cpuNamed(model, names.names.flags);
  const made = givenFromCpu(image, btfOf(image), names, cpu, mitigationOptions(commandLine));
  const besides = [...dumped.variables].filter(([name]) => !ofProcessor.test(name));
  return { ...dumped, features: made.features, variables: new Map([...besides, ...made.variables]) };
}

/** Bytes that lead to modules: calls whose functions lie outside of the image. */
function outside(image: Image, calls: CpuDocument['calls']): Set<number> {
  const bytes = new Set<number>();
  const add = (from: number, length: number) => {
    for (let i = 0; i < length; i++) bytes.add(from + i);
  };
  const program = programOf(image);
  for (const { name, key, trampoline } of program.calls.values()) {
    const to = parseAddress(calls[name] ?? '');
    if (to === undefined || image.codeAt(to)) continue;
    if (trampoline !== undefined) add(trampoline as number, 5);
    for (const site of program.sites.of(staticCall)) if (site.key === key) add(site.address as number, 6);
  }
  return bytes;
}

const [file = '', dump = '', model, commandLine = ''] = process.argv.slice(2);
await withImage(file, {}, async (image, _, relocations) => {
  const memory = openSnapshot(
    dump,
    image,
    dump.endsWith('raw') ? { physical: [{ address: 0, offset: 0 }] } : undefined,
  );
  const place = locateImage(image, memory, undefined);
  const running = runningKernel(image, place);
  if (!running) throw new Error('no kernel');
  const document = cpuDocument(image, running);
  const { given: dumped, keys, calls } = parseCpuDocument(dump, JSON.stringify(document), image, place.slide);
  const given = model === undefined ? dumped : forModel(image, dumped, model, commandLine);
  const left = outside(image, document.calls);
  const steps: BootStep[] = keys.map(([key, on]) => ({ do: on ? 'enable' : 'disable', key }));
  for (const [call, value] of calls) {
    const to = parseAddress(value);
    if (to === undefined || image.codeAt(to)) steps.push({ do: 'update', call, value });
  }
  const slide = place.slide;
  const lists = relocationListsIn(image.file, relocations);
  await withImage(file, {}, (own) => {
    const cpus = given.variables.get('uniproc_patched')?.[0] === 1 ? 1 : 2;
    const phasesOf = (runtime: Parameters<typeof phasesForCpu>[0]) =>
      phasesForCpu(runtime, { given, slide, relocations: lists });
    replayBoot(own, { cpus, steps, phasesOf });
    const [start = 0, end = 0] = ['_text', '_etext'].map((name) => image.symbols.addressOf(name));
    const made = own.read(start, end - start);
    const found = new Uint8Array(made.length);
    if (!place.memory.read(start + place.offset, found)) throw new Error('the dump lacks a part of the text');
    let differ = 0;
    for (const [i, byte] of made.entries()) {
      if (byte === found[i] || left.has(start + i)) continue;
      if (differ++ >= mostShown) continue;
      const at = start + i;
      console.log(`${hex(at)} ${image.describe(at)}: made ${hexBytes(made.subarray(i, i + 8))}`);
      console.log(`  in the dump ${hexBytes(found.subarray(i, i + 8))}`);
    }
    console.log(`${dump}: ${made.length} bytes, ${differ} differ, ${left.size} lead to modules`);
    process.exitCode = differ > 0 ? 1 : 0;
  });
  memory.close();
});
