// .static_call_tramp_key: which key a trampoline has (include/linux/static_call_types.h, `struct
// static_call_tramp_key`), s32 tramp, s32 key. Modules that are given the trampoline alone find the key by it.
import { trampolineKeys } from '../../image/trampoline-keys.ts';
import type { TableKind } from '../kind.ts';
import { type DumpedEntry, type DumpedPlace, placeName } from '../shown.ts';

/** An entry of `.static_call_tramp_key`. */
export interface DumpedTrampolineKey extends DumpedEntry {
  /** What modules call. */
  readonly trampoline: DumpedPlace;
  /** The key that it belongs to. */
  readonly key: DumpedPlace;
}

export const trampolineKey: TableKind<DumpedTrampolineKey> = {
  id: 'trampolineKeys',
  table: trampolineKeys,
  aliases: ['tramp', 'trampoline', 'static_call_tramp_key'],
  isInScript: () => true,
  hasKeys: true,
  decode([trampoline, key], reader) {
    const keyPlace = reader.data(key);
    if (!reader.accepts(keyPlace)) return undefined;
    return { trampoline: reader.code(trampoline), key: keyPlace };
  },
  columns: ['trampoline', 'key'],
  cells: ({ trampoline, key }, tools) => [placeName(trampoline), tools.key(key)],
};
