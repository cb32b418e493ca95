// Static calls by name: trampoline `__SCT__name` and key `__SCK__name` (include/linux/static_call_types.h).

export const trampolinePrefix = '__SCT__';
export const keyPrefix = '__SCK__';

/** The key's name for a trampoline's. */
export function keyNameOf(trampoline: string): string {
  return keyPrefix + trampoline.slice(trampolinePrefix.length);
}

/** A static call's name without either prefix; any other name as it is. */
export function callNameOf(symbol: string): string {
  return symbol.startsWith(keyPrefix) || symbol.startsWith(trampolinePrefix)
    ? symbol.slice(keyPrefix.length)
    : symbol;
}
