// How the kernel names the symbols and the section of static calls (include/linux/static_call_types.h).

export const trampolinePrefix = '__SCT__';
export const keyPrefix = '__SCK__';

/** Where the header and the kernel put trampolines. */
export const trampolineSection = '.static_call.text';

/** The key's name for a trampoline's. */
export function keyNameOf(trampoline: string): string {
  return keyPrefix + trampoline.slice(trampolinePrefix.length);
}
