// A kernel in bytes that traces functions and sets probes: an image with what patching asks for, and the memory of it.
import { readElf } from '../../src/elf/read.ts';
import { Image } from '../../src/image/image.ts';
import { readBtf } from '../../src/kernel/btf.ts';
import { linkObjects } from '../../src/link/link.ts';
import { KernelReader } from '../../src/memory/kernel/reader.ts';
import { KernelVariables } from '../../src/memory/kernel/variables.ts';
import type { Memory } from '../../src/memory/memory.ts';
import { ExpectedText, Texts } from '../../src/text/expected.ts';
import { makeObject } from '../elf/objects.ts';
import { banner } from '../memory/dumps.ts';
import { type BtfRows, makeBtf } from '../memory/kernel/btf.ts';

export const slide = 0x200000;
/** Where the kernel puts what it makes, and what it allocates. */
export const generated = 0x1000_0000;
export const heap = 0x4000_0000;

const functionsStart = 0x200;
const functionSize = 0x40;
export const functionCount = 8;
/** What stands behind the call of __fentry__ in each function: pushes, a load by distance, and a return. */
const body = [0x41, 0x57, 0x41, 0x56, 0x48, 0x8b, 0x05, 0x10, 0, 0, 0, 0x55, 0x53, 0xc3];
const call = [0xe8, 0, 0, 0, 0];

/** Code and where it lies in .text; calls are given their distances when addresses are known. */
const code: Readonly<Record<string, readonly [at: number, bytes: readonly number[]]>> = {
  __fentry__: [0x00, [0xc3]],
  ftrace_caller: [0x10, [0x48, 0x83, 0xec, 0x08]],
  ftrace_caller_op_ptr: [0x14, [0x48, 0x8b, 0x15, 0, 0, 0, 0]],
  ftrace_call: [0x1b, call],
  ftrace_caller_back: [0x20, [0x48, 0x83, 0xc4, 0x08]],
  ftrace_caller_end: [0x24, [0xc3]],
  ftrace_regs_caller: [0x40, [0x9c]],
  ftrace_regs_caller_op_ptr: [0x41, [0x48, 0x8b, 0x15, 0, 0, 0, 0]],
  ftrace_regs_call: [0x48, call],
  ftrace_regs_caller_jmp: [0x4d, [0x75, 0x20]],
  ftrace_regs_caller_back: [0x4f, [0x9d]],
  ftrace_regs_caller_end: [0x50, [0xc3]],
  ftrace_stub: [0x80, [0xc3]],
  ftrace_ops_assist_func: [0x90, [0xc3]],
  tracer: [0xa0, [0xc3]],
  optimized_callback: [0xb0, [0xc3]],
  aggr_pre_handler: [0xc0, [0xc3]],
  __x86_return_thunk: [0xd0, [0xc3]],
};

/** pushq; nop3; mov; movabs; call; pop: a detour with its places by name. */
const template: readonly (readonly [name: string, bytes: readonly number[]])[] = [
  ['entry', [0x6a, 0x18]],
  ['clac', [0x0f, 0x1f, 0x00]],
  ['', [0x48, 0x89, 0xe6]],
  ['val', [0x0f, 0x1f, 0x44, 0, 0, 0x0f, 0x1f, 0x44, 0, 0]],
  ['call', [0x0f, 0x1f, 0x44, 0, 0]],
  ['', [0x9d]],
  ['end', []],
];
export const templateSize = template.reduce((sum, [, bytes]) => sum + bytes.length, 0);

const variables = {
  ftrace_pages_start: 8,
  ftrace_ops_list: 8,
  ftrace_list_end: 64,
  ftrace_ops_trampoline_list: 16,
  ftrace_trace_function: 8,
  function_trace_op: 8,
  direct_functions: 8,
  x86_return_thunk: 8,
  kprobe_table: 64 * 8,
  kprobes_all_disarmed: 8,
  kprobe_insn_slots: 64,
  kprobe_optinsn_slots: 64,
  bpf_kallsyms: 16,
  pack_list: 16,
  real_mode_header: 8,
  bp_desc: 24,
  tp_vec: 64,
  text_poke_array: 96,
  efi_mm: 16,
  efi: 40,
} as const;
type Variable = keyof typeof variables;

