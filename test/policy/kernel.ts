// A kernel of a few bytes with every table of which policies are made: one place of each form, at an offset of its own.
import { ByteView } from '../../src/bytes/view.ts';
import { dataAt, kernelFile, type MadeKernel, rodataAt, textAt } from '../kinds/made-kernel.ts';
import { makeBtf } from '../memory/kernel/btf.ts';
import { branchHex } from '../text/x86-64/made.ts';

export const versions = ['5.10.0', '6.1.0', '6.12.0', '7.3.0'] as const;
export type Version = (typeof versions)[number];

/** Functions, by their offset in .text. */
export const functions = {
  _stext: 0x0,
  __x86_return_thunk: 0x10,
  srso_return_thunk: 0x20,
  __x86_indirect_thunk_array: 0x40,
  __x86_indirect_thunk_rax: 0x40,
  __x86_indirect_thunk_rcx: 0x60,
  __x86_indirect_call_thunk_array: 0x240,
  __x86_indirect_call_thunk_rax: 0x240,
  __x86_indirect_call_thunk_rcx: 0x260,
  __x86_indirect_jump_thunk_array: 0x440,
  __x86_indirect_jump_thunk_rax: 0x440,
  __x86_indirect_jump_thunk_rcx: 0x460,
  skl_call_thunk_template: 0x640,
  skl_call_thunk_tail: 0x649,
  __fentry__: 0x660,
  ftrace_caller: 0x668,
  ftrace_regs_caller: 0x680,
  ftrace_stub: 0x690,
  ftrace_graph_caller: 0x694,
  BUG_func: 0x6b0,
  nop_func: 0x6c0,
  _paravirt_nop: 0x6c0,
  native_operation: 0x6d0,
  xen_operation: 0x6e0,
  __static_call_return0: 0x700,
  __WARN_trap: 0x710,
  __raw_callee_save___native_queued_spin_unlock: 0x720,
  its_init_mod: 0x730,
  __x86_indirect_its_thunk_array: 0x740,
  native_patch: 0x760,
  _paravirt_ident_64: 0x770,
  some_function: 0x800,
  other_function: 0x841,
  __SCT__some: 0x9c0,
  __SCT__WARN_trap: 0x9d0,
} as const;

/** One place of each form. */
export const sites = {
  ftraceCall: 0x670,
  ftraceRegsCall: 0x684,
  ftraceGraphCall: 0x6a0,
  return: 0x900,
  longReturn: 0x910,
  callThroughRax: 0x920,
  jumpThroughR8: 0x930,
  conditional: 0x940,
  endbr: 0x950,
  traced: 0x960,
  shortBranch: 0x970,
  longBranch: 0x980,
  call: 0x990,
  tailCall: 0x9a0,
  warns: 0x9b0,
  trampoline: 0x9c0,
  lock: 0x9e0,
  replaced: 0xa00,
  direct: 0xa10,
  moved: 0xa20,
  twice: 0xa30,
  constant: 0xa42,
  shift: 0xa50,
  pointer: 0xa62,
  counted: 0xa70,
  operation: 0xa80,
  second: 0xac0,
  third: 0xae0,
  inner: 0xaa0,
  pad: 0x841 - 9,
} as const;

/** Replacements, as code that nobody runs. */
const [added, calling, moving, first, second, returning] = [0x1800, 0x1810, 0x1820, 0x1830, 0x1840, 0x1850];
const [storesXen, storesNothing] = [0x1860, 0x1880];
/** Where the loader adds its slide: an address in the code of `moved`, and one in what replaces it. */
const movedFields = [textAt + sites.moved + 3, textAt + moving + 3];

const call = (head: string, at: number, to: number): string => branchHex(head, at, to);
const at = (name: keyof typeof functions): number => functions[name];

/** Offsets in .rodata. */
const tables = {
  jumps: 0x200,
  calls: 0x280,
  mcount: 0x300,
  returns: 0x380,
  retpolines: 0x3c0,
  endbrs: 0x400,
  counted: 0x420,
  locks: 0x440,
  alternatives: 0x480,
  operations: 0x600,
  table: 0x680,
  shift: 0x690,
  left: 0x6a0,
  types: 0x800,
} as const;

