// What tells a Linux kernel from other images.
import type { Address } from '../bytes/named-numbers.ts';
import type { Image } from './image.ts';

export const bannerPrefix = 'Linux version ';
/** A banner's longest length in bytes (init/version.c: three names and a date). */
const longest = 512;
const banners = new WeakMap<Image, Banner | undefined>();

interface Banner {
  readonly address: number;
  /** With the end of line and the NUL that end it. */
  readonly bytes: Uint8Array;
}

/** `Linux version 6.1.0 (…) …`, as linux_banner of init/version.c has it; undefined where the image is no kernel. */
export function kernelBanner(image: Image): string | undefined {
  const banner = kernelBannerAt(image);
  return banner && Buffer.from(banner.bytes.subarray(0, -1)).toString('latin1').trimEnd();
}

/** The version that the banner tells; undefined where the image is no kernel. */
export function kernelVersion(image: Image): readonly [major: number, minor: number] | undefined {
  const version = /^Linux version (\d+)\.(\d+)/.exec(kernelBanner(image) ?? '');
  return version ? [Number(version[1]), Number(version[2])] : undefined;
}

/** The banner's bytes and their address. */
export function kernelBannerAt(image: Image): Banner | undefined {
  if (!banners.has(image)) banners.set(image, findBanner(image));
  return banners.get(image);
}

function findBanner(image: Image): Banner | undefined {
  const named = image.symbols.addressOf('linux_banner');
  if (named !== undefined && image.contains(named)) return bannerIn(image.readUpTo(named, longest), 0, named);
  // Without symbols: it is read-only data, and stands there as a whole string.
  const section = image.file.sections.find((s) => s.name === '.rodata' && s.size > 0 && s.addr !== 0);
  if (!section || !image.contains(section.addr, section.size)) return undefined;
  const bytes = image.read(section.addr, section.size);
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(bannerPrefix);
  return at < 0 ? undefined : bannerIn(bytes, at, section.addr + at);
}

function bannerIn(bytes: Uint8Array, at: number, address: number): Banner | undefined {
  const text = Buffer.from(bytes.subarray(at, at + longest));
  const end = text.indexOf(0);
  if (end < 0 || !text.toString('latin1').startsWith(bannerPrefix)) return undefined;
  return { address, bytes: text.subarray(0, end + 1) };
}

/** True for what a kernel has given back once it runs: init text, and all from __init_begin to __init_end. */
export function isFreed(image: Image, address: Address): boolean {
  if (kernelBannerAt(image) === undefined) return false;
  return image.isInitText(address) || between(image, address, '__init_begin', '__init_end');
}

/**
 * True for a kernel's data that is written to during start-up alone, which its vmlinux has in a read-only segment. Where
 * nothing but names of code is known (kallsyms without CONFIG_KALLSYMS_ALL), one bound or both may be missing; then any of
 * its data on the right side of the other may be.
 */
export function isReadOnlyAfterInit(image: Image, address: Address): boolean {
  if (kernelBannerAt(image) === undefined) return false;
  const start = image.symbols.addressOf('__start_ro_after_init') ?? Number.NEGATIVE_INFINITY;
  const end = image.symbols.addressOf('__end_ro_after_init') ?? Number.POSITIVE_INFINITY;
  return address >= start && address < end;
}

function between(image: Image, address: Address, first: string, last: string): boolean {
  const start = image.symbols.addressOf(first);
  const end = image.symbols.addressOf(last);
  return start !== undefined && end !== undefined && address >= start && address < end;
}
