// What a kernel has decided for its processor, as its memory shows it: how it returns, where counted calls go, which
// NOP it writes. A file shows what the linker left, and a program that is no kernel decides nothing.
import type { CallSupport } from '../arch/arch.ts';
import { sameBytes } from '../bytes/integer.ts';
import type { Address, CodePointer } from '../bytes/named-numbers.ts';
import type { Image } from '../image/image.ts';
import { isFreed, kernelBanner } from '../image/kernel.ts';
import type { Profile } from './profiles.ts';

/** Code of the image's own that encodings go to: see `CallSupport`. */
export function callSupport(image: Image, profile: Profile, tables = image): CallSupport {
  const { symbols } = image;
  const isKernel = kernelBanner(tables) !== undefined;
  return {
    returnStub: symbols.addressOf('__static_call_return'),
    ...returns(image, tables, isKernel),
    warnTrap: profile.warnTrap ? symbols.addressOf('__WARN_trap') : undefined,
    // Only a kernel that knows this function makes static calls of it.
    spinUnlock: isKernel ? symbols.addressOf('__raw_callee_save___native_queued_spin_unlock') : undefined,
    nop5: isKernel ? chosenNop(image) : undefined,
    countedEntry: isKernel ? countedEntries(image) : undefined,
  };
}

/** How many returns are looked at in each half of the cache lines. */
const mostReturns = 500;

/**
 * What the image returns through. A kernel lists its returns: at start-up each becomes a plain one, or a jump to
 * what the processor needs (arch/x86/kernel/alternative.c, apply_returns; cpu_wants_rethunk_at), so most of them tell. A
 * kernel without the list (no CONFIG_RETHUNK) has no use for the thunk; in a program the symbol says enough.
 */
function returns(
  image: Image,
  tables: Image,
  isKernel: boolean,
): Pick<CallSupport, 'returnThunk' | 'returnsInLowHalf'> {
  const start = image.symbols.addressOf('__return_sites');
  const end = image.symbols.addressOf('__return_sites_end');
  if (start === undefined || end === undefined || tables.fileOffset(start, end - start) === undefined)
    return { returnThunk: isKernel ? undefined : image.symbols.addressOf('__x86_return_thunk') };
  const votes = [new Votes(), new Votes()] as const;
  const step = Math.max(1, Math.floor((end - start) / 4 / (2 * mostReturns)));
  for (let entry = start; entry + 4 <= end; entry += 4 * step) {
    const site = entry + tables.readS32(entry);
    if (isFreed(tables, site) || !tables.codeAt(site)) continue;
    const { kind, displacement } = image.instructionAt(site);
    if (kind !== 'jump' && kind !== 'return') continue;
    const to = kind === 'jump' ? image.addressAt(site, displacement) : undefined;
    votes[(site & 0x20) === 0 ? 0 : 1].add(to);
  }
  const [low, high] = [votes[0].most, votes[1].most];
  if (low?.to === undefined || !high || high.to === low.to) return { returnThunk: low ? low.to : high?.to };
  if (high.to === undefined) return { returnThunk: low.to, returnsInLowHalf: true };
  return { returnThunk: low.count >= high.count ? low.to : high.to };
}

/** Where returns go, and how many of them. */
class Votes {
  private readonly counts = new Map<CodePointer | undefined, number>();

  add(to: CodePointer | undefined): void {
    this.counts.set(to, (this.counts.get(to) ?? 0) + 1);
  }

  /** What most of them say; undefined without any. */
  get most(): { readonly to: CodePointer | undefined; readonly count: number } | undefined {
    let most: { to: CodePointer | undefined; count: number } | undefined;
    for (const [to, count] of this.counts) if (count > (most?.count ?? 0)) most = { to, count };
    return most;
  }
}

/** Place of the NOP of 5 bytes in one store among pointers to NOPs: NOP_ATOMIC5 (arch/x86/include/asm/nops.h of 5.10). */
const atomicNop = 9;

/** Bytes of the NOP that a kernel before 5.13 has chosen (ideal_nops); undefined for other kernels. */
function chosenNop(image: Image): Uint8Array | undefined {
  const chosen = image.symbols.addressOf('ideal_nops');
  const nops = chosen === undefined ? undefined : pointerAt(image, chosen);
  const nop = nops === undefined ? undefined : pointerAt(image, nops + atomicNop * image.arch.wordSize);
  if (nop === undefined || !image.contains(nop, 5)) return undefined;
  const bytes = image.read(nop, 5).slice();
  // Whatever the pointer says: only a NOP is one.
  const { kind, size } = image.arch.instructionsOf(0).readInstruction(bytes, 0);
  return kind === 'nop' && size === 5 ? bytes : undefined;
}

function pointerAt(image: Image, address: Address): Address | undefined {
  if (!image.contains(address, image.arch.wordSize)) return undefined;
  const pointer = image.readPointer(address);
  return pointer.kind === 'address' ? (pointer.address as number) : undefined;
}

/** Longest code in front of a function that counts its calls. */
const longestEntry = 32;

/**
 * Call depth tracking (arch/x86/kernel/callthunks.c, patch_dest): in front of functions lies code that counts the call,
 * and calls go there. Undefined where the kernel does not count, as its memory shows.
 */
function countedEntries(image: Image): CallSupport['countedEntry'] {
  const { symbols, arch } = image;
  const start = symbols.addressOf('skl_call_thunk_template');
  const end = symbols.addressOf('skl_call_thunk_tail');
  const on = symbols.addressOf('thunks_initialized');
  if (start === undefined || end === undefined || on === undefined || !arch.moveCode) return undefined;
  const size = end - start;
  if (size <= 0 || size > longestEntry || !image.contains(start, size) || !image.contains(on))
    return undefined;
  if (image.read(on, 1)[0] !== 1) return undefined;
  const template = image.read(start, size).slice();
  return (to) => {
    const entry = to - size;
    const counting = image.codeAt(entry) && arch.moveCode?.(template, start, entry);
    return counting && sameBytes(image.readUpTo(entry, size), counting) ? entry : to;
  };
}
