// Functions that may be traced, operations of hypervisors up to 6.7, and run-time constants.

import { mcountSites } from '../../text/mcount.ts';
import { callOpcode, jumpOpcode } from '../../text/x86-64/branches.ts';
import { constantForms, constantTables } from '../../text/x86-64/constants.ts';
import { atomicNops, siteSize } from '../../text/x86-64/ftrace.ts';
import { caches } from '../../text/x86-64/nameless.ts';
import { addNops, nopStyles } from '../../text/x86-64/nops.ts';
import { inlineOperations, paravirtEntries } from '../../text/x86-64/paravirt.ts';
import { branching, fixed, withFields } from '../builder.ts';
import type { PolicyPointer, PolicyState } from '../policy.ts';
import { anyFunction, isKept, type KernelFile, symbolsOf } from './kernel.ts';
import { operationTargets } from './operations.ts';

const pointerSize = 8;
const call = Uint8Array.of(callOpcode, 0, 0, 0, 0);
const jump = Uint8Array.of(jumpOpcode, 0, 0, 0, 0);

export function addFtrace(kernel: KernelFile): void {
  const { builder, image, subject } = kernel;
  const nops = atomicNops(image).map(fixed);
  const tracers = symbolsOf(
    kernel,
    'tracers',
    ['ftrace_caller', 'ftrace_regs_caller', 'ftrace_graph_caller'],
    true,
  );
  const live = [...nops, branching(call, tracers)];
  // Programs of BPF may be jumped to: dispatchers of kernels up to 6.2, all since 6.19 (ftrace_is_jmp).
  const [major, minor] = subject.state.version;
  const version = 1000 * major + minor;
  if (version < 6003 || version >= 6019) live.push(branching(jump, tracers));
  for (const address of mcountSites(image) ?? []) {
    if (!subject.texts.holding(address, siteSize)) continue;
    if (isKept(kernel, address)) builder.add(address, 'ftrace', 'always', live);
    else builder.add(address, 'ftrace', 'start-up', nops);
  }
  for (const name of ['ftrace_call', 'ftrace_regs_call']) {
    const address = image.symbols.addressOf(name);
    if (address !== undefined && subject.texts.holding(address, siteSize))
      builder.add(address, 'ftrace', 'always', [branching(call, anyFunction(kernel))]);
  }
  const graph = image.symbols.addressOf('ftrace_graph_call');
  const ends = symbolsOf(kernel, 'ends of tracing', ['ftrace_graph_caller', 'ftrace_stub']);
  if (graph !== undefined && image.read(graph, 1)[0] === jumpOpcode)
    builder.add(graph, 'ftrace', 'always', [branching(jump, ends)]);
}

/** A direct call of any function, or nothing; 5.10 also writes some operations out. Returns the places. */
export function addParavirt(kernel: KernelFile): number[] {
  const { builder, image, subject } = kernel;
  const operations = image.symbols.addressOf('pv_ops');
  const styles = nopStyles(image, subject.state);
  // native_patch comes with paravirt_patch_jmp.
  const jumped = image.symbols.addressOf('native_patch') && numberOf(kernel, 'cpu.iret');
  const known = new Map<string, PolicyState[]>();
  const places: number[] = [];
  for (const { address, type, length } of paravirtEntries(image) ?? []) {
    if (!subject.texts.holding(address, length)) continue;
    places.push(address);
    const key = `${type} ${length}`;
    const states = known.get(key) ?? [];
    if (states.length === 0 && operations !== undefined) {
      const targets = operationTargets(kernel, operations + pointerSize * type);
      for (const style of styles) {
        const filled = (code: Uint8Array): Uint8Array | undefined => {
          if (code.length > length) return undefined;
          const bytes = new Uint8Array(length);
          bytes.set(code);
          addNops(style, bytes, code.length, length);
          return bytes;
        };
        for (const code of inlineCode(kernel, type, operations + pointerSize * type)) {
          const bytes = filled(code);
          if (bytes) states.push(fixed(bytes));
        }
        const direct = filled(call);
        if (direct) states.push(branching(direct, targets, 1));
        const last = type === jumped ? filled(jump) : undefined;
        if (last) states.push(branching(last, targets, 1));
      }
      known.set(key, states);
    }
    if (states.length > 0) builder.add(address, 'paravirt', 'start-up', states);
  }
  return places;
}

/** The number of a member of pv_ops. */
function numberOf({ subject }: KernelFile, path: string): number | undefined {
  const offset = subject.state.btf?.member('paravirt_patch_template', path)?.offset;
  return offset === undefined ? undefined : offset / pointerSize;
}

/**
 * Code that is written for an operation: nothing, where it may lead to the function that does nothing; and in 5.10 what
 * native_patch has for it, and a few instructions for what returns its argument, and for no function.
 */
function inlineCode(kernel: KernelFile, type: number, slot: number): Uint8Array[] {
  const { image, subject, builder } = kernel;
  const { addresses } = builder.target(operationTargets(kernel, slot));
  const may = (name: string) => image.symbols.addressesOf(name).some((one) => addresses.includes(one));
  const isNull = image.contains(slot, pointerSize) && image.readWord(slot) === 0;
  const [nothing, same] = [may('_paravirt_nop'), may('_paravirt_ident_64')];
  return [
    ...(nothing ? [new Uint8Array(0)] : []),
    ...inlineOperations(subject)(type, { isNull, isSame: same }),
  ];
}

/** What a variable leads to that the compiler left out. */
function pointerOf(kernel: KernelFile, variable: string): PolicyPointer {
  const name = caches[variable];
  const at = kernel.subject.state.btf?.member('kmem_cache', 'name')?.offset;
  return name === undefined || at === undefined ? {} : { cache: { name, at } };
}

export function addConstants(kernel: KernelFile): void {
  const { builder, image, subject } = kernel;
  for (const { type, variable, places } of constantTables(image)) {
    const { field } = constantForms[type];
    const number = builder.variable({
      name: variable,
      size: field,
      address: image.symbols.addressOf(variable),
      ...(image.symbols.addressOf(variable) === undefined &&
        type === 'ptr' && { pointer: pointerOf(kernel, variable) }),
    });
    const states = [
      withFields(new Uint8Array(field), [{ at: 0, is: 'value', size: field, variable: number }]),
    ];
    for (const place of places)
      if (subject.texts.holding(place, field)) builder.add(place, 'constant', 'start-up', states);
  }
}