/** Offsets in .data. */
export const data = {
  operations: 0x100,
  some: 0x200,
  warns: 0x240,
  branch: 0x280,
  table: 0x300,
  bits: 0x308,
  nops: 0x340,
} as const;

function bytesOfTables(version: Version): [number, Uint8Array][] {
  const rows: [number, Uint8Array][] = [];
  const table = (offset: number, size: number, fill: (view: ByteView, relative: Relative) => void) => {
    const bytes = new Uint8Array(size);
    const view = new ByteView(bytes, true);
    fill(view, (field, to) => view.setU32(field, (to - (rodataAt + offset + field)) >>> 0));
    rows.push([rodataAt + offset, bytes]);
  };
  const places = (offset: number, of: readonly number[]) =>
    table(offset, 4 * of.length, (_, relative) => {
      of.forEach((site, i) => {
        relative(4 * i, textAt + site);
      });
    });
  table(tables.jumps, 32, (view, relative) => {
    [sites.shortBranch, sites.longBranch].forEach((site, i) => {
      relative(16 * i, textAt + site);
      relative(16 * i + 4, textAt + (i === 0 ? site + 0x12 : site + 0x400));
      view.setS64(16 * i + 8, dataAt + data.branch - (rodataAt + tables.jumps + 16 * i + 8));
    });
  });
  table(tables.calls, 24, (_, relative) => {
    relative(0, textAt + sites.call);
    relative(4, dataAt + data.some);
    relative(8, textAt + sites.tailCall);
    relative(12, dataAt + data.some + 1);
    relative(16, textAt + sites.warns);
    relative(20, dataAt + data.warns);
  });
  table(tables.mcount, 8, (view) => view.setS64(0, textAt + sites.traced));
  places(tables.returns, [sites.return, sites.longReturn, returning]);
  places(tables.retpolines, [sites.callThroughRax, sites.jumpThroughR8, sites.conditional, sites.inner]);
  places(tables.endbrs, [sites.endbr]);
  places(tables.counted, [sites.counted]);
  places(tables.locks, [sites.lock]);
  places(tables.table, [sites.constant]);
  places(tables.shift, [sites.shift]);
  places(tables.left, [sites.pointer]);
  const width = entrySize(version);
  const entries = alternativesOf(version);
  table(tables.alternatives, width * entries.length, (view, relative) => {
    entries.forEach(([site, length, by, size, feature, flags], i) => {
      relative(width * i, textAt + site);
      relative(width * i + 4, textAt + by);
      if (width === 14) view.setU32(width * i + 8, feature + flags * 0x10000);
      else view.setU16(width * i + 8, feature + (flags & 1) * 0x8000);
      view.setU8(width * i + width - 2, length);
      view.setU8(width * i + width - 1, size);
    });
  });
  table(tables.operations, 48, (view) => {
    [sites.operation, sites.second, sites.third].forEach((site, i) => {
      view.setS64(16 * i, textAt + site);
      view.setU8(16 * i + 8, i + 1);
      view.setU8(16 * i + 9, 7);
    });
  });
  rows.push([rodataAt + tables.types, types]);
  return rows;
}

type Relative = (field: number, to: number) => void;
type Entry = readonly [
  site: number,
  length: number,
  by: number,
  size: number,
  feature: number,
  flags: number,
];

const entrySize = (version: Version): number => (hasParavirt(version) ? 12 : 14);
const hasParavirt = (version: Version): boolean => version === '5.10.0' || version === '6.1.0';

/** Flags: 1 is ALT_NOT, 2 is ALT_DIRECT_CALL. */
function alternativesOf(version: Version): Entry[] {
  return [
    [sites.replaced, 7, added, 3, 100, 0],
    ...(hasParavirt(version) ? [] : [[sites.direct, 6, calling, 5, 117, 2] as const]),
    [sites.moved, 7, moving, 7, 101, 1],
    [sites.twice, 5, first, 5, 102, 0],
    [sites.twice, 5, second, 2, 103, 0],
    [sites.inner, 5, returning, 5, 104, 0],
  ];
}

/** Which kernels have a function, where not all have it. */
const since: Readonly<Record<string, (version: Version) => boolean>> = {
  _paravirt_nop: hasParavirt,
  native_patch: (version) => version === '5.10.0',
  _paravirt_ident_64: (version) => version === '5.10.0',
  __WARN_trap: (version) => version === '7.3.0',
  its_init_mod: (version) => version === '7.3.0',
};

