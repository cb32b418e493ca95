// The image of a kernel in bytes: code and tables that start-up patches, functions that can be traced, what probes are made
// of, and the types of the structures that its memory has.
import { readElf } from '../../src/elf/read.ts';
import { Image } from '../../src/image/image.ts';
import { linkObjects } from '../../src/link/link.ts';
import { featureAlways } from '../../src/text/x86-64/features.ts';
import { makeObject } from '../elf/objects.ts';
import { banner } from '../memory/dumps.ts';
import { type BtfRows, makeBtf } from '../memory/kernel/btf.ts';

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
  __x86_indirect_thunk_rax: [0xe0, [0xff, 0xe0]],
  __x86_indirect_thunk_rcx: [0xf0, [0xff, 0xe1]],
};

/** Where each function has what a table names, behind the return. */
const siteAt = 0x20;
/** What start-up patches: in this order, one a function. Calls are given their distances when addresses are known. */
const sites: readonly { readonly table: string; readonly bytes: readonly number[]; readonly to?: string }[] =
  [
    { table: '.return_sites', bytes: [0xe9, 0, 0, 0, 0], to: '__x86_return_thunk' },
    { table: '.retpoline_sites', bytes: call, to: '__x86_indirect_thunk_rax' },
    { table: '.call_sites', bytes: call, to: 'traced_0' },
    { table: '.ibt_endbr_seal', bytes: [0xf3, 0x0f, 0x1e, 0xfa] },
    { table: '.altinstructions', bytes: [0x0f, 0x1f, 0x44, 0, 0] },
    {
      table: 'runtime_ptr_table_of_names',
      bytes: [0x48, 0xb8, 0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01],
    },
    { table: '.smp_locks', bytes: [0xf0, 0x0f, 0xb1, 0x0a] },
    { table: '__jump_table', bytes: [0x0f, 0x1f, 0x44, 0, 0] },
  ];
/** xor %eax, %eax; two NOPs of one byte: what stands where the alternative of every processor is applied. */
const replacement = [0x31, 0xc0, 0x90, 0x90];

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
  boot_cpu_data: 128,
  table_of_names: 8,
  branch_key: 16,
} as const;
export type Variable = keyof typeof variables;

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

/** Where the words of features stand in boot_cpu_data. */
export const capabilities = 16;

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
    cpuinfo_x86: { size: 128, members: [['x86_capability', 'int[24]', capabilities]] },
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

/** Sections behind .text, .rodata and .data, each an entry: the distances are filled in when addresses are known. */
const entrySizes: Readonly<Record<string, number>> = { '.altinstructions': 14, __jump_table: 16 };
const tableSections = sites.map(({ table }) => ({ name: table, size: entrySizes[table] ?? 4 }));
export const btfBytes = makeBtf(rows);

function objectBytes(): Uint8Array {
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
    text.set(sites[i]?.bytes ?? [], at + siteAt);
    put(`traced_${i}`, 1, at);
    put(`site_${i}`, 1, at + siteAt, 0x10);
  }
  put('_etext', 1, text.length, 0x10);
  const words = Buffer.from(`${banner}\n\0`);
  const table = Math.ceil(words.length / 8) * 8;
  const templateAt = table + 8 * functionCount;
  const rodata = new Uint8Array(templateAt + templateSize + replacement.length);
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
  const own = [
    { name: '.text', type: 1, flags: 6, data: text, addralign: 4096 },
    { name: '.rodata', type: 1, flags: 2, data: rodata, addralign: 8 },
    { name: '.data', type: 1, flags: 3, data: new Uint8Array(size), addralign: 8 },
    { name: '.altinstr_replacement', type: 1, flags: 6, data: Uint8Array.from(replacement), addralign: 1 },
    { name: '.BTF', type: 1, flags: 2, data: btfBytes, addralign: 4 },
  ];
  put('replacement', 4, 0, 0x10);
  const tables = tableSections.map(({ name, size: bytes }, i) => {
    put(`table_${i}`, own.length + 1 + i, 0, 0x10);
    return { name, type: 1, flags: 2, data: new Uint8Array(bytes), addralign: 8 };
  });
  return makeObject({ sections: [...own, ...tables], symbols });
}

function imageBytes(): Uint8Array {
  const { bytes } = linkObjects([readElf('kernel.o', objectBytes())]);
  const image = new Image(readElf('vmlinux', bytes));
  const place = (name: string) => image.symbols.addressOf(name) as number;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const offset = (address: number) => image.fileOffset(address, 1) as number;
  const distance = (field: number, to: number, end = field) => view.setInt32(offset(field), to - end, true);
  const branch = (from: number, to: number) => distance(from + 1, to, from + 5);
  for (const name of ['ftrace_call', 'ftrace_regs_call']) branch(place(name), place('ftrace_stub'));
  for (let i = 0; i < functionCount; i++) {
    const function_ = place(`traced_${i}`);
    branch(function_, place('__fentry__'));
    view.setBigInt64(offset(place('__start_mcount_loc') + 8 * i), BigInt(function_), true);
  }
  for (const [i, { table, bytes: site, to }] of sites.entries()) {
    const [at, entry] = [place(`site_${i}`), place(`table_${i}`)];
    if (to !== undefined) branch(at, place(to));
    distance(entry, table.startsWith('runtime_') ? at + 2 : at);
    if (table === '.altinstructions') {
      distance(entry + 4, place('replacement'));
      view.setUint16(offset(entry + 8), featureAlways, true);
      bytes[offset(entry + 12)] = site.length;
      bytes[offset(entry + 13)] = replacement.length;
    }
    if (table === '__jump_table') {
      distance(entry + 4, at + site.length);
      view.setBigInt64(offset(entry + 8), BigInt(place('branch_key') - (entry + 8)), true);
    }
  }
  return bytes;
}

export const imageFile: Uint8Array = imageBytes();