const list = {
  list_head: {
    size: 16,
    members: [
      ['next', 'ptr', 0],
      ['prev', 'ptr', 8],
    ],
  },
} as const;

const pokeLocation = {
  size: 16,
  members: [
    ['rel_addr', 'int', 0],
    ['disp', 'int', 4],
    ['len', 'int', 8],
    ['text', 'int', 10],
    ['old', 'int', 15],
  ],
} as const;

/** The structures, with members where no real kernel has them all. */
const rows: BtfRows = {
  structs: {
    ...list,
    mm_struct: { size: 16, members: [['pgd', 'ptr', 8]] },
    efi_memory_map: {
      size: 40,
      members: [
        ['map', 'ptr', 8],
        ['nr_map', 'int', 24],
        ['desc_size', 'long', 32],
      ],
    },
    efi: { size: 40, members: [['memmap', 'efi_memory_map', 0]] },
    text_poke_loc: pokeLocation,
    smp_text_poke_loc: pokeLocation,
    bp_patching_desc: {
      size: 16,
      members: [
        ['vec', 'ptr', 0],
        ['nr_entries', 'int', 8],
        ['refs', 'int', 12],
      ],
    },
    smp_text_poke_array: {
      size: 72,
      members: [
        ['vec', 'ptr', 0],
        ['nr_entries', 'int', 64],
      ],
    },
    ftrace_page: {
      size: 32,
      members: [
        ['next', 'ptr', 0],
        ['records', 'ptr', 8],
        ['index', 'int', 16],
      ],
    },
    dyn_ftrace: {
      size: 16,
      members: [
        ['ip', 'long', 0],
        ['flags', 'long', 8],
      ],
    },
    ftrace_ops_hash: {
      size: 16,
      members: [
        ['notrace_hash', 'ptr', 0],
        ['filter_hash', 'ptr', 8],
      ],
    },
    ftrace_ops: {
      size: 96,
      members: [
        ['func', 'ptr', 0],
        ['next', 'ptr', 8],
        ['flags', 'long', 16],
        ['func_hash', 'ptr', 24],
        ['old_hash', 'ftrace_ops_hash', 32],
        ['trampoline', 'long', 48],
        ['trampoline_size', 'long', 56],
        ['list', 'list_head', 64],
      ],
    },
    ftrace_hash: {
      size: 24,
      members: [
        ['size_bits', 'long', 0],
        ['buckets', 'ptr', 8],
        ['count', 'long', 16],
      ],
    },
    ftrace_func_entry: {
      size: 32,
      members: [
        ['hlist', 'list_head', 0],
        ['ip', 'long', 16],
        ['direct', 'long', 24],
      ],
    },
    arch_specific_insn: { size: 8, members: [['insn', 'ptr', 0]] },
    kprobe: {
      size: 64,
      members: [
        ['hlist', 'list_head', 0],
        ['addr', 'ptr', 16],
        ['pre_handler', 'ptr', 24],
        ['opcode', 'char', 32],
        ['ainsn', 'arch_specific_insn', 40],
        ['flags', 'int', 48],
      ],
    },
    arch_optimized_insn: {
      size: 24,
      members: [
        ['copied_insn', 'char[4]', 0],
        ['insn', 'ptr', 8],
        ['size', 'long', 16],
      ],
    },
    optimized_kprobe: {
      size: 104,
      members: [
        ['kp', 'kprobe', 0],
        ['list', 'list_head', 64],
        ['optinsn', 'arch_optimized_insn', 80],
      ],
    },
    kprobe_insn_cache: { size: 32, members: [['pages', 'list_head', 16]] },
    kprobe_insn_page: {
      size: 32,
      members: [
        ['list', 'list_head', 0],
        ['insns', 'ptr', 16],
      ],
    },
    bpf_ksym: {
      size: 64,
      members: [
        ['start', 'long', 0],
        ['end', 'long', 8],
        ['name', 'char[16]', 16],
        ['lnode', 'list_head', 32],
      ],
    },
    bpf_prog_pack: {
      size: 32,
      members: [
        ['list', 'list_head', 0],
        ['ptr', 'ptr', 16],
        ['bitmap', 'long', 24],
      ],
    },
  },
};

