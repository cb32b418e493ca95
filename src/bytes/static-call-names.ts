// How the kernel names the symbols and the section of static calls (include/linux/static_call_types.h).

export const trampolinePrefix = '__SCT__';
export const keyPrefix = '__SCK__';

/** Where the header and the kernel put trampolines. */
export const trampolineSection = '.static_call.text';

/** The key's name for a trampoline's. */
export function keyNameOf(trampoline: string): string {
  return keyPrefix + trampoline.slice(trampolinePrefix.length);
}

/** The name as in DEFINE_STATIC_CALL, of a key or a trampoline; undefined for other symbols. */
export function callNameOf(symbol: string): string | undefined {
  const prefix = [keyPrefix, trampolinePrefix].find((start) => symbol.startsWith(start));
  return prefix === undefined ? undefined : symbol.slice(prefix.length);
}
