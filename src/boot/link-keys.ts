// What start-up stores in keys beside their counts and functions: where the entries of each begin
// (static_key_set_entries of kernel/jump_label.c; `key->sites` of kernel/static_call_inline.c). Only a runtime that
// walks its tables needs it, and whoever compares memory with the file: so it is stored when it is asked for.
import { splitKey } from '../bytes/table.ts';
import type { KeyedSite } from '../demand/sites.ts';
import { TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { isReadOnlyAfterInit, kernelBanner } from '../image/kernel.ts';
import type { LinkedKind } from '../kinds/kind.ts';
import { kinds } from '../kinds/registry.ts';
import type { Runtime } from './runtime.ts';
import { wordBytes } from './store-function.ts';

/** JUMP_TYPE_TRUE and JUMP_TYPE_LINKED; the latter alone, without a pointer, seals a key. */
const typeTrue = 1;
const typeLinked = 2;

/**
 * Stores in each key where its first entry is; `sites` are sorted, `flag` is set besides the bits that are there. Error
 * `store-refused` for an image that a loader moves.
 */
export function linkKeys(runtime: Runtime, sites: readonly KeyedSite[], flag: 0 | 1): void {
  if (!runtime.raw) return;
  const { image, poker } = runtime;
  requireFixed(image);
  let last: number | undefined;
  for (const { key, entry } of sites) {
    if (key === last) continue;
    last = key;
    const at = key + image.arch.wordSize;
    const { flags } = splitKey(image.readWord(at));
    const word = entry.address + (flag === 0 ? flags : flag);
    poker.store(at, wordBytes(image, word), `the first entry of ${image.describe(key)}`, key);
  }
}

/** jump_label_init_ro, which a kernel has where it seals: keys that are read-only from now on lead nowhere. */
export function sealKeys(runtime: Runtime): void {
  const { image, poker, program } = runtime;
  if (!runtime.raw || image.symbols.addressOf('jump_label_init_ro') === undefined) return;
  const typed = kinds.filter((kind): kind is LinkedKind => kind.link?.isTyped === true);
  const keys = typed.flatMap((kind) => program.sites.of(kind).map((site) => site.key));
  for (const key of new Set(keys)) {
    if (!isReadOnlyAfterInit(image, key)) continue;
    const at = key + image.arch.wordSize;
    const type = splitKey(image.readWord(at)).flags & typeTrue;
    poker.store(at, wordBytes(image, typeLinked + type), `${image.describe(key)} is sealed`, key);
  }
}

/** A kernel's pointers are stored as if it ran where it is linked; other images have a loader that moves them. */
function requireFixed(image: Image): void {
  if (!image.isPositionIndependent || kernelBanner(image) !== undefined) return;
  throw new TextpokeError(
    'store-refused',
    '--raw stores pointers in keys, but the image is position-independent, and the pointers have no dynamic relocations',
    { file: image.file.path },
  );
}
