// Where an arm64 kernel's variables run, by their names: symbols tell; of kernels whose kallsyms has functions alone, the list
// of what is exported to modules, or the code of the function that asks for the variable.
import type { Image } from '../../image/image.ts';
import { dataViews, forEachPointer, stringsOf } from '../longest-table.ts';
import { accessesOf } from './code-reads.ts';

/** Gives where a variable runs; undefined for one that nothing names. */
export function variableFinder(image: Image, slide: number): (name: string) => number | undefined {
  const known = new Map<string, number | undefined>();
  // What is not named where all variables are is not there.
  const isNamed = image.symbols.addressOf('modules') !== undefined;
  const find = (name: string) => image.symbols.addressOf(name) ?? (isNamed ? undefined : search(name));
  const search = (name: string) =>
    readBy(image, name) ??
    (name === 'arm64_ftr_reg_ctrel0' ? registerNamed(image, 'SYS_CTR_EL0') : undefined) ??
    exportedAs(image, name);
  return (name) => {
    if (!known.has(name)) known.set(name, find(name));
    const address = known.get(name);
    return address === undefined ? undefined : address + slide;
  };
}

/**
 * What an entry of __ksymtab leads to whose name is this one (struct kernel_symbol with distances: value, name, namespace);
 * undefined where there is none, or several.
 */
function exportedAs(image: Image, name: string): number | undefined {
  const found = new Set<number>();
  const strings = stringsOf(image, name);
  if (strings.size === 0) return undefined;
  for (const { view, start } of dataViews(image))
    for (let at = 0; at + 12 <= view.byteLength; at += 4) {
      if (!strings.has(start + at + 4 + view.getInt32(at + 4, true))) continue;
      const value = start + at + view.getInt32(at, true);
      const namespace = start + at + 8 + view.getInt32(at + 8, true);
      if (image.contains(value) && image.contains(namespace) && image.read(namespace, 1)[0] === 0)
        found.add(value);
    }
  const [only] = found;
  return found.size === 1 ? only : undefined;
}

/** The function that reads a variable, or writes it; which of the places that it so treats that is. */
interface Row {
  readonly by: string;
  /** 0: its address is taken. */
  readonly bytes: 0 | 1 | 4 | 8;
  readonly isStore?: true;
  readonly index: number;
  /** Places of that size. Code that has more or fewer of them is not the code that was looked at. */
  readonly of: number;
}

/**
 * As gcc 12 compiles 6.1 (arch/arm64/kernel/proton-pack.c, arch/arm64/kvm/va_layout.c, drivers/firmware/smccc/smccc.c,
 * kernel/cpu.c, kernel/trace/ftrace.c, kernel/kprobes.c, kernel/bpf/core.c, kernel/jump_label.c, arch/arm64/mm/mmu.c).
 */
const rows: Readonly<Record<string, Row>> = {
  cpu_mitigations: { by: 'cpu_mitigations_off', bytes: 4, index: 0, of: 1 },
  __spectre_v4_policy: { by: 'spectre_v4_patch_fw_mitigation_enable', bytes: 4, index: 0, of: 1 },
  smccc_version: { by: 'arm_smccc_1_1_get_conduit', bytes: 4, index: 0, of: 2 },
  smccc_conduit: { by: 'arm_smccc_1_1_get_conduit', bytes: 4, index: 1, of: 2 },
  system_bhb_mitigations: { by: 'spectre_bhb_patch_loop_mitigation_enable', bytes: 8, index: 0, of: 1 },
  max_bhb_k: { by: 'spectre_bhb_patch_loop_iter', bytes: 1, index: 0, of: 1 },
  tag_lsb: { by: 'kvm_update_va_mask', bytes: 1, index: 0, of: 1 },
  tag_val: { by: 'kvm_update_va_mask', bytes: 8, index: 0, of: 3 },
  va_mask: { by: 'kvm_update_va_mask', bytes: 8, index: 2, of: 3 },
  ftrace_pages_start: { by: 'ftrace_location_range', bytes: 8, index: 0, of: 1 },
  ftrace_ops_list: { by: 'is_ftrace_trampoline', bytes: 8, index: 0, of: 1 },
  ftrace_trace_function: { by: 'ftrace_kill', bytes: 8, isStore: true, index: 0, of: 1 },
  kprobe_table: { by: 'get_kprobe', bytes: 8, index: 0, of: 1 },
  bpf_kallsyms: { by: 'bpf_get_kallsym', bytes: 8, index: 0, of: 1 },
  kprobe_insn_slots: { by: 'kprobe_get_kallsym', bytes: 0, index: 1, of: 2 },
  __entry_tramp_text_start: { by: 'map_entry_trampoline', bytes: 0, index: 1, of: 5 },
  __entry_tramp_text_end: { by: 'map_entry_trampoline', bytes: 0, index: 2, of: 5 },
  jump_label_mutex: { by: 'jump_label_lock', bytes: 0, index: 0, of: 1 },
  kprobes_all_disarmed: { by: 'read_enabled_file_bool', bytes: 1, index: 0, of: 1 },
};

function readBy(image: Image, name: string): number | undefined {
  const row = rows[name];
  const at = row && image.symbols.addressOf(row.by);
  if (!row || at === undefined) return undefined;
  const { bytes: wanted, isStore: isWritten = false, index, of } = row;
  const places = new Set<number>();
  for (const { address, bytes, isStore } of accessesOf(image, at))
    if (bytes === wanted && isStore === isWritten) places.add(address);
  return places.size === of ? [...places][index] : undefined;
}

/**
 * `struct arm64_ftr_reg` begins with the name of its register, and four words follow that are zeros in the file
 * (arch/arm64/include/asm/cpufeature.h). Other tables have the same names.
 */
function registerNamed(image: Image, name: string): number | undefined {
  const found = new Set<number>();
  forEachPointer(image, name, (view, at, start) => {
    const isRegister = at + 40 <= view.byteLength;
    for (let i = 8; isRegister && i < 40; i += 8) if (view.getBigUint64(at + i, true) !== 0n) return;
    if (isRegister) found.add(start + at);
  });
  const [only] = found;
  return found.size === 1 ? only : undefined;
}
