// The sites of a module's static calls, which may know the trampoline alone (kernel/static_call_inline.c,
// static_call_add_module).
import { TextpokeError } from '../../errors.ts';
import type { Image } from '../../image/image.ts';
import { keysOfTrampolines, trampolineKeys } from '../../image/trampoline-keys.ts';
import type { CallSite } from './table.ts';

/**
 * The site of a call whose key is not exported names the trampoline: the kernel, in `tables`, knows the key. `image` is
 * the kernel with its modules. Error `step-refused`.
 */
export function withKeys(image: Image, sites: readonly CallSite[], tables = image): CallSite[] {
  if (!sites.some(({ key }) => image.codeAt(key))) return [...sites];
  const keys = keysOfTrampolines(tables);
  return sites.map((site) => {
    if (!image.codeAt(site.key)) return site;
    const key = keys.get(site.key);
    if (key !== undefined) return { ...site, key };
    throw new TextpokeError(
      'step-refused',
      `Failed to fixup __raw_static_call() usage at: ${image.describe(site.address)} (${image.describe(site.key)} has no entry in ${trampolineKeys.name})`,
    );
  });
}
