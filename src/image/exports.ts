// What kernels call their modules, and which symbols an image gives to them (kernel/module/main.c, find_symbol).
import { parse } from 'node:path';
import type { Image } from './image.ts';

/** A module's name: its file's, as the kernel has it. */
export function moduleName(path: string): string {
  return parse(path.replace(/\.(gz|xz|zst)$/, '')).name.replaceAll('-', '_');
}

/** The address of a symbol that a module may use: in a kernel one that has a __ksymtab_ entry, else any global one. */
export function exported({ symbols }: Image, name: string): number | undefined {
  const address = symbols.globalAddressOf(name);
  if (address === undefined) return undefined;
  return symbols.hasExports && symbols.addressOf(`__ksymtab_${name}`) === undefined ? undefined : address;
}