const types = makeBtf({
  structs: {
    kmem_cache: { size: 128, members: [['name', 'ptr', 96]] },
    pv_irq_ops: {
      size: 24,
      members: [
        ['save_fl', 'ptr', 0],
        ['irq_disable', 'ptr', 8],
      ],
    },
    pv_cpu_ops: { size: 8, members: [['iret', 'ptr', 0]] },
    paravirt_patch_template: {
      size: 32,
      members: [
        ['irq', 'pv_irq_ops', 0],
        ['cpu', 'pv_cpu_ops', 24],
      ],
    },
  },
});

/** What the kernel is made of. */
export function madeKernel(version: Version): MadeKernel {
  const slot = dataAt + data.operations + 8;
  const code: Record<number, string> = {
    [at('skl_call_thunk_template')]: call('6548c13d', at('skl_call_thunk_template'), 0x1900).concat('05'),
    [sites.ftraceCall]: call('e8', sites.ftraceCall, at('ftrace_stub')),
    [sites.ftraceRegsCall]: call('e8', sites.ftraceRegsCall, at('ftrace_stub')),
    [sites.ftraceGraphCall]: call('e9', sites.ftraceGraphCall, at('ftrace_stub')),
    [sites.return]: call('e9', sites.return, at('__x86_return_thunk')),
    [sites.longReturn]: call('2ee9', sites.longReturn, at('__x86_return_thunk')),
    [sites.callThroughRax]: call('e8', sites.callThroughRax, at('__x86_indirect_thunk_rax')),
    [sites.jumpThroughR8]: call('e9', sites.jumpThroughR8, 0x40 + 8 * 0x20),
    [sites.conditional]: call('0f84', sites.conditional, 0x40 + 2 * 0x20),
    [sites.endbr]: 'f30f1efa',
    [sites.traced]: call('e8', sites.traced, at('__fentry__')),
    [sites.shortBranch]: '6690',
    [sites.longBranch]: '0f1f440000',
    [sites.call]: call('e8', sites.call, sites.trampoline),
    [sites.tailCall]: call('e9', sites.tailCall, sites.trampoline),
    [sites.warns]: call('e8', sites.warns, at('__SCT__WARN_trap')),
    [sites.trampoline]: `${call('e9', sites.trampoline, at('some_function'))}0fb9cc`,
    [at('__SCT__WARN_trap')]: `${call('e9', at('__SCT__WARN_trap'), at('__WARN_trap'))}0fb9cc`,
    [sites.lock]: 'f0480fb10f',
    [sites.replaced]: '4889c8 90909090',
    [sites.direct]: call('ff15', textAt + sites.direct, slot),
    [sites.moved]: '48c7c000000081',
    [sites.twice]: 'eb03909090',
    [sites.constant - 2]: '48b8efcdab8967452301',
    [sites.shift - 3]: '48c1e80c',
    [sites.pointer - 2]: '48b8efcdab8967452301',
    [sites.counted]: call('e8', sites.counted, at('some_function')),
    ...Object.fromEntries(
      [sites.operation, sites.second, sites.third].map((site, i) => [
        site,
        `${call('ff15', textAt + site, slot + 8 * i)}90`,
      ]),
    ),
    [added]: '0f01ca',
    [calling]: call('e8', calling, at('BUG_func')),
    [moving]: '48c7c010000081',
    [first]: call('e8', first, at('some_function')),
    [second]: '31c0',
    [sites.inner]: call('e8', sites.inner, at('__x86_indirect_thunk_rax')),
    [returning]: call('e9', returning, at('__x86_return_thunk')),
    // movq $xen_operation, pv_ops+8(%rip), and the same of nop_func.
    [storesXen]: storing(textAt + storesXen, slot, textAt + at('xen_operation')),
    ...(version === '7.3.0' && {
      [storesNothing]: storing(textAt + storesNothing, slot, textAt + at('nop_func')),
    }),
  };
  const word = (value: number) => {
    const view = new ByteView(new Uint8Array(8), true);
    view.setS64(0, value);
    return view.bytes;
  };
  const names = Object.entries(functions).filter(([name]) => (since[name] ?? (() => true))(version));
  const bounds = (start: string, end: string, offset: number, size: number) => ({
    [start]: rodataAt + offset,
    [end]: rodataAt + offset + size,
  });
  return {
    version,
    symbols: {
      ...Object.fromEntries(names.map(([name, offset]) => [name, textAt + offset])),
      ftrace_call: textAt + sites.ftraceCall,
      ftrace_regs_call: textAt + sites.ftraceRegsCall,
      ftrace_graph_call: textAt + sites.ftraceGraphCall,
      pv_ops: dataAt + data.operations,
      __SCK__some: dataAt + data.some,
      __SCK__WARN_trap: dataAt + data.warns,
      dentry_hashtable: dataAt + data.table,
      d_hash_shift: dataAt + data.bits,
      ...bounds('__start___jump_table', '__stop___jump_table', tables.jumps, 32),
      ...bounds('__start_static_call_sites', '__stop_static_call_sites', tables.calls, 24),
      ...bounds('__start_mcount_loc', '__stop_mcount_loc', tables.mcount, 8),
      ...bounds('__return_sites', '__return_sites_end', tables.returns, 12),
      ...bounds('__retpoline_sites', '__retpoline_sites_end', tables.retpolines, 16),
      ...bounds('__ibt_endbr_seal', '__ibt_endbr_seal_end', tables.endbrs, 4),
      ...bounds('__call_sites', '__call_sites_end', tables.counted, 4),
      ...bounds('__smp_locks', '__smp_locks_end', tables.locks, 4),
      ...bounds(
        '__alt_instructions',
        '__alt_instructions_end',
        tables.alternatives,
        entrySize(version) * alternativesOf(version).length,
      ),
      ...(hasParavirt(version) &&
        bounds('__parainstructions', '__parainstructions_end', tables.operations, 48)),
      ...bounds('__start_BTF', '__stop_BTF', tables.types, types.length),
      ...(version === '5.10.0' && {
        ideal_nops: dataAt + data.nops,
        p6_nops: dataAt + data.nops + 0x10,
        k8_nops: dataAt + data.nops + 0x20,
      }),
    },
    bytes: [
      ...Object.entries(code).map(([offset, hex]) => [textAt + Number(offset), hex] as const),
      ...bytesOfTables(version),
      [dataAt + data.operations + 8, word(textAt + at('native_operation'))],
      [
        dataAt + data.operations + 16,
        word(textAt + at(version === '5.10.0' ? '_paravirt_ident_64' : 'nop_func')),
      ],
      [dataAt + data.operations + 24, word(textAt + at('native_operation'))],
      [dataAt + data.some, word(textAt + at('some_function'))],
      [dataAt + data.warns, word(textAt + at('__WARN_trap'))],
    ],
    sections: {
      runtime_ptr_dentry_hashtable: [rodataAt + tables.table, 4],
      runtime_shift_d_hash_shift: [rodataAt + tables.shift, 4],
      runtime_ptr___filp_cache: [rodataAt + tables.left, 4],
    },
  };
}

/** movq $value, slot(%rip) */
function storing(from: number, slot: number, value: number): string {
  const bytes = Buffer.from('48c7050000000000000000', 'hex');
  bytes.writeInt32LE(slot - (from + bytes.length), 3);
  bytes.writeInt32LE(value | 0, 7);
  return bytes.toString('hex');
}

/** The file, whose segments have physical addresses, as relocations count by them. */
export function kernelBytes(
  version: Version,
  change: (made: MadeKernel) => MadeKernel = (made) => made,
): Uint8Array {
  const bytes = kernelFile(change(madeKernel(version)));
  const view = new ByteView(bytes, true);
  const headers = view.s64(32);
  for (let i = 0; i < view.u16(56); i++) {
    const physical = headers + 56 * i + 24;
    view.setS64(physical, view.s64(physical) + 0x8000_0000);
  }
  return bytes;
}

/** The lists behind the payload: no places of 64 bits, none that shrink, and those of 32 bits. */
export const relocations: Uint8Array = (() => {
  const list = Buffer.alloc(4 * (3 + movedFields.length));
  for (const [i, place] of movedFields.entries()) list.writeInt32LE(place, 4 * (3 + i));
  return Uint8Array.from(list);
})();

export { textAt };