function imageBytes(): Uint8Array {
  const text = new Uint8Array(functionsStart + functionCount * functionSize).fill(0xcc);
  const symbols: { name: string; section: number; value: number; info: number }[] = [];
  const put = (name: string, section: number, value: number, info = 0x12) =>
    symbols.push({ name, section, value, info });
  put('_text', 1, 0, 0x10);
  put('_stext', 1, 0, 0x10);
  for (const [name, [at, bytes]] of Object.entries(code)) {
    text.set(bytes, at);
    put(name, 1, at);
  }
  for (let i = 0; i < functionCount; i++) {
    const at = functionsStart + i * functionSize;
    text.set([...call, ...body], at);
    put(`traced_${i}`, 1, at);
  }
  put('_etext', 1, text.length, 0x10);
  const words = Buffer.from(`${banner}\n\0`);
  const table = Math.ceil(words.length / 8) * 8;
  const templateAt = table + 8 * functionCount;
  const rodata = new Uint8Array(templateAt + templateSize);
  rodata.set(words);
  put('linux_banner', 2, 0, 0x11);
  put('__start_mcount_loc', 2, table, 0x11);
  put('__stop_mcount_loc', 2, templateAt, 0x11);
  let at = templateAt;
  for (const [name, bytes] of template) {
    if (name !== '') put(`optprobe_template_${name}`, 2, at, 0x11);
    rodata.set(bytes, at);
    at += bytes.length;
  }
  let size = 0;
  for (const [name, bytes] of Object.entries(variables)) {
    put(name, 3, size, 0x11);
    size += bytes;
  }
  const made = makeObject({
    sections: [
      { name: '.text', type: 1, flags: 6, data: text, addralign: 4096 },
      { name: '.rodata', type: 1, flags: 2, data: rodata, addralign: 8 },
      { name: '.data', type: 1, flags: 3, data: new Uint8Array(size), addralign: 8 },
    ],
    symbols,
  });
  const { bytes } = linkObjects([readElf('kernel.o', made)]);
  const image = new Image(readElf('vmlinux', bytes));
  const place = (name: string) => image.symbols.addressOf(name) as number;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const branch = (from: number, to: number) =>
    view.setInt32((image.fileOffset(from, 5) as number) + 1, to - from - 5, true);
  for (const name of ['ftrace_call', 'ftrace_regs_call']) branch(place(name), place('ftrace_stub'));
  for (let i = 0; i < functionCount; i++) {
    const site = place(`traced_${i}`);
    branch(site, place('__fentry__'));
    const entry = image.fileOffset(place('__start_mcount_loc') + 8 * i, 8) as number;
    view.setBigInt64(entry, BigInt(site), true);
  }
  return bytes;
}

const file = imageBytes();
const pageSize = 4096;
const btf = readBtf(makeBtf(rows), true);

export class MadeKernel {
  readonly image = new Image(readElf('vmlinux', file));
  readonly memory: Memory;
  readonly kernel: KernelVariables;
  readonly texts: Texts;
  readonly text: ExpectedText;
  private readonly pages = new Map<number, Uint8Array>();
  private next = heap;

  constructor() {
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
      if (segment.type === 1) this.put(segment.vaddr + slide, this.image.read(segment.vaddr, segment.memsz));
    this.word(this.at('ftrace_ops_list'), this.at('ftrace_list_end'));
    this.word(this.at('ftrace_trace_function'), this.at('ftrace_stub'));
    for (const head of ['ftrace_ops_trampoline_list', 'bpf_kallsyms', 'pack_list'] as const)
      this.empty(this.at(head));
    for (const cache of ['kprobe_insn_slots', 'kprobe_optinsn_slots'] as const)
      this.empty(this.at(cache) + 16);
  }

  /** As somebody sees it who has read nothing yet. */
  freshKernel(): KernelVariables {
    return new KernelVariables(this.image, slide, new KernelReader(this.memory, this.image), btf);
  }

  private byteAt(address: number): number | undefined {
    const page = this.pages.get(Math.floor(address / pageSize));
    return page?.[address - Math.floor(address / pageSize) * pageSize];
  }

  /** Where something runs. */
  at(name: Variable | (string & {})): number {
    return (this.image.symbols.addressOf(name) as number) + slide;
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
    this.put(probe + 32, [this.image.read(address - slide, 1)[0] as number]);
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
