// What a kernel says of itself to crash tools (kernel/vmcore_info.c, before 6.9 crash_core.c): lines of text in a note
// of the dump, and in a page of the kernel's own memory.
import { toAddress } from '../bytes/integer.ts';
import { type Memory, readUpTo } from './memory.ts';
import { findBytes } from './search.ts';

/** What the text says. */
export interface KernelSays {
  /** Where the text was: a word for `from …`. */
  readonly from: string;
  readonly release: string | undefined;
  /** As hexadecimal digits. */
  readonly buildId: string | undefined;
  /** KERNELOFFSET: how far the kernel was moved. */
  readonly slide: number | undefined;
  /** What is linked at A lies at the physical address A + physical. */
  readonly physical: number | undefined;
  /** The bit of memory encryption in entries of page tables (x86), else 0. */
  readonly encryption: number;
  /** Where a symbol runs. */
  symbol(name: string): number | undefined;
}

/** Bytes of the text, at most: it is one page (VMCOREINFO_BYTES). */
const longest = 65536;
/** Texts that are looked at: old ones may stand in memory many times. */
const mostTexts = 1000;

export function readVmcoreinfo(text: string, from: string, bits: 32 | 64): KernelSays {
  const lines = new Map<string, string>();
  for (const line of text.split('\n')) {
    const at = line.indexOf('=');
    if (at > 0) lines.set(line.slice(0, at), line.slice(at + 1));
  }
  const value = (name: string, radix: 10 | 16): number | undefined => {
    const digits = lines.get(name)?.replace(/^0x/, '');
    if (digits === undefined || !(radix === 16 ? /^[0-9a-f]{1,16}$/i : /^-?\d{1,20}$/).test(digits))
      return undefined;
    const number = toAddress(BigInt(radix === 16 ? `0x${digits}` : digits));
    return Number.isNaN(number) ? undefined : number;
  };
  // 32-bit kernels do not move, and say nothing of it.
  const slide = value('KERNELOFFSET', 16) ?? (bits === 32 ? 0 : undefined);
  const base = value('NUMBER(phys_base)', 10);
  const voffset = value('NUMBER(kimage_voffset)', 16);
  // x86: __pa_symbol subtracts __START_KERNEL_map, 2 GiB below the end of all addresses.
  const distance =
    voffset !== undefined ? -voffset : base !== undefined && bits === 64 ? base + 2 ** 31 : undefined;
  return {
    from,
    release: lines.get('OSRELEASE'),
    buildId: /^[0-9a-f]+$/.exec(lines.get('BUILD-ID') ?? '')?.[0],
    slide,
    physical: slide === undefined || distance === undefined ? undefined : slide + distance,
    encryption: value('NUMBER(sme_mask)', 10) ?? 0,
    symbol: (name) => value(`SYMBOL(${name})`, 16),
  };
}

/**
 * The texts of the kernel with that banner in its memory. Others' texts may be there too: of the kernel before a kexec,
 * and of files. Error `memory-malformed`.
 */
export function* findVmcoreinfo(memory: Memory, banner: Uint8Array, bits: 32 | 64): Generator<KernelSays> {
  const release = /^Linux version (\S+)/.exec(Buffer.from(banner).toString('latin1'))?.[1];
  if (release === undefined) return;
  const start = Buffer.from(`OSRELEASE=${release}\n`);
  let seen = 0;
  for (const address of findBytes(memory, start, 0)) {
    if (seen++ === mostTexts) return;
    const text = readUpTo(memory, address, longest).toString('latin1');
    // The text ends where its page has no more of it.
    const says = readVmcoreinfo(text.slice(0, text.search(/[^\n -~]|$/)), 'VMCOREINFO in the memory', bits);
    if (says.slide !== undefined) yield says;
  }
}
