// What goes on changing the text of an arm64 kernel while it runs, as its memory tells: functions that are traced and probes.
import type { Image } from '../../image/image.ts';
import { readFtrace } from '../../memory/kernel/ftrace.ts';
import { readGenerated } from '../../memory/kernel/generated.ts';
import type { RunningKernel } from '../../memory/kernel/kernel.ts';
import { readKprobes } from '../../memory/kernel/kprobes.ts';
import { KernelVariables } from '../../memory/kernel/variables.ts';
import type { TextPass } from '../pass.ts';
import { ftraceHooks } from './ftrace.ts';
import { kprobes } from './kprobes.ts';
import { variableFinder } from './variables.ts';

/** Variables that no symbol names are found in the code. */
class FoundVariables extends KernelVariables {
  private readonly find = variableFinder(this.image, this.slide);

  override at(name: string): number | undefined {
    return this.find(name);
  }
}

/** The passes behind start-up; undefined for a kernel without BTF, whose structures are not known. Error `memory-malformed`. */
export function livePasses(image: Image, running: RunningKernel): readonly TextPass<unknown>[] | undefined {
  const { place, reader, btf, list } = running;
  if (!btf || !place.kernelMemory) return undefined;
  const kernel = new FoundVariables(image, place.slide, reader, btf);
  const modules = list?.modules ?? [];
  const { bpf } = readGenerated(
    kernel,
    modules.map(({ at }) => at),
  );
  const isFunction = (address: number) => {
    const linked = address - place.slide;
    if (image.codeAt(linked)) return image.symbolAt(linked)?.offset === 0;
    return (
      bpf.some(({ start }) => start === address) ||
      modules.some(({ text }) => text.some(({ start, size }) => address >= start && address < start + size))
    );
  };
  return [
    ftraceHooks(kernel, readFtrace(kernel), { isFunction, isDirect: isFunction }),
    kprobes(kernel, readKprobes(kernel)),
  ];
}
