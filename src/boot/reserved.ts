// Whether code may be changed by somebody else: jump_label_text_reserved, static_call_text_reserved and
// alternatives_text_reserved.
import { kinds } from '../kinds/registry.ts';
import type { Reserved } from './log.ts';
import type { Part, Runtime } from './runtime.ts';

/** What patching owns between two addresses, both of which count, as in the kernel (of locks the last does not). */
export function textReserved({ program, state }: Runtime, start: number, end: number): Reserved {
  const { image } = program;
  // A module is asked only if it holds the start.
  const module = state.modules.find((m) => m.image.contains(start));
  const parts: readonly Part[] = module ? [program, module] : [program];
  // Sites in init text count until that is freed, in a module until it is loaded.
  const counts = (part: Part, isInit: boolean) => !isInit || (part === program && !state.initFreed);
  const reserved: Record<string, boolean> = {};
  for (const kind of kinds) {
    const { group, reserves } = kind;
    if (!group || !reserves) continue;
    reserved[group.id] = parts.some((part) =>
      part.sites
        .of(kind)
        .some(
          (site) =>
            counts(part, kind.isInit?.(site) ?? false) &&
            reserves(image, site, { start, end, haveDropped: state.cpus.haveDropped }),
        ),
    );
  }
  return reserved;
}
