// A kernel in bytes that traces functions and sets probes: the memory of an image with what patching asks for.
import { readElf } from '../../src/elf/read.ts';
import { Image } from '../../src/image/image.ts';
import { readBtf } from '../../src/kernel/btf.ts';
import { KernelReader } from '../../src/memory/kernel/reader.ts';
import { KernelVariables } from '../../src/memory/kernel/variables.ts';
import type { Memory } from '../../src/memory/memory.ts';
import { ExpectedText, Texts } from '../../src/text/expected.ts';
import { requiredFeatures } from '../../src/text/x86-64/features.ts';
import { core } from '../memory/dumps.ts';
import { btfBytes, capabilities, functionCount, imageFile, type Variable } from './made-kernel-image.ts';

export { functionCount, imageFile, templateSize } from './made-kernel-image.ts';

export const slide = 0x200000;
/** Where the kernel puts what it makes, and what it allocates. */
export const generated = 0x1000_0000;
export const heap = 0x4000_0000;

const pageSize = 4096;
const nop = [0x0f, 0x1f, 0x44, 0, 0];
/** What start-up makes of the places that tables name, on a processor without mitigations. */
const patched: Readonly<Record<number, readonly number[]>> = {
  0: [0xc3, 0xcc, 0xcc, 0xcc, 0xcc],
  1: [0xff, 0xd0, 0x0f, 0x1f, 0x00],
  3: [0x66, 0x0f, 0x1f, 0x00],
  4: [0x31, 0xc0, 0x0f, 0x1f, 0x00],
};
const btf = readBtf(btfBytes, true);

export class MadeKernel {
  readonly image = new Image(readElf('vmlinux', imageFile));
  readonly memory: Memory;
  readonly kernel: KernelVariables;
  readonly texts: Texts;
  readonly text: ExpectedText;
  private readonly pages = new Map<number, Uint8Array>();
  private readonly slide: number;
  private next = heap;

  /** `moved`: how far from where it was linked. */
  constructor(moved = slide) {
    this.slide = moved;
    this.memory = {
      format: 'made',
      addresses: 'virtual',
      fileSize: 1 << 20,
      runs: { starts: new Float64Array(0), ends: new Float64Array(0) },
      read: (address, into) => {
        let whole = true;
        for (let i = 0; i < into.length; i++) {
          const byte = this.byteAt(address + i);
          if (byte === undefined) whole = false;
          else into[i] = byte;
        }
        return whole;
      },
    };
    this.kernel = this.freshKernel();
    const { address, code: bytes } = this.image.code[0] as { address: number; code: Uint8Array };
    this.text = new ExpectedText('.text', address, bytes);
    this.texts = new Texts([this.text]);
    for (const segment of this.image.file.segments)
      if (segment.type === 1) this.put(segment.vaddr + moved, this.image.read(segment.vaddr, segment.memsz));
    this.word(this.at('ftrace_ops_list'), this.at('ftrace_list_end'));
    this.word(this.at('ftrace_trace_function'), this.at('ftrace_stub'));
    for (const head of ['ftrace_ops_trampoline_list', 'bpf_kallsyms', 'pack_list'] as const)
      this.empty(this.at(head));
    for (const cache of ['kprobe_insn_slots', 'kprobe_optinsn_slots'] as const)
      this.empty(this.at(cache) + 16);
    const words = this.at('boot_cpu_data') + capabilities;
    for (const feature of requiredFeatures)
      this.put(words + (feature >>> 3), [
        (this.bytes(words + (feature >>> 3), 1)[0] as number) | (1 << (feature & 7)),
      ]);
  }

  /** What start-up leaves of its text and of its key: no function is traced, and the key is off. */
  start(): this {
    for (let i = 0; i < functionCount; i++) this.put(this.site(i), nop);
    for (const [i, bytes] of Object.entries(patched)) this.put(this.at(`site_${i}`), bytes);
    this.word(this.at('table_of_names'), 0x1234_5678_9000);
    this.put(this.at('site_5') + 2, this.bytes(this.at('table_of_names'), 8));
    this.word(this.at('branch_key') + 8, this.at('table_7'));
    this.word(this.at('x86_return_thunk'), this.at('__x86_return_thunk'));
    this.records([Array.from({ length: functionCount }, (_, i) => [this.site(i), 0] as const)]);
    return this;
  }

  /** Its memory as a dump has it, by the addresses at which it runs. */
  dump(): Uint8Array {
    const pages = Array.from(this.pages, ([number, bytes]) => ({
      ...{ virtual: number * pageSize, physical: 0, bytes },
    }));
    pages.sort((a, b) => a.virtual - b.virtual);
    return core(pages, { addresses: ['virtual'] });
  }

  /** As somebody sees it who has read nothing yet. */
  freshKernel(): KernelVariables {
    return new KernelVariables(this.image, this.slide, new KernelReader(this.memory, this.image), btf);
  }

