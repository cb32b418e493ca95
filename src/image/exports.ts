// What kernels call their modules, and which symbols an image gives to them (kernel/module/main.c, find_symbol).
import { parse } from 'node:path';
import { ET_REL } from '../elf/constants.ts';
import type { ElfFile } from '../elf/file.ts';
import type { Image } from './image.ts';

/** A module's name: its file's, as the kernel has it. */
export function moduleName(path: string): string {
  return parse(path.replace(/\.(gz|xz|zst)$/, '')).name.replaceAll('-', '_');
}

/** The section with a module's `struct module`, which the loader looks for (kernel/module/main.c). */
const moduleSection = '.gnu.linkonce.this_module';

/** True for the file of a kernel module. */
export function isKernelModule({ header, sections }: ElfFile): boolean {
  return header.type === ET_REL && sections.some(({ name }) => name === moduleSection);
}

/** True for a name that files of modules have, compressed or not. */
export function isModuleName(path: string): boolean {
  return /\.ko(\.(gz|xz|zst))?$/.test(path);
}

/** The address of a symbol that a module may use: in a kernel one that has a __ksymtab_ entry, else any global one. */
export function exported({ symbols }: Image, name: string): number | undefined {
  const address = symbols.globalAddressOf(name);
  if (address === undefined) return undefined;
  return symbols.hasExports && symbols.addressOf(`__ksymtab_${name}`) === undefined ? undefined : address;
}
