// The list of what the dynamic linker has loaded, as a debugger finds it (glibc, elf/link.h): the program's DT_DEBUG
// leads to struct r_debug, and that to a chain of struct link_map.
import { toAddress } from '../bytes/integer.ts';
import { ByteView } from '../bytes/view.ts';
import { DT_DEBUG, DT_NULL, PT_DYNAMIC, PT_PHDR } from '../elf/constants.ts';
import { Phdr } from '../elf/records.ts';
import { bytesAt, type Memory } from './memory.ts';
import type { ProcessNotes } from './process.ts';

/** A loaded file: `slide` is how far it was moved (l_addr). */
export interface LoadedObject {
  readonly slide: number;
  readonly name: string;
}

/** A damaged chain may have no end, and a damaged table any length. */
const mostObjects = 65536;
const mostHeaders = 128;
const mostEntries = 1024;
const longestName = 4096;

/** What a process had loaded, the program itself first; nothing where the dump does not tell. */
export function* loadedObjects(
  memory: Memory,
  { headers, headerCount }: ProcessNotes,
  { class: bits, little }: { class: 32 | 64; little: boolean },
): Generator<LoadedObject> {
  const size = bits / 8;
  const words = (address: number, count: number): number[] | undefined => {
    const bytes = Number.isSafeInteger(address) ? bytesAt(memory, address, count * size) : undefined;
    if (!bytes) return undefined;
    const view = new ByteView(bytes, little);
    return Array.from({ length: count }, (_, i) => (size === 8 ? view.s64(i * 8) : view.u32(i * 4)));
  };
  const dynamic = headers === undefined ? undefined : dynamicAt(memory, headers, headerCount, bits, little);
  if (dynamic === undefined) return;
  let debug = 0;
  for (let i = 0; i < mostEntries && debug === 0; i++) {
    const [tag, value] = words(dynamic + 2 * i * size, 2) ?? [DT_NULL];
    if (tag === DT_NULL) break;
    if (tag === DT_DEBUG) debug = value as number;
  }
  // int r_version, and the chain behind its padding.
  let at = (debug !== 0 && words(debug, 2)?.[1]) || 0;
  for (let i = 0; i < mostObjects && at !== 0; i++) {
    const fields = words(at, 4);
    if (!fields) return;
    const [slide, name, , next] = fields as [number, number, number, number];
    if (Number.isSafeInteger(slide)) yield { slide, name: textAt(memory, name) };
    at = next;
  }
}

/** Where the dynamic section of the program lies, whose program headers lie at `headers`. */
function dynamicAt(
  memory: Memory,
  headers: number,
  count: number,
  bits: 32 | 64,
  little: boolean,
): number | undefined {
  const format = Phdr[bits];
  const table = bytesAt(memory, headers, Math.min(count, mostHeaders) * format.size);
  if (!table) return undefined;
  const view = new ByteView(table, little);
  const addressOf = (wanted: number): number | undefined => {
    for (let at = 0; at < table.length; at += format.size) {
      const { type, vaddr } = format.read(view, at);
      if (type === wanted) return toAddress(vaddr);
    }
    return undefined;
  };
  const linked = addressOf(PT_PHDR);
  const dynamic = addressOf(PT_DYNAMIC);
  return dynamic === undefined ? undefined : dynamic + (linked === undefined ? 0 : headers - linked);
}

function textAt(memory: Memory, address: number): string {
  if (!Number.isSafeInteger(address)) return '';
  const bytes = Buffer.alloc(longestName);
  memory.read(address, bytes);
  return bytes.subarray(0, Math.max(bytes.indexOf(0), 0)).toString('utf8');
}
