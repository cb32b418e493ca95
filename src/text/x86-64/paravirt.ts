// Calls of operations that a hypervisor may replace (arch/x86/kernel/paravirt.c and paravirt_patch.c): `.parainstructions`
// lists indirect calls through pv_ops, which become direct ones, a few instructions or NOPs. Up to 6.7; then they are
// alternatives.
import { ByteView } from '../../bytes/view.ts';
import type { Image } from '../../image/image.ts';
import {
  isGone,
  kernelOf,
  type PassNote,
  type PassResult,
  type TextPass,
  type TextSubject,
} from '../pass.ts';
import { addNops, nopStyleOf } from './nops.ts';
import type { X86State } from './state.ts';

/** struct paravirt_patch_site: a pointer, the number of the operation, the length of the code. */
const entrySize = 16;
/** Bytes of it that say something: there is no fill behind the last one. */
const usedSize = 10;
const CALL_REL32 = 0xe8;
const JMP_REL32 = 0xe9;

/** Members of pv_ops that 5.10 writes out (native_patch), by their names in BTF. */
const inline: readonly (readonly [path: string, code: string, only?: string])[] = [
  ['irq.restore_fl', '579d'],
  ['irq.save_fl', '9c58'],
  ['irq.irq_enable', 'fb'],
  ['irq.irq_disable', 'fa'],
  ['mmu.read_cr2', '0f20d0'],
  ['mmu.read_cr3', '0f20d8'],
  ['mmu.write_cr3', '0f22df'],
  ['cpu.wbinvd', '0f09'],
  ['lock.queued_spin_unlock', 'c60700', '__raw_callee_save___native_queued_spin_unlock'],
  ['lock.vcpu_is_preempted', '31c0', '__raw_callee_save___native_vcpu_is_preempted'],
];

export const paravirt: TextPass<X86State> = {
  kind: 'paravirt',
  name: 'paravirt calls',
  run(subject): PassResult | undefined {
    const { image, state, texts, slide } = subject;
    const kernel = kernelOf(subject);
    const entries = paravirtEntries(image);
    if (!entries) return undefined;
    const notes: PassNote[] = [];
    const style = nopStyleOf(kernel, state);
    const operations = operationsIn(kernel, state);
    if (!style || !operations) {
      const input = style ? 'pv_ops' : 'ideal_nops';
      return { sites: 0, notes: [{ severity: 'left', message: `${input} is not known`, input }] };
    }
    const held = new ByteView(operations, true);
    const patch = patcher(subject);
    let sites = 0;
    for (const { address, type, length } of entries) {
      const text = texts.holding(address, length);
      if (!text && isGone(subject, address)) continue;
      if (!text) {
        notes.push({ severity: 'wrong', address, message: 'the place of a paravirt call is in no text' });
        continue;
      }
      sites++;
      if (8 * type + 8 > operations.length) {
        const message = `the place of a paravirt call names operation ${type}, which pv_ops does not have`;
        notes.push({ severity: 'wrong', address, message });
        continue;
      }
      const value = held.s64(8 * type);
      const target = value === 0 ? undefined : value - slide;
      if (target !== undefined && !isFunctionOf(kernel, target)) {
        const message = `operation ${type} of pv_ops does not lead to a function of the image`;
        notes.push({ severity: 'wrong', address, message, input: 'pv_ops' });
        continue;
      }
      const bytes = text.at(address, length).slice();
      const used = patch(bytes, address, type, target);
      if (used === undefined || used > length) {
        notes.push({
          severity: 'wrong',
          address,
          message: `operation ${type} of pv_ops does not fit its place`,
          input: 'pv_ops',
        });
        continue;
      }
      addNops(style, bytes, used, length);
      text.write(address, bytes, 'paravirt');
    }
    return { sites, notes };
  },
};

/** The entries of the table of an image, in its order; undefined where the file has no such table. */
export function paravirtEntries(
  image: Image,
): { readonly address: number; readonly type: number; readonly length: number }[] | undefined {
  const range = rangeOf(image);
  if (!range) return undefined;
  const view = new ByteView(image.read(range.from, range.size), true);
  const entries = [];
  for (let at = 0; at + usedSize <= range.size; at += entrySize)
    entries.push({ address: view.s64(at), type: view.u8(at + 8), length: view.u8(at + 9) });
  return entries;
}

/**
 * The code that a kernel writes for an operation in place of a call, by the number of it; none since 5.11 or so. `isNull`: its
 * pointer may lead nowhere; `isSame`: it may lead to what returns its argument.
 */
