// What tells a Linux kernel from other images.
import type { Image } from './image.ts';

const prefix = 'Linux version ';
/** A banner's longest length in bytes (init/version.c: three names and a date). */
const longest = 512;
const banners = new WeakMap<Image, string | undefined>();

/** `Linux version 6.1.0 (…) …`, as linux_banner of init/version.c has it; undefined where the image is no kernel. */
export function kernelBanner(image: Image): string | undefined {
  if (!banners.has(image)) banners.set(image, findBanner(image));
  return banners.get(image);
}

function findBanner(image: Image): string | undefined {
  const named = image.symbols.addressOf('linux_banner');
  if (named !== undefined && image.contains(named)) return bannerIn(image.readUpTo(named, longest), 0);
  // Without symbols: it is read-only data, and stands there as a whole string.
  const section = image.file.sections.find((s) => s.name === '.rodata' && s.size > 0 && s.addr !== 0);
  if (!section || !image.contains(section.addr, section.size)) return undefined;
  const bytes = image.read(section.addr, section.size);
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(prefix);
  return at < 0 ? undefined : bannerIn(bytes, at);
}

function bannerIn(bytes: Uint8Array, at: number): string | undefined {
  const text = Buffer.from(bytes.subarray(at, at + longest))
    .toString('latin1')
    .split('\0')[0] as string;
  return text.startsWith(prefix) ? text.trimEnd() : undefined;
}