  private byteAt(address: number): number | undefined {
    const page = this.pages.get(Math.floor(address / pageSize));
    return page?.[address - Math.floor(address / pageSize) * pageSize];
  }

  /** Where something runs. */
  at(name: Variable | (string & {})): number {
    return (this.image.symbols.addressOf(name) as number) + this.slide;
  }
  site(i: number): number {
    return this.at(`traced_${i}`);
  }

  put(address: number, bytes: ArrayLike<number>): void {
    for (let i = 0; i < bytes.length; i++) {
      const number = Math.floor((address + i) / pageSize);
      const page = this.pages.get(number) ?? new Uint8Array(pageSize);
      this.pages.set(number, page);
      page[address + i - number * pageSize] = bytes[i] as number;
    }
  }
  word(address: number, value: number): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true);
    this.put(address, bytes);
  }
  bytes(address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.memory.read(address, bytes);
    return bytes;
  }
  /** Memory that nothing else has. */
  allocate(size: number): number {
    const at = this.next;
    this.next += Math.ceil(size / 64) * 64 + 64;
    this.put(at, new Uint8Array(size));
    return at;
  }
  empty(head: number): void {
    this.word(head, head);
    this.word(head + 8, head);
  }
  /** Puts an element at the beginning of a list. */
  add(head: number, link: number): void {
    const bytes = this.bytes(head, 8);
    const first = Number(new DataView(bytes.buffer).getBigInt64(0, true));
    this.word(link, first);
    this.word(link + 8, head);
    this.word(first + 8, link);
    this.word(head, link);
  }

  /** Records of ftrace, in groups; returns the groups. */
  records(groups: readonly (readonly (readonly [ip: number, flags: number])[])[]): number[] {
    const made = groups.map((records) => {
      const group = this.allocate(32);
      const table = this.allocate(Math.max(records.length * 16, 16));
      for (const [i, [ip, flags]] of records.entries()) {
        this.word(table + i * 16, ip);
        this.word(table + i * 16 + 8, flags >>> 0);
      }
      this.word(group + 8, table);
      this.word(group + 16, records.length);
      return group;
    });
    for (const [i, group] of made.entries()) this.word(group, made[i + 1] ?? 0);
    this.word(this.at('ftrace_pages_start'), made[0] ?? 0);
    return made;
  }

  /** A hash of places, with what is said of each. */
  hash(entries: readonly (readonly [ip: number, direct: number])[]): number {
    const hash = this.allocate(24);
    const buckets = this.allocate(16);
    this.word(hash, 1);
    this.word(hash + 8, buckets);
    this.word(hash + 16, entries.length);
    const chains = [0, 0];
    for (const [i, [ip, direct]] of entries.entries()) {
      const entry = this.allocate(32);
      this.word(entry, chains[i % 2] as number);
      this.word(entry + 16, ip);
      this.word(entry + 24, direct);
      chains[i % 2] = entry;
    }
    for (const [i, first] of chains.entries()) this.word(buckets + 8 * i, first);
    return hash;
  }

  /** An ops at the front of the list, which hooks some places. */
  ops(flags: number, func: number, trampoline: number, size: number, ips: readonly number[]): number {
    const ops = this.allocate(96);
    const filters = this.allocate(16);
    this.word(filters + 8, this.hash(ips.map((ip) => [ip, 0])));
    const head = this.at('ftrace_ops_list');
    const first = Number(new DataView(this.bytes(head, 8).buffer).getBigInt64(0, true));
    for (const [at, value] of [
      [0, func],
      [8, first],
      [16, flags],
      [24, filters],
      [48, trampoline],
      [56, size],
    ] as const)
      this.word(ops + at, value);
    this.empty(ops + 64);
    this.word(head, ops);
    return ops;
  }

  /** A probe in the table; `optimized`: it has a detour. */
  probe(
    address: number,
    flags: number,
    slot: number,
    optimized?: { detour: number; size: number; kept: readonly number[]; isQueued?: boolean },
  ): number {
    const probe = this.allocate(104);
    const head = this.at('kprobe_table') + 8 * (Math.abs(address) % 64);
    const first = Number(new DataView(this.bytes(head, 8).buffer).getBigInt64(0, true));
    this.word(probe, first);
    this.word(head, probe);
    this.word(probe + 16, address);
    this.word(probe + 24, this.at(optimized ? 'aggr_pre_handler' : 'tracer'));
    this.put(probe + 32, [this.image.read(address - this.slide, 1)[0] as number]);
    this.word(probe + 40, slot);
    this.word(probe + 48, flags);
    this.empty(probe + 64);
    if (optimized) {
      this.put(probe + 80, optimized.kept);
      this.word(probe + 88, optimized.detour);
      this.word(probe + 96, optimized.size);
      if (optimized.isQueued) {
        const queue = this.allocate(16);
        this.empty(queue);
        this.add(queue, probe + 64);
      }
    }
    return probe;
  }
}