export function inlineOperations({
  image,
  state,
}: Pick<TextSubject<X86State>, 'image' | 'state'>): (
  type: number,
  may: { readonly isNull: boolean; readonly isSame: boolean },
) => readonly Uint8Array[] {
  if (image.symbols.addressOf('native_patch') === undefined) return () => [];
  const written = new Map(
    inline.flatMap(([path, code]) => {
      const offset = state.btf?.member('paravirt_patch_template', path)?.offset;
      return offset === undefined ? [] : [[offset / 8, Buffer.from(code, 'hex')] as const];
    }),
  );
  return (type, { isNull, isSame }) => [
    ...(written.has(type) ? [written.get(type) as Uint8Array] : []),
    ...(isNull ? [Uint8Array.of(0x0f, 0x0b)] : []),
    ...(isSame ? [Uint8Array.of(0x48, 0x89, 0xf8)] : []),
  ];
}

function rangeOf(image: Image): { readonly from: number; readonly size: number } | undefined {
  const start = image.symbols.addressOf('__parainstructions');
  const end = image.symbols.addressOf('__parainstructions_end');
  const section = image.file.sections.find(({ name }) => name === '.parainstructions');
  const [from, size] =
    start !== undefined && end !== undefined
      ? [start, end - start]
      : [section?.addr ?? 0, section?.size ?? 0];
  return size <= 0 || image.fileOffset(from, size) === undefined ? undefined : { from, size };
}

/** pv_ops, as far as it is known: all that the number of an operation can name, or as much as its symbol has. */
function operationsIn(image: Image, state: X86State): Uint8Array | undefined {
  const address = image.symbols.addressOf('pv_ops');
  const size = address === undefined ? 0 : (image.symbolAt(address)?.size ?? 0);
  return (
    state.bytes('pv_ops', 8 * 256) ?? (size > 0 ? state.bytes('pv_ops', Math.min(size, 8 * 256)) : undefined)
  );
}

function isFunctionOf(image: Image, target: number): boolean {
  return image.codeAt(target) !== undefined && image.symbolAt(target)?.offset === 0;
}

type Patcher = (
  bytes: Uint8Array,
  address: number,
  type: number,
  target: number | undefined,
) => number | undefined;

/** What writes the code of an operation and says how many bytes it has. */
function patcher(subject: TextSubject<X86State>): Patcher {
  const { state } = subject;
  const { symbols } = kernelOf(subject);
  const nop = symbols.addressOf('_paravirt_nop');
  const isOld = symbols.addressOf('native_patch') !== undefined;
  const direct: Patcher = (bytes, address, _, target) => {
    const to = target ?? symbols.addressOf('paravirt_BUG');
    if (to === undefined || bytes.length < 5) return undefined;
    return branch(bytes, CALL_REL32, address, to);
  };
  if (!isOld)
    return (bytes, address, type, target) =>
      target === nop && nop !== undefined ? 0 : direct(bytes, address, type, target);
  const ident = symbols.addressOf('_paravirt_ident_64');
  const numberOf = (path: string) => {
    const offset = state.btf?.member('paravirt_patch_template', path)?.offset;
    return offset === undefined ? undefined : offset / 8;
  };
  const iret = numberOf('cpu.iret');
  const written = new Map(
    inline.flatMap(([path, code, only]) => {
      const number = numberOf(path);
      const native = only === undefined ? undefined : symbols.addressOf(only);
      return number === undefined
        ? []
        : [[number, { code: Buffer.from(code, 'hex'), native, only }] as const];
    }),
  );
  return (bytes, address, type, target) => {
    const own = written.get(type);
    if (own && (own.only === undefined || own.native === target)) return put(bytes, own.code);
    if (target === undefined) return put(bytes, Uint8Array.of(0x0f, 0x0b));
    if (target === nop) return 0;
    if (target === ident) return put(bytes, Uint8Array.of(0x48, 0x89, 0xf8));
    if (type === iret) return bytes.length < 5 ? bytes.length : branch(bytes, JMP_REL32, address, target);
    return direct(bytes, address, type, target);
  };
}

function put(bytes: Uint8Array, code: Uint8Array): number | undefined {
  if (code.length > bytes.length) return undefined;
  bytes.set(code);
  return code.length;
}

function branch(bytes: Uint8Array, opcode: number, address: number, to: number): number {
  bytes[0] = opcode;
  new DataView(bytes.buffer, bytes.byteOffset).setInt32(1, to - address - 5, true);
  return 5;
}
