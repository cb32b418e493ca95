// The tables, one row each: name, fields, alignment, symbols (docs: DESIGN.md, "Tables"). Reader, writer, dumper
// and verifier all go by these rows. Each field is "target minus the field's own address".
import { SHF_ALLOC, SHF_WRITE } from '../elf/constants.ts';

export interface TableField {
  readonly name: string;
  /** `word` is the width of a long. */
  readonly width: 's32' | 'word';
  /** The field names code. */
  readonly code?: true;
  /** The field is no address, but four bytes as they stand. */
  readonly plain?: true;
}

export interface TableRow {
  /** Section name. */
  readonly name: string;
  readonly fields: readonly TableField[];
  readonly flags: number;
  /** Alignment in bytes on a 64-bit machine; a 32-bit one aligns to 4. */
  readonly addralign: number;
  readonly entsize: number;
  /**
   * True where kernels of some machine write absolute addresses instead (`ArchRelocations.absolute32`): 32-bit ARM's
   * `__jump_table` (arch/arm/include/asm/jump_label.h), and `.alt.smp.init` of older ones.
   */
  readonly mayBeAbsolute?: true;
  /** A linked kernel keeps it inside a larger section, so that only the symbols tell where. */
  readonly insideOther?: true;
  /** Linker symbols at the table's two ends, the names tried in turn (include/asm-generic/vmlinux.lds.h). */
  readonly bounds: readonly (readonly [start: string, stop: string])[];
}

const s32 = (name: string): TableField => ({ name, width: 's32' });
const code = (name: string): TableField => ({ name, width: 's32', code: true });

/** `struct jump_entry` (include/linux/jump_label.h): s32 code, s32 target, long key. */
export const jumpTable: TableRow = {
  name: '__jump_table',
  fields: [code('code'), code('target'), { name: 'key', width: 'word' }],
  flags: SHF_ALLOC | SHF_WRITE,
  addralign: 8,
  entsize: 0,
  mayBeAbsolute: true,
  insideOther: true,
  bounds: [['__start___jump_table', '__stop___jump_table']],
};

/** `struct static_call_site` (include/linux/static_call_types.h): s32 addr, s32 key. */
export const staticCallSites: TableRow = {
  name: '.static_call_sites',
  fields: [code('addr'), s32('key')],
  flags: SHF_ALLOC | SHF_WRITE,
  addralign: 4,
  entsize: 8,
  insideOther: true,
  bounds: [['__start_static_call_sites', '__stop_static_call_sites']],
};

/** LOCK_PREFIX of arch/x86/include/asm/alternative.h: s32 lock. */
export const smpLocks: TableRow = {
  name: '.smp_locks',
  fields: [code('lock')],
  flags: SHF_ALLOC,
  addralign: 4,
  entsize: 0,
  bounds: [['__smp_locks', '__smp_locks_end']],
};

/**
 * textpoke's own: locks that must never be dropped (lock.h), s32 lock. Their markers do not survive the link;
 * this tells verify that they were left out of `.smp_locks` on purpose.
 */
export const keptLocks: TableRow = {
  name: '.smp_locks.kept',
  fields: [code('lock')],
  flags: SHF_ALLOC,
  addralign: 4,
  entsize: 0,
  bounds: [['__smp_locks_kept', '__smp_locks_kept_end']],
};

/** textpoke's own: barriers that one CPU does not need, on ARM (annotate --smp-barriers). */
export const smpBarriers: TableRow = {
  name: '.smp_barriers',
  fields: [code('barrier')],
  flags: SHF_ALLOC,
  addralign: 4,
  entsize: 0,
  bounds: [['__smp_barriers', '__smp_barriers_end']],
};

/**
 * The ARM kernel's SMP_ON_UP (arch/arm/include/asm/assembler.h, ALT_SMP and ALT_UP): a site and the instruction that
 * one CPU needs there. Before Linux 5.11 the site is an absolute address.
 */
export const altSmp: TableRow = {
  name: '.alt.smp.init',
  fields: [code('site'), { name: 'replacement', width: 's32', plain: true }],
  flags: SHF_ALLOC,
  addralign: 4,
  entsize: 0,
  mayBeAbsolute: true,
  bounds: [['__smpalt_begin', '__smpalt_end']],
};

/** `struct static_call_tramp_key` (include/linux/static_call_types.h): s32 tramp, s32 key. */
export const trampolineKeys: TableRow = {
  name: '.static_call_tramp_key',
  fields: [code('tramp'), s32('key')],
  flags: SHF_ALLOC,
  addralign: 4,
  entsize: 0,
  bounds: [['__start_static_call_tramp_key', '__stop_static_call_tramp_key']],
};

export const allTables: readonly TableRow[] = [
  jumpTable,
  staticCallSites,
  smpLocks,
  keptLocks,
  smpBarriers,
  altSmp,
  trampolineKeys,
];

export interface EntryLayout {
  /** Entry size in bytes. */
  readonly size: number;
  /** Byte offset and width of each field, in the row's order. */
  readonly fields: readonly (Pick<TableField, 'name' | 'code' | 'plain'> & {
    readonly offset: number;
    readonly width: 4 | 8;
  })[];
}

/** Size of an entry and offsets of its fields for a machine whose long has `wordSize` bytes. */
export function entryLayout(row: TableRow, wordSize: 4 | 8): EntryLayout {
  let size = 0;
  const fields = row.fields.map((field) => {
    const width = field.width === 'word' ? wordSize : 4;
    const offset = size;
    size += width;
    return { ...field, offset, width };
  });
  return { size, fields };
}

/** Low bits of a jump entry's key field. */
export const jumpBranch = 1;
export const jumpBit1 = 2;
/** Low bits of a static call site's key field. */
export const callTail = 1;
export const callInit = 2;
